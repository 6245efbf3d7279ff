"""What `$evaluate` is given: parameters of a wrong type or meaning are refused by name."""

from typing import Any

import pytest

from r4.json import encode
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

MEASURE = "https://csor.example/fhir/Measure/hirschsprung-core-outcome"
PERIOD = {"periodStart": "2012-01-01", "periodEnd": "2012-12-31"}
JSON = {"Content-Type": "application/fhir+json"}
HOSPITAL = {"resourceType": "Organization", "id": "hospital", "name": "Fictitious hospital"}


def asked(server: Served, **given: str) -> Any:
    return server.http.get("/Measure/$evaluate", params={"measureUrl": MEASURE, **PERIOD, **given})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("periodStart", {"valueBoolean": True}),
        ("periodStart", {"valueDate": None}),
        ("periodStart", {}),
        ("periodEnd", {"valuePeriod": {"start": "2012-01-01"}}),
        ("reportType", {"valueCode": ["summary"]}),
        ("reportType", {}),
        ("measureUrl", {"valueDecimal": 1}),
        ("measureUrl", {"resource": HOSPITAL}),
        ("subject", {"valueReference": {}}),
        ("subject", {"valueReference": {"reference": 1}}),
        ("subject", {"valueInteger": 1}),
        ("reporter", {"valueReference": {"reference": ["Organization/hospital"]}}),
        ("reporter", {}),
    ],
)
@pytest.mark.parametrize("operation", ["$evaluate", "$evaluate-measure"])
def test_one_of_a_wrong_type_is_named(
    server: Served, operation: str, name: str, value: Any
) -> None:
    given = {"measureUrl": {"valueString": MEASURE}}
    given |= {key: {"valueDate": day} for key, day in PERIOD.items()} | {name: value}
    listed = [{"name": key, **each} for key, each in given.items()]
    body = {"resourceType": "Parameters", "parameter": listed}
    answer = server.http.post(f"/Measure/{operation}", content=encode(body), headers=JSON)
    assert answer.status_code == 400, answer.text
    assert answer.json()["issue"][0]["expression"] == [f"Parameters.parameter('{name}')"]


@pytest.mark.parametrize("kind", ["individual", "summary"])
@pytest.mark.parametrize(
    ("start", "end"), [("2012-13", "2012-12-31"), ("2012-12-31", "2012-01-01"), ("", "2012-01-01")]
)
def test_a_period_is_two_full_dates_in_order_even_if_nobody_is_in_it(
    server: Served, kind: str, start: str, end: str
) -> None:
    answer = asked(server, reportType=kind, periodStart=start, periodEnd=end)
    assert answer.status_code == 400
    (issue,) = answer.json()["issue"]
    assert "not two full dates in order" in issue["diagnostics"]
    wrong = "periodEnd" if start == "2012-12-31" else "periodStart"
    assert issue["expression"] == [f"Parameters.parameter('{wrong}')"]


@pytest.mark.parametrize("operation", ["$evaluate", "$evaluate-measure", "$collect-data"])
def test_a_measure_is_asked_for_by_either_of_its_names(server: Served, operation: str) -> None:
    answer = server.http.get(f"/Measure/{operation}", params=PERIOD)
    assert answer.status_code == 400
    (issue,) = answer.json()["issue"]
    assert issue["diagnostics"] == "The parameter measureUrl or measure is required."


def test_of_a_child_without_a_case_it_is_said_that_there_is_no_report(server: Served) -> None:
    server.http.put("/Patient/caseless", json={"resourceType": "Patient", "id": "caseless"})
    (told,) = asked(server, subject="Patient/caseless").json()["parameter"]
    assert told["name"] == "outcome"
    (issue,) = told["resource"]["issue"]
    assert (issue["severity"], issue["code"]) == ("information", "not-found")
    assert issue["diagnostics"].startswith(f"Patient/caseless has no case of {MEASURE}|")


def test_a_summary_has_no_subject(server: Served) -> None:
    server.http.put("/Patient/somebody", json={"resourceType": "Patient", "id": "somebody"})
    answer = asked(server, reportType="summary", subject="Patient/somebody")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == ["Parameters.parameter('subject')"]


def test_a_subject_is_a_patient_of_this_server(server: Served) -> None:
    server.http.put("/Patient/hospital", json={"resourceType": "Patient", "id": "hospital"})
    for subject in ("Patient/hospital", "hospital", f"{server.context.base_url}/Patient/hospital"):
        assert asked(server, subject=subject).status_code == 200
    elsewhere = "https://other.example/fhir/Patient/hospital"
    for subject in ("Organization/hospital", "Patient/nobody", "nobody", "", elsewhere):
        assert asked(server, subject=subject).status_code == 404

"""Units of measure over HTTP: checked, looked up, never listed, and converted by searches.

https://hl7.org/fhir/R4/ucum.html
"""

import pytest

from tests.support.server import Served
from tests.support.terminology_client import HL7, named, refused

UNITS = f"{HL7}/ValueSet/ucum-units"
UCUM = "http://unitsofmeasure.org"


@pytest.mark.parametrize(
    ("code", "result", "message"),
    [("mm[Hg]", True, None), ("10*9/L", True, None), ("mmHg", False, "'H', its character 3")],
)
def test_a_unit_is_checked(server: Served, code: str, result: bool, message: str | None) -> None:
    asked = {"url": UNITS, "system": UCUM, "code": code, "display": "any words"}
    in_set = named(server.http.get("/ValueSet/$validate-code", params=asked))
    asked = {"url": UCUM, "code": code}
    in_system = named(server.http.get("/CodeSystem/$validate-code", params=asked))
    for found in (in_set, in_system):
        assert found["result"] is result
        assert message is None or message in found["message"]


def test_a_unit_is_looked_up_and_what_is_none_is_not_found(server: Served) -> None:
    asked = {"system": UCUM, "code": "kg/m2"}
    found = named(server.http.get("/CodeSystem/$lookup", params=asked))
    assert (found["display"], found["version"]) == ("kilogram / meter^2", "2.2")
    answer = server.http.get("/CodeSystem/$lookup", params={**asked, "code": "kilo"})
    assert refused(answer)[:2] == (404, "not-found")


def test_units_have_no_end_to_list(server: Served) -> None:
    answer = server.http.get("/ValueSet/$expand", params={"url": UNITS, "count": 10})
    assert refused(answer)[:2] == (422, "too-costly")


@pytest.mark.parametrize(
    ("unit", "asked"), [("mU/L", "0.0025||U/L"), ("kU/L", "2500||U/L"), ("mmol/L", "2.5||mol/m3")]
)
def test_a_quantity_is_found_in_another_unit_of_its_kind(
    server: Served, unit: str, asked: str
) -> None:
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": unit},
        "valueQuantity": {"value": 2.5, "system": UCUM, "code": unit},
    }
    answer = server.http.post("/Observation", json=observation)
    assert answer.status_code == 201, answer.text
    query = {"value-quantity": asked.replace("||", f"|{UCUM}|")}
    found = server.http.get("/Observation", params=query).json()
    assert [each["resource"]["id"] for each in found["entry"]] == [answer.json()["id"]]


def test_what_is_no_unit_is_stored_and_warned_of_by_validate(server: Served) -> None:
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "weight"},
        "valueQuantity": {"value": 3, "system": UCUM, "code": "kilos"},
    }
    assert server.http.post("/Observation", json=observation).status_code == 201
    (issue,) = server.http.post("/Observation/$validate", json=observation).json()["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "code-invalid")
    assert issue["expression"] == ["Observation.value.ofType(Quantity)"]
    assert "'i', its character 2" in issue["diagnostics"]

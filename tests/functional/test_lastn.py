"""$lastn: https://hl7.org/fhir/R4/observation-operation-lastn.html."""

from typing import Any

import pytest

from fhir_server.operations import lastn
from tests.support.server import Served

LOINC = "http://loinc.org"


def observation(subject: str, code: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": "urn:c", "code": "vital"}]}],
        "code": code,
        "subject": {"reference": f"Patient/{subject}"},
        **more,
    }


def coded(*codes: str) -> dict[str, Any]:
    return {"coding": [{"system": LOINC, "code": code} for code in codes]}


@pytest.fixture(scope="module")
def child(server: Served) -> str:
    """A child with observations, each named by its note."""
    key = str(server.http.post("/Patient", json={"resourceType": "Patient"}).json()["id"])
    listed = (
        ("w1", coded("weight"), {"effectiveDateTime": "2021-01-01"}),
        ("w3", coded("weight"), {"effectiveDateTime": "2021-03-01T10:00:00Z"}),
        ("w2", coded("weight"), {"effectivePeriod": {"start": "2021-02-01"}}),
        ("w0", coded("weight"), {}),
        ("same", coded("weight"), {"effectiveDateTime": "2021-03-01T10:00:00Z"}),
        ("a", coded("a"), {"effectiveDateTime": "2020-01-01"}),
        ("c", coded("c"), {"effectiveDateTime": "2020-01-02"}),
        ("ac", coded("a", "c"), {"effectiveDateTime": "2019"}),
        ("text", {"text": "Nappies"}, {"effectiveDateTime": "2018"}),
        ("other text", {"text": "nappies"}, {"effectiveDateTime": "2018"}),
    )
    for name, code, more in listed:
        body = observation(key, code, note=[{"text": name}], **more)
        assert server.http.post("/Observation", json=body).status_code == 201
    return key


def found(server: Served, query: str) -> list[str]:
    answer = server.http.get(f"/Observation/$lastn?{query}")
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    names = [entry["resource"]["note"][0]["text"] for entry in bundle.get("entry", [])]
    assert (bundle["type"], bundle["total"]) == ("searchset", len(names))
    return names


def test_the_newest_of_each_code_with_those_of_the_same_time(server: Served, child: str) -> None:
    assert found(server, f"patient={child}&category=vital") == [
        "same", "w3", "c", "other text", "text",
    ]  # fmt: skip


def test_codes_that_one_observation_has_together_are_the_same(server: Served, child: str) -> None:
    assert found(server, f"subject=Patient/{child}&code={LOINC}|c,{LOINC}|a") == ["c"]
    assert found(server, f"subject=Patient/{child}&code=a,c&max=3") == ["c", "a", "ac"]


def test_max_is_of_each_group_and_what_has_no_time_is_oldest(server: Served, child: str) -> None:
    query = f"patient={child}&code=weight&max="
    assert found(server, query + "2") == ["same", "w3"]
    assert found(server, query + "3") == ["same", "w3", "w2"]
    assert found(server, query + "9") == ["same", "w3", "w2", "w1", "w0"]
    assert found(server, query + "2&date=lt2021-03-01") == ["w2", "w1"]


def test_nothing_is_found_for_another_child(server: Served, child: str) -> None:
    assert found(server, "patient=nobody&code=weight") == []


@pytest.mark.parametrize(
    "query",
    [
        "code=weight",
        "patient={}",
        "patient={}&code=weight&max=0",
        "patient={}&code=weight&max=x",
        "patient={}&code=weight&_count=2",
        "patient={}&code=weight&_sort=date",
        "patient={}&code=weight&nothing=1",
    ],
)
def test_refuses(server: Served, child: str, query: str) -> None:
    assert server.http.get(f"/Observation/$lastn?{query.format(child)}").status_code == 400


def test_refuses_more_than_it_reads(
    server: Served, child: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lastn, "MOST", 4)
    answer = server.http.get(f"/Observation/$lastn?patient={child}&code=weight")
    assert answer.status_code == 400
    assert "at most 4" in answer.text

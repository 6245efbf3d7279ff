"""Criteria of conditional requests are those of a search: https://hl7.org/fhir/R4/http.html#ccreate."""

from typing import Any

import pytest

from tests.support.server import Served

GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"
FAMILY = "Testchild-Criteria"


def child(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "name": [{"family": FAMILY}], **more}


@pytest.fixture(scope="module")
def known(server: Served) -> str:
    trust = server.http.post("/Organization", json={"resourceType": "Organization", "name": "T"})
    place = f"Organization/{trust.json()['id']}"
    ward = {"resourceType": "Organization", "name": "W", "partOf": {"reference": place}}
    under = server.http.post("/Organization", json=ward).json()["id"]
    body = child(
        gender="female",
        birthDate="2020-01-01",
        managingOrganization={"reference": f"Organization/{under}"},
    )
    assert server.http.post("/Patient", json=body).status_code == 201
    return place


@pytest.mark.parametrize(
    "criteria",
    [
        f"family={FAMILY}&gender:in={GENDERS}",
        f"family={FAMILY}&birthdate=ap2020",
        f"family={FAMILY}&_lastUpdated=gt2020",
        f"family={FAMILY}&organization.name=W",
        f"family={FAMILY}&organization:below={{}}",
        f"_filter=family eq {FAMILY} and gender eq female",
    ],
)
def test_what_matches_is_not_created_again(server: Served, known: str, criteria: str) -> None:
    asked = criteria.format(known)
    answer = server.http.post("/Patient", json=child(), headers={"If-None-Exist": asked})
    assert answer.status_code == 200, answer.text
    assert answer.json()["gender"] == "female"


def test_the_time_of_the_last_update_is_a_criterion_by_itself(server: Served, known: str) -> None:
    answer = server.http.delete("/Patient?_lastUpdated=lt2000")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "criteria", ["_count=1", "_sort=family", "_include=*", "_summary=count", "_elements=name"]
)
def test_what_says_how_an_answer_looks_is_no_criterion(
    server: Served, known: str, criteria: str
) -> None:
    asked = f"family={FAMILY}&{criteria}"
    answer = server.http.post("/Patient", json=child(), headers={"If-None-Exist": asked})
    assert answer.status_code == 400
    assert "is no criterion" in answer.text
    answer = server.http.put(f"/Patient?family={FAMILY}&_format=json", json=child())
    assert answer.status_code == 200

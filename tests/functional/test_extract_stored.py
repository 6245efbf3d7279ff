"""$extract of a response that is stored, and by a form that is given."""

from typing import Any

import pytest

from r4.json import encode
from tests.questionnaires.support import NOTE, example
from tests.support.server import Served

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
URL = "https://example.org/extracting/form"
WEIGHED = {"linkId": "name", "text": "Name", "type": "string"}
FORM = {
    "resourceType": "Questionnaire",
    "id": "extracting",
    "url": URL,
    "status": "active",
    "item": [WEIGHED],
}
DERIVED = {
    **FORM,
    "id": "extracting-more",
    "url": f"{URL}-more",
    "derivedFrom": [URL],
    "extension": [
        {"url": SDC + "definitionExtract", "extension": [
            {"url": "definition",
             "valueCanonical": "https://csor.example/fhir/StructureDefinition/csor-organization"}]}
    ],
    "item": [{**WEIGHED, "definition":
              "https://csor.example/fhir/StructureDefinition/csor-organization#Organization.name"}],
}  # fmt: skip
RESPONSE = {
    "resourceType": "QuestionnaireResponse",
    "id": "extracted",
    "questionnaire": URL,
    "status": "in-progress",
    "item": [{"linkId": "name", "answer": [{"valueString": "St Example"}]}],
}


@pytest.fixture
def kept(server: Served) -> Served:
    """Give a server that holds a form, one derived from it, and a response."""
    for each in (FORM, DERIVED, RESPONSE):
        answer = server.http.put(f"/{each['resourceType']}/{each['id']}", json=each)
        assert answer.status_code in (200, 201), answer.text
    return server


def parameters(name: str, **value: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": name, **value}]}


def test_a_stored_response_is_extracted_by_a_form_derived_from_its_own(kept: Served) -> None:
    for given in (
        {"valueUri": f"{URL}-more"},
        {"valueReference": {"reference": "Questionnaire/extracting-more"}},
        {"resource": DERIVED},
    ):
        answer = kept.http.post(
            "/QuestionnaireResponse/extracted/$extract", json=parameters("questionnaire", **given)
        )
        assert answer.status_code == 200, answer.text
        [entry] = answer.json()["entry"]
        assert entry["resource"]["name"] == "St Example"
        assert entry["resource"]["meta"]["profile"][0].endswith("csor-organization")


def test_a_stored_note_yields_what_it_yields_when_it_is_sent(kept: Served) -> None:
    note = example(NOTE, "soave-laparoscopic") | {"id": "to-extract", "status": "in-progress"}
    del note["subject"]
    body: dict[str, Any] = {
        "content": encode(note),
        "headers": {"Content-Type": "application/fhir+json"},
    }
    assert kept.http.put("/QuestionnaireResponse/to-extract", **body).status_code in (200, 201)
    stored = kept.http.post("/QuestionnaireResponse/to-extract/$extract").json()
    sent = kept.http.post("/QuestionnaireResponse/$extract", **body).json()
    kinds = [entry["resource"]["resourceType"] for entry in sent["entry"]]
    assert [entry["resource"]["resourceType"] for entry in stored["entry"]] == kinds
    assert "Procedure" in kinds


def test_what_is_not_known_or_given_twice_or_anothers_is_refused(kept: Served) -> None:
    def status(path: str, body: dict[str, Any] | None = None) -> int:
        return kept.http.post(f"/QuestionnaireResponse{path}", json=body).status_code

    assert status("/unknown/$extract") == 404
    assert status("/extracted/$extract", parameters("response", resource=RESPONSE)) == 400
    assert status("/$extract", parameters("questionnaire", valueUri=URL)) == 400
    assert status("/extracted/$extract", parameters("questionnaire", valueUri=f"{URL}-no")) == 404
    other = {**FORM, "url": f"{URL}-other"}
    assert status("/extracted/$extract", parameters("questionnaire", resource=other)) == 422
    assert status("/extracted/$extract") == 422

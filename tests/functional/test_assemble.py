"""Questionnaire/$assemble puts a stored form together from stored and registered modules."""

from typing import Any

import httpx
import pytest

from tests.support.server import Served

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
BASE = "https://example.org/assembling/"
NOTE = "https://csor.example/fhir/Questionnaire/operative-note-hirschsprung"


def form(name: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Questionnaire",
        "id": name,
        "url": BASE + name,
        "version": "1",
        "status": "active",
        "item": list(items),
    }


MODULE = form("module", {"linkId": "asked", "text": "Asked", "type": "string"})
PLACE = {
    "linkId": "place",
    "type": "display",
    "text": "The module is not known here.",
    "extension": [{"url": SDC + "subQuestionnaire", "valueCanonical": f"{BASE}module|1"}],
}
ROOT = form("root", PLACE)


@pytest.fixture
def kept(server: Served) -> Served:
    """Give a server that holds both forms."""
    for each in (MODULE, ROOT):
        answer = server.http.put(f"/Questionnaire/{each['id']}", json=each)
        assert answer.status_code in (200, 201), answer.text
    return server


def asked(server: Served, value: dict[str, Any]) -> httpx.Response:
    parameters = {"name": "questionnaire", **value}
    body = {"resourceType": "Parameters", "parameter": [parameters]}
    return server.http.post("/Questionnaire/$assemble", json=body)


def items(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    named = {each["name"]: each["resource"] for each in answer.json()["parameter"]}
    assert set(named) == {"return"}
    return [item["linkId"] for item in named["return"]["item"]]


def test_a_form_is_named_by_url_reference_or_id_or_is_sent_along(kept: Served) -> None:
    answers = [
        asked(kept, {"valueUri": f"{BASE}root|1"}),
        asked(kept, {"valueReference": {"reference": "Questionnaire/root"}}),
        asked(kept, {"resource": ROOT}),
        kept.http.post("/Questionnaire/$assemble", json=ROOT),
        kept.http.post("/Questionnaire/root/$assemble"),
    ]
    assert [items(answer) for answer in answers] == [["asked"]] * 5


def test_the_registrys_own_forms_are_handed_out_assembled(kept: Served) -> None:
    answer = asked(kept, {"valueUri": NOTE}).json()["parameter"][0]["resource"]
    stored = kept.http.get("/Questionnaire/operative-note-hirschsprung").json()
    assert answer["item"] == stored["item"]
    assert "subQuestionnaire" not in str(answer)


def test_warnings_come_beside_the_form(kept: Served) -> None:
    item = {"linkId": "1", "text": "Own", "type": "string", "definition": f"{BASE}nowhere#x"}
    answer = asked(kept, {"resource": form("other", item)}).json()["parameter"]
    assert [each["name"] for each in answer] == ["return", "outcome"]
    [issue] = answer[1]["resource"]["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "not-found")


@pytest.mark.parametrize(
    ("value", "status", "said"),
    [
        ({"valueUri": f"{BASE}unknown"}, 404, "is not known here"),
        ({"valueReference": {"reference": "Patient/root"}}, 404, "is not a Questionnaire"),
        ({"valueReference": {"reference": "Questionnaire/unknown"}}, 404, "not known here"),
        ({"resource": {"resourceType": "Patient"}}, 400, "not a Patient"),
        ({"resource": {"resourceType": "Questionnaire"}}, 422, "status"),
        ({"valueInteger": 1}, 400, "is a canonical, a Reference"),
    ],
)
def test_what_names_no_form_is_refused(
    kept: Served, value: dict[str, Any], status: int, said: str
) -> None:
    answer = asked(kept, value)
    assert answer.status_code == status
    assert said in answer.text


def test_a_module_that_is_not_known_is_refused_and_nothing_named_twice(kept: Served) -> None:
    missing = {**PLACE, "extension": [{**PLACE["extension"][0], "valueCanonical": f"{BASE}no"}]}
    answer = asked(kept, {"resource": form("lost", missing)})
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "not-found")
    twice = kept.http.post("/Questionnaire/root/$assemble", json=ROOT)
    assert twice.status_code == 400
    nothing = kept.http.post("/Questionnaire/$assemble")
    assert (nothing.status_code, "is required" in nothing.text) == (400, True)

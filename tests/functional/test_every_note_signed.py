"""Each operative note, signed at a server: what is stored, and whether a case is opened."""

from collections.abc import Iterator
from typing import Any

import pytest

from questionnaires.reference import notes
from r4.json import decode, encode
from tests.support.server import ROOT, Served, served

NHS = "https://fhir.nhs.uk/Id/nhs-number"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
GMC = "https://fhir.hl7.org.uk/Id/gmc-number"
OPCS_4 = "https://fhir.hl7.org.uk/CodeSystem/OPCS-4"
JSON = {"Content-Type": "application/fhir+json"}
OPENS = {
    "operative-note-diaphragmatic-hernia": ["diaphragmatic-hernia"],
    "operative-note-gastroschisis": ["gastroschisis"],
    "operative-note-generic": ["gastroschisis"],
    "operative-note-hirschsprung": ["hirschsprung"],
    "operative-note-necrotising-enterocolitis": ["necrotising-enterocolitis"],
    "operative-note-oesophageal-atresia": ["oesophageal-atresia"],
    "operative-note-posterior-urethral-valves": ["posterior-urethral-valves"],
}
"""The case that the usual example of each note opens; a note that is not here opens none."""


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("notes"), "sqlite") as server:
        for place, body in (
            (f"Organization?identifier={ODS}|RTH",
             {"resourceType": "Organization", "name": "Fictitious Oxford",
              "identifier": [{"system": ODS, "value": "RTH"}]}),
            (f"Practitioner?identifier={GMC}|0000000",
             {"resourceType": "Practitioner", "name": [{"family": "Testsurgeon"}],
              "identifier": [{"system": GMC, "value": "0000000"}]}),
            (f"Patient?identifier={NHS}|9990000018",
             {"resourceType": "Patient", "name": [{"family": "Testchild-Plover"}],
              "identifier": [{"system": NHS, "value": "9990000018"}]}),
        ):  # fmt: skip
            assert server.http.put(f"/{place}", json=body).status_code == 201
        yield server


def signed(server: Served, id: str) -> dict[str, list[dict[str, Any]]]:
    """Sign the usual example of a note; return what is stored, by type."""
    path = ROOT / "questionnaires" / "examples" / id / "typical.response.json"
    number = {"system": "https://csor.example/fhir/sid/RTH/note", "value": id}
    response = {**decode(path.read_bytes()), "status": "completed", "identifier": number}
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "response", "resource": response},
            {"name": "signer",
             "valueReference": {"reference": f"Practitioner?identifier={GMC}|0000000"}},
            {"name": "hospital",
             "valueReference": {"reference": f"Organization?identifier={ODS}|RTH"}},
        ],
    }  # fmt: skip
    answer = server.http.post("/QuestionnaireResponse/$sign", content=encode(body), headers=JSON)
    assert answer.status_code == 200, answer.text
    stored: dict[str, list[dict[str, Any]]] = {}
    for entry in answer.json()["entry"]:
        place = entry["response"]["location"].split("/_history")[0]
        stored.setdefault(place.split("/")[0], []).append(server.http.get(f"/{place}").json())
    return stored


@pytest.mark.parametrize("id", notes())
def test_a_signed_note_is_a_coded_procedure_a_document_and_the_case_of_its_condition(
    hospital: Served, id: str
) -> None:
    stored = signed(hospital, id)
    [procedure], [_], [_] = stored["Procedure"], stored["Composition"], stored["Bundle"]
    assert any(coding["system"] == OPCS_4 for coding in procedure["code"]["coding"])
    assert procedure["performer"][0]["onBehalfOf"]["reference"].startswith("Organization/")
    opened = [case["type"][0]["coding"][0]["code"] for case in stored.get("EpisodeOfCare", ())]
    assert opened == OPENS.get(id, [])
    assert all(each["derivedFrom"] for each in stored["Observation"])

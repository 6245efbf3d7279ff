"""Each operative note, signed at a server: what is stored, and whether a case is opened."""

from collections.abc import Iterator
from typing import Any

import pytest

import outcome_engine
from questionnaires.reference import notes
from r4.json import decode, encode
from terminology import Terminology
from tests.support.server import ROOT, Served, served

NHS = "https://fhir.nhs.uk/Id/nhs-number"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
GMC = "https://fhir.hl7.org.uk/Id/gmc-number"
OPCS_4 = "https://fhir.hl7.org.uk/CodeSystem/OPCS-4"
JSON = {"Content-Type": "application/fhir+json"}
MEASURE = "https://csor.example/fhir/Measure/"
TERMINOLOGY = Terminology.load()
OPENS = {
    "operative-note-appendicectomy": ["suspected-appendicitis"],
    "operative-note-diaphragmatic-hernia": ["diaphragmatic-hernia"],
    "operative-note-gastroschisis": ["gastroschisis"],
    "operative-note-generic": ["gastroschisis"],
    "operative-note-hirschsprung": ["hirschsprung"],
    "operative-note-necrotising-enterocolitis": ["necrotising-enterocolitis"],
    "operative-note-oesophageal-atresia": ["oesophageal-atresia"],
    "operative-note-orchidopexy": ["undescended-testis"],
    "operative-note-posterior-urethral-valves": ["posterior-urethral-valves"],
    "operative-note-testicular-torsion": ["suspected-torsion"],
}
"""The case that the usual example of each note opens."""


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
    assert opened == OPENS[id]
    assert all(each["derivedFrom"] for each in stored["Observation"])


def test_a_signed_note_alone_makes_the_measures_of_its_operation_known(hospital: Served) -> None:
    """Of torsion: pain at 5:00, both arrivals at 7:10, decision at 8:20, operation at 9:12."""
    signed(hospital, "operative-note-testicular-torsion")
    record = [
        entry["resource"]
        for kind in ("Patient", "EpisodeOfCare", "Procedure", "Observation")
        for entry in decode(hospital.http.get(f"/{kind}?_count=500").content)["entry"]
    ]
    for name in ("onset", "first-arrival", "arrival", "decision"):
        url = f"{MEASURE}torsion-{name}-to-theatre"
        found = outcome_engine.assess(url, record, "2026-06-01", TERMINOLOGY)
        assert (found.outcome_class, found.index_date) == ("good", "2026-03-09")
        kinds = {each.reference.partition("/")[0] for each in found.findings[0].evidence}
        assert kinds == {"Procedure", "Observation"}

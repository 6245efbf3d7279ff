"""The contact list holds each child whose parents may be asked, once, and the audit says so."""

import csv
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fhir_server.commands.surveys import contact_list
from fhir_server.settings import Settings
from tests.support.server import Served, served

NHS = "https://fhir.nhs.uk/Id/nhs-number"
CHI = "https://fhir.scot.nhs.uk/Id/chi-number"
CONDITION = "https://csor.example/fhir/CodeSystem/condition"


def child(server: Served, name: str, number: str, system: str = NHS, **more: Any) -> str:
    body = {
        "resourceType": "Patient",
        "identifier": [{"system": system, "value": number}],
        "name": [
            {"use": "old", "family": "Former"},
            {"use": "official", "family": name, "given": ["Fictitious", "Middle"]},
        ],
        "birthDate": "2025-03-01",
        "address": [{"use": "home", "postalCode": "OX99 9ZZ"}],
        **more,
    }
    answer = server.http.put(f"/Patient?identifier={quote(f'{system}|{number}')}", json=body)
    assert answer.status_code == 201, answer.text
    place = f"Patient/{answer.json()['id']}"
    for condition in ("hirschsprung", "gastroschisis"):
        case(server, place, number, condition)
    return place


def case(server: Served, place: str, number: str, condition: str) -> None:
    body = {
        "resourceType": "EpisodeOfCare", "status": "active", "patient": {"reference": place},
        "identifier": [{"system": "https://csor.example/fhir/sid/case", "value": f"{number}.{condition}"}],
        "type": [{"coding": [{"system": CONDITION, "code": condition}]}],
        "period": {"start": "2025-03-02"},
    }  # fmt: skip
    assert server.http.post("/EpisodeOfCare", json=body).status_code == 201


@pytest.mark.slow
def test_whose_parents_may_be_asked_is_listed_once(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        listed = child(server, "Plover", "9990000018")
        child(server, "Dunlin", "9990000026", deceasedBoolean=True)
        child(server, "Heron", "0101250002", CHI)
        objecting = child(server, "Curlew", "9990000034")
        consent = {
            "resourceType": "Consent", "status": "active", "dateTime": "2026-01-01",
            "scope": {"text": "Research"}, "category": [{"text": "Research"}],
            "patient": {"reference": objecting}, "policyRule": {"text": "A notice"},
            "provision": {"type": "deny", "code": [{"coding": [
                {"system": "https://csor.example/fhir/CodeSystem/data-stream", "code": "parent-reported"}
            ]}]},
        }  # fmt: skip
        assert server.http.post("/Consent", json=consent).status_code == 201
    settings = Settings(database=str(tmp_path / "csor.db"), signing_key=tmp_path / "signing.pem")
    file = tmp_path / "contacts.csv"
    contact_list(settings, file)
    with file.open(newline="", encoding="utf-8") as content:
        assert list(csv.reader(content)) == [
            ["nhs_number", "family_name", "given_names", "date_of_birth", "postcode"],
            ["9990000018", "Plover", "Fictitious Middle", "2025-03-01", "OX99 9ZZ"],
        ]
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        contact_list(settings, file)
    with served(tmp_path) as server:
        rows = server.context.database.read(
            "SELECT type, key FROM audit WHERE interaction = 'contact-list'"
        )
    assert {f"{kind}/{key}" for kind, key in rows} == {listed}

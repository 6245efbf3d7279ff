"""Purge erases a child: no row, and no byte of the file, names the child afterwards."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.store import links, tombstone
from tests.support.server import Served

SYSTEM = "https://csor.example/fhir/sid/RTH/mrn"
MASKED = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "masked",
        }
    ]
}


def put(http: httpx.Client, resource: dict[str, Any], status: int = 201) -> dict[str, Any]:
    answer = http.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
    assert answer.status_code == status, answer.text
    stored: dict[str, Any] = answer.json()
    return stored


def patient(name: str, family: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": f"{name}-id-7731",
        "identifier": [{"system": SYSTEM, "value": f"{name}-mrn-5512"}],
        "name": [{"family": family, "given": ["Quillon"]}],
        "gender": "female",
        "birthDate": "2020-02-03",
        **more,
    }


def observation(name: str, child: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"{name}-obs-1",
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": f"Patient/{child}-id-7731"},
        **more,
    }


def purge(http: httpx.Client, child: str, status: int = 200) -> dict[str, Any]:
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "reason", "valueString": "request 12 of the family"}],
    }
    answer = http.post(f"/Patient/{child}-id-7731/$purge", json=body)
    assert answer.status_code == status, answer.text
    outcome: dict[str, Any] = answer.json()
    return outcome


def cells(server: Served) -> Iterator[tuple[str, str]]:
    """Yield every cell of every table as text."""
    database = server.context.database
    if database.dialect.name == "sqlite":
        listed = database.read("SELECT name FROM sqlite_master WHERE type = 'table'")
    else:
        listed = database.read("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for (table,) in listed:
        if (
            table in ("search_key", "search_text", "concept_text")
            and database.dialect.name == "sqlite"
        ):
            continue  # their rows are those of the tables that begin with their names
        for row in database.read(f'SELECT * FROM "{table}"'):  # noqa: S608 - its own tables
            for value in row:
                yield table, value.decode("latin-1") if isinstance(value, bytes) else str(value)


def naming(server: Served, *names: str) -> list[str]:
    return [table for table, text in cells(server) if any(name in text for name in names)]


def test_nothing_of_the_child_is_left_in_any_table_or_in_the_file(server: Served) -> None:
    http = server.http
    put(http, patient("ash", "Zarquon"))
    put(http, patient("ash", "Zarquonbis"), 200)
    put(http, patient("elm", "Elmwood"))
    put(http, observation("ash", "ash"))
    put(http, observation("elm", "elm"))
    put(http, {
        "resourceType": "Encounter", "id": "ash-enc-1", "status": "finished",
        "class": {"code": "IMP"}, "subject": {"reference": "Patient/ash-id-7731"},
    })  # fmt: skip
    put(http, {
        "resourceType": "Task", "id": "ash-task-1", "status": "requested", "intent": "order",
        "for": {"reference": "Patient/ash-id-7731"},
    })  # fmt: skip
    put(http, {
        "resourceType": "Provenance", "id": "ash-prov-1", "recorded": "2024-01-01T00:00:00Z",
        "target": [{"reference": "Observation/ash-obs-1"}],
        "agent": [{"who": {"display": "ward"}}],
    })  # fmt: skip
    digest = "5eed" * 16
    asyncio.run(links.record(server.context.database, digest, "ash-task-1", 4_000_000_000))
    assert naming(server, digest) == ["survey_link"]
    http.post("/Observation", json={  # refused, and kept in the inbox
        "resourceType": "Observation", "status": "no-such-status", "code": {"text": "weight"},
        "subject": {"reference": "Patient/ash-id-7731"},
    })  # fmt: skip
    outcome = purge(http, "ash")
    said = outcome["issue"][0]["diagnostics"]
    assert "1 Encounter, 1 Observation, 1 Patient, 1 Provenance, 1 Task: 6 versions" in said
    assert "1 messages" in said
    names = (
        "ash-id-7731",
        "ash-mrn-5512",
        "ash-obs-1",
        "ash-enc-1",
        "ash-task-1",
        "ash-prov-1",
        digest,
    )
    assert naming(server, *names, "Zarquon", "zarquon") == []
    if (
        server.context.database.dialect.name == "sqlite"
    ):  # before what asks for the child is recorded
        folder = Path(server.context.settings.database).parent
        for file in folder.glob("csor.db*"):
            held = file.read_bytes()
            assert [name for name in (*names, "Zarquon", "zarquon") if name.encode() in held] == []
    assert http.get("/Patient/ash-id-7731").status_code == 404
    assert http.get("/Patient/ash-id-7731/_history").status_code == 404
    assert http.get("/Patient?name=zarquon&_summary=count").json()["total"] == 0
    assert http.get("/Observation?subject=Patient/elm-id-7731&_summary=count").json()["total"] == 1


def test_what_others_share_stays_without_the_child_in_every_version(server: Served) -> None:
    http = server.http
    put(http, patient("oak", "Oakley"))
    put(http, patient("fir", "Firth"))
    put(http, observation("oak", "oak"))
    members = [{"entity": {"reference": f"Patient/{each}-id-7731"}} for each in ("oak", "fir")]
    group = {
        "resourceType": "Group", "id": "both", "type": "person", "actual": True, "member": members,
        "text": {"status": "generated",
                 "div": '<div xmlns="http://www.w3.org/1999/xhtml">Oakley, Firth</div>'},
    }  # fmt: skip
    put(http, group)
    put(http, {**group, "name": "cohort"}, 200)
    report = {
        "resourceType": "MeasureReport", "id": "summary", "status": "complete", "type": "summary",
        "measure": "https://csor.example/fhir/Measure/hirschsprung-core-outcome",
        "period": {"start": "2020", "end": "2021"},
        "evaluatedResource": [{"reference": "Observation/oak-obs-1"}],
    }  # fmt: skip
    put(http, report)
    purge(http, "oak")
    assert naming(server, "oak-id-7731", "oak-obs-1", "Oakley", "oakley") == []
    for version in ("1", "2", "3"):
        found = http.get(f"/Group/both/_history/{version}").json()
        assert [each["entity"] for each in found["member"]] == [MASKED, members[1]["entity"]]
        assert "text" not in found
    assert http.get("/Group/both").json()["meta"]["versionId"] == "3"
    assert http.get("/MeasureReport/summary").json()["evaluatedResource"] == [MASKED]
    found = http.get("/Group?member=Patient/fir-id-7731").json()["entry"]
    assert [each["resource"]["id"] for each in found] == ["both"]
    assert http.get("/Group?member=Patient/oak-id-7731&_summary=count").json()["total"] == 0


def test_linked_patients_are_the_same_child(server: Served) -> None:
    http = server.http
    put(http, patient("bay", "Bayer"))
    link = [{"other": {"reference": "Patient/bay-id-7731"}, "type": "replaces"}]
    put(http, patient("yew", "Yewell", link=link))
    purge(http, "bay")
    assert naming(server, "bay-id-7731", "yew-id-7731", "yew-mrn-5512") == []


def test_what_holds_more_of_the_child_than_references_refuses_the_purge(server: Served) -> None:
    http = server.http
    put(http, patient("box", "Boxer"))
    put(http, {
        "resourceType": "Group", "id": "telling", "type": "person", "actual": True,
        "identifier": [{"system": SYSTEM, "value": "box-mrn-5512"}],
        "member": [{"entity": {"reference": "Patient/box-id-7731"}}],
    })  # fmt: skip
    outcome = purge(http, "box", 409)
    assert "Group/telling" in outcome["issue"][0]["diagnostics"]
    assert http.get("/Patient/box-id-7731").status_code == 200


def test_a_tombstone_tells_a_later_import_and_the_audit_keeps_hashes(server: Served) -> None:
    http = server.http
    put(http, patient("may", "Mayer"))
    purge(http, "may")
    database = server.context.database
    (stone,) = tombstone.of(database, ("Patient", "may-id-7731"))
    assert stone.reason == "request 12 of the family"
    assert stone.counts == {"Patient": 1}
    assert tombstone.of(database, ("Patient", "another")) == []
    rows = database.read("SELECT key FROM audit WHERE interaction = 'purge' ORDER BY id DESC")
    assert re.fullmatch("~[0-9a-f]{64}", rows[0][0])
    kept = database.read("SELECT interaction FROM audit WHERE key = ? ORDER BY id", (rows[0][0],))
    assert [row[0] for row in kept] == ["create", "purge"]
    again = put(http, patient("may", "Mayer"))
    assert again["meta"]["versionId"] == "1"
    assert tombstone.of(database, ("Patient", "may-id-7731")) == [stone]


def test_a_message_of_the_child_leaves_the_inbox_and_that_of_another_stays(server: Served) -> None:
    http = server.http
    for name in ("ivy", "nut"):
        put(http, patient(name, "Ivers"))
        http.post("/Observation", json={
            "resourceType": "Observation", "status": "wrong", "code": {"text": name},
            "subject": {"identifier": {"system": SYSTEM, "value": f"{name}-mrn-5512"}},
        })  # fmt: skip
    purge(http, "ivy")
    kept = server.context.database.read("SELECT raw FROM inbox")
    assert [row for row in kept if b"ivy-mrn-5512" in row[0]] == []
    assert len([row for row in kept if b"nut-mrn-5512" in row[0]]) == 1


def test_a_purge_needs_a_reason_that_names_nobody_and_a_patient(server: Served) -> None:
    http = server.http
    put(http, patient("fig", "Figg"))
    assert http.post("/Patient/fig-id-7731/$purge").status_code == 400
    named = http.post("/Patient/fig-id-7731/$purge?reason=about+fig-mrn-5512")
    assert named.status_code == 422
    assert http.post("/Patient/nobody/$purge?reason=x").status_code == 404


@pytest.fixture
def document() -> dict[str, Any]:
    return {
        "resourceType": "Bundle", "id": "doc-1", "type": "document",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:doc-1"},
        "timestamp": "2024-01-01T00:00:00Z",
        "entry": [
            {"fullUrl": "https://h.example/fhir/Composition/doc-comp-1",
             "resource": {
                 "resourceType": "Composition", "id": "doc-comp-1", "status": "final",
                 "type": {"text": "note"}, "date": "2024-01-01", "title": "Note",
                 "author": [{"display": "Surgeon"}],
                 "subject": {"reference": "Patient/sap-id-7731"}}},
            {"fullUrl": "https://h.example/fhir/Patient/sap-id-7731",
             "resource": patient("sap", "Sapper")},
        ],
    }  # fmt: skip


def test_a_document_about_the_child_goes_too(server: Served, document: dict[str, Any]) -> None:
    put(server.http, patient("sap", "Sapper"))
    put(server.http, document)
    assert "1 Bundle, 1 Patient" in purge(server.http, "sap")["issue"][0]["diagnostics"]
    assert naming(server, "sap-id-7731", "Sapper", "doc-comp-1") == []

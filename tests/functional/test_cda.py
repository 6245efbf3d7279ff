"""CDA operative notes through the FHIR door: stored once, replaced, refused, replayed, purged."""

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.__main__ import main
from fhir_server.store import inbox
from tests.support.mllp import register
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
DOOR = "/DocumentReference/$process-cda"
NOTE = (Path(__file__).parents[2] / "mappings/cda/examples/RTH-pull-through.xml").read_text()


@pytest.fixture(scope="module", autouse=True)
def _hospital(server: Served) -> None:
    register(server, "RTH")


def note(number: str, child: str, **changes: str) -> bytes:
    """Return the note of another operation on another child; and with other texts."""
    text = NOTE.replace("1001", number).replace("999 000 0018", child)
    text = text.replace('extension="70018"', f'extension="7{number}"')
    for name, value in changes.items():
        old = {"code": "H41.1", "diagnosis": "Q43.1", "hospital": 'extension="RTH"'}[name]
        text = text.replace(old, value)
    return text.encode()


def version(raw: bytes, number: str, replaced: str) -> bytes:
    """Return a note as the version, of another number, that replaces one."""
    related = (
        '<relatedDocument typeCode="RPLC"><parentDocument>'
        f'<id root="2.999.7.1" extension="OPN-{replaced}"/></parentDocument></relatedDocument>'
    )
    text = raw.decode().replace(f'extension="OPN-{replaced}"', f'extension="OPN-{number}"', 1)
    return text.replace("<documentationOf>", f"{related}<documentationOf>", 1).encode()


def send(server: Served, raw: bytes, kind: str = "application/cda+xml") -> httpx.Response:
    return server.http.post(DOOR, content=raw, headers={"Content-Type": kind})


def found(server: Served, query: str) -> list[dict[str, Any]]:
    listed = server.http.get(f"/{query}").json()
    return [each["resource"] for each in listed.get("entry", [])]


def one(server: Served, query: str) -> dict[str, Any]:
    (resource,) = found(server, query)
    return resource


def reason(answer: httpx.Response) -> str:
    return str(answer.json()["issue"][0]["diagnostics"])


def of_patient(server: Served, child: str) -> str:
    return str(one(server, f"Patient?identifier={NHS}|{child}")["id"])


def test_a_note_is_stored_with_its_original_procedure_sections_and_provenance(
    server: Served,
) -> None:
    raw = note("2001", "9990000018")
    answer = send(server, raw)
    assert answer.status_code == 200, answer.text
    patient = of_patient(server, "9990000018")
    document = one(server, f"DocumentReference?patient={patient}")
    assert base64.b64decode(document["content"][0]["attachment"]["data"]) == raw
    composition = one(server, f"Composition?patient={patient}")
    procedure = one(server, f"Procedure?patient={patient}")
    reference = f"Procedure/{procedure['id']}"
    assert composition["event"][0]["detail"] == [{"reference": reference}]
    assert document["context"]["related"] == [{"reference": f"Composition/{composition['id']}"}]
    assert one(server, f"Provenance?target={reference}")["entity"][0]["what"]["reference"] == (
        f"DocumentReference/{document['id']}"
    )
    assert one(server, f"Condition?patient={patient}")["code"]["text"] == "Hirschsprung's disease"


def test_the_same_note_again_stores_nothing_and_its_id_with_other_content_is_refused(
    server: Served,
) -> None:
    raw = note("2002", "9990000026")
    first, again = send(server, raw), send(server, raw)
    assert (first.status_code, again.status_code) == (200, 200)
    place = first.json()["entry"][0]["response"]["location"]
    assert [each["response"]["location"] for each in again.json()["entry"]] == [place]
    assert len(found(server, f"Procedure?patient={of_patient(server, '9990000026')}")) == 1
    other = send(server, raw.replace(b"Supine.", b"Prone."))
    assert (other.status_code, other.json()["issue"][0]["code"]) == (409, "duplicate")


def test_a_child_that_is_known_is_not_renamed_by_a_note(server: Served) -> None:
    known = {
        "resourceType": "Patient",
        "identifier": [{"system": NHS, "value": "9990000034"}],
        "name": [{"family": "Testchild-Later"}],
    }
    stored = server.http.post("/Patient", json=known).json()
    assert send(server, note("2003", "9990000034")).status_code == 200
    after = one(server, f"Patient?identifier={NHS}|9990000034")
    assert after["meta"]["versionId"] == "1"
    assert after["id"] == stored["id"]
    assert len(found(server, f"Procedure?patient={after['id']}")) == 1


def test_a_version_that_replaces_another_supersedes_it(server: Served) -> None:
    first = note("2004", "9990000042")
    assert send(server, first).status_code == 200
    patient = of_patient(server, "9990000042")
    second = version(first.replace(b"H41.1", b"H41.2").replace(b"Q43.1", b"Q43.2"), "2005", "2004")
    unsaid = send(server, first.replace(b'"OPN-2004"', b'"OPN-2006"', 1))
    assert (unsaid.status_code, "RPLC" in reason(unsaid)) == (409, True)
    answer = send(server, second)
    assert answer.status_code == 200, answer.text
    documents = found(server, f"DocumentReference?patient={patient}")
    states = {each["masterIdentifier"]["value"]: each["status"] for each in documents}
    assert states == {"OPN-2004": "superseded", "OPN-2005": "current"}
    composition = one(server, f"Composition?patient={patient}")
    assert composition["status"] == "amended"
    assert composition["meta"]["versionId"] == "2"
    procedures = found(server, f"Procedure?patient={patient}")
    assert {each["code"]["coding"][0]["code"]: each["status"] for each in procedures} == {
        "H41.1": "entered-in-error",
        "H41.2": "completed",
    }
    conditions = found(server, f"Condition?patient={patient}")
    assert sorted(each["verificationStatus"]["coding"][0]["code"] for each in conditions) == [
        "confirmed",
        "entered-in-error",
    ]
    late = send(server, version(first, "2008", "2004"))
    assert (late.status_code, "newest version" in reason(late)) == (409, True)
    assert send(server, second).status_code == 200
    assert one(server, f"Composition?patient={patient}")["meta"]["versionId"] == "2"


def test_a_version_before_the_one_it_replaces_waits_in_the_inbox(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = note("2010", "9990000050")
    early = send(server, version(first, "2011", "2010"))
    assert (early.status_code, "send that one first" in reason(early)) == (422, True)
    kept = list(inbox.every(server.context.database, "refused"))[-1]
    assert kept.raw == version(first, "2011", "2010")
    assert send(server, first).status_code == 200
    monkeypatch.setenv("CSOR_DATABASE", server.context.settings.database)
    assert main(["replay", str(kept.id)]) == 0
    patient = of_patient(server, "9990000050")
    assert len(found(server, f"DocumentReference?patient={patient}")) == 2
    assert one(server, f"Composition?patient={patient}")["status"] == "amended"
    settled = inbox.read(server.context.database, kept.id)
    assert settled is not None
    assert settled.status == "processed"


def test_what_is_refused_says_why_and_stores_nothing(server: Served) -> None:
    unknown = send(server, note("2020", "9990000069", hospital='extension="RXX"'))
    assert unknown.status_code in (400, 422)
    assert not found(server, f"Patient?identifier={NHS}|9990000069")
    assert send(server, note("2021", "9990000069"), "application/fhir+json").status_code == 415
    broken = send(server, b"<ClinicalDocument")
    assert (broken.status_code, "not well-formed" in reason(broken)) == (400, True)
    assert server.http.get(DOOR).status_code == 405


def test_a_purge_takes_the_note_and_what_was_refused_of_the_child(server: Served) -> None:
    assert send(server, note("2030", "999 000 0077")).status_code == 200
    spaced = note("2031", "999 000 0077").replace(b"7.3", b"7.5").replace(b"72031", b"x")
    refused = send(server, spaced.replace(b"2.999.7.1", b"bad"))
    assert refused.status_code == 422
    wide = send(server, note("2032", "999 000 0077").decode().encode("utf-16"))
    assert wide.status_code == 400
    *_, held, held_wide = inbox.every(server.context.database, "refused")
    assert b"999 000 0077" in held.raw
    assert b"7\0" in held_wide.raw
    patient = of_patient(server, "9990000077")
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "reason", "valueString": "parental request"}],
    }
    answer = server.http.post(f"/Patient/{patient}/$purge", json=body)
    assert answer.status_code == 200, answer.text
    assert inbox.read(server.context.database, held.id) is None
    assert inbox.read(server.context.database, held_wide.id) is None
    assert not found(server, "DocumentReference?identifier=urn:oid:2.999.7.1|OPN-2030")
    assert not found(server, "Composition?identifier=urn:oid:2.999.7.1|OPN-2030")


def test_the_command_takes_files_and_says_what_became_of_each(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_bytes(note("2040", "9990000085"))
    bad.write_bytes(b"<a/>")
    monkeypatch.setenv("CSOR_DATABASE", server.context.settings.database)
    assert main(["cda", str(good)]) == 0
    assert main(["cda", str(good), str(bad)]) == 1
    said = capsys.readouterr().out
    assert said.count("good.xml\tDocumentReference/") == 2
    assert "bad.xml\trefused\tThe root element is not ClinicalDocument" in said
    assert one(server, f"Procedure?patient={of_patient(server, '9990000085')}")

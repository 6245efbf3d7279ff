"""A family asks that a child be erased: decided, carried out, and not undone by the next message."""

import io
import stat
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from fhir_server.__main__ import main
from fhir_server.store import inbox
from fhir_server.store.suppression import hashed
from tests.support.databases import KINDS
from tests.support.feed import NHS, admit
from tests.support.server import Served, served

WREN, LARK = "9990000018", "9990000026"
OWN = "https://csor.example/fhir/sid/RTH/mrn"


@pytest.fixture(params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    with served(tmp_path, request.param, suppression_key=tmp_path / "key") as running:
        monkeypatch.setenv("CSOR_DATABASE", running.context.settings.database)
        monkeypatch.setenv("CSOR_BULK_FOLDER", str(tmp_path / "bulk"))
        monkeypatch.setenv("CSOR_SIGNING_KEY", str(tmp_path / "signing.pem"))
        monkeypatch.setenv("CSOR_SUPPRESSION_KEY", str(tmp_path / "key"))
        yield running


def said(*arguments: str, status: int = 0) -> str:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(out):
        assert main([*arguments]) == status, out.getvalue()
    return out.getvalue()


def patient(number: str, own: str) -> dict[str, Any]:
    identifiers = [{"system": NHS, "value": number}, {"system": OWN, "value": own}]
    return {"resourceType": "Patient", "identifier": identifiers, "birthDate": "2020-02-03"}


def stored(server: Served, number: str, own: str) -> str:
    answer = server.http.post("/Patient", json=patient(number, own))
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["id"]
    return found


def erased(child: str) -> str:
    """Erase a child as a family has asked; returns the id of the Task."""
    task = said("erasure", "request", child, "--told-by", "The mother").split()[0].partition("/")[2]
    said("erasure", "accept", task, "--why", "Decided by the fictitious board")
    said("erasure", "carry-out", task)
    return task


def test_a_child_who_was_erased_comes_back_by_no_message_until_the_family_asks(
    server: Served, tmp_path: Path
) -> None:
    hospital = {
        "resourceType": "Organization",
        "identifier": [{"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": "RTH"}],
    }
    assert server.http.post("/Organization", json=hospital).status_code == 201
    wren, lark = stored(server, WREN, "M1"), stored(server, LARK, "M2")
    task = erased(wren)
    assert server.http.get(f"/Patient/{wren}").status_code == 404
    assert server.http.get(f"/Patient/{lark}").status_code == 200
    assert server.http.get(f"/Task/{task}").status_code == 404  # it was about the child
    for again in (patient(WREN, "M9"), patient("9990000034", "M1")):
        answer = server.http.post("/Patient", json=again)
        assert answer.status_code == 422
        (issue,) = answer.json()["issue"]
        assert "erased at the family's request (erasure 1)" in issue["diagnostics"]
    moved = server.http.put(f"/Patient/{lark}", json={**patient(WREN, "M2"), "id": lark})
    assert moved.status_code == 422
    base = server.base_url.removesuffix("/fhir")
    message = server.http.post(
        f"{base}/hl7v2",
        content=admit("1", WREN),
        headers={"Content-Type": "x-application/hl7-v2+er7"},
    )
    assert b"MSA|AE|1" in message.content
    assert b"erased at the family" in message.content
    (kept,) = inbox.every(server.context.database, "refused")  # of FHIR requests nothing
    assert (kept.raw, kept.sha256, kept.control_id) == (b"", "", "")
    assert kept.answer == message.content
    assert WREN not in repr(kept)
    assert "what it said is not kept" in said("replay", str(kept.id))
    other = server.http.post(
        f"{base}/hl7v2",
        content=admit("2", LARK),
        headers={"Content-Type": "x-application/hl7-v2+er7"},
    )
    assert b"MSA|AA|2" in other.content
    assert server.http.get(f"/Patient?identifier={NHS}|{WREN}").json()["total"] == 0
    assert "0 problems" in said("audit", "verify")
    assert said("erasure", "lift", "1").endswith("identifiers may come back\n")
    stored(server, WREN, "M1")
    once_more = server.http.post(
        f"{base}/hl7v2",
        content=admit("1", WREN),
        headers={"Content-Type": "x-application/hl7-v2+er7"},
    )
    assert b"MSA|AA|1" in once_more.content
    assert said("erasure", "lift", "1", status=1) == "0 identifiers may come back\n"


def test_a_request_is_decided_before_it_is_carried_out_and_once(server: Served) -> None:
    wren = stored(server, WREN, "M1")
    told = said("erasure", "request", wren, "--told-by", "The mother")
    task = told.split()[0].partition("/")[2]
    assert f"Task/{task}\trequested\tPatient/{wren}\t" in said("erasure", "list")
    assert "is requested, and not accepted" in said("erasure", "carry-out", task, status=1)
    said("erasure", "refuse", task, "--why", "The court has decided otherwise")
    assert "is rejected, and not requested" in said(
        "erasure", "accept", task, "--why", "A mistake", status=1
    )
    assert "is rejected, and not accepted" in said("erasure", "carry-out", task, status=1)
    assert server.http.get(f"/Patient/{wren}").status_code == 200
    said("erasure", "request", "nobody", "--told-by", "Somebody", status=1)
    said("erasure", "carry-out", wren, status=1)


@pytest.mark.postgresql_slow
def test_the_list_holds_no_number_and_its_key_is_not_in_the_database(
    server: Served, tmp_path: Path
) -> None:
    erased(stored(server, WREN, "M1"))
    key = tmp_path / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    rows = server.context.database.read("SELECT hash, tombstone FROM suppressed")
    assert (hashed(bytes.fromhex(key.read_text()), (NHS, WREN)), 1) in {tuple(e) for e in rows}
    assert len(rows) == 3  # two identifiers, and the key's own
    assert not any(WREN in row[0] for row in rows)


@pytest.mark.postgresql_slow
@pytest.mark.parametrize("key", [None, "", "00" * 32])
def test_without_its_key_no_childs_record_is_written(
    server: Served, tmp_path: Path, key: str | None
) -> None:
    lark = stored(server, LARK, "M2")
    erased(stored(server, WREN, "M1"))
    kept = (tmp_path / "key").read_text()
    if key is None:
        (tmp_path / "key").unlink()
    else:
        (tmp_path / "key").write_text(key)
    for number in (WREN, "9990000034"):
        answer = server.http.post("/Patient", json=patient(number, "M9"))
        assert answer.status_code == 503
        assert "CSOR_SUPPRESSION_KEY" in answer.json()["issue"][0]["diagnostics"]
    said("erasure", "request", lark, "--told-by", "The mother")
    (tmp_path / "key").write_text(kept)
    stored(server, "9990000034", "M9")


@pytest.mark.postgresql_slow
def test_a_purge_that_no_family_asked_for_hinders_nothing(server: Served) -> None:
    said("purge", stored(server, WREN, "M1"), "--reason", "stored by mistake")
    stored(server, WREN, "M1")

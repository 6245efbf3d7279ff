"""The audit's rows are linked as they are committed: whoever changes one afterwards is found out."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from fhir_server.__main__ import main
from fhir_server.access import heads
from fhir_server.access.keys import Keys
from fhir_server.store import chain
from fhir_server.store.audit import Trail
from fhir_server.store.audit_row import Agent
from fhir_server.store.connection import Connection, Database, Row
from fhir_server.store.database import open_database
from r4.json import encode
from tests.support.databases import KINDS, new_database
from tests.support.server import served

NURSE = Agent("nurse", "hospital", "RTH08", "TREAT", "192.0.2.1")
_MANY = 4
"""Commits of a test, each of which records three accesses."""


@dataclass(frozen=True)
class Recorded:
    """A database in which some accesses are recorded, and who seals it."""

    where: str
    database: Database
    keys: Keys

    def read(self, sql: str) -> list[Row]:
        return self.database.read(sql)

    def tamper(self, sql: str, *parameters: object) -> None:
        """Change the database as whoever may write it can."""
        asyncio.run(self.database.write(partial(_execute, sql=sql, parameters=parameters)))

    def problems(self) -> list[str]:
        with self.database.snapshot() as read:
            return [problem for step in chain.verify(read) for problem in step.problems]

    def ids(self) -> list[int]:
        return [row[0] for row in self.read("SELECT id FROM audit ORDER BY id")]

    def head(self, place: Path) -> Path:
        """Seal the audit, and keep its head in a file."""
        found = chain.head(self.database.read)
        assert found is not None
        place.write_bytes(encode(heads.signed(found, "2026-11-23T12:00:00.000Z", self.keys.seal)))
        return place


@pytest.fixture(params=KINDS)
def audit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Recorded]:
    where = new_database(request.param, tmp_path)
    database = open_database(where, upgraded=False)

    async def record() -> None:
        trail = Trail(database, lambda: datetime(2026, 11, 23, tzinfo=UTC), tmp_path / "journal")
        for commit in range(_MANY):
            for name in ("read", "update", "search-type"):
                key = None if name == "search-type" else f"{name}-{commit}"
                children = {1, -2} if name == "search-type" else {commit}
                trail.record(NURSE, name, "Patient", key, 200, children=children, query="family")
            await trail.flush()

    asyncio.run(record())
    yield Recorded(where, database, Keys(tmp_path / "signing.pem"))
    database.close()


def _execute(connection: Connection, sql: str, parameters: tuple[object, ...]) -> None:
    connection.execute(sql, parameters)


def said(
    where: str,
    key: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
) -> tuple[int, str]:
    monkeypatch.setenv("CSOR_DATABASE", where)
    monkeypatch.setenv("CSOR_SIGNING_KEY", str(key))
    capsys.readouterr()
    return main(["audit", *arguments]), capsys.readouterr().out


def test_what_nobody_has_changed_is_whole(audit: Recorded) -> None:
    assert len(audit.ids()) == 3 * _MANY
    assert audit.problems() == []


def test_a_change_to_any_column_of_any_row_is_found(audit: Recorded) -> None:
    changes = {
        "moment": "moment + 1",
        "principal": "'another'",
        "interaction": "'vread'",
        "type": "'Observation'",
        "key": "'another'",
        "version": "7",
        "status": "404",
        "role": "'registry'",
        "hospital": "'RP401'",
        "purpose": "'HRESCH'",
        "address": "NULL",
        "query": "'name'",
        "children": "'7'",
    }
    for number in audit.ids()[:: _MANY + 1]:
        for column, value in changes.items():
            audit.tamper(f"CREATE TABLE kept AS SELECT {column} FROM audit WHERE id = {number}")
            audit.tamper(f"UPDATE audit SET {column} = {value} WHERE id = {number}")
            assert audit.problems(), (number, column)
            kept = f"(SELECT {column} FROM kept)"
            audit.tamper(f"UPDATE audit SET {column} = {kept} WHERE id = {number}")
            audit.tamper("DROP TABLE kept")
    assert audit.problems() == []


def test_a_row_that_is_deleted_or_put_there_is_found(audit: Recorded) -> None:
    for number in audit.ids():
        audit.tamper(f"CREATE TABLE kept AS SELECT * FROM audit WHERE id = {number}")
        audit.tamper(f"DELETE FROM audit WHERE id = {number}")
        assert audit.problems(), number
        columns = (
            "id, moment, principal, interaction, type, key, version, status, role, hospital, purpose,"
            " address, query, children"
        )
        override = "OVERRIDING SYSTEM VALUE" if "://" in audit.where else ""
        audit.tamper(f"INSERT INTO audit ({columns}) {override} SELECT {columns} FROM kept")
        audit.tamper("DROP TABLE kept")
        assert audit.problems() == [], number


def test_a_link_that_is_changed_or_deleted_is_found(audit: Recorded) -> None:
    links = audit.ids()[2::3]
    audit.tamper("DELETE FROM audit_link WHERE last = ?", links[1])
    assert audit.problems()
    (first, *_) = audit.problems()
    assert first.startswith(f"rows {links[1] + 1} to {links[2]}")


def test_a_row_that_is_taken_out_of_the_list_of_a_child_is_found(audit: Recorded) -> None:
    audit.tamper("DELETE FROM audit_child WHERE child = -2 AND audit = 3")
    assert audit.problems() == ["row 3: not found by a child of whom it told, in whose list it was"]


def test_a_row_of_before_children_were_recorded_is_linked_as_it_was_then(audit: Recorded) -> None:
    salt = "salt"
    old = [7, 1, "nurse", "read", "Patient", "a", None, 200]
    hidden = chain.blinded(salt, "Patient", "a")
    assert chain._row([*old, *[None] * 6], salt) == [*old[:5], hidden, *old[6:]]


def test_a_chain_made_anew_does_not_bear_the_seals(
    audit: Recorded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = said(audit.where, audit.keys.file, monkeypatch, capsys, "head")
    assert status == 0
    assert '"signature"' in told
    status, told = said(audit.where, audit.keys.file, monkeypatch, capsys, "verify")
    assert (status, told.splitlines()[-1]) == (
        0, f"0 problems; {3 * _MANY} rows in {_MANY} links, 1 heads",
    )  # fmt: skip
    audit.tamper("UPDATE audit SET principal = 'another' WHERE id = 2")
    audit.tamper("DELETE FROM audit_link")  # the next commit links all of it anew
    audit.tamper("UPDATE audit SET status = status")
    assert audit.problems() == []
    status, told = said(audit.where, audit.keys.file, monkeypatch, capsys, "verify")
    assert status == 1
    assert f"does not have the {3 * _MANY} rows that it had then" in told


def test_a_seal_by_another_key_is_no_seal(
    audit: Recorded,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = audit.head(tmp_path / "head.json")
    other = tmp_path / "other.json"
    other.write_bytes(encode(Keys(tmp_path / "other.pem").jwks()))
    asked = ("verify", "--head", str(kept), "--keys", str(other))
    status, told = said(audit.where, audit.keys.file, monkeypatch, capsys, *asked)
    assert status == 1
    assert "No key given is" in told
    status, _ = said(
        audit.where, audit.keys.file, monkeypatch, capsys, "verify", "--head", str(kept)
    )
    assert status == 0


def test_what_is_cut_off_at_the_end_is_missed_by_a_head_that_was_kept(
    audit: Recorded,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = audit.head(tmp_path / "head.json")
    last = audit.ids()[-3]
    for table, column in (("audit", "id"), ("audit_link", "last"), ("audit_seal", "last")):
        audit.tamper(f"DELETE FROM {table} WHERE {column} >= ?", last)
    assert said(audit.where, audit.keys.file, monkeypatch, capsys, "verify")[0] == 0
    status, told = said(
        audit.where, audit.keys.file, monkeypatch, capsys, "verify", "--head", str(kept)
    )
    assert status == 1
    assert "does not have" in told


def test_a_copy_is_verified_elsewhere_by_the_public_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(tmp_path / "here") as server:
        server.http.put("/Patient/a", json={"resourceType": "Patient", "id": "a"})
        assert server.http.get("/Patient/a").status_code == 200
        keys = tmp_path / "keys.json"
        keys.write_bytes(encode(server.context.jwks()))
    copy = tmp_path / "copy.db"
    shutil.copyfile(tmp_path / "here" / "csor.db", copy)
    status, told = said(
        str(copy), tmp_path / "none.pem", monkeypatch, capsys, "verify", "--keys", str(keys)
    )
    assert status == 0, told
    assert told.splitlines()[-1].endswith(" 1 heads")  # sealed when the server ended


def test_a_purge_takes_ids_out_of_the_audit_and_the_chain_holds(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        for name in ("ada-1", "bea-1"):
            server.http.put(f"/Patient/{name}", json={"resourceType": "Patient", "id": name})
        body = {
            "resourceType": "Parameters",
            "parameter": [{"name": "reason", "valueString": "the family asked"}],
        }
        server.http.post("/Patient/ada-1/$purge", json=body).raise_for_status()
        read = server.context.database.read
        keys = [row[0] for row in read("SELECT key FROM audit WHERE type = 'Patient'")]
        assert "ada-1" not in keys
        assert "bea-1" in keys
        with server.context.database.snapshot() as at:
            assert [each for step in chain.verify(at) for each in step.problems] == []

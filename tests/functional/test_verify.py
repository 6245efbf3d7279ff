"""Verify finds each thing that is broken by hand, and nothing in what the server has stored."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fhir_server.__main__ import main
from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.interactions.delete import delete
from fhir_server.interactions.transaction import transaction
from fhir_server.settings import Settings
from fhir_server.store import tables, verify
from fhir_server.store.connection import Connection
from fhir_server.store.database import open_database
from tests.support.databases import KINDS, empty_database, new_database

NARRATIVE = '<div xmlns="http://www.w3.org/1999/xhtml">Wren, née Müller-Ångström ½ ２</div>'


def entry(resource: dict[str, Any]) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url}}


def patient(key: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": key,
        "name": [{"family": "Müller-Ångström"}],
        "birthDate": "2020-02-03",
        "text": {"status": "generated", "div": NARRATIVE},
        **more,
    }


def observation(key: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": key,
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": "Patient/a"},
        "effectiveDateTime": "2024-01-01",
        "valueQuantity": {"value": Decimal("3.5"), "unit": "kg"},
    }


async def fill(made: Context) -> None:
    for gender in ("female", "unknown"):
        listed = [entry(patient(each, gender=gender)) for each in ("a", "b")]
        await transaction(
            made,
            {
                "resourceType": "Bundle",
                "type": "transaction",
                "entry": [*listed, *(entry(observation(each)) for each in ("o", "p"))],
            },
        )
    await delete(made, "Observation", "p")


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    database = new_database(request.param, tmp_path)
    asyncio.run(alone(Settings(database=database), fill))
    return database


def problems(where: str, sample: int | None = None) -> list[str]:
    database = open_database(where, upgraded=False)
    try:
        with database.snapshot() as read:
            steps = list(verify.verify(read, database.dialect, sample))
    finally:
        database.close()
    return [f"{found.place}: {found.what}" for step in steps for found in step.problems]


def break_(where: str, job: Callable[[Connection], Any]) -> None:
    async def work() -> None:
        database = open_database(where, upgraded=False)
        try:
            await database.driven(database.write(job))  # type: ignore[arg-type]
        finally:
            database.close()

    asyncio.run(work())


OF = "(SELECT rid FROM resource WHERE type = 'Observation' AND id = 'o' AND version = 1)"
O_1 = "Observation/o/_history/1"
A_2 = "Patient/a/_history/2"
BROKEN = {
    "gap": (
        "UPDATE resource SET version = 4 WHERE type = 'Patient' AND id = 'a' AND version = 2",
        ("Patient/a/_history/4: has not the versions 1 to n, each once",
         "Patient/a/_history/1: is followed by a row that is not its next version"),
    ),
    "chain": (
        "UPDATE resource SET superseded = NULL WHERE type = 'Patient' AND id = 'a'",
        (f"{A_2}: has not exactly one current version",),
    ),
    "no content": (
        "DELETE FROM content WHERE rid = [o]",
        (f"{O_1}: has no content",),
    ),
    "content of nothing": (
        "UPDATE content SET rid = 9999 WHERE rid = [o]",
        ("content, row 9999: is of no version",),
    ),
    "no JSON": (
        "UPDATE content SET body = substr(body, 1, 20) WHERE rid = [o]",
        (f"{O_1}: its body is no JSON",),
    ),
    "another's body": (
        "UPDATE content SET body = (SELECT c.body FROM content AS c JOIN resource AS r"
        " ON r.rid = c.rid WHERE r.type = 'Patient' AND r.id = 'b' AND r.version = 1)"
        " WHERE rid = [o]",
        (f"{O_1}: its body has another type, id or version",),
    ),
    "another time": (
        "UPDATE resource SET updated = 0 WHERE rid = [o]",
        (f"{O_1}: its body has another lastUpdated",),
    ),
    "place": (
        "UPDATE resource SET place = 7 WHERE rid = [o]",
        (f"{O_1}: its place is not that of its type and id",),
    ),
    "dangling": (
        "DELETE FROM resource WHERE type = 'Patient' AND id = 'a'",
        (f"{O_1}: refers to Patient/a, which is not here",),
    ),
    "date row missing": (
        "DELETE FROM search_date WHERE rid = [o]",
        (f"{O_1}: search_date: 1 rows missing, 0 too many",),
    ),
    "string row too many": (
        "INSERT INTO search_string (rid, param, value) VALUES ([o], 1, 'x')",
        (f"{O_1}: search_string: 0 rows missing, 1 too many",),
    ),
    "index row of nothing": (
        "INSERT INTO search_reference (rid, param, target) VALUES (9999, 1, 1)",
        ("search_reference, row 9999: is of no version",),
    ),
    "deletion with a body": (
        "UPDATE content SET body = (SELECT body FROM content ORDER BY rid LIMIT 1) WHERE rid ="
        " (SELECT max(rid) FROM resource)",
        ("Observation/p/_history/2: is a deletion with a body",),
    ),
}  # fmt: skip


def test_what_the_server_stored_is_whole(where: str) -> None:
    assert problems(where) == []
    assert problems(where, sample=2) == []


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_broken_is_named(where: str, broken: str) -> None:
    sql, expected = BROKEN[broken]
    break_(where, lambda connection: connection.execute(sql.replace("[o]", OF)))
    found = problems(where)
    assert set(expected) <= set(found), found


def test_words_that_are_missing_or_too_many_are_named(where: str) -> None:
    def job(connection: Connection) -> None:
        ((rid,),) = connection.read(OF[1:-1])
        if connection.dialect.name == "sqlite":
            insert = "INSERT INTO search_text (rowid, narrative, content) VALUES (?, '', 'stray')"
            connection.execute(insert, (rid,))
            connection.execute("INSERT INTO search_key (search_key) VALUES ('delete-all')")
        else:
            connection.execute("UPDATE resource SET words = NULL WHERE rid = ?", (rid,))
            stray = "UPDATE search_text SET content = array_to_tsvector(ARRAY['stray'])"
            connection.execute(f"{stray} WHERE rid = ?", (rid,))

    break_(where, job)
    found = problems(where)
    if where.startswith("postgresql"):
        assert f"{O_1}: its words in the index are not those of its body" in found
        assert f"{O_1}: its words in the index of texts are not those of its body" in found
    else:
        assert f"{O_1}: not all words of its body are in the index" in found
        assert [each for each in found if "words (content) of all rows" in each] != []


def test_the_command_says_so_and_its_exit_status(
    where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CSOR_DATABASE", where)
    assert main(["verify", "--all"]) == 0
    assert capsys.readouterr().out == "0 problems; 7 of 7 versions compared with their index rows\n"
    break_(where, lambda connection: connection.execute(BROKEN["place"][0].replace("[o]", OF)))
    assert main(["verify"]) == 1
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == f"{O_1}\tits place is not that of its type and id"
    assert last.startswith("1 problems")
    assert "Müller" not in first


@pytest.mark.parametrize("kind", KINDS)
def test_migrate_shows_and_goes_forward(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CSOR_DATABASE", empty_database(kind, tmp_path))

    def said(*arguments: str) -> tuple[int, str]:
        return main(["migrate", *arguments]), capsys.readouterr().out

    status, text = said("--show")
    newest = text.rpartition(" ")[2].strip()
    assert (status, text) == (0, f"revision none; the newest is {newest}\n")
    assert main(["verify"]) == 1
    assert "run migrate first" in capsys.readouterr().err
    assert said("--to", "0003") == (0, f"revision 0003; the newest is {newest}\n")
    assert said() == (0, f"revision {newest}; the newest is {newest}\n")
    status, text = said("--to", "0003")
    assert status == 1
    assert "restore a copy" in text
    assert main(["migrate", "--to", "9999"]) == 1
    assert main(["verify"]) == 0


def test_every_table_is_one_that_verify_or_a_purge_knows() -> None:
    known = {"resource", "content", "search_date", "search_number", "search_string",
             "search_reference", "search_identifier", "search_index", "audit", "tombstone",
             "tombstone_place", "inbox", "job", "applied", "survey_link", "outcome",
             "custody", "site", "objection", "refusal", "audit_child"}  # fmt: skip
    numbers_alone = {
        "subscription",
        "subscription_event",
        "dead_letter",
        "outcome_cursor",
        "objection_state",
        "suppressed",
        "audit_link",
        "audit_seal",
        "audit_salt",
        "audit_journal",
        "sandbox",
    }  # row ids and hashes, no names
    definitions_alone = {"package_resource", "closure_concept"} | {
        name
        for name in tables.SQLModel.metadata.tables
        if name.startswith(("concept", "code_system"))
    }  # published by others, nobody's data
    assert set(tables.SQLModel.metadata.tables) == known | numbers_alone | definitions_alone

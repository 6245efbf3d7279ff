"""Criteria that words alone answer: read as any search is, and held by a commit like any guard."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from fhir_server.store import batch
from fhir_server.store.connection import Connection, Database
from fhir_server.store.database import open_database
from fhir_server.store.index import rows
from fhir_server.store.read import matching, search
from fhir_server.store.search.dialect import SQLITE
from fhir_server.store.search.parse import parse
from fhir_server.store.search.worded import Worded, identified, worded
from fhir_server.store.write import Commit, ConflictError, Guard, Write
from r4.definitions import resource_types
from r4.json import encode
from tests.support.databases import KINDS, new_database

A, B = "identifier=urn:a|1", "identifier=urn:b|1"


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = open_database(new_database(request.param, tmp_path))
    yield opened
    opened.close()


def together(connection: Connection, commits: Sequence[Commit]) -> list[batch.Refusal | None]:
    return batch.carry_out(connection, commits)


async def stored(database: Database, *commits: Commit) -> list[bool]:
    """Store commits in one group; tells of each whether it was."""
    refusals = await database.write(partial(together, commits=commits))
    assert all(each is None or isinstance(each, ConflictError) for each in refusals)
    return [each is None for each in refusals]


def child(key: str, *systems: str, version: int = 1, deleted: bool = False) -> Write:
    identifier = [{"system": f"urn:{system}", "value": "1"} for system in systems]
    body = encode({"resourceType": "Patient", "id": key, "identifier": identifier})
    return Write("Patient", key, version, 1, b"" if deleted else body, (), deleted=deleted)


def asked(criteria: str, most: int = 20) -> Worded:
    found = identified("Patient", criteria, most)
    assert found is not None
    return found


def if_found(criteria: str, *ids: str, most: int = 20) -> Guard:
    return Guard(asked(criteria, most), ids)


def ids(database: Database, *several: str) -> list[list[str]]:
    return [[each.id for each in some] for some in matching(database, [asked(s) for s in several])]


@pytest.mark.parametrize(
    "criteria",
    [
        A,
        f"{A},urn:b|2",
        "identifier=urn%3Aa%7C1%2Curn:b|2",
        "identifier=https://fhir.nhs.uk/Id/nhs-number|9990000018",
        "identifier=urn:a|1|2",
        "identifier=urn:a|1;2",
        "identifier=urn:a|1=2",
        "identifier=urn:a|1,urn:a|1",
    ],
)
def test_an_identifier_is_read_as_any_search_reads_it(criteria: str) -> None:
    read = worded(SQLITE, parse("Patient", f"{criteria}&_count=20"))
    assert read is not None
    assert identified("Patient", criteria, 20) == read._replace(by_identifier=True)


def test_what_is_asked_by_identifier_is_kept_by_identifier_whatever_its_type() -> None:
    asked = {kind: identified(kind, A, 1) for kind in resource_types()}
    found = {
        kind: rows({"resourceType": kind, "identifier": [{"system": "urn:a", "value": "1"}]})
        for kind, each in asked.items()
        if each is not None
    }
    assert len(found) > 100
    assert all((tuple(each.identifiers),) == asked[kind].words for kind, each in found.items())


def test_what_has_no_system_or_no_value_is_kept_as_words_alone() -> None:
    found = rows({"resourceType": "Patient", "identifier": [{"value": "1"}, {"system": "urn:a"}]})
    assert found.identifiers == []
    assert found.words


@pytest.mark.parametrize(
    "criteria",
    [
        "identifier=1",
        "identifier=|1",
        "identifier=urn:a|",
        f"{A},",
        f"{A}&active=true",
        "identifier:not=urn:a|1",
        "identifier=urn:a|1+2",
        "identifier=urn:a|1\\,2",
        "identifier=urn:a|1%5C,2",
        "identifier=urn:a|\u00e9",
        "identifier=urn:a|%C3%A9",
        "name=x",
        "",
    ],
)
def test_everything_else_is_left_to_the_search(criteria: str) -> None:
    assert identified("Patient", criteria, 20) is None


@pytest.mark.parametrize(
    "criteria",
    [
        "name=x",
        "identifier:not=urn:a|1",
        "identifier:missing=true",
        "birthdate=2020",
        f"{A}&name=x",
        f"{A}&_id=x",
        f"{A}&_lastUpdated=gt2020",
        "general-practitioner.name=x",
    ],
)
def test_what_words_do_not_answer_has_none(criteria: str) -> None:
    assert worded(SQLITE, parse("Patient", criteria)) is None


async def test_finds_what_a_search_finds(database: Database) -> None:
    await stored(
        database,
        Commit([child("x", "a"), child("y", "b"), child("z", "a", "b")]),
        Commit([child("y", version=2, deleted=True)]),
    )
    both = f"{A},urn:b|1"
    several = [A, B, both, "identifier=urn:c|1"] * 5
    assert ids(database, *several) == [["z", "x"], ["z"], ["z", "x"], []] * 5
    assert [each.id for each in search(database, parse("Patient", both))] == ["z", "x"]
    two = worded(database.dialect, parse("Patient", f"{A}&{B}"))
    assert two is not None
    assert [each.id for each in matching(database, [two])[0]] == ["z"]
    other = two._replace(type="Practitioner")
    assert matching(database, [other]) == [[]]


async def test_of_two_that_would_create_the_same_in_one_group_one_is_stored(
    database: Database,
) -> None:
    done = await stored(
        database,
        Commit([child("x", "a")], (if_found(A),)),
        Commit([child("y", "a")], (if_found(A),)),
        Commit([child("z", "b")], (if_found(B), if_found(A, "x"))),
    )
    assert done == [True, False, True]
    assert ids(database, A, B) == [["x"], ["z"]]


async def test_a_guard_sees_what_the_group_changed_before_it(database: Database) -> None:
    await stored(database, Commit([child("x", "a"), child("y", "a")]))
    done = await stored(
        database,
        Commit([child("x", "b", version=2)], (if_found(A, "x", "y"),)),
        Commit([], (if_found(A, "x", "y"),)),
        Commit([child("y", version=2, deleted=True)], (if_found(A, "y"), if_found(B, "x"))),
        Commit([], (if_found(A), if_found(B, "x"))),
        Commit([child("y", "a", version=3)], (if_found(A),)),
        Commit([], (if_found(A, "y"),)),
    )
    assert done == [True, False, True, True, True, True]
    assert ids(database, A, B) == [["y"], ["x"]]


async def test_of_more_matches_than_are_looked_at_the_newest_count(database: Database) -> None:
    await stored(database, Commit([child("u", "a"), child("v", "a")]))
    done = await stored(
        database,
        Commit([], (if_found(A, "u", "v", most=2),)),
        Commit([child("w", "a")], (if_found(A, "u", "v", most=2),)),
        Commit([], (if_found(A, "v", "w", most=2),)),
        Commit([], (if_found(A, "u", "v", most=2),)),
        Commit([child("w", version=2, deleted=True)], (if_found(A, "v", "w", most=2),)),
        Commit([], (if_found(A, "u", "v", most=2),)),
    )
    assert done == [True, True, True, False, True, True]


async def test_a_guard_that_search_answers_sees_the_group_too(database: Database) -> None:
    named = parse("Patient", "_id=x")
    done = await stored(
        database,
        Commit([child("x", "a")], (Guard(named, ()), if_found(A))),
        Commit([], (Guard(named, ()),)),
        Commit([], (Guard(named, ("x",)), if_found(A, "x"))),
    )
    assert done == [True, False, True]

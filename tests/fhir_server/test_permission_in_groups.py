"""What hospitals may write is decided by all that stands, and by what their group is about to store."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fhir_server.store import batch
from fhir_server.store.connection import Connection, Database
from fhir_server.store.database import open_database
from fhir_server.store.view import view
from fhir_server.store.write import Commit, RefusedError, Write
from r4.json import encode
from terminology.systems import ODS_ORGANIZATION
from tests.support.databases import KINDS, new_database

OURS = view(["ZZ1"])


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = open_database(new_database(request.param, tmp_path))
    yield opened
    opened.close()


def write(kind: str, key: str, version: int = 1, **elements: Any) -> Write:
    body = encode({"resourceType": kind, "id": key, **elements})
    return Write(kind, key, version, 1, body)


def organization(key: str, code: str) -> Write:
    return write("Organization", key, identifier=[{"system": ODS_ORGANIZATION, "value": code}])


def child(key: str, hospital: str) -> Write:
    return write("Patient", key, managingOrganization={"reference": f"Organization/{hospital}"})


def stay(child: str, hospital: str, version: int = 1, status: str = "in-progress") -> Write:
    return write(
        "Encounter",
        f"stay-{child}",
        version,
        status=status,
        subject={"reference": f"Patient/{child}"},
        serviceProvider={"reference": f"Organization/{hospital}"},
    )


def weight(key: str, child: str, version: int = 1) -> Write:
    return write("Observation", key, version, subject={"reference": f"Patient/{child}"})


def ours(*writes: Write) -> Commit:
    return Commit(writes, view=OURS)


def together(connection: Connection, commits: Sequence[Commit]) -> list[batch.Refusal | None]:
    return batch.carry_out(connection, commits)


async def stored(database: Database, *commits: Commit) -> list[bool]:
    """Store commits in one group; tells of each whether the hospital might write it."""
    refusals = await database.write(partial(together, commits=commits))
    assert all(each is None or isinstance(each, RefusedError) for each in refusals)
    return [each is None for each in refusals]


async def hospitals(database: Database) -> None:
    known = [organization("ours", "ZZ1"), organization("theirs", "ZZ2")]
    await stored(database, Commit([*known, child("ada", "ours"), child("bea", "theirs")]))


async def test_writes_for_its_own_children_are_stored_in_one_go(database: Database) -> None:
    await hospitals(database)
    asked = [ours(weight("a", "ada")), ours(weight("b", "bea")), ours(weight("c", "ada"))]
    assert await stored(database, *asked) == [True, False, True]


async def test_a_child_that_comes_in_the_same_group_is_the_hospitals(database: Database) -> None:
    await hospitals(database)
    comes = Commit([stay("bea", "ours")])
    assert await stored(
        database,
        ours(weight("a", "bea")),
        comes,
        ours(weight("b", "bea")),
        ours(weight("c", "bea")),
    ) == [False, True, True, True]


async def test_a_stay_that_is_taken_back_in_the_same_group_gives_no_child(
    database: Database,
) -> None:
    await hospitals(database)
    assert await stored(database, Commit([stay("bea", "ours")])) == [True]
    wrong = Commit([stay("bea", "ours", 2, "entered-in-error")])
    asked = [ours(weight("a", "bea")), wrong, ours(weight("b", "bea"))]
    assert await stored(database, *asked) == [True, True, False]


async def test_what_another_commit_of_the_group_wrote_may_be_followed(database: Database) -> None:
    await hospitals(database)
    asked = [ours(weight("a", "ada")), ours(weight("a", "ada", 2)), ours(weight("a", "bea", 3))]
    assert await stored(database, *asked) == [True, True, False]

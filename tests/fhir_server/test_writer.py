"""Who commits: in a thread or in a process of its own, what is asked for is done, or said to be unknown."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fhir_server.store.apart import ProcessWriter, WriterEndedError
from fhir_server.store.connection import Database
from fhir_server.store.database import open_database
from r4.issue import FhirError
from tests.support.databases import KINDS, new_database
from tests.support.jobs import add, end, generator, measure, process, refuse


@pytest.fixture(params=KINDS)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database(new_database(request.param, tmp_path), apart=True)
    yield opened
    opened.close()
    await asyncio.sleep(0)


def keys(database: Database) -> set[str]:
    return {row[0] for row in database.read("SELECT id FROM job")}


async def do(database: Database, *jobs: Any) -> list[Any]:
    return await asyncio.gather(*map(database.write, jobs), return_exceptions=True)


async def test_jobs_are_done_by_another_process_and_their_results_handed_over(
    database: Database,
) -> None:
    done = await do(database, *[partial(add, key=str(number)) for number in range(1000)], process)
    assert done[:1000] == [str(number) for number in range(1000)]
    assert done[1000] != os.getpid()
    assert len(keys(database)) == 1000


async def test_a_failure_undoes_its_job_alone_and_arrives_as_it_was_raised(
    database: Database,
) -> None:
    jobs = partial(add, key="a"), partial(refuse, key="b"), partial(add, key="c")
    first, refused, last = await do(database, *jobs)
    assert (first, last) == ("a", "c")
    assert isinstance(refused, FhirError)
    assert (refused.status, refused.issues[0].expression) == (409, "here")
    assert keys(database) == {"a", "c"}


async def test_what_cannot_be_sent_fails_alone(database: Database) -> None:
    jobs = partial(add, key="a"), lambda _: None, partial(add, key="c")
    first, unsent, last = await do(database, *jobs)
    assert (first, last) == ("a", "c")
    assert isinstance(unsent, Exception)


async def test_what_cannot_be_sent_back_is_a_failure_of_its_job_alone(database: Database) -> None:
    first, unsent = await do(database, partial(add, key="a"), generator)
    assert first == "a"
    assert isinstance(unsent, RuntimeError)


async def test_the_writer_begins_before_a_long_turn_of_the_event_loop_is_over(
    database: Database,
) -> None:
    async def at_length() -> set[str]:
        for _ in range(1000):
            if found := keys(database):
                return found
            time.sleep(0.01)  # the turn goes on
        return set()

    await database.write(process)
    jobs = [partial(add, key=str(number)) for number in range(9)]
    *_, found = await asyncio.gather(*map(database.write, jobs), at_length())
    assert len(found) == 8
    assert len(keys(database)) == 9


async def test_large_jobs_go_through(database: Database) -> None:
    large = ["x" * 3_000_000 + str(number) for number in range(8)]
    assert await do(database, *[partial(measure, text=text) for text in large]) == [3_000_001] * 8


async def test_after_a_writer_that_was_killed_comes_another(database: Database) -> None:
    await database.write(partial(add, key="before"))
    with pytest.raises(WriterEndedError):
        await database.write(end)
    await database.write(partial(add, key="after"))
    assert keys(database) == {"before", "after"}


async def test_a_writer_that_was_killed_before_anything_was_written_is_not_asked(
    database: Database,
) -> None:
    writer = database._writer._process  # type: ignore[attr-defined]
    writer.kill()
    writer.wait()
    await database.write(partial(add, key="first"))
    assert keys(database) == {"first"}


async def test_a_writer_that_cannot_open_its_database_is_said(tmp_path: Path) -> None:
    writer = ProcessWriter(str(tmp_path / "no" / "such" / "folder.db"), [])
    with pytest.raises(WriterEndedError):
        await writer.write(process)
    writer.close()
    await asyncio.sleep(0)

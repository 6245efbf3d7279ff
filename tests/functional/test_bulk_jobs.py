"""The life of an asynchronous job: its turn, its failure, its expiry, and what the audit says of it."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_server.app import context
from fhir_server.context import Context, instant
from fhir_server.interactions.update import update
from fhir_server.operations import asynchronous
from fhir_server.operations.asynchronous import Standing
from fhir_server.operations.export import Scope, export
from fhir_server.operations.import_ import import_files, import_inline
from fhir_server.operations.working import work_off
from fhir_server.rest.reading import resource
from fhir_server.settings import Settings
from fhir_server.store import read as store
from r4.issue import FhirError
from tests.support.bulk import patient
from tests.support.databases import KINDS, new_database
from tests.support.server import Served

Work = Callable[[Context], Coroutine[Any, Any, None]]
Run = Callable[[Work], None]


@pytest.fixture(params=KINDS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Do work with a context on a new database."""
    settings = Settings(
        database=new_database(request.param, tmp_path),
        bulk_folder=tmp_path / "bulk",
        import_folder=tmp_path,
    )

    async def closed(work: Work) -> None:
        made = context(settings)
        try:
            await made.database.driven(work(made))
        finally:
            made.database.close()

    return lambda work: asyncio.run(closed(work))


async def ended(made: Context, job_id: str) -> Standing:
    """Work jobs off until one is over; raises what it failed with."""
    working = asyncio.create_task(work_off(made, resource))
    try:
        async with asyncio.timeout(20):
            while (found := asynchronous.standing(made, job_id)).manifest is None:
                await asyncio.sleep(0.01)
        return found
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def test_jobs_wait_in_turn(run: Run) -> None:
    async def work(made: Context) -> None:
        first = await import_inline(made, b'{"resourceType":"Patient","id":"a"}', "u")
        second = await export(made, Scope(), [], "u")
        assert asynchronous.standing(made, second).progress == "waiting for its turn"
        await ended(made, second)
        assert asynchronous.standing(made, first).manifest is not None
        assert store.current(made.database, "Patient", "a") is not None

    run(work)


def test_an_export_is_of_when_it_was_asked_for(run: Run) -> None:
    """However long it waited for its turn."""

    async def work(made: Context) -> None:
        await update(made, patient("before"), "before")
        job_id = await export(made, Scope(), [("_type", "Patient")], "u")
        await update(made, patient("before", active=True), "before")
        await update(made, patient("after"), "after")
        found = await ended(made, job_id)
        assert [each["count"] for each in (found.manifest or {})["output"]] == [1]
        (line,) = (asynchronous.folder(made, job_id) / "Patient.ndjson").read_bytes().splitlines()
        first = store.version(made.database, "Patient", "before", 1)
        assert first is not None
        assert line == first.body

    run(work)


def test_no_write_under_way_is_older_than_the_transaction_time(run: Run) -> None:
    """What it stores is in the next export since then, though it is not in this one."""

    async def work(made: Context) -> None:
        moments = iter(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(20))
        made = replace(made, now=lambda: next(moments))
        with made.underway():
            job_id = await export(made, Scope(), [], "u")
        made = replace(made, now=lambda: datetime(2026, 1, 2, tzinfo=UTC))
        manifest = (await ended(made, job_id)).manifest or {}
        assert manifest["transactionTime"] <= instant(datetime(2026, 1, 1, 2, tzinfo=UTC))
        assert made.settled() == made.now()

    run(work)


def test_what_has_expired_is_removed_with_its_files(run: Run) -> None:
    async def work(made: Context) -> None:
        await update(made, patient("a"), "a")
        job_id = await export(made, Scope(), [], "u")
        found = await ended(made, job_id)
        assert found.expires is not None
        for hours, kept in ((23, True), (25, False)):
            moment = made.now() + timedelta(hours=hours)
            later = replace(made, now=lambda moment=moment: moment)
            await asynchronous.sweep(later)
            assert asynchronous.folder(made, job_id).exists() is kept
        with pytest.raises(FhirError) as refusal:
            asynchronous.standing(made, job_id)
        assert refusal.value.status == 404

    run(work)


def test_an_input_that_has_gone_fails_the_job_and_says_so(run: Run, tmp_path: Path) -> None:
    async def work(made: Context) -> None:
        file = tmp_path / "Patient.ndjson"
        file.write_bytes(b'{"resourceType":"Patient","id":"a"}')
        named = [
            {"name": "type", "valueCode": "Patient"}, {"name": "url", "valueUrl": file.as_uri()}
        ]  # fmt: skip
        body = {"resourceType": "Parameters", "parameter": [{"name": "input", "part": named}]}
        job_id = await import_files(made, body, "u")
        file.unlink()
        with pytest.raises(FhirError) as refusal:
            await ended(made, job_id)
        assert refusal.value.status == 422
        assert "Patient.ndjson cannot be read any more" in str(refusal.value)

    run(work)


def test_the_audit_says_who_asked_for_everything(run: Run) -> None:
    async def work(made: Context) -> None:
        job_id = await export(made, Scope(), [], "u")
        rows = made.database.read(
            "SELECT principal, interaction FROM audit WHERE key = ?", (job_id,)
        )
        assert [tuple(row) for row in rows] == [("local", "$export")]

    run(work)


@pytest.mark.parametrize(
    ("database", "folder"),
    [("data/csor.db", "data/csor.db.bulk"), ("postgresql://csor@host/csor", "csor.bulk")],
)
def test_files_are_beside_the_database_unless_a_folder_is_set(
    server: Served, database: str, folder: str
) -> None:
    for chosen, expected in ((None, Path(folder)), (Path("elsewhere"), Path("elsewhere"))):
        made = replace(server.context, settings=Settings(database=database, bulk_folder=chosen))
        assert asynchronous.folder(made, "id") == expected / "id"

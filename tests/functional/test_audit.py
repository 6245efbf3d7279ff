"""The audit has one row for each access: writes in their own commit, reads a moment later.

That no read is lost: `test_audit_journal` and `test_audit_killed`.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.__main__ import main
from fhir_server.app import alone, context
from fhir_server.context import Context
from fhir_server.settings import Settings
from fhir_server.store import audit
from fhir_server.store.audit_row import Agent
from tests.support.databases import KINDS, new_database
from tests.support.server import Process, Served

CHILD = {"resourceType": "Patient", "id": "a", "name": [{"family": "Wren"}]}

NURSE = Agent("nurse")


@pytest.fixture(params=KINDS)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return Settings(
        database=new_database(request.param, tmp_path), audit_journal=tmp_path / "journal"
    )


@contextmanager
def after(
    settings: Settings, work: Callable[[Context], Coroutine[Any, Any, None]]
) -> Iterator[Context]:
    """Do some work, and open what it left."""
    asyncio.run(alone(settings, work))
    made = context(settings)
    try:
        yield made
    finally:
        made.database.close()


def rows(made: Context, **asked: object) -> list[tuple[str, str | None, int | None]]:
    found = audit.accesses(made.database, **asked)  # type: ignore[arg-type]
    return [(each.interaction, each.key, each.status) for each in found]


def test_a_write_is_there_with_the_version_that_it_stored(server: Served) -> None:
    server.http.put("/Patient/a", json=CHILD)
    server.http.put("/Patient/a", json={**CHILD, "gender": "female"})
    found = list(audit.accesses(server.context.database, ("Patient", "a")))
    assert [(each.interaction, each.version, each.status) for each in found] == [
        ("create", 1, None),
        ("update", 2, None),
    ]
    assert {each.principal for each in found} == {"local"}


def test_reads_searches_and_refusals_are_there_a_moment_later(settings: Settings) -> None:
    async def work(made: Context) -> None:
        made.audit.record(NURSE, "read", "Patient", "a", 200)
        made.audit.record(NURSE, "search-type", "Patient", None, 200)
        made.audit.record(NURSE, "read", "Patient", "b", 403)
        await asyncio.sleep(audit.DELAY + 0.3)

    with after(settings, work) as made:
        every = [("read", "a", 200), ("search-type", None, 200), ("read", "b", 403)]
        assert rows(made) == every
        assert rows(made, resource=("Patient", "b")) == [("read", "b", 403)]
        assert rows(made, principal="another") == []
        first = next(audit.accesses(made.database))
        assert rows(made, since=first.moment) == every
        assert rows(made, since=first.moment + 60_000_000) == []


def test_a_get_in_a_bundle_is_there_as_the_read_that_it_is(server: Served) -> None:
    server.http.put("/Patient/a", json=CHILD)
    asked = ["Patient/a", "Patient?family=Wren", "Patient/nobody"]
    entries = [{"request": {"method": "GET", "url": url}} for url in asked]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    server.http.post("", json=bundle).raise_for_status()
    time.sleep(audit.DELAY + 0.3)
    found = audit.accesses(server.context.database)
    read = [(each.interaction, each.key, each.status) for each in found if each.type == "Patient"]
    assert read[-3:] == [("read", "a", 200), ("search-type", None, 200), ("read", "nobody", 404)]


def test_a_burst_is_written_together(settings: Settings) -> None:
    took: list[float] = []

    async def work(made: Context) -> None:
        began = time.perf_counter()
        for number in range(10_000):
            made.audit.record(NURSE, "read", "Patient", str(number), 200)
        took.append(time.perf_counter() - began)
        await made.audit.flush()

    with after(settings, work) as made:
        assert took[0] < 1
        assert [key for _, key, _ in rows(made)] == [str(number) for number in range(10_000)]


def test_where_many_ask_accesses_are_stored_together_once_a_second(settings: Settings) -> None:
    took: list[float] = []
    asked: list[str] = []

    async def work(made: Context) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < 2.5 * audit.LATEST:
            for _ in range(20):
                made.audit.record(NURSE, "read", "Patient", str(len(asked)), 200)
                asked.append(str(len(asked)))
            await asyncio.sleep(audit.DELAY / 4)
        took.append(loop.time() - began)
        stored = made.database.read("SELECT count(*) FROM audit")[0][0]
        assert 0 < stored <= len(asked)

    with after(settings, work) as made:
        ((links,),) = made.database.read("SELECT count(*) FROM audit_link")
        assert links <= took[0] / audit.LATEST + 1  # the last one when the command ends
        assert [key for _, key, _ in rows(made)] == asked


def test_what_is_recorded_while_others_are_written_is_written_after_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(made: Context) -> None:
        write, writing = type(made.database).write, asyncio.Event()

        async def slowly(*arguments: Any) -> Any:
            writing.set()
            await asyncio.sleep(audit.DELAY)
            return await write(made.database, *arguments)

        monkeypatch.setattr(type(made.database), "write", lambda _, *rest: slowly(*rest))
        made.audit.record(NURSE, "read", "Patient", "first", 200)
        await writing.wait()
        made.audit.record(NURSE, "read", "Patient", "second", 200)
        for _ in range(50):
            if len(rows(made)) == 2:
                break
            await asyncio.sleep(audit.DELAY)
        assert [key for _, key, _ in rows(made)] == ["first", "second"]

    with after(settings, work):
        monkeypatch.undo()


def test_what_cannot_be_written_waits_and_nobody_hears_of_it(settings: Settings) -> None:
    async def work(made: Context) -> None:
        working = made.database.write

        async def failing(job: object) -> None:
            raise OSError("the disk is full")

        made.database.write = failing  # type: ignore[assignment, method-assign]
        made.audit.record(NURSE, "read", "Patient", "a", 200)
        await made.audit.flush()
        made.database.write = working  # type: ignore[method-assign]
        await made.audit.flush()

    with after(settings, work) as made:
        assert rows(made) == [("read", "a", 200)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_server_has_recorded_every_write_that_it_answered(
    kind: str, tmp_path: Path
) -> None:
    server = Process(tmp_path, kind)
    server.start()
    for number in range(20):
        child = {**CHILD, "id": f"c{number}"}
        httpx.put(f"{server.base_url}/Patient/c{number}", json=child).raise_for_status()
    server.kill()
    made = context(Settings(database=server.database))
    try:
        kept = [each.key for each in audit.accesses(made.database) if each.type == "Patient"]
    finally:
        made.database.close()
    assert kept == [f"c{number}" for number in range(20)]


def test_the_command_lists_rows_without_content(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CSOR_DATABASE", settings.database)

    async def work(made: Context) -> None:
        made.audit.record(NURSE, "read", "Patient", "a", 200)
        made.audit.record(Agent("clerk"), "read", "Patient", "b", 403)
        await made.audit.flush()

    asyncio.run(alone(settings, work))
    assert main(["audit", "--resource", "Patient/a"]) == 0
    line, total = capsys.readouterr().out.splitlines()
    assert line.split("\t")[1:] == ["nurse", "read", "Patient/a", "200"]
    assert total == "1 accesses"
    assert main(["audit", "--principal", "clerk", "--since", "2020-01-01"]) == 0
    assert "\tclerk\tread\tPatient/b\t403" in capsys.readouterr().out
    assert main(["audit", "--resource", "Patient"]) == 1
    assert main(["audit", "--since", "yesterday"]) == 1

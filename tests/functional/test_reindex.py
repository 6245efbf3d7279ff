"""The index is made anew while the server serves; searches say so until it is whole."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.store import indexing, renewal
from fhir_server.store.connection import Connection, Database
from fhir_server.store.database import open_database
from fhir_server.store.renewal import advance, announce, renew, renewals
from tests.support.databases import KINDS
from tests.support.server import ROOT, Process, Served, served

FAMILIES = ("Wren", "Heron", "Swift")


@pytest.fixture(scope="module", params=KINDS)
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server that holds some versions, and leaves renewals to the test."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fhir_server.app._TENDED", 3600.0)
        patched.setattr(renewal, "SEEN_AFTER", 0.05)
        patched.setattr(renewal, "SLICE", 40)
        with served(tmp_path_factory.mktemp("reindex"), request.param) as running:
            for number in range(60):
                put(running, f"p{number}", FAMILIES[number % 3])
            yield running


def put(server: Served, key: str, family: str) -> None:
    child = {"resourceType": "Patient", "id": key, "name": [{"family": family}]}
    server.http.put(f"/Patient/{key}", json=child).raise_for_status()


def count(server: Served, family: str) -> int:
    found = server.http.get(f"/Patient?family={family}&_summary=count")
    found.raise_for_status()
    total: int = found.json()["total"]
    return total


def do(server: Served, job: Callable[[Connection], Any]) -> Any:
    """Run a job as another process would: on a connection to the database of its own."""

    async def work() -> Any:
        database = open_database(server.context.settings.database)
        try:
            return await database.driven(database.write(job))  # type: ignore[arg-type]
        finally:
            database.close()

    return asyncio.run(work())


def finish(server: Served) -> int:
    async def work() -> int:
        database = open_database(server.context.settings.database)
        try:
            return await database.driven(renew(database))
        finally:
            database.close()

    return asyncio.run(work())


def index(server: Served) -> list[tuple[Any, ...]]:
    """Return what can be told of the index from outside: its ordered rows, and what words find."""
    rows = [
        tuple(row)
        for table in indexing.TABLES
        for row in server.context.database.read(f"SELECT * FROM {table}")  # noqa: S608 - ours
    ]
    return sorted(rows, key=str) + [(count(server, family),) for family in FAMILIES]


def test_what_a_renewal_makes_is_what_was_there(stored: Served) -> None:
    before = index(stored)
    do(stored, announce)
    assert finish(stored) > 2
    time.sleep(0.1)
    assert index(stored) == before


def test_meanwhile_searches_answer_503_and_reads_and_writes_go_on(stored: Served) -> None:
    http = stored.http
    do(stored, announce)
    do(stored, advance)
    do(stored, advance)
    time.sleep(0.1)
    refused = http.get("/Patient?family=wren")
    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    assert refused.json()["issue"][0]["code"] == "transient"
    conditional = http.post(
        "/Patient", json={"resourceType": "Patient"}, headers={"If-None-Exist": "family=none"}
    )
    assert conditional.status_code == 503
    assert http.post("/Patient/p1/$purge?reason=x").status_code == 503
    assert http.get("/Patient/p1").status_code == 200
    assert http.get("/Patient/p1/_history").status_code == 200
    put(stored, "meanwhile", "Dipper")
    put(stored, "p1", "Dipper")
    finish(stored)
    time.sleep(0.1)
    assert count(stored, "dipper") == 2
    put(stored, "p1", FAMILIES[1])


def test_a_renewal_that_was_interrupted_goes_on_where_it_was(stored: Served) -> None:
    do(stored, announce)
    first = [do(stored, advance) for _ in range(3)][-1]
    do(stored, announce)  # whoever comes next does not begin again
    following = do(stored, advance)
    assert following.up_to > first.up_to > 0
    finish(stored)
    time.sleep(0.1)
    assert count(stored, "heron") == 20


def test_two_processes_that_renew_do_so_together(stored: Served) -> None:
    do(stored, announce)

    async def together() -> list[int]:
        where = stored.context.settings.database
        two = [open_database(where), open_database(where)]
        try:
            return await asyncio.gather(*(each.driven(renew(each)) for each in two))
        finally:
            for each in two:
                each.close()

    assert sum(asyncio.run(together())) > 2
    time.sleep(0.1)
    assert [count(stored, family) for family in FAMILIES] == [20, 20, 20]


def test_another_definition_is_noticed_when_the_database_is_opened(
    stored: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "definition", lambda: "another")
    assert do(stored, lambda connection: renewal.under_way(connection.read)) is not None
    finish(stored)
    monkeypatch.undo()
    assert do(stored, lambda connection: renewal.under_way(connection.read)) is not None
    finish(stored)


def test_an_empty_database_has_no_index_to_renew(tmp_path: Path) -> None:
    database: Database = open_database(tmp_path / "csor.db")
    try:
        assert renewal.under_way(database.read) is None

        async def slices() -> list[object]:
            return [each async for each in renewals(database)]

        assert asyncio.run(slices()) == []
    finally:
        database.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_command_beside_a_running_server_is_killed_and_the_server_ends_it(
    kind: str, tmp_path: Path
) -> None:
    server = Process(tmp_path, kind)
    server.start()
    environment = {**os.environ, "CSOR_DATABASE": server.database}
    try:
        with httpx.Client(base_url=server.base_url, timeout=30) as http:
            http.put("/Patient/a", json={
                "resourceType": "Patient", "id": "a", "name": [{"family": "Wren"}],
            }).raise_for_status()  # fmt: skip
            command = subprocess.Popen(
                [sys.executable, "-m", "fhir_server", "reindex"], cwd=ROOT, env=environment,
                stdout=subprocess.PIPE,
            )  # fmt: skip
            assert command.stdout is not None
            assert command.stdout.readline().startswith(b"announced")
            command.send_signal(signal.SIGKILL)
            command.communicate()
            seen, deadline = set(), time.monotonic() + 30
            while time.monotonic() < deadline and not {503, 200} <= seen:
                found = http.get("/Patient?family=wren")
                if found.status_code == 503 or 503 in seen:
                    seen.add(found.status_code)
                time.sleep(0.05)
            assert seen == {503, 200}
            assert found.json()["total"] == 1
            run = subprocess.run(
                [sys.executable, "-m", "fhir_server", "reindex"], cwd=ROOT, env=environment,
                capture_output=True, check=True, text=True,
            )  # fmt: skip
            assert "the index is new" in run.stdout
    finally:
        server.stop()

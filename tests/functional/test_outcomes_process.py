"""The process that finds outcomes beside a server: the same outcomes, and none is lost when all is killed."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.app import alone, context
from fhir_server.context import Context
from fhir_server.operations.outcomes_follow import following
from fhir_server.operations.outcomes_process import InProcess, InThread
from fhir_server.operations.outcomes_rescored import Asked, Rescored
from fhir_server.settings import Settings
from fhir_server.store import outcomes as store
from tests.functional.test_evaluate import HOSPITAL, MEASURE, case, patient, stoma
from tests.functional.test_metrics import told
from tests.functional.test_outcomes_as_of import LIFE, stored
from tests.functional.test_outcomes_kept import SOON, caught_up, changes, computed, of_period
from tests.support.databases import KINDS, new_database
from tests.support.server import Process

CHILDREN = 30


@pytest.mark.slow
def test_a_process_finds_what_is_computed_here_and_another_one_follows_when_it_ends(
    tmp_path: Path,
) -> None:
    settings = Settings(database=new_database("sqlite", tmp_path))

    async def work(made: Context) -> None:
        finder = InProcess(settings)
        async with following(made, finder):
            await changes(made, *LIFE[:4])
            await caught_up(made)
            assert await of_period(made) == await computed(made)
            assert finder._process is not None
            finder._process.kill()
            await changes(made, *LIFE[4:7])
            await caught_up(made)
            assert await of_period(made) == await computed(made)
            last = finder._process
        assert last.poll() is not None  # it ends with who follows

    asyncio.run(alone(settings, work))


def test_what_hinders_a_process_is_told_and_it_goes_on(tmp_path: Path) -> None:
    settings = Settings(database=new_database("sqlite", tmp_path))

    async def work(made: Context) -> None:
        await changes(made, *LIFE[:2])
        finder = InProcess(settings)
        try:
            unknown = Asked(
                0, 1 << 40, {"https://csor.example/fhir/Measure/none": "1"}, "2026-01-01"
            )
            with pytest.raises(RuntimeError, match="none"):
                await finder.ask(unknown)
            known = Asked(0, 1 << 40, {MEASURE: "1"}, "2026-01-01")
            assert len((await finder.ask(known)).found) == 2
        finally:
            await finder.close()

    asyncio.run(alone(settings, work))


class Counting(InThread):
    """Finds outcomes as a thread does, and counts how often it is asked."""

    asked = 0

    async def ask(self, asked: Asked) -> Rescored:
        self.asked += 1
        return await super().ask(asked)


def test_nobody_is_asked_before_there_is_a_case_nor_at_a_start_with_nothing_to_catch_up(
    tmp_path: Path,
) -> None:
    """The process is started by the first question: a server without work for it has none."""
    settings = Settings(database=new_database("sqlite", tmp_path))

    async def work(made: Context) -> None:
        first, second = Counting(made), Counting(made)
        async with following(made, first):
            await caught_up(made)
            await changes(made, stored(HOSPITAL, patient("a")))
            await caught_up(made)
            assert first.asked == 0
            await changes(made, stored(case("ca", "a")))
            await caught_up(made)
            assert first.asked > 0
            assert await of_period(made) == await computed(made)
        async with following(made, second):
            await caught_up(made)
            assert second.asked == 0
            await changes(made, stored(stoma("s", "a")))
            await caught_up(made)
            assert second.asked > 0
            assert await of_period(made) == await computed(made)

    asyncio.run(alone(settings, work))


def test_a_process_that_is_not_wanted_any_more_while_it_starts_ends_and_none_is_started_after(
    tmp_path: Path,
) -> None:
    settings = Settings(database=new_database("sqlite", tmp_path))

    async def work() -> None:
        finder = InProcess(settings)
        asked = Asked(0, 1, {MEASURE: "1"}, "2026-01-01")
        asking = asyncio.create_task(finder.ask(asked))
        while (started := finder._process) is None:
            await asyncio.sleep(0.001)
        await finder.close()
        assert started.returncode is not None
        for each in (asking, finder.ask(asked)):
            with pytest.raises((OSError, EOFError)):
                await each
        assert finder._process is None

    asyncio.run(work())


def test_the_process_brings_only_what_one_child_needs() -> None:
    """What computes many children, migrates or serves takes seconds to import."""
    code = "import sys, fhir_server.operations.outcomes_process; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    brought = {name.partition(".")[0] for name in told.stdout.split()}
    heavy = {
        "alembic",
        "duckdb",
        "fastapi",
        "httpx",
        "ibis",
        "numpy",
        "pyarrow",
        "scipy",
        "uvicorn",
    }
    assert "outcome_engine" in brought
    assert brought & heavy == set()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_killed_again_and_again_keeps_every_outcome_once(
    kind: str, tmp_path: Path
) -> None:
    server = Process(tmp_path, kind, outcomes=True)
    made = context(Settings(database=server.database))
    try:
        for number in range(CHILDREN):
            if number % 10 == 0:
                if number:
                    server.kill()
                server.start()
            put(server, number)
        until(lambda: len(kept(made)) == CHILDREN)
        until(lambda: {each.outcome_class for each in kept(made)} == {"bad"})
        lines = httpx.get(f"http://127.0.0.1:{server.fhir_port}/metrics").text
        counted = told(lines)
        assert counted["csor_outcomes_rescored_total"] > 0
        assert counted["csor_outcomes_lag_seconds"] >= 0
        finding = finders(server.pid)
        assert len(finding) == 1
        server.kill()
        until(lambda: not any(map(lives, finding)))
        assert sorted(each.child for each in kept(made)) == sorted(f"p{n}" for n in range(CHILDREN))
    finally:
        server.stop()
        made.database.close()


def put(server: Process, number: int) -> None:
    who = f"p{number}"
    entries = stored(HOSPITAL, patient(who), case(f"c{number}", who), stoma(f"s{number}", who))
    answer = httpx.post(server.base_url, json=entries, timeout=30)
    assert answer.status_code == 200, answer.text


def kept(made: Context) -> list[Any]:
    children = [f"p{number}" for number in range(CHILDREN)]
    return [e for e in store.of_children(made.database, children) if e.measure == MEASURE]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 3 * SOON
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def finders(server: int) -> list[int]:
    """Return the processes that find outcomes for a server."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            line = (each / "cmdline").read_bytes().decode()
            parent = (each / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if "outcomes_process" in line and int(parent) == server:
            found.append(int(each.name))
    return found


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True

"""Staging a store gives, for every child, the very rows that its record gives."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from fhir_server.app import alone
from fhir_server.context import Context, microseconds
from fhir_server.operations import children, outcomes_staged
from fhir_server.operations.outcomes_staged import processes, stage, survivors
from fhir_server.operations.past import settled
from fhir_server.settings import Settings
from fhir_server.store import read
from fhir_server.store.scan import Standing
from outcome_engine import staging
from outcome_engine.views.view import views
from tests.functional.test_evaluate import HOSPITAL, case, patient, retired, stoma
from tests.functional.test_outcomes_as_of import LIFE, TYPES, stored
from tests.functional.test_outcomes_kept import changes, empty

__all__ = ["empty"]
Rows = dict[str, set[str]]


@pytest.fixture
def thread() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor
        opened = [executor.submit(each.close) for each in outcomes_staged._OPENED.values()]
        for each in opened:
            each.result()
    outcomes_staged._OPENED.clear()


def staged(folder: Path) -> Rows:
    """Read what was staged, each row as a text."""
    return {
        view: {
            json.dumps(row, sort_keys=True)
            for row in pyarrow.parquet.read_table(folder / view).to_pylist()
        }
        for view in views()
    }


async def expected(made: Context, at: datetime | None) -> Rows:
    """Stage the records of all children with a case, one child at a time."""
    found: Rows = {view: set() for view in views()}
    async for record in children.every(made, None, TYPES, at):
        patients = [each["id"] for each in record if each["resourceType"] == "Patient"]
        source = children.merged({e["id"]: e for e in record if e["id"] in patients}, patients)
        child = next(iter(source), "")
        for name, view in views().items():
            of_type = [each for each in record if each["resourceType"] == view.resource]
            columns = [column.name for column in staging.columns(view)]
            for row in staging.stage(view, child, of_type):
                found[name].add(json.dumps(dict(zip(columns, row, strict=True)), sort_keys=True))
    return found


def test_every_moment_of_a_life_is_staged_as_it_was(
    empty: Settings, tmp_path: Path, thread: Executor
) -> None:
    async def work(made: Context) -> None:
        moments = []
        for step in LIFE[:9]:
            await changes(made, step)
            moments.append((read.snapshot(made.database), await settled(made)))
        newest = moments[-1][0]
        for number, (rid, moment) in enumerate(moments):
            for name, standing in (
                ("rows", Standing(rid)),
                ("moment", Standing(newest, microseconds(moment))),
            ):
                folder = tmp_path / f"{name}-{number}"
                done = await asyncio.to_thread(stage, empty.database, standing, folder, thread)
                found, records = staged(folder), await expected(made, moment)
                assert found == records
                assert sum(map(len, found.values())) == done.rows

    asyncio.run(alone(empty, work))


def test_who_is_merged_into_whom_is_told_by_links_in_either_direction(empty: Settings) -> None:
    async def work(made: Context) -> None:
        await changes(
            made,
            stored(patient("old"), patient("new", ("replaces", "old"))),  # one link alone
            stored(patient("x"), retired("y", ("replaced-by", "x"))),
            stored(patient("z", ("seealso", "x")), patient("last", ("replaces", "new"))),
        )
        found = survivors(made.database, Standing(read.snapshot(made.database)))
        assert found == {"old": "last", "new": "last", "y": "x"}

    asyncio.run(alone(empty, work))


@pytest.mark.slow
def test_parts_are_read_by_several_processes_and_nothing_twice_or_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.databases import new_database  # noqa: PLC0415

    settings = Settings(database=new_database("sqlite", tmp_path / "store"))
    monkeypatch.setattr(outcomes_staged, "ROWS", 3)
    many = 20

    async def work(made: Context) -> None:
        for n in range(many):
            whole = (patient(f"p{n}"), case(f"c{n}", f"p{n}"), stoma(f"s{n}", f"p{n}"))
            await changes(made, stored(HOSPITAL, *whole))
        standing = Standing(read.snapshot(made.database))
        with processes(2) as executor:
            folder = tmp_path / "staged"
            done = await asyncio.to_thread(stage, settings.database, standing, folder, executor)
        rows: dict[str, list[Any]] = {
            view: pyarrow.parquet.read_table(folder / view).to_pylist() for view in views()
        }
        assert {view: len(each) for view, each in rows.items() if each} == {
            "patient": many, "case": many, "observation": many,
        }  # fmt: skip
        assert {row["child"] for row in rows["observation"]} == {f"p{n}" for n in range(many)}
        assert len(list((folder / "observation").iterdir())) > many / 3
        assert done.resources == 3 * many

    asyncio.run(alone(settings, work))

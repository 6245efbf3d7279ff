"""A run over the store gives, for every child, what the record of that child alone gives."""

import asyncio
import csv
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

import outcome_engine
from benchmarks import outcome_children
from fhir_server.__main__ import main
from fhir_server.app import alone
from fhir_server.context import Context, instant
from fhir_server.operations import children, outcomes_staged
from fhir_server.operations.past import settled
from fhir_server.settings import Settings
from fhir_server.store.database import upgrade
from outcome_engine.batch import columns
from outcome_engine.definitions.definition import definition
from tests.functional.test_evaluate import MEASURE, case, patient, retired
from tests.functional.test_outcomes_as_of import TYPES, bundle, stored
from tests.functional.test_outcomes_kept import changes, empty

__all__ = ["empty"]
MANY = 26
"""Each golden record twice."""
CLASSES = ("bad", "good", "not-yet-known")


@contextmanager
def threads(many: int) -> Iterator[Executor]:
    """Lend threads in the place of processes, which take seconds to start."""
    del many
    with ThreadPoolExecutor(1) as executor:
        yield executor
        for each in outcomes_staged._OPENED.values():
            executor.submit(each.close).result()
    outcomes_staged._OPENED.clear()


@pytest.fixture(autouse=True)
def _in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes_staged, "processes", threads)


async def filled(made: Context) -> None:
    """Store the golden children, two of whom are one child, and one who cannot be assessed."""
    await changes(made, stored(*outcome_children.hospitals()))
    for number in range(MANY):
        await changes(made, stored(*outcome_children.child(number)))
    first, second = "b0-child", "b13-child"
    await changes(
        made,
        stored(patient(first, ("replaces", second)), retired(second, ("replaced-by", first))),
        stored(retired("nobody"), case("lone", "nobody", managingOrganization={"display": "?"})),
    )


async def one_by_one(made: Context, at: Any, as_of: str) -> list[dict[str, Any]]:
    rules = definition(MEASURE)
    found = []
    async for record in children.every(made, None, TYPES, at):
        if sum(each.get("active", True) for each in record if each["resourceType"] == "Patient"):
            outcome = outcome_engine.assess(MEASURE, record, as_of, made.terminology)
            found.append(columns.row(rules, outcome))
    return found


def by_child(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row["child"]))


def ran(settings: Settings, out: Path, *options: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CSOR_DATABASE", settings.database)
        return main(["outcomes", "run", "hirschsprung-core-outcome", "--out", str(out), *options])


@pytest.mark.postgresql_slow
def test_every_child_of_a_run_is_as_alone_now_and_as_of_an_instant(
    empty: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work(made: Context) -> tuple[str, list[Any], list[Any]]:
        await filled(made)
        moment = await settled(made)
        as_of = instant(moment)[:10]
        before = await one_by_one(made, None, as_of)
        elsewhere = {"managingOrganization": {"reference": "Organization/h7"}}
        own = next(e for e in outcome_children.child(2) if e["resourceType"] == "EpisodeOfCare")
        await changes(
            made, stored({**own, **elsewhere}), bundle(("DELETE", "EpisodeOfCare/lone", None))
        )
        return instant(moment), before, await one_by_one(made, None, as_of)

    moment, before, after = asyncio.run(alone(empty, work))
    assert len(before) == MANY - 1  # two Patients are one child
    assert len(after) == MANY - 1
    assert before != after
    assert {row["class"] for row in before} == set(CLASSES)
    assert ran(empty, tmp_path / "now.parquet") == 0
    told = capsys.readouterr().out
    assert by_child(pyarrow.parquet.read_table(tmp_path / "now.parquet").to_pylist()) == by_child(
        after
    )
    assert "not assessable               0" in told
    assert ran(empty, tmp_path / "then.parquet", "--at", moment) == 0
    told = capsys.readouterr().out
    assert by_child(pyarrow.parquet.read_table(tmp_path / "then.parquet").to_pylist()) == by_child(
        before
    )
    assert "not assessable               1" in told
    for name in CLASSES:
        many = sum(row["class"] == name for row in before)
        assert f"{name:<20}{many:>10,}" in told


@pytest.mark.slow
def test_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    from tests.support.databases import new_database  # noqa: PLC0415

    settings = Settings(database=new_database("sqlite", tmp_path / "store"))
    asyncio.run(alone(settings, filled))
    for suffix in ("csv", "parquet"):
        assert ran(settings, tmp_path / f"o.{suffix}") == 0
    with (tmp_path / "o.csv").open(encoding="utf-8", newline="") as file:
        listed = by_child(list(csv.DictReader(file)))
    rows = by_child(pyarrow.parquet.read_table(tmp_path / "o.parquet").to_pylist())
    assert [each["class"] for each in listed] == [each["class"] for each in rows]
    assert [each["decided_by"] for each in listed] == [each["decided_by"] for each in rows]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["none"], "there is no measure none"),
        (["hirschsprung-core-outcome", "--at", "2026-01-01"], "is no instant"),
        (["hirschsprung-core-outcome", "--at", "2999-01-01T00:00:00Z"], "has not been yet"),
        (["hirschsprung-core-outcome", "--out", "o.xlsx"], ".csv or .parquet"),
        (["hirschsprung-core-outcome", "--folder", "."], "is not empty"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_read(
    options: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from tests.support.databases import new_database  # noqa: PLC0415

    monkeypatch.setenv("CSOR_DATABASE", new_database("sqlite", tmp_path / "store"))
    assert main(["outcomes", "run", *options]) == 1
    assert said in capsys.readouterr().err


def test_a_database_of_another_schema_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = str(tmp_path / "old.db")
    upgrade(where, "0014")
    monkeypatch.setenv("CSOR_DATABASE", where)
    assert main(["outcomes", "run", "hirschsprung-core-outcome"]) == 1
    assert "run migrate first" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["none.db", "none/none.db"])
def test_a_database_that_is_not_there_is_named_and_nothing_is_left(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CSOR_DATABASE", str(tmp_path / where))
    assert main(["outcomes", "run", "hirschsprung-core-outcome"]) == 1
    assert "there is no database none.db" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

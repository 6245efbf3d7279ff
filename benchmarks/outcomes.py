"""Outcomes: a run over 100,000 children of a store, two million scored rows, and how soon news is told.

`python -m benchmarks outcomes`; `CHILDREN=1000` for fewer. `python -m benchmarks.outcomes --spark 'local[2]'`
computes the same run on Spark: `--spark spark://host:7077 --folder /shared/staged` on a cluster, which
reads the staged rows from a folder that it shares with this machine.
"""

import argparse
import asyncio
import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks import outcome_children, outcome_scores
from benchmarks.load import databases, machine, serving
from fhir_server.app import context
from fhir_server.commands.load import load_artefacts
from fhir_server.context import Context
from fhir_server.interactions.transaction import transaction
from fhir_server.operations.outcomes_run import Run, Split, run
from fhir_server.operations.outcomes_staged import processes
from fhir_server.settings import Settings
from fhir_server.store import outcomes as kept
from fhir_server.store.database import open_database
from fhir_server.store.read import snapshot
from fhir_server.store.scan import Standing
from r4.json import encode

MEASURE = "https://csor.example/fhir/Measure/hirschsprung-core-outcome"
STORES = Path(".build/benchmarks")
PROCESSES = 2
TOGETHER = 200
"""Children of one transaction, while the store is filled."""
FLATTENED = 2_000_000
OF_FRESHNESS = 1000
PROBES, CONNECTIONS = 200, 4
SOON = 30.0
_JSON = {"content-type": "application/fhir+json"}
Resource = dict[str, Any]


def main() -> None:
    """Print the split of a run, the aggregates' time, and how soon an event is visible."""
    many = int(os.environ.get("CHILDREN", "100000"))
    print(f"load average before: {machine.load_average()}")
    store = stored(many)
    with tempfile.TemporaryDirectory() as folder:
        _told(scored(store, Path(folder) / "staged", Path(folder) / "outcomes.parquet"), many)
    outcome_scores.aggregates(FLATTENED if many >= OF_FRESHNESS else 20 * many)
    fresh, probes = min(many, OF_FRESHNESS), PROBES if many >= OF_FRESHNESS else 20
    asyncio.run(_freshness(stored(fresh), fresh, probes))
    print(f"load average after: {machine.load_average()}")


def stored(many: int) -> str:
    """Return a store with so many children, filled once through the transaction door."""
    path = STORES / f"outcomes-{many}.db"
    if not path.exists():
        STORES.mkdir(parents=True, exist_ok=True)
        making = path.with_suffix(".making")
        for each in STORES.glob(f"{making.name}*"):
            each.unlink()
        started = time.perf_counter()
        asyncio.run(_fill(Settings(database=str(making)), many))
        seconds = time.perf_counter() - started
        resources = many * outcome_children.RESOURCES
        print(f"stored {resources:,} resources in {seconds:.0f} s ({resources / seconds:,.0f}/s)")
        making.rename(path)
    return str(path)


async def _fill(settings: Settings, many: int) -> None:
    made = context(settings, apart=True)
    try:
        await made.database.driven(load_artefacts(made))
        await _put(made, list(outcome_children.hospitals()))
        waiting: set[asyncio.Task[None]] = set()
        for start in range(0, many, TOGETHER):
            numbers = range(start, min(start + TOGETHER, many))
            listed = [each for n in numbers for each in outcome_children.child(n)]
            waiting.add(asyncio.create_task(_put(made, listed)))
            if len(waiting) > PROCESSES:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if waiting:
            await asyncio.wait(waiting)
    finally:
        made.database.close()


async def _put(made: Context, resources: Sequence[Resource]) -> None:
    await made.database.driven(transaction(made, _bundle(resources)))


def _bundle(resources: Sequence[Resource]) -> Resource:
    entries = [
        {
            "resource": each,
            "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"},
        }
        for each in resources
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def scored(store: str, folder: Path, out: Path | None, spark: str | None = None) -> Split:
    """Run the measure over a store."""
    database = open_database(store)
    standing = Standing(snapshot(database))
    database.close()
    as_of = "2026-01-01"
    asked = Run(store, standing, MEASURE, as_of, str(folder), str(out) if out else None, spark)
    with processes(PROCESSES) as executor:
        return run(asked, executor)


def _told(split: Split, many: int) -> None:
    found, computed = split.flattened, split.computed
    whole = split.stage + computed.load + computed.compute + computed.write
    print(f"{many:,} children, {found.resources:,} resources, {found.rows:,} rows: {whole:.1f} s")
    for name, seconds in (
        ("read (processor)", found.read),
        ("flatten (processor)", found.flatten),
        ("write staged (processor)", found.write),
        (f"staging, {PROCESSES} processes", split.stage),
        ("load into tables", computed.load),
        ("compute", computed.compute),
        ("write outcomes", computed.write),
        ("the last three (processor)", computed.busy),
    ):
        print(f"  {name:<34}{seconds:>8.2f} s")
    print(f"  classes {computed.classes}, not assessable {computed.left_out}")


async def _freshness(filled: str, many: int, probes: int) -> None:
    """Print how soon an event is in the child's report, and in its kept outcome, while others store."""
    with tempfile.TemporaryDirectory() as folder:
        store = shutil.copy(filled, Path(folder) / "csor.db")
        await _fresh(str(store), many, probes)


async def _fresh(store: str, many: int, probes: int) -> None:
    with _served(store) as served, open_read(store) as database:
        async with httpx.AsyncClient(base_url=_base(served), timeout=60) as http:
            await _until_kept(database, many)
            children = range(
                0, many, outcome_children.kinds()
            )  # of a kind that such an event decides
            numbers = itertools.count(10_000_000)
            loading = [asyncio.create_task(_ingest(http, numbers)) for _ in range(CONNECTIONS)]
            started, found = time.perf_counter(), []
            for number in range(probes):
                found.append(await _probe(http, database, children[number % len(children)], number))
                await asyncio.sleep(0.02)
            taken = time.perf_counter() - started
            for each in loading:
                each.cancel()
            for ended in await asyncio.gather(*loading, return_exceptions=True):
                if not isinstance(ended, asyncio.CancelledError):
                    raise ValueError(f"the load ended: {ended}")  # noqa: TRY004
    stored_by_load = (next(numbers) - 10_000_000) * outcome_children.RESOURCES / taken
    print(
        f"{probes} events while {CONNECTIONS} connections store {stored_by_load:,.0f} resources/s:"
    )
    for name, values in (
        ("acknowledged", [each[0] for each in found]),
        ("in the child's report, from sending", [each[1] for each in found]),
        ("in the kept outcome, from sending", [each[2] for each in found]),
    ):
        print(f"  {name:<38}p50 {_at(values, 50):.3f} s  p99 {_at(values, 99):.3f} s")


def _base(served: serving.Served) -> str:
    return f"http://{served.peer.host}:{served.peer.port}{served.peer.path}"


def _at(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


async def _ingest(http: httpx.AsyncClient, numbers: Iterator[int]) -> None:
    while True:
        content = encode(_bundle(outcome_children.child(next(numbers))))
        answer = await http.post("", content=content, headers=_JSON)
        answer.raise_for_status()


async def _probe(
    http: httpx.AsyncClient, database: Any, child: int, number: int
) -> tuple[float, float, float]:
    """Store an event; returns seconds until it is acknowledged, reported and kept."""
    id, patient = f"probe-{number}", f"b{child}-child"
    coding = {
        "system": "https://csor.example/fhir/CodeSystem/outcome-observation",
        "code": "permanent-stoma",
    }
    event = {
        "resourceType": "Observation", "id": id, "status": "final", "code": {"coding": [coding]},
        "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": "2024-05-01",
        "valueBoolean": True,
    }  # fmt: skip
    started = time.perf_counter()
    (await http.put(f"/Observation/{id}", json=event)).raise_for_status()
    acknowledged = time.perf_counter() - started
    asked = {"measureUrl": MEASURE, "periodStart": "2000-01-01", "periodEnd": "2030-12-31",
             "subject": f"Patient/{patient}"}  # fmt: skip
    while f"Observation/{id}" not in (await http.get("/Measure/$evaluate", params=asked)).text:
        _patient(started)
    reported = time.perf_counter() - started
    while f"Observation/{id}".encode() not in b"".join(
        each.body for each in kept.of_children(database, [patient])
    ):
        _patient(started)
        await asyncio.sleep(0.005)
    return acknowledged, reported, time.perf_counter() - started


def _patient(started: float) -> None:
    if time.perf_counter() - started > SOON:
        raise TimeoutError("an event is not visible")


async def _until_kept(database: Any, many: int) -> None:
    started = time.perf_counter()
    while not any(e.is_swept for e in kept.cursors(database) if e.measure == MEASURE):
        await asyncio.sleep(0.2)
    seconds = time.perf_counter() - started
    print(f"{many:,} outcomes kept within {seconds:.1f} s of the start")


@contextmanager
def _served(store: str) -> Iterator[serving.Served]:
    database = databases.Database(store, "", lambda: 0, lambda: True)
    with serving.server(database, None) as served:
        yield served


@contextmanager
def open_read(store: str) -> Iterator[Any]:
    """Open a store beside the server that serves it."""
    database = open_database(store, upgraded=False)
    try:
        yield database
    finally:
        database.close()


def _spark(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outcomes", description=__doc__)
    parser.add_argument("--spark", default="local[2]", help="a master, as spark://host:7077")
    parser.add_argument("--children", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="an empty folder that the cluster reads too")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        staged = given.folder or Path(folder) / "staged"
        _told(scored(stored(given.children), staged, None, given.spark), given.children)


if __name__ == "__main__":
    _spark()

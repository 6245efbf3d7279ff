"""A run: for each database seed, follow the searches while the registry grows, then every load."""

import asyncio
import contextlib
import importlib
import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.load import (
    children,
    codes,
    databases,
    loads,
    machine,
    messages,
    report,
    serving,
    targets,
)
from benchmarks.load.children import OF_A_BUNDLE, Children
from benchmarks.load.codes import Question
from benchmarks.load.driving import Driver, Figures, Meter
from benchmarks.load.seeding import Ingest, seed
from benchmarks.load.serving import NotServedError, Served
from benchmarks.load.wire import Connection, Peer

ECHO_SECONDS = 2.0
WARM_SECONDS = 0.5
RACED = 1_000_000_000
"""The number of the first child who is raced for; no seeded child has one so high."""


@dataclass(frozen=True)
class Options:
    """What a run is asked for."""

    base_url: str | None = None
    header: tuple[str, ...] = ()
    databases: tuple[str, ...] = ("sqlite", "postgresql")
    seconds: float = 8
    patients: tuple[int, ...] = (1000, 10_000, 100_000)
    out: Path | None = None
    date: str | None = None
    profile: Path | None = None
    sustain: float = 0


@dataclass(frozen=True)
class _Run:
    options: Options
    peer: Peer
    served: Served | None
    echo: Served
    database: str | None = None
    known: Children = field(default_factory=Children)

    @property
    def driver(self) -> Driver:
        processes = self.served.processes if self.served else ()
        return Driver(self.peer, self.options.seconds, processes)


def run(options: Options) -> int:
    """Run, print the tables, write the results file; returns 1 where a load met an error."""
    date = options.date or time.strftime("%Y-%m-%d", time.gmtime())
    found = {"peer": _of_peer(options)} if options.base_url else _of_databases(options)
    beside = targets.beside(found)
    results = {
        "date": date,
        **machine.described(),
        "seconds_of_each_load": options.seconds,
        "patients": options.patients,
        "targets": beside,
        "databases": found,
    }
    print(f"\n{targets.table(beside, tuple(found))}")
    out = options.out or Path("benchmarks/results") / f"{date}-{'-'.join(found)}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nwritten: {out}")
    errors = [load["errors"] for each in found.values() for load in each["loads"].values()]
    return 1 if any(errors) or not found else 0


def _of_peer(options: Options) -> dict[str, Any]:
    with serving.echo() as echo:
        peer = Peer.of(options.base_url or "", options.header)
        return _looped(_measure(_Run(options, peer, None, echo)))


def _of_databases(options: Options) -> dict[str, Any]:
    """Measure one after another: together they would take one another's processors."""
    found = {}
    for name in databases.available(options.databases):
        try:
            found[name] = _of_database(options, name)
        except NotServedError as problem:
            print(f"{name} is left out: {problem}", flush=True)
    return found


def _of_database(options: Options, name: str) -> dict[str, Any]:
    print(f"\n== {name}", flush=True)
    profile = options.profile / name if options.profile else None
    if profile:
        profile.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(databases.started(name))
        served = stack.enter_context(serving.server(database, profile))
        echo = stack.enter_context(serving.echo())
        made = _Run(options, served.peer, served, echo, database.url)
        found = _looped(_measure(made, database.stored))
        settings = database.settings()
        return {"version": database.version, "settings": settings, **found}


def _looped(coroutine: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Run on uvloop where that is installed."""
    try:
        loop = importlib.import_module("uvloop")
    except ImportError:
        return asyncio.run(coroutine)
    found: dict[str, Any] = loop.run(coroutine)
    return found


async def _measure(made: _Run, stored: Callable[[], int] | None = None) -> dict[str, Any]:
    before = machine.load_average()
    software = await _software(made.peer)
    print(f"{software}; load average {before[0]}", flush=True)
    ingest, mixes = await _grown(made)
    resources = len(made.known.ids) + made.known.observations
    grown = report.growth(mixes)
    size = {"bytes_per_resource": round(stored() / resources)} if stored else {}
    print(f"\n{report.growth_table(grown)}\n\n{report.heading()}", flush=True)
    asked = await _questions(made)
    every = [await load() for load in _loads(made, asked)]
    every += await _messages(made)
    return {
        "software": software,
        "load_average": {"before": before, "after": machine.load_average()},
        "resources_before_the_loads": resources,
        **size,
        "ingest": ingest,
        "growth": grown,
        "loads": {figures.name: figures.json() for figures in every},
    }


async def _grown(made: _Run) -> tuple[dict[str, object], dict[int, dict[str, Figures]]]:
    """Let one registry grow; returns its ingest, and the search mix alone at each size."""
    ingest = Ingest()
    mixes: dict[int, dict[str, Figures]] = {}
    driver = 0.0
    for size in made.options.patients:
        meter = Meter(())
        ingest.samples += await seed(made.peer, made.known, size)
        driver += meter.read().driver
        _profiled(made, f"seeding-{size}")
        print(f"  {size:,} children, {made.known.observations:,} observations: the search mix")
        await _warm(made)
        mixes[size] = await loads.mix(made.driver, made.known)
        _profiled(made, f"mix-{size}")
    resources = len(made.known.ids) + made.known.observations
    own = {"driver_cpu_us_per_resource": round(driver / resources * 1e6, 1)}
    return {**ingest.json(), **own}, mixes


async def _questions(made: _Run) -> list[Question]:
    """Return the codes to be checked; a server that is started here has a release loaded first."""
    if made.database is None:
        return codes.questions(None)
    print(f"  loading a synthetic release of {codes.CONCEPTS:,} concepts", flush=True)
    shape = await asyncio.to_thread(codes.loaded, made.database)
    await codes.seen(made.peer, shape)
    return codes.questions(shape)


def _loads(made: _Run, questions: list[Question]) -> list[Callable[[], Any]]:
    """Return the loads in their order: what only asks first, so that it meets the size it is told."""
    known = made.known
    asked = [
        _driven(made, name, make, loads.CONNECTIONS[name])
        for name, make in loads.reads(made.peer, known).items()
    ]
    asked += [_checked(made, name, questions) for name in (codes.CHECK_GET, codes.CHECK_POST)]

    async def download() -> Figures:
        return _said(made, await loads.download(made.driver))

    async def race() -> Figures:
        return _said(made, await loads.race(made.driver, RACED))

    one = children.observation(0, known.ids[0], 0)
    many = children.bundle([one] * OF_A_BUNDLE, b"Observation")
    creates, bundles = loads.creates(made.peer, known), loads.transactions(made.peer, known)
    written = [
        _driven(made, loads.CREATE, creates, 32, one),
        _driven(made, "create, one caller", creates, 1, one),
        _driven(made, loads.TRANSACTION, bundles, 8, many, OF_A_BUNDLE),
    ]
    return [*asked, download, *written, race]


async def _messages(made: _Run) -> list[Figures]:
    """Send HL7 v2 to a server that is started here."""
    if made.served is None:
        return []
    port, sent = made.served.mllp, messages.sent()
    await messages.register(made.peer)
    await messages.warm(made.driver, port, sent)
    found = [
        _said(made, await messages.drive(made.driver, port, sent, connections))
        for connections in messages.CONNECTIONS
    ]
    if made.options.sustain:
        sustained = await messages.sustain(made.driver, port, sent, made.options.sustain)
        found.append(_said(made, sustained))
        print(f"  {sustained.notes}", flush=True)
    return found


def _driven(
    made: _Run,
    name: str,
    make: loads.Make,
    connections: int,
    body: bytes | None = None,
    size: int = 1,
) -> Callable[[], Any]:
    async def load() -> Figures:
        figures = await made.driver.drive(name, make, connections, size if body else 0)
        if name in loads.MIX:
            figures.notes["resources_found"] = await loads.matches(made.peer, make)
        return await _beside_echo(made, figures, body)

    return load


async def _beside_echo(made: _Run, figures: Figures, body: bytes | None) -> Figures:
    """Say what a load came to, beside the bare echo of as many bytes."""
    seconds = min(ECHO_SECONDS, made.options.seconds)
    driver = Driver(made.echo.peer, seconds, made.echo.processes)
    echo = await loads.echoed(driver, figures, body)
    rate = echo.requests_per_second
    figures.notes["echo_per_second"] = round(rate, 1)
    figures.notes["echo_cpu_us_per_request"] = echo.json().get("server_cpu_us_per_request")
    figures.notes["ratio_to_echo"] = round(figures.requests_per_second / rate, 3)
    return _said(made, figures)


def _checked(made: _Run, name: str, questions: list[Question]) -> Callable[[], Any]:
    """Return a load of `$validate-code`, whose answers are compared with the right ones."""

    async def load() -> Figures:
        make, right = codes.load(made.peer, questions, post=name == codes.CHECK_POST)
        figures = await made.driver.drive(name, make, codes.CONNECTIONS, right=right)
        read = await made.driver.drive(loads.READ, loads.reads(made.peer, made.known)[loads.READ],
                                       codes.CONNECTIONS)  # fmt: skip
        ratio = figures.requests_per_second / read.requests_per_second
        figures.notes["ratio_to_read"] = round(ratio, 3)
        return await _beside_echo(made, figures, None)

    return load


def _said(made: _Run, figures: Figures) -> Figures:
    print(report.row(figures), flush=True)
    _profiled(made, figures.name)
    return figures


def _profiled(made: _Run, name: str) -> None:
    if made.served:
        made.served.profiled("-".join(name.replace(",", "").replace("+", "").split()))


async def _warm(made: _Run) -> None:
    """Let the server compile and cache what it does once."""
    driver = Driver(made.peer, WARM_SECONDS / len(loads.MIX))
    for name, make in loads.reads(made.peer, made.known).items():
        await asyncio.sleep(0)
        await driver.drive(name, make, 2)


async def _software(peer: Peer) -> str:
    connection = await Connection.to(peer)
    answer = await connection.exchange(peer.get("/metadata"))
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"no FHIR server here: /metadata answers {answer.status}")
    statement = json.loads(answer.body)
    software = statement.get("software", {})
    name, version = software.get("name", "unnamed"), software.get("version", "")
    return f"{name} {version}, FHIR {statement.get('fhirVersion')}".replace(" ,", ",")

"""One run: seed, follow the searches while the registry grows, then every load beside its echo."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.load import children, loads, report, serving
from benchmarks.load.children import OF_A_BUNDLE, Children
from benchmarks.load.driving import Driver, Figures
from benchmarks.load.seeding import Window, seed
from benchmarks.load.serving import Served
from benchmarks.load.wire import Connection, Peer

ECHO_SECONDS = 2.0
WARM_SECONDS = 0.5
RACED = 1_000_000_000
"""The number of the first child who is raced for; no seeded child has one so high."""


@dataclass(frozen=True)
class Options:
    """What a run is asked for."""

    url: str | None = None
    header: tuple[str, ...] = ()
    database: str | None = None
    seconds: float = 8
    sizes: tuple[int, ...] = (1000, 10000)
    out: Path | None = None
    date: str | None = None
    profile: Path | None = None


@dataclass(frozen=True)
class _Run:
    options: Options
    peer: Peer
    served: Served | None
    echo: Served
    known: Children

    @property
    def driver(self) -> Driver:
        return Driver(self.peer, self.options.seconds, self.served.process if self.served else None)


def run(options: Options) -> int:
    """Run, print the tables, write the results file; returns 1 where a load met an error."""
    with contextlib.ExitStack() as stack:
        served = None
        if options.url is None:
            if options.profile:
                options.profile.mkdir(parents=True, exist_ok=True)
            served = stack.enter_context(serving.server(options.database, options.profile))
        peer = served.peer if served else Peer.of(options.url or "", options.header)
        echo = stack.enter_context(serving.echo())
        made = _Run(options, peer, served, echo, Children())
        found = uvloop.run(_measure(made))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=2) + "\n")
        print(f"written: {options.out}")
    return 1 if any(load["errors"] for load in found["loads"].values()) else 0


async def _measure(made: _Run) -> dict[str, Any]:
    options, before = made.options, report.load_average()
    software = await _software(made.peer)
    print(f"{software}; load average {before[0]}", flush=True)
    ingest: dict[int, list[Window]] = {}
    mixes: dict[int, dict[str, Figures]] = {}
    for size in options.sizes:
        ingest[size] = await seed(made.peer, made.known, size)
        _profiled(made, f"seeding-{size}")
        print(f"  {size:,} children, {made.known.observations:,} observations: the search mix")
        await _warm(made)
        mixes[size] = await loads.mix(made.driver, made.known)
        _profiled(made, f"mix-{size}")
    grown = report.growth(mixes)
    size = made.served.stored_bytes() if made.served else None
    stored = len(made.known.ids) + made.known.observations
    print(f"\n{report.growth_table(grown)}\n\n{report.heading()}", flush=True)
    every = [await load() for load in _loads(made)]
    return {
        "software": software,
        **({"date": options.date} if options.date else {}),
        "machine": report.machine(),
        "load_average": {"before": before, "after": report.load_average()},
        "versions": report.versions() if made.served else {},
        "seconds_of_each_load": options.seconds,
        "resources_before_the_loads": stored,
        **({"bytes_per_resource": round(size / stored)} if size else {}),
        "ingest": {
            str(size): [vars(window) for window in windows] for size, windows in ingest.items()
        },
        "growth": grown,
        "loads": {figures.name: figures.json() for figures in every},
    }


def _loads(made: _Run) -> list[Callable[[], Any]]:
    """Return the loads in their order: what only asks first, so that it meets the size it is told."""
    known = made.known
    asked = [
        _driven(made, name, make, loads.CONNECTIONS[name])
        for name, make in loads.reads(made.peer, known).items()
    ]

    async def download() -> Figures:
        return _said(made, await loads.download(made.driver, "Observation"))

    async def race() -> Figures:
        return _said(made, await loads.race(made.driver, RACED))

    one = children.observation(0, known.ids[0], 0)
    many = children.bundle([one] * OF_A_BUNDLE, b"Observation")
    creates, bundles = loads.creates(made.peer, known), loads.transactions(made.peer, known)
    written = [
        _driven(made, "create", creates, 32, one),
        _driven(made, "create, one caller", creates, 1, one),
        _driven(made, "transaction of 100", bundles, 8, many, OF_A_BUNDLE),
    ]
    return [*asked, download, *written, race]


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
        seconds = min(ECHO_SECONDS, made.options.seconds)
        driver = Driver(made.echo.peer, seconds, made.echo.process)
        echo = await loads.echoed(driver, figures, body)
        rate = echo.requests_per_second
        figures.notes["echo_per_second"] = round(rate, 1)
        figures.notes["echo_cpu_us_per_request"] = echo.json().get("server_cpu_us_per_request")
        figures.notes["ratio_to_echo"] = round(figures.requests_per_second / rate, 3)
        return _said(made, figures)

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

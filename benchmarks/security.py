"""What it costs to know, confine and record who asks: the same loads with and without, in turns.

Three servers on equal databases: one that knows, confines and records nobody (`benchmarks.load.unsecured`);
the server as it ships, asked by a client of the registry; and by a client of the hospital that all of
the children are of, which is answered in the hospital's view: the same answers to each. Both clients have
a bearer token and scopes. `python -m benchmarks security`; `DATABASE=postgresql`, `CHILDREN=10000`.
"""

import asyncio
import contextlib
import hashlib
import os
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import children, databases, loads, serving
from benchmarks.load.children import OF_A_BUNDLE, Children
from benchmarks.load.driving import Driver
from benchmarks.load.loads import Make
from benchmarks.load.seeding import seed
from benchmarks.load.serving import Served
from benchmarks.load.wire import Connection, Peer

CHILDREN, FEWEST = 2000, 100
ROUNDS, SECONDS = 7, 1.0
"""Each round drives every load once on each server; the first round is left out: it warms them."""
OFF, REGISTRY, HOSPITAL = "without", "registry", "hospital"
ODS = "ZZ1"
_ORGANIZATION = (
    b'{"resourceType":"Organization","id":"benchmark","name":"Fictitious hospital of the benchmark",'
    b'"identifier":[{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"' + ODS.encode()
    + b'"}]}'
)  # fmt: skip
_ACTIVE = b'"active":true,'
_MANAGED = _ACTIVE + b'"managingOrganization":{"reference":"Organization/benchmark"},'
_CLIENT = """
[[client]]
name = "{name}"
token_sha256 = "{digest}"
scopes = "system/*.cruds"
rate = 1000000
{hospitals}
"""


@dataclass(frozen=True)
class _Asked:
    """One server with what it is asked: whose it is, its children, the loads by their names."""

    name: str
    served: Served
    known: Children
    loads: dict[str, tuple[Make, int]]


def main() -> None:
    """Print requests a second of each, and their ratios to the server without."""
    many = max(FEWEST, int(os.environ.get("CHILDREN", CHILDREN)))
    rounds = ROUNDS if many >= CHILDREN else 3
    kind = os.environ.get("DATABASE", "sqlite")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clients = _clients(folder)
        served = {
            name: stack.enter_context(_served(name, kind, clients))
            for name in (OFF, REGISTRY, HOSPITAL)
        }
        found = asyncio.run(_measured(served, many, rounds))
    _print(found, many, rounds, kind)


def _clients(folder: Path) -> Path:
    """Write the file of the clients; each one's token is its name."""
    file = folder / "clients.toml"
    named = {REGISTRY: "", HOSPITAL: f'hospitals = ["{ODS}"]'}
    file.write_text(
        "".join(
            _CLIENT.format(
                name=name, digest=hashlib.sha256(name.encode()).hexdigest(), hospitals=hospitals
            )
            for name, hospitals in named.items()
        )
    )
    return file


@contextlib.contextmanager
def _served(name: str, kind: str, clients: Path) -> Iterator[Served]:
    module = "benchmarks.load.unsecured" if name == OFF else "fhir_server"
    settings = {"CSOR_CLIENTS": str(clients)}
    with (
        databases.started(kind) as database,
        serving.server(database, None, module, settings) as served,
    ):
        yield served


async def _measured(
    served: dict[str, Served], many: int, rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Return the requests a second of each round, by load and by server."""
    every = [await _asked(name, each, many) for name, each in served.items()]
    found: dict[str, dict[str, list[float]]] = {
        load: {each.name: [] for each in every} for load in every[0].loads
    }
    for turn in range(rounds + 1):
        for load in every[0].loads:
            for each in every[turn % 3 :] + every[: turn % 3]:
                make, connections = each.loads[load]
                driver = Driver(_peer(each.name, each.served), SECONDS, each.served.processes)
                figures = await driver.drive(load, make, connections)
                if figures.errors:
                    raise SystemExit(f"{each.name}, {load}: {dict(figures.errors)}")
                if turn:
                    found[load][each.name].append(figures.requests_per_second)
    return found


async def _asked(name: str, served: Served, many: int) -> _Asked:
    """Fill a server, by the registry's client; return it with the requests it will be sent."""
    known, registry = Children(), _peer(REGISTRY, served)
    connection = await Connection.to(registry)
    request = registry.post("/Organization/benchmark", _ORGANIZATION).replace(b"POST", b"PUT", 1)
    answer = await connection.exchange(request)
    connection.close()
    if answer.status != 201:
        raise SystemExit(f"{name}: the hospital was refused: {answer.status}")
    await seed(registry, known, many, _patient)
    peer = _peer(name, served)
    asked = {
        load: (make, loads.CONNECTIONS[load]) for load, make in loads.reads(peer, known).items()
    }
    asked[loads.CREATE] = (loads.creates(peer, known), 32)
    asked[loads.TRANSACTION] = (loads.transactions(peer, known), 8)
    return _Asked(name, served, known, asked)


def _patient(number: int) -> bytes:
    return children.patient(number).replace(_ACTIVE, _MANAGED, 1)


def _peer(name: str, served: Served) -> Peer:
    token = HOSPITAL if name == HOSPITAL else REGISTRY
    base = f"http://{served.peer.host}:{served.peer.port}{served.peer.path}"
    return Peer.of(base, (f"Authorization: Bearer {token}",))


def _print(found: dict[str, dict[str, list[float]]], many: int, rounds: int, kind: str) -> None:
    print(
        f"{kind}, {many:,} children, median of {rounds} rounds; a transaction is of {OF_A_BUNDLE}"
    )
    print(f"{'requests a second':<34}{OFF:>9}{REGISTRY:>10}{'ratio':>7}{HOSPITAL:>10}{'ratio':>7}")
    ratios: dict[str, list[float]] = {REGISTRY: [], HOSPITAL: []}
    for load, by in found.items():
        line = f"{load:<34}{statistics.median(by[OFF]):>9,.0f}"
        for name, all_ratios in ratios.items():
            pairs = zip(by[name], by[OFF], strict=True)
            ratio = statistics.median(one / other for one, other in pairs)
            all_ratios.append(ratio)
            line += f"{statistics.median(by[name]):>10,.0f}{ratio:>7.2f}"
        print(line)
    whole = "".join(f"{'':>10}{statistics.geometric_mean(each):>7.2f}" for each in ratios.values())
    print(f"{'all, geometric mean':<34}{'':>9}{whole}")

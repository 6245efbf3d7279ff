"""The loads, each the same for every server; what each is for stands in docs/benchmarks.md."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from benchmarks.load import children
from benchmarks.load.children import CHILD, OF_A_BUNDLE, SYSTEM, Children
from benchmarks.load.driving import Driver, Figures, Make, Meter
from benchmarks.load.wire import Connection, Peer

READ, CREATE, TRANSACTION = "read by id", "create", "transaction of 100"
SEARCH, COUNT = "search patient + code + date", "count by code"
DOWNLOAD, RACE = "download Observation, pages of 1000", "conditional-create race"

SINCE = "2022-07-01"
CLIENTS = 64
RACES = 10
SAMPLE = 20


class _Link(msgspec.Struct):
    relation: str
    url: str


class _Page(msgspec.Struct):
    link: list[_Link] = []
    entry: list[msgspec.Raw] = []
    total: int | None = None


_PAGE = msgspec.json.Decoder(_Page)


def reads(peer: Peer, known: Children) -> dict[str, Make]:
    """Return the loads that only ask, by name: each makes the request of a turn."""

    def by_child_code_and_date(turn: int) -> bytes:
        child = known.any(turn)
        code = f"{SYSTEM}|{children.code(child, turn)}"
        asked = f"?patient={known.ids[child]}&code={code}&date=ge{SINCE}"
        return peer.get("/Observation" + asked)

    def by_name(turn: int) -> bytes:
        number = known.any(turn)
        return peer.get(
            f"/Patient?family=Testchild-{number % children.FAMILIES}"
            f"&birthdate={2015 + number % 10}-{number % 12 + 1:02}-{number % 28 + 1:02}"
        )

    return {
        READ: lambda turn: peer.get(f"/Patient/{known.ids[known.any(turn)]}"),
        SEARCH: by_child_code_and_date,
        "search patient, 50": lambda turn: peer.get(
            f"/Observation?patient={known.monitored(turn)}&_count=50"
        ),
        "search code, newest 50": lambda turn: peer.get(
            f"/Observation?code={SYSTEM}|c-{turn * 7 % children.CODES:03}"
            "&_sort=-_lastUpdated&_count=50"
        ),
        COUNT: lambda turn: peer.get(
            f"/Observation?code={SYSTEM}|c-{turn * 7 % children.CODES:03}&_summary=count"
        ),
        "search identifier": lambda turn: peer.get(
            f"/Patient?identifier={CHILD}|{known.any(turn)}"
        ),
        "search family + birth date": by_name,
    }


MIX = (
    SEARCH,
    "search patient, 50",
    "search code, newest 50",
    COUNT,
    "search identifier",
    "search family + birth date",
)
"""The searches whose median is followed while the registry grows: one connection, in turn."""

CONNECTIONS = {
    READ: 32,
    SEARCH: 16,
    "search patient, 50": 8,
    "search code, newest 50": 8,
    COUNT: 8,
    "search identifier": 16,
    "search family + birth date": 16,
}


def creates(peer: Peer, known: Children) -> Make:
    """Return the load of single creates: an Observation each."""
    turns = itertools.count(1_000)

    def make(turn: int) -> bytes:
        child = known.any(turn)
        body = children.observation(child, known.ids[child], next(turns))
        return peer.post("/Observation", body)

    return make


def transactions(peer: Peer, known: Children) -> Make:
    """Return the load of transaction Bundles of 100 Observations."""
    turns = itertools.count(1_000_000)

    def make(turn: int) -> bytes:
        made = []
        for number in range(turn * OF_A_BUNDLE, (turn + 1) * OF_A_BUNDLE):
            child = known.any(number)
            made.append(children.observation(child, known.ids[child], next(turns)))
        return peer.post("", children.bundle(made, b"Observation"))

    return make


async def mix(driver: Driver, known: Children) -> dict[str, Figures]:
    """Ask each search of the mix alone, on one connection; returns the figures by name."""
    made = reads(driver.peer, known)
    each = Driver(driver.peer, driver.seconds / len(MIX), driver.processes)
    return {name: await each.drive(name, made[name], 1) for name in MIX}


async def download(driver: Driver) -> Figures:
    """Follow the next links of every Observation until their end or the seconds are over."""
    peer, connection = driver.peer, await Connection.to(driver.peer)
    latencies, resources, received = [], 0, 0
    errors: Counter[str] = Counter()
    target: str | None = "/Observation?_count=1000"
    whole = False
    meter, until = Meter(driver.processes), time.perf_counter() + driver.seconds
    while target and time.perf_counter() < until:
        sent = time.perf_counter()
        answer = await connection.exchange(peer.get(target))
        latencies.append(time.perf_counter() - sent)
        if answer.status != 200:
            errors[str(answer.status)] += 1
            break
        page = _PAGE.decode(answer.body)
        resources += len(page.entry)
        received += len(answer.body)
        following = [link.url for link in page.link if link.relation == "next"]
        target = peer.below(following[0]) if following else None
        whole = target is None
    spent = meter.read()
    connection.close()
    notes = {"resources": resources, "whole_type": whole}
    return Figures(DOWNLOAD, 1, sorted(latencies), resources, received, errors, spent, notes)


async def race(driver: Driver, start: int) -> Figures:
    """Let 64 clients create the same child, conditionally, at once; ten children, one after another.

    Errors are 5xx, other statuses than 200, 201, 409 and 412, and every child stored twice or never.
    """
    peer = driver.peer
    opened = [await Connection.to(peer) for _ in range(CLIENTS)]
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    meter = Meter(driver.processes)

    async def once(connection: Connection, request: bytes) -> None:
        sent = time.perf_counter()
        answer = await connection.exchange(request)
        latencies.append(time.perf_counter() - sent)
        statuses[str(answer.status)] += 1
        if answer.status not in (200, 201, 409, 412):
            errors[str(answer.status)] += 1

    for number in range(start, start + RACES):
        condition = f"identifier={CHILD}|{number}"
        request = peer.post("/Patient", children.patient(number), f"If-None-Exist: {condition}\r\n")
        await asyncio.gather(*(once(connection, request) for connection in opened))
        found = await opened[0].exchange(peer.get(f"/Patient?{condition}&_summary=count"))
        if (stored := _PAGE.decode(found.body).total) != 1:
            errors[f"stored {stored} times"] += 1
    for connection in opened:
        connection.close()
    notes = {"races": RACES, "statuses": dict(statuses)}
    return Figures(RACE, CLIENTS, sorted(latencies), 0, 0, errors, meter.read(), notes)


async def matches(peer: Peer, make: Make) -> float:
    """Return how many resources a search finds on average, by its total or its page: a check.

    A server that ignores a parameter, or finds nothing, would be fast at something else.
    """
    connection = await Connection.to(peer)
    found = []
    for turn in range(SAMPLE):
        page = _PAGE.decode((await connection.exchange(make(turn))).body)
        found.append(len(page.entry) or page.total or 0)
    connection.close()
    return round(sum(found) / SAMPLE, 1)


async def echoed(driver: Driver, figures: Figures, body: bytes | None) -> Figures:
    """Drive the bare echo as a load drove the server: as many connections, as many bytes."""
    if body is None:
        size = figures.received // max(1, len(figures.latencies))
        request = driver.peer.get(f"/?{size}")
    else:
        request = driver.peer.post("/", body)
    make: Callable[[int], bytes] = lambda _: request  # noqa: E731 - a load is a callable
    return await driver.drive(f"echo of {figures.name}", make, figures.connections)

"""Drive a server with many connections for some seconds, and say what came of it."""

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load.wire import Connection, Peer

Make = Callable[[int], bytes]
Right = Callable[[int, bytes], bool]
"""Tells whether an answer's body is that which the request of a turn must have."""
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True)
class Spent:
    """Seconds that went by, and CPU seconds of the server (where it is ours) and of this driver."""

    seconds: float
    server: float | None
    driver: float


class Meter:
    """Measures from when it is made until it is read."""

    def __init__(self, processes: tuple[int, ...]) -> None:
        self._processes = processes
        self._server = cpu_seconds(processes)
        self._driver = time.process_time()
        self._began = time.perf_counter()

    def read(self) -> Spent:
        """Return what was spent so far."""
        seconds = time.perf_counter() - self._began
        driver, server = time.process_time() - self._driver, cpu_seconds(self._processes)
        known = server is not None and self._server is not None
        return Spent(seconds, server - self._server if known else None, driver)  # type: ignore[operator]


@dataclass
class Figures:
    """What one load came to: counts, seconds, and the latencies in seconds, sorted."""

    name: str
    connections: int
    latencies: list[float]
    resources: int
    received: int
    errors: Counter[str]
    spent: "Spent"
    notes: dict[str, object] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.spent.seconds

    @property
    def requests_per_second(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    @property
    def resources_per_second(self) -> float:
        return self.resources / self.seconds if self.seconds else 0.0

    def milliseconds(self, share: float) -> float:
        """Return the latency that a share of the requests stays within."""
        if not self.latencies:
            return float("nan")
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))] * 1e3

    def json(self) -> dict[str, object]:
        """Return the figures as they are written to the results file."""
        found: dict[str, object] = {
            "connections": self.connections,
            "requests": len(self.latencies),
            "requests_per_second": round(self.requests_per_second, 1),
            "p50_ms": round(self.milliseconds(0.5), 3),
            "p99_ms": round(self.milliseconds(0.99), 3),
            "bytes_per_answer": round(self.received / max(1, len(self.latencies))),
            "errors": dict(self.errors),
        }
        if self.resources:
            found["resources_per_second"] = round(self.resources_per_second, 1)
        if self.latencies:
            each = 1e6 / len(self.latencies)
            found["driver_cpu_us_per_request"] = round(self.spent.driver * each, 1)
            found["driver_share_of_a_core"] = round(self.spent.driver / self.spent.seconds, 2)
            if self.spent.server is not None:
                found["server_cpu_us_per_request"] = round(self.spent.server * each, 1)
        return found | self.notes


@dataclass(frozen=True)
class Driver:
    """Who is driven, for how long, and the processes whose CPU time is read, where they are ours."""

    peer: Peer
    seconds: float
    processes: tuple[int, ...] = ()

    async def drive(
        self,
        name: str,
        make: Make,
        connections: int,
        resources: int = 0,
        right: Right | None = None,
    ) -> Figures:
        """Send `make(0)`, `make(1)`, … over so many connections until the seconds are over.

        `resources` is how many resources one request carries. A status of 400 or more and a lost
        connection are errors, counted by kind, and so is an answer that is not right; their latencies
        are left out.
        """
        opened = [await Connection.to(self.peer) for _ in range(connections)]
        latencies: list[float] = []
        errors: Counter[str] = Counter()
        turn = received = 0
        meter = Meter(self.processes)
        until = time.perf_counter() + self.seconds

        async def run(connection: Connection) -> None:
            nonlocal turn, received
            while True:
                number, request = turn, make(turn)
                turn += 1
                sent = time.perf_counter()
                if sent >= until:
                    return
                try:
                    answer = await connection.exchange(request)
                except OSError as lost:
                    errors[type(lost).__name__] += 1
                    connection = await Connection.to(self.peer)
                    opened.append(connection)
                    continue
                if answer.status >= 400:
                    errors[str(answer.status)] += 1
                    continue
                if right is not None and not right(number, answer.body):
                    errors["wrong answer"] += 1
                    continue
                latencies.append(time.perf_counter() - sent)
                received += len(answer.body)

        await asyncio.gather(*(run(connection) for connection in opened[:connections]))
        spent = meter.read()
        for connection in opened:
            connection.close()
        return Figures(
            name,
            connections,
            sorted(latencies),
            resources * len(latencies),
            received,
            errors,
            spent,
        )


def cpu_seconds(processes: tuple[int, ...]) -> float | None:
    """Return the CPU seconds of processes and their descendants, the ended ones that were waited for
    included; None where nobody can say.
    """
    if not processes or not Path("/proc/self/stat").exists():
        return None
    return sum(seconds for _, seconds in _family(processes).values())


def resident_bytes(processes: tuple[int, ...]) -> int | None:
    """Return the memory that processes and their descendants hold; None where nobody can say.

    What several of them share counts for each. Pages of files that are mapped count for none: they are
    the system's, which takes them back, and as many as there are of the database.
    """
    if not processes or not Path("/proc/self/statm").exists():
        return None
    page, found = os.sysconf("SC_PAGE_SIZE"), 0
    for number in _family(processes):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            _, resident, mapped, *_ = Path(f"/proc/{number}/statm").read_text().split()
            found += (int(resident) - int(mapped)) * page
    return found


def _family(processes: tuple[int, ...]) -> dict[int, tuple[int, float]]:
    """Return parent and CPU seconds of processes and their descendants, by number."""
    found: dict[int, tuple[int, float]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(stat.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])) / TICKS)
    family, size = set(processes), 0
    while len(family) > size:
        size = len(family)
        family |= {number for number, (parent, _) in found.items() if parent in family}
    return {number: found[number] for number in family if number in found}

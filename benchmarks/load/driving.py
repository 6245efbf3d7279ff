"""Drive a server with many connections for some seconds, and say what came of it."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load.wire import Connection, Peer

Make = Callable[[int], bytes]
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass
class Figures:
    """What one load came to: counts, seconds, and the latencies in seconds, sorted."""

    name: str
    connections: int
    seconds: float
    latencies: list[float]
    resources: int
    received: int
    errors: Counter[str]
    cpu: float | None = None
    notes: dict[str, object] = field(default_factory=dict)

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
        if self.cpu is not None and self.latencies:
            found["server_cpu_us_per_request"] = round(self.cpu / len(self.latencies) * 1e6, 1)
        return found | self.notes


@dataclass(frozen=True)
class Driver:
    """Who is driven, for how long, and the process whose CPU time is read, where it is ours."""

    peer: Peer
    seconds: float
    process: int | None = None

    async def drive(self, name: str, make: Make, connections: int, resources: int = 0) -> Figures:
        """Send `make(0)`, `make(1)`, … over so many connections until the seconds are over.

        `resources` is how many resources one request carries. A status of 400 or more and a lost
        connection are errors, counted by kind; their latencies are left out.
        """
        opened = [await Connection.to(self.peer) for _ in range(connections)]
        latencies: list[float] = []
        errors: Counter[str] = Counter()
        turn = received = 0
        cpu = cpu_seconds(self.process)
        started = time.perf_counter()
        until = started + self.seconds

        async def run(connection: Connection) -> None:
            nonlocal turn, received
            while True:
                request = make(turn)
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
                latencies.append(time.perf_counter() - sent)
                received += len(answer.body)

        await asyncio.gather(*(run(connection) for connection in opened[:connections]))
        spent = time.perf_counter() - started
        used = cpu_seconds(self.process)
        for connection in opened:
            connection.close()
        return Figures(
            name, connections, spent, sorted(latencies), resources * len(latencies), received,
            errors, used - cpu if used is not None and cpu is not None else None,
        )  # fmt: skip


def cpu_seconds(process: int | None) -> float | None:
    """Return the CPU seconds of a process and its descendants, or None where nobody can say."""
    if process is None or not Path("/proc/self/stat").exists():
        return None
    parents: dict[int, list[tuple[int, float]]] = {}
    own = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        used = (int(fields[11]) + int(fields[12])) / TICKS
        number = int(stat.parent.name)
        parents.setdefault(int(fields[1]), []).append((number, used))
        if number == process:
            own = used
    waiting = [process]
    while waiting:
        for child, used in parents.get(waiting.pop(), []):
            own += used
            waiting.append(child)
    return own

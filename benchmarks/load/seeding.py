"""Fill a server up to a number of children, by the same transaction Bundles that are measured."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from benchmarks.load import children
from benchmarks.load.children import OF_A_BUNDLE, Children
from benchmarks.load.wire import Connection, Peer

CONNECTIONS = 8
SAMPLED, SAID = 1.0, 5.0
"""Seconds between samples of the rate, and between lines of progress."""
EDGE = 10.0
"""Seconds at the beginning, and at the end, whose rates are compared."""


class _Response(msgspec.Struct):
    status: str = ""
    location: str = ""


class _Entry(msgspec.Struct):
    response: _Response


class _Answered(msgspec.Struct):
    entry: list[_Entry]


_ANSWERED = msgspec.json.Decoder(_Answered)


class Sample(NamedTuple):
    """Observations stored within about a second, and how many resources there were at its end."""

    stored: int
    count: int
    seconds: float


@dataclass
class Ingest:
    """The samples of the Observations of a registry that grows; Patients are few, and left out."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def first(self) -> float:
        """Return the Observations stored per second over the first ten seconds."""
        return _rate(_edge(self.samples))

    @property
    def last(self) -> float:
        """Return the Observations stored per second over the last ten seconds."""
        return _rate(_edge(self.samples[::-1]))

    @property
    def ratio(self) -> float | None:
        """Return last by first, or None where seeding was too short for both to be its edges."""
        whole = sum(sample.seconds for sample in self.samples)
        return self.last / self.first if whole >= 2 * EDGE else None

    def json(self) -> dict[str, object]:
        """Return the figures as they are written to the results file."""
        return {
            "first_10_s": round(self.first, 1),
            "last_10_s": round(self.last, 1),
            "ratio_last_to_first": None if self.ratio is None else round(self.ratio, 3),
            "whole": round(_rate(self.samples), 1),
            "seconds": round(sum(sample.seconds for sample in self.samples), 1),
            "stored_and_rate": {part[-1].stored: round(_rate(part)) for part in self._parts()},
        }

    def _parts(self) -> list[list[Sample]]:
        left, parts = self.samples, []
        while left:
            part = _edge(left)
            parts.append(part)
            left = left[len(part) :]
        return parts


def _rate(samples: list[Sample]) -> float:
    seconds = sum(sample.seconds for sample in samples)
    return sum(sample.count for sample in samples) / seconds if seconds else 0.0


def _edge(samples: list[Sample]) -> list[Sample]:
    taken, passed = [], 0.0
    for sample in samples:
        if passed >= EDGE:
            break
        taken.append(sample)
        passed += sample.seconds
    return taken


Made = Callable[[int], bytes]
"""Makes a child of its number, as JSON."""


async def seed(
    peer: Peer, known: Children, size: int, patient: Made = children.patient
) -> list[Sample]:
    """Store children until there are so many, then their observations; returns the latter's rates.

    Raises SystemExit where the server refuses: a benchmark of refusals measures nothing.
    """
    connections = [await Connection.to(peer) for _ in range(CONNECTIONS)]
    try:
        first = len(known.ids)
        known.ids += [""] * (size - first)
        stored = size + known.observations
        numbers = list(range(first, size))
        patients = [numbers[at : at + OF_A_BUNDLE] for at in range(0, len(numbers), OF_A_BUNDLE)]
        await _fill(peer, connections, [("Patient", part) for part in patients], known, patient)
        due = children.observations_of(numbers)
        work = [("Observation", part) for part in due]
        samples = await _fill(peer, connections, work, known, patient)
        known.observations += sum(len(part) for part in due)
        return [sample._replace(stored=stored + sample.stored) for sample in samples]
    finally:
        for connection in connections:
            connection.close()


async def _fill(
    peer: Peer,
    connections: list[Connection],
    work: list[tuple[str, list]],
    known: Children,
    patient: Made,
) -> list[Sample]:
    samples: list[Sample] = []
    left = iter(work)
    total = sum(len(part) for _, part in work)
    done = since = said = 0
    began = told = time.perf_counter()

    async def run(connection: Connection) -> None:
        nonlocal done, since, began, said, told
        for kind, part in left:
            await _store(peer, connection, kind, part, known, patient)
            done += len(part)
            now = time.perf_counter()
            if now - began >= SAMPLED or done == total:
                samples.append(Sample(done, done - since, now - began))
                began, since = now, done
            if now - told >= SAID or done == total:
                rate = (done - said) / (now - told)
                print(f"  seeding: {done:,} of {total:,} {kind}s, {rate:,.0f}/s", flush=True)
                told, said = now, done

    await asyncio.gather(*(run(connection) for connection in connections))
    return samples


async def _store(
    peer: Peer, connection: Connection, kind: str, part: list, known: Children, patient: Made
) -> None:
    if kind == "Patient":
        resources = [patient(number) for number in part]
    else:
        resources = [children.observation(child, known.ids[child], turn) for child, turn in part]
    body = children.bundle(resources, kind.encode())
    answer = await connection.exchange(peer.post("", body))
    if answer.status != 200:
        raise SystemExit(f"seeding was refused: {answer.status} {answer.body[:500]!r}")
    if kind == "Patient":
        for number, entry in zip(part, _ANSWERED.decode(answer.body).entry, strict=True):
            known.ids[number] = entry.response.location.partition("Patient/")[2].split("/")[0]

"""Fill a server up to a number of children, by the same transaction Bundles that are measured."""

import asyncio
import time
from dataclasses import dataclass

import msgspec

from benchmarks.load import children
from benchmarks.load.children import OF_A_BUNDLE, Children
from benchmarks.load.wire import Connection, Peer

CONNECTIONS = 8
WINDOW = 4.0


class _Response(msgspec.Struct):
    status: str = ""
    location: str = ""


class _Entry(msgspec.Struct):
    response: _Response


class _Answered(msgspec.Struct):
    entry: list[_Entry]


_ANSWERED = msgspec.json.Decoder(_Answered)


@dataclass(frozen=True)
class Window:
    """The rate of ingest over some seconds, and how many resources there were at their end."""

    stored: int
    resources_per_second: float


async def seed(peer: Peer, known: Children, size: int) -> list[Window]:
    """Store children until there are so many, then their observations; returns the rates on the way.

    Raises SystemExit where the server refuses: a benchmark of refusals measures nothing.
    """
    connections = [await Connection.to(peer) for _ in range(CONNECTIONS)]
    try:
        first = len(known.ids)
        known.ids += [""] * (size - first)
        stored = first + known.observations
        numbers = list(range(first, size))
        patients = [numbers[at : at + OF_A_BUNDLE] for at in range(0, len(numbers), OF_A_BUNDLE)]
        windows = await _fill(peer, connections, [("Patient", part) for part in patients], known)
        due = [(child, turn) for child in numbers for turn in range(children.due(child))]
        # A ward's observations arrive mixed: neighbours of a Bundle are of different children.
        stride = max(1, len(due) // OF_A_BUNDLE)
        bundles = [due[at::stride] for at in range(stride)]
        work = [("Observation", part) for part in bundles]
        windows += await _fill(peer, connections, work, known)
        known.observations += len(due)
        return [Window(stored + w.stored, w.resources_per_second) for w in _summed(windows)]
    finally:
        for connection in connections:
            connection.close()


def _summed(windows: list[tuple[int, float]]) -> list[Window]:
    summed, total = [], 0
    for count, seconds in windows:
        total += count
        summed.append(Window(total, round(count / seconds, 1)))
    return summed


async def _fill(
    peer: Peer, connections: list[Connection], work: list[tuple[str, list]], known: Children
) -> list[tuple[int, float]]:
    windows: list[tuple[int, float]] = []
    left = iter(work)
    total = sum(len(part) for _, part in work)
    done = since = 0
    began = time.perf_counter()

    async def run(connection: Connection) -> None:
        nonlocal done, since, began
        for kind, part in left:
            await _store(peer, connection, kind, part, known)
            done += len(part)
            now = time.perf_counter()
            if now - began >= WINDOW or done == total:
                windows.append((done - since, now - began))
                rate = (done - since) / (now - began)
                print(f"  seeding: {done:,} of {total:,} {kind}s, {rate:,.0f}/s", flush=True)
                began, since = now, done

    await asyncio.gather(*(run(connection) for connection in connections))
    return windows


async def _store(
    peer: Peer, connection: Connection, kind: str, part: list, known: Children
) -> None:
    if kind == "Patient":
        resources = [children.patient(number) for number in part]
    else:
        resources = [children.observation(child, known.ids[child], turn) for child, turn in part]
    body = children.bundle(resources, kind.encode())
    answer = await connection.exchange(peer.post("", body))
    if answer.status != 200:
        raise SystemExit(f"seeding was refused: {answer.status} {answer.body[:500]!r}")
    if kind == "Patient":
        for number, entry in zip(part, _ANSWERED.decode(answer.body).entry, strict=True):
            known.ids[number] = entry.response.location.partition("Patient/")[2].split("/")[0]

"""The inbox: what arrived, byte for byte, before it is interpreted; and what became of it.

A message is `received` (kept, not yet worked through), `processed`, or `refused` (kept, answered with
the reason, and replayable). The key of an HL7 v2 message is its sender, MSH-10 and SHA-256. What has
been processed stays processed: it can be settled once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from fhir_server.store.connection import Connection, Database

Status = Literal["received", "processed", "refused"]
PAGE = 100


class SettledError(Exception):
    """The message has been processed already: nothing of this attempt may be stored."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that arrived: door (mllp, http), who sent it, its own id, its hash, where to."""

    door: str
    sender: str
    control_id: str
    sha256: str
    target: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a message: its new status, the answer it got and, if refused, why."""

    id: int
    status: Status
    settled: int
    answer: bytes
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message in the inbox."""

    id: int
    received: int
    door: str
    sender: str
    control_id: str
    sha256: str
    target: str
    raw: bytes
    status: Status
    settled: int | None
    answer: bytes | None
    reason: str | None


COLUMNS = (
    "id, received, door, sender, control_id, sha256, target, raw, status, settled, answer, reason"
)
_SAME = "sender = ? AND control_id = ? AND sha256 = ? AND door = ? AND control_id != ''"


async def receive(database: Database, arrival: Arrival, received: int) -> Message:
    """Keep an arrival durably; one that is already there (same key) is returned as it stands."""
    return await database.write(partial(_receive, arrival=arrival, received=received))


def _receive(connection: Connection, arrival: Arrival, received: int) -> Message:
    known = connection.read(f"SELECT {COLUMNS} FROM inbox WHERE {_SAME}", _key(arrival))
    return Message(*known[0]) if known else _insert(connection, arrival, received)


async def keep(
    database: Database, arrival: Arrival, moment: int, answer: bytes, reason: str
) -> None:
    """Keep, durably and in one step, an arrival that has been refused already; once for each key."""
    refusal = Settlement(0, "refused", moment, answer, reason)
    await database.write(partial(_keep, arrival=arrival, refusal=refusal))


def _keep(connection: Connection, arrival: Arrival, refusal: Settlement) -> None:
    known = connection.read(
        f"SELECT id FROM inbox WHERE {_SAME} AND status != 'processed'", _key(arrival)
    )
    number = known[0][0] if known else _insert(connection, arrival, refusal.settled).id
    settle(connection, replace(refusal, id=number))


def refused(database: Database, arrival: Arrival) -> int | None:
    """Return the number of the refused message that an arrival is the same as, or None."""
    rows = database.read(
        f"SELECT id FROM inbox WHERE {_SAME} AND status = 'refused'", _key(arrival)
    )
    return rows[0][0] if rows else None


def refusals(database: Database, door: str) -> list[tuple[str, str]]:
    """List the sender and control id of each refused message of a door."""
    rows = database.read(
        "SELECT sender, control_id FROM inbox WHERE door = ? AND status = 'refused'", (door,)
    )
    return [(sender, control_id) for sender, control_id in rows]


def _key(arrival: Arrival) -> tuple[str, ...]:
    return (arrival.sender, arrival.control_id, arrival.sha256, arrival.door)


def _insert(connection: Connection, arrival: Arrival, received: int) -> Message:
    ((number,),) = connection.read(
        "INSERT INTO inbox (received, door, sender, control_id, sha256, target, raw, status)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 'received') RETURNING id",
        (received, arrival.door, arrival.sender, arrival.control_id, arrival.sha256,
         arrival.target, arrival.raw),
    )  # fmt: skip
    return Message(
        number, received, arrival.door, arrival.sender, arrival.control_id, arrival.sha256,
        arrival.target, arrival.raw, "received", None, None, None,
    )  # fmt: skip


def settle(connection: Connection, settlement: Settlement) -> None:
    """Record what became of a message, in the transaction of the caller.

    Raises SettledError where it has been processed already, which undoes that transaction: two
    connections may work through the same message at the same time, and one of them is first.
    """
    changed = connection.execute(
        "UPDATE inbox SET status = ?, settled = ?, answer = ?, reason = ?"
        " WHERE id = ? AND status != 'processed'",
        (settlement.status, settlement.settled, settlement.answer, settlement.reason,
         settlement.id),
    )  # fmt: skip
    if not changed:
        raise SettledError


async def refuse(database: Database, settlement: Settlement) -> None:
    """Record a refusal durably; raises SettledError where the message has been processed already."""
    await database.write(partial(settle, settlement=settlement))


async def accept(database: Database, number: int, moment: int, answer: bytes) -> None:
    """Record durably that a message has been processed; raises SettledError where it had been."""
    settlement = Settlement(number, "processed", moment, answer)
    await database.write(partial(settle, settlement=settlement))


def read(database: Database, number: int) -> Message | None:
    """Return one message, or None."""
    rows = database.read(
        f"SELECT {COLUMNS} FROM inbox WHERE id = ?",
        (number,),
    )
    return Message(*rows[0]) if rows else None


def waiting(database: Database, status: Status, limit: int = 1000, after: int = 0) -> list[Message]:
    """Return one page of the messages of a status, oldest first, those with higher numbers alone."""
    rows = database.read(
        f"SELECT {COLUMNS} FROM inbox WHERE status = ? AND id > ? ORDER BY id LIMIT ?",
        (status, after, limit),
    )
    return [Message(*row) for row in rows]


def settled_since(database: Database, moment: int, after: int) -> list[Message]:
    """Return one page of the messages processed since a moment, oldest first, numbers above `after`."""
    rows = database.read(
        f"SELECT {COLUMNS} FROM inbox WHERE status = 'processed' AND settled >= ? AND id > ?"
        " ORDER BY id LIMIT ?",
        (moment, after, PAGE),
    )
    return [Message(*row) for row in rows]


def every(database: Database, status: Status) -> Iterator[Message]:
    """Yield each message of a status, oldest first; what arrives meanwhile is left for next time."""
    ((last,),) = database.read("SELECT coalesce(max(id), 0) FROM inbox")
    after = 0
    while page := waiting(database, status, PAGE, after):
        for message in page:
            if message.id > last:
                return
            yield message
        after = page[-1].id


def reused(database: Database, message: Message) -> bool:
    """Tell whether its sender has used the same control id before, with other content."""
    rows = database.read(
        "SELECT 1 FROM inbox WHERE sender = ? AND control_id = ? AND door = ? AND id < ?"
        " AND sha256 != ? LIMIT 1",
        (message.sender, message.control_id, message.door, message.id, message.sha256),
    )
    return bool(rows)


def tally(database: Database) -> dict[str, int]:
    """Count the messages by status."""
    return {
        row[0]: row[1]
        for row in database.read("SELECT status, count(*) FROM inbox GROUP BY status")
    }

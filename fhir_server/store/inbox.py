"""The inbox: what arrived, byte for byte, before it is interpreted; and what became of it.

A message is `received` (kept, not yet worked through), `processed`, or `refused` (kept, answered with
the reason, and replayable). The key of an HL7 v2 message is its sender, MSH-10 and SHA-256.
"""

import sqlite3
from dataclasses import dataclass
from typing import Literal

from fhir_server.store.database import Database

Status = Literal["received", "processed", "refused"]


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


_COLUMNS = (
    "id, received, door, sender, control_id, sha256, target, raw, status, settled, answer, reason"
)


async def receive(database: Database, arrival: Arrival, received: int) -> Message:
    """Keep an arrival durably; one that is already there (same key) is returned as it stands."""
    return await database.write(lambda connection: _receive(connection, arrival, received))


async def keep(
    database: Database, arrival: Arrival, moment: int, answer: bytes, reason: str
) -> None:
    """Keep, durably and in one step, an arrival that has been refused already."""

    def job(connection: sqlite3.Connection) -> None:
        message = _receive(connection, arrival, moment)
        settle(connection, Settlement(message.id, "refused", moment, answer, reason))

    await database.write(job)


def _receive(connection: sqlite3.Connection, arrival: Arrival, received: int) -> Message:
    known = connection.execute(
        f"SELECT {_COLUMNS} FROM inbox"
        " WHERE sender = ? AND control_id = ? AND sha256 = ? AND door = ? AND control_id != ''",
        (arrival.sender, arrival.control_id, arrival.sha256, arrival.door),
    ).fetchone()
    return Message(*known) if known else _insert(connection, arrival, received)


def _insert(connection: sqlite3.Connection, arrival: Arrival, received: int) -> Message:
    number = connection.execute(
        "INSERT INTO inbox (received, door, sender, control_id, sha256, target, raw, status)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 'received')",
        (received, arrival.door, arrival.sender, arrival.control_id, arrival.sha256,
         arrival.target, arrival.raw),
    ).lastrowid  # fmt: skip
    return Message(
        number or 0, received, arrival.door, arrival.sender, arrival.control_id, arrival.sha256,
        arrival.target, arrival.raw, "received", None, None, None,
    )  # fmt: skip


def settle(connection: sqlite3.Connection, settlement: Settlement) -> None:
    """Record what became of a message, in the transaction of the caller."""
    connection.execute(
        "UPDATE inbox SET status = ?, settled = ?, answer = ?, reason = ? WHERE id = ?",
        (settlement.status, settlement.settled, settlement.answer, settlement.reason,
         settlement.id),
    )  # fmt: skip


async def refuse(database: Database, settlement: Settlement) -> None:
    """Record a refusal durably."""
    await database.write(lambda connection: settle(connection, settlement))


def read(database: Database, number: int) -> Message | None:
    """Return one message, or None."""
    rows = database.read(
        f"SELECT {_COLUMNS} FROM inbox WHERE id = ?",
        (number,),
    )
    return Message(*rows[0]) if rows else None


def waiting(database: Database, status: Status, limit: int = 1000) -> list[Message]:
    """Return the messages of one status, oldest first."""
    rows = database.read(
        f"SELECT {_COLUMNS} FROM inbox WHERE status = ? ORDER BY id LIMIT ?",
        (status, limit),
    )
    return [Message(*row) for row in rows]


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
    return dict(database.read("SELECT status, count(*) FROM inbox GROUP BY status"))

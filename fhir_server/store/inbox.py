"""The inbox: what arrived, byte for byte, before it is interpreted; and what became of it.

A message is `received` (kept, not yet worked through), `processed`, `refused` (kept, answered with the
reason, and replayable), `quarantined` (its control id was used before, for other content), `parked` (it
waits for an earlier message of the same child that failed) or `dismissed` (by an operator, or by the
message that corrects it). The key of an HL7 v2 message is its sender, MSH-10 and SHA-256. What has
been processed or dismissed stays so: it can be settled once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

from fhir_server.store.connection import Connection, Database

Status = Literal["received", "processed", "refused", "quarantined", "parked", "dismissed"]

HL7V2_DOORS = frozenset({"mllp", "http-hl7v2"})
"""The doors whose messages are HL7 v2."""
PAGE = 100


class SettledError(Exception):
    """The message is settled for good: nothing of this attempt may be stored."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that arrived: door (mllp, http-hl7v2, http), who sent it, its own id, its hash, where to.

    connection: by which of the registered connections it came. hospital and kind: MSH-4 and MSH-9, as
    `ADT^A01`. occurred: when what it tells happened, in microseconds.
    """

    door: str
    sender: str
    control_id: str
    sha256: str
    target: str
    raw: bytes
    connection: str | None = None
    hospital: str | None = None
    kind: str | None = None
    occurred: int | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a message: its new status, the answer it got and, if refused, why.

    map_version: of the tables that it was mapped with. code: the acknowledgement (MSA-1). waits_for: the
    message that it waits for; its own number where later messages of its child wait for it. corrects:
    refused messages that it stands for. again: how often the message, which is processed, had been
    worked; it keeps its answer. is_emptied: what was sent is not kept.
    """

    id: int
    status: Status
    settled: int
    answer: bytes
    reason: str | None = None
    map_version: str | None = None
    code: str = ""
    waits_for: int | None = None
    corrects: tuple[int, ...] = ()
    again: int | None = None
    is_emptied: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message in the inbox.

    attempts: how often it has been worked. namesakes: whether its control id may have come before.
    """

    id: int
    received: int
    door: str
    sender: str
    control_id: str
    sha256: str
    target: str
    raw: bytes
    status: Status
    settled: int | None = None
    answer: bytes | None = None
    reason: str | None = None
    connection: str | None = None
    hospital: str | None = None
    kind: str | None = None
    occurred: int | None = None
    map_version: str | None = None
    attempts: int | None = None
    note: str | None = None
    waits_for: int | None = None
    namesakes: bool = True

    @property
    def is_hl7v2(self) -> bool:
        """Tell whether it came by a door for HL7 v2."""
        return self.door in HL7V2_DOORS


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a message must be, each None asking for nothing; moments are those of its arrival.

    map_version: the tables that it was mapped with. not_version: those that it was not mapped with.
    """

    status: Status | None = None
    sender: str | None = None
    hospital: str | None = None
    kind: str | None = None
    since: int | None = None
    until: int | None = None
    map_version: str | None = None
    not_version: str | None = None

    def conditions(self) -> dict[str, object]:
        """Return the conditions, in SQL, each with its value."""
        asked = {
            "status = ?": self.status,
            "sender = ?": self.sender,
            "hospital = ?": self.hospital,
            "kind = ?": self.kind,
            "received >= ?": self.since,
            "received < ?": self.until,
            "map_version = ?": self.map_version,
            "coalesce(map_version, '') != ?": self.not_version,
        }
        return {condition: value for condition, value in asked.items() if value is not None}


COLUMNS = (
    "id, received, door, sender, control_id, sha256, target, raw, status, settled, answer, reason,"
    " connection, hospital, kind, occurred, map_version, attempts, note, waits_for"
)
_SAME = "sender = ? AND control_id = ? AND sha256 = ? AND door = ? AND control_id != ''"
_OTHER = "sender = ? AND control_id = ? AND sha256 != ? AND door = ? AND control_id != ''"
_KNOWN = (
    f"SELECT (SELECT min(id) FROM inbox WHERE {_SAME}), EXISTS (SELECT 1 FROM inbox WHERE {_OTHER})"
)
_FINAL = "('processed', 'dismissed')"
_EMPTY = "UPDATE inbox SET raw = ?, sha256 = '', control_id = '' WHERE id = ?"
"""Takes out what was sent, and what it is known by: sent once more, it is another message."""


class _Kept(NamedTuple):
    """Where a new arrival is in the inbox, and whether its control id may have come before."""

    id: int
    namesakes: bool


async def receive(database: Database, arrival: Arrival, received: int) -> Message:
    """Keep an arrival durably; one that is already there (same key) is returned as it stands."""
    kept = await database.write(partial(_receive, arrival=arrival, received=received))
    if isinstance(kept, Message):
        return kept
    return Message(
        kept.id, received, arrival.door, arrival.sender, arrival.control_id, arrival.sha256,
        arrival.target, arrival.raw, "received", connection=arrival.connection,
        hospital=arrival.hospital, kind=arrival.kind, occurred=arrival.occurred,
        namesakes=kept.namesakes,
    )  # fmt: skip


def _receive(connection: Connection, arrival: Arrival, received: int) -> Message | _Kept:
    """Return what is known of a message in full; of a new one, what its sender cannot know."""
    number, namesakes = None, False
    if arrival.control_id:
        key = _key(arrival)
        ((number, namesakes),) = connection.read(_KNOWN, (*key, *key))
    if number is None:
        return _Kept(_insert(connection, arrival, received), bool(namesakes))
    connection.execute("UPDATE inbox SET repeated = ? WHERE id = ?", (received, number))
    return Message(*connection.read(f"SELECT {COLUMNS} FROM inbox WHERE id = ?", (number,))[0])


async def keep(
    database: Database, arrival: Arrival, moment: int, answer: bytes, reason: str
) -> None:
    """Keep, durably and in one step, an arrival that has been refused already; once for each key."""
    refusal = Settlement(0, "refused", moment, answer, reason)
    await database.write(partial(_keep, arrival=arrival, refusal=refusal))


def _keep(connection: Connection, arrival: Arrival, refusal: Settlement) -> None:
    known = connection.read(
        f"SELECT id FROM inbox WHERE {_SAME} AND status NOT IN {_FINAL}", _key(arrival)
    )
    number = known[0][0] if known else _insert(connection, arrival, refusal.settled)
    settle(connection, replace(refusal, id=number))


def refused(database: Database, arrival: Arrival) -> int | None:
    """Return the number of the refused message that an arrival is the same as, or None."""
    rows = database.read(
        f"SELECT id FROM inbox WHERE {_SAME} AND status = 'refused'", _key(arrival)
    )
    return rows[0][0] if rows else None


def refusals(
    database: Database, door: str, sender: str | None = None
) -> list[tuple[str, str, int]]:
    """List the sender, control id and bytes of each refused message of a door, or of one sender there."""
    asked, values = ("", (door,)) if sender is None else (" AND sender = ?", (door, sender))
    sql = "SELECT sender, control_id, length(raw) FROM inbox WHERE door = ? AND status = 'refused'"
    return [tuple(row) for row in database.read(sql + asked, values)]


def _key(arrival: Arrival | Message) -> tuple[str, ...]:
    return (arrival.sender, arrival.control_id, arrival.sha256, arrival.door)


def _insert(connection: Connection, arrival: Arrival, received: int) -> int:
    ((number,),) = connection.read(
        "INSERT INTO inbox (received, door, sender, control_id, sha256, target, raw, status,"
        " connection, hospital, kind, occurred)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 'received', ?, ?, ?, ?) RETURNING id",
        (received, arrival.door, arrival.sender, arrival.control_id, arrival.sha256,
         arrival.target, arrival.raw, arrival.connection, arrival.hospital, arrival.kind,
         arrival.occurred),
    )  # fmt: skip
    return int(number)


def settle(connection: Connection, settlement: Settlement) -> None:
    """Record what became of a message, in the transaction of the caller.

    Raises SettledError where it has been settled for good already, which undoes that transaction: two
    connections may work through the same message at the same time, and one of them is first.
    """
    if settlement.again is not None:
        _settle_again(connection, settlement)
        return
    changed = connection.execute(
        "UPDATE inbox SET status = ?, settled = ?, answer = ?, reason = ?, map_version = ?,"
        " waits_for = ?, attempts = coalesce(attempts, 0) + 1"
        f" WHERE id = ? AND status NOT IN {_FINAL}",
        (settlement.status, settlement.settled, settlement.answer, settlement.reason,
         settlement.map_version, settlement.waits_for, settlement.id),
    )  # fmt: skip
    if not changed:
        raise SettledError
    if settlement.is_emptied:
        connection.execute(_EMPTY, (b"", settlement.id))
    for number in settlement.corrects:
        note = f"corrected by message {settlement.id}"
        _dismiss(connection, number, settlement.settled, note)


def _settle_again(connection: Connection, settlement: Settlement) -> None:
    """Record of a processed message that it has been mapped anew, and by which tables."""
    changed = connection.execute(
        "UPDATE inbox SET settled = ?, map_version = ?, note = NULL,"
        " attempts = coalesce(attempts, 0) + 1"
        " WHERE id = ? AND status = 'processed' AND coalesce(attempts, 0) = ?",
        (settlement.settled, settlement.map_version, settlement.id, settlement.again),
    )
    if not changed:
        raise SettledError


async def refuse(database: Database, settlement: Settlement) -> None:
    """Record a refusal durably; raises SettledError where the message is settled for good."""
    await database.write(partial(settle, settlement=settlement))


async def accept(database: Database, number: int, moment: int, answer: bytes) -> None:
    """Record durably that a message has been processed; raises SettledError where it had been."""
    settlement = Settlement(number, "processed", moment, answer)
    await database.write(partial(settle, settlement=settlement))


async def annotate(database: Database, number: int, note: str) -> None:
    """Write a note beside a message, for operators; its status stays."""
    await database.write(partial(_annotate, number=number, note=note))


def _annotate(connection: Connection, number: int, note: str) -> None:
    connection.execute("UPDATE inbox SET note = ? WHERE id = ?", (note, number))


async def dismiss(database: Database, number: int, moment: int, note: str) -> bool:
    """Set aside for good a message that is not processed; returns whether there was one."""
    job = partial(_dismiss, number=number, moment=moment, note=note)
    return bool(await database.write(job))


def _dismiss(connection: Connection, number: int, moment: int, note: str) -> int:
    return connection.execute(
        "UPDATE inbox SET status = 'dismissed', settled = ?, note = ?, waits_for = NULL"
        " WHERE id = ? AND status IN ('refused', 'quarantined', 'parked')",
        (moment, note, number),
    )


async def reopen(database: Database, number: int) -> None:
    """Let a dismissed message be worked again: it is refused, as it was."""
    await database.write(partial(_reopen, number=number))


def _reopen(connection: Connection, number: int) -> None:
    connection.execute(
        "UPDATE inbox SET status = 'refused' WHERE id = ? AND status = 'dismissed'", (number,)
    )


def read(database: Database, number: int) -> Message | None:
    """Return one message, or None."""
    rows = database.read(
        f"SELECT {COLUMNS} FROM inbox WHERE id = ?",
        (number,),
    )
    return Message(*rows[0]) if rows else None


def reused(database: Database, message: Message) -> bool:
    """Tell whether its sender has used the same control id before, for other content.

    What was refused or dismissed does not count: a sender mends it, and sends it by the same id.
    """
    return bool(_namesakes(database, message, "status NOT IN ('refused', 'dismissed') LIMIT 1"))


def corrected(database: Database, message: Message) -> tuple[int, ...]:
    """Return the numbers of the refused messages that a message, by its control id, corrects."""
    rows = _namesakes(database, message, "status = 'refused' LIMIT 1000")
    return tuple(row[0] for row in rows)


def _namesakes(database: Database, message: Message, which: str) -> list[Sequence[Any]]:
    return database.read(
        f"SELECT id FROM inbox WHERE {_OTHER} AND id < ? AND {which}",
        (*_key(message), message.id),
    )


def page(database: Database, chosen: Chosen, limit: int, after: int) -> list[Message]:
    """Return so many of the messages that are chosen, oldest first, those with higher numbers alone."""
    asked = chosen.conditions()
    rows = database.read(
        f"SELECT {COLUMNS} FROM inbox WHERE {' AND '.join([*asked, 'id > ?'])} ORDER BY id LIMIT ?",
        (*asked.values(), after, limit),
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


def every(database: Database, chosen: Status | Chosen) -> Iterator[Message]:
    """Yield each chosen message, oldest first; what arrives meanwhile is left for next time."""
    asked = chosen if isinstance(chosen, Chosen) else Chosen(chosen)
    ((last,),) = database.read("SELECT coalesce(max(id), 0) FROM inbox")
    after = 0
    while found := page(database, asked, PAGE, after):
        for message in found:
            if message.id > last:
                return
            yield message
        after = found[-1].id


def count(database: Database, chosen: Chosen) -> int:
    """Count the chosen messages."""
    asked = chosen.conditions()
    where = f" WHERE {' AND '.join(asked)}" if asked else ""
    return int(database.read(f"SELECT count(*) FROM inbox{where}", tuple(asked.values()))[0][0])


def tally(database: Database) -> dict[str, int]:
    """Count the messages by status."""
    return {
        row[0]: row[1]
        for row in database.read("SELECT status, count(*) FROM inbox GROUP BY status")
    }


def backlog(database: Database) -> tuple[dict[str, int], int | None]:
    """Count by status what somebody has still to see to; and say when the oldest `received` came."""
    rows = database.read(
        "SELECT status, count(*), min(received) FROM inbox"
        " WHERE status IN ('received', 'refused', 'quarantined', 'parked') GROUP BY status"
    )
    oldest = {status: moment for status, _, moment in rows}
    return {status: many for status, many, _ in rows}, oldest.get("received")

"""How far each subscription has come: a cursor over the row ids, its events, and its dead letters.

Row ids grow in the order of commits, so that what a subscription has yet to deal with is what lies
behind its position: nothing is queued beside the history (ADR 0016).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from fhir_server.store.connection import Connection, Database, Row
from fhir_server.store.search import plan
from fhir_server.store.search.query import Query

SLICE = 500
"""Most events that are found at once."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a subscription stands: the last row dealt with, how many events, and what failed since.

    failures: attempts in a row that failed; dead: notifications in a row that became dead letters;
    next_attempt: microseconds before which nothing is sent.
    """

    id: str
    position: int
    events: int = 0
    failures: int = 0
    dead: int = 0
    next_attempt: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A version that a subscription has been notified of, or should have been, by its number."""

    number: int
    rid: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be delivered: when it was given up, why, and the status it was answered."""

    id: int
    subscription: str
    number: int
    rid: int
    moment: int
    reason: str
    status: int | None


_CURSOR = "id, position, events, failures, dead, next_attempt, error"
_LETTER = "id, subscription, number, rid, moment, reason, status"


def cursor(database: Database, subscription: str) -> Cursor | None:
    """Return where a subscription stands, or None where nothing is known of it yet."""
    rows = database.read(f"SELECT {_CURSOR} FROM subscription WHERE id = ?", (subscription,))
    return Cursor(*rows[0]) if rows else None


def changed(database: Database, after: int, newest: int) -> list[tuple[int, str]]:
    """Return row and id of the versions of Subscriptions behind one row and up to another one."""
    rows = database.read(
        "SELECT rid, id FROM resource"
        " WHERE type = 'Subscription' AND rid > ? AND rid <= ? ORDER BY rid",
        (after, newest),
    )
    return [(rid, key) for rid, key in rows]


def types(database: Database, after: int, newest: int) -> frozenset[str]:
    """Return the types of the versions behind one row and up to another one."""
    rows = database.read(
        "SELECT DISTINCT type FROM resource WHERE rid > ? AND rid <= ?", (after, newest)
    )
    return frozenset(row[0] for row in rows)


def matches(
    database: Database, query: Query, position: int, newest: int
) -> tuple[Sequence[int], int]:
    """Return the rows behind a position whose versions meet a query, and how far was looked.

    A version is tested as of the last moment at which it stood, at the latest now: what it refers to
    may have been stored after it, by the same transaction.
    """
    standing = replace(
        query, newest_first=False, after=position, snapshot=newest, count=SLICE, sort=()
    )
    sql = plan.select(database.dialect, standing, "r.rid")
    found = [row[0] for row in database.read(sql.text, sql.parameters)]
    until = newest if len(found) < SLICE else found[-1]
    replaced = database.read(
        "SELECT rid, id, superseded FROM resource WHERE type = ? AND rid > ? AND rid <= ?"
        " AND superseded <= ? AND NOT deleted ORDER BY rid LIMIT ?",
        (query.type, position, until, newest, SLICE),
    )
    if len(replaced) == SLICE:
        until = replaced[-1][0]
    found = [rid for rid in found if rid <= until]
    found += [row[0] for row in replaced if _matched(database, query, row)]
    return sorted(found), until


def _matched(database: Database, query: Query, version: Row) -> bool:
    rid, key, superseded = version
    if query.ids is not None and key not in query.ids:
        return False
    alone = replace(query, ids=(key,), snapshot=superseded - 1, count=1)
    sql = plan.select(database.dialect, alone, "r.rid")
    return [row[0] for row in database.read(sql.text, sql.parameters)] == [rid]


def created(database: Database, rids: Sequence[int]) -> set[int]:
    """Return those of the rows whose version is the first one, or the first after a deletion."""
    if not rids:
        return set()
    among = database.dialect.among("r.rid", rids)
    rows = database.read(
        f"SELECT r.rid FROM resource AS r WHERE {among.text} AND NOT EXISTS"
        " (SELECT 1 FROM resource AS p WHERE p.place = r.place AND p.type = r.type AND p.id = r.id"
        " AND p.version = r.version - 1 AND NOT p.deleted)",
        among.parameters,
    )
    return {row[0] for row in rows}


async def keep(
    database: Database,
    moved: Cursor,
    events: Sequence[Event] = (),
    letters: Sequence[DeadLetter] = (),
) -> None:
    """Record durably where a subscription stands now, with the events and dead letters on the way."""
    await database.write(partial(_keep, moved=moved, events=events, letters=letters))


def _keep(
    connection: Connection, moved: Cursor, events: Sequence[Event], letters: Sequence[DeadLetter]
) -> None:
    connection.execute(
        f"INSERT INTO subscription ({_CURSOR}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET position = excluded.position,"
        " events = excluded.events, failures = excluded.failures, dead = excluded.dead,"
        " next_attempt = excluded.next_attempt, error = excluded.error",
        (moved.id, moved.position, moved.events, moved.failures, moved.dead,
         moved.next_attempt, moved.error),
    )  # fmt: skip
    for event in events:
        connection.execute(
            "INSERT INTO subscription_event (subscription, number, rid) VALUES (?, ?, ?)"
            " ON CONFLICT (subscription, number) DO NOTHING",
            (moved.id, event.number, event.rid),
        )
    for letter in letters:
        connection.execute(
            "INSERT INTO dead_letter (subscription, number, rid, moment, reason, status)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (letter.subscription, letter.number, letter.rid, letter.moment, letter.reason,
             letter.status),
        )  # fmt: skip


async def forget(database: Database, subscription: str) -> None:
    """Drop what is known of a subscription that has been deleted."""
    await database.write(partial(_forget, subscription=subscription))


def _forget(connection: Connection, subscription: str) -> None:
    connection.execute("DELETE FROM subscription WHERE id = ?", (subscription,))
    connection.execute("DELETE FROM subscription_event WHERE subscription = ?", (subscription,))
    connection.execute("DELETE FROM dead_letter WHERE subscription = ?", (subscription,))


def events(
    database: Database, subscription: str, since: int, until: int, limit: int
) -> list[Event]:
    """Return a subscription's events by their numbers, both ends included, the first ones of many."""
    rows = database.read(
        "SELECT number, rid FROM subscription_event"
        " WHERE subscription = ? AND number >= ? AND number <= ? ORDER BY number LIMIT ?",
        (subscription, since, until, limit),
    )
    return [Event(*row) for row in rows]


def dead_letters(database: Database) -> list[DeadLetter]:
    """Return every dead letter, oldest first."""
    rows = database.read(f"SELECT {_LETTER} FROM dead_letter ORDER BY id")
    return [DeadLetter(*row) for row in rows]


def dead_letter(database: Database, number: int) -> DeadLetter | None:
    """Return one dead letter, or None."""
    rows = database.read(f"SELECT {_LETTER} FROM dead_letter WHERE id = ?", (number,))
    return DeadLetter(*rows[0]) if rows else None


async def delivered(database: Database, number: int) -> None:
    """Drop a dead letter that has been delivered after all."""
    await database.write(partial(_delivered, number=number))


def _delivered(connection: Connection, number: int) -> None:
    connection.execute("DELETE FROM dead_letter WHERE id = ?", (number,))

"""The whole index made anew while the server serves: slice by slice, each in a commit of its own.

First it is announced, then emptied, then filled from the bodies in the order of rows; then is told anew
whose each version is (`store.owning`), and hospitals may see less until that is done. What is written
meanwhile has the new index at once. Until all is done whatever asks the index is answered with 503: it
could miss what is there. The state is in the database, so that a killed renewal is taken up by whoever
opens it next, and other processes see it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from fhir_server.store import owning
from fhir_server.store.connection import Connection, Database, Row
from fhir_server.store.indexing import TABLES, definition, index_rows
from fhir_server.store.owners import stored
from fhir_server.store.search.keys import place
from r4.issue import FhirError, error

Read = Callable[[str], list[Row]]
SLICE = 500
"""Versions in one commit: a fraction of a second, in which others wait."""
SEEN_AFTER = 1.0
"""Seconds after which every process has seen that a renewal is announced."""
_MADE, _TO, _UP_TO, _UNTIL = "made by", "renewing to", "renewed up to", "renewing until"
_OWNING = "owners told up to"


@dataclass(frozen=True, slots=True)
class Progress:
    """Up to which row the index is new, and until which it has to be; until 0: not yet begun."""

    up_to: int
    until: int


def opened(connection: Connection) -> None:
    """Give every version its place, and announce a renewal if the index was made by another definition.

    In the transaction of the caller; quick, where no version is without a place.
    """
    lost = connection.read("SELECT rid, type, id FROM resource WHERE place = 0")
    for rid, kind, key in lost:
        connection.execute("UPDATE resource SET place = ? WHERE rid = ?", (place(kind, key), rid))
    state = _state(connection.read)
    if state.get(_MADE) != definition() and state.get(_TO) != definition():
        announce(connection)


def announce(connection: Connection) -> None:
    """Say that the index will be made anew, in the transaction of the caller; nothing changes yet.

    A renewal that is under way for the same definition goes on as it is.
    """
    state = _state(connection.read)
    if state.get(_TO) == definition():
        return
    connection.execute("DELETE FROM search_index")
    if connection.read("SELECT 1 FROM resource LIMIT 1"):
        _set(connection, {_TO: definition(), _UP_TO: "0", _UNTIL: "0"})
    else:
        _set(connection, {_MADE: definition()})


def advance(connection: Connection) -> Progress | None:
    """Do the next slice of an announced renewal, in the transaction of the caller.

    Returns how far it is, None where there is none or it is complete.
    """
    state = _state(connection.read)
    if _TO not in state:
        return None
    up_to, until = int(state[_UP_TO]), int(state[_UNTIL])
    if until == 0:
        return _emptied(connection)
    if _OWNING not in state:
        versions = connection.read(
            "SELECT r.rid FROM resource AS r WHERE r.rid > ? AND r.rid <= ?"
            f" ORDER BY r.rid LIMIT {SLICE}",
            (up_to, until),
        )
        if versions:
            reached = versions[-1][0]
            _renew(connection, [row[0] for row in versions])
            _set(connection, {_UP_TO: str(reached)})
            return Progress(reached, until)
    position = owning.advance(connection, state.get(_OWNING, ""))
    if position is None:
        connection.execute("DELETE FROM search_index")
        _set(connection, {_MADE: state[_TO]})
        return None
    _set(connection, {_OWNING: position})
    return Progress(until, until)


def _emptied(connection: Connection) -> Progress:
    for statement in connection.dialect.emptied:
        connection.execute(statement)
    ((until,),) = connection.read("SELECT coalesce(max(rid), 1) FROM resource")
    _set(connection, {_UNTIL: str(until)})
    return Progress(0, until)


def _renew(connection: Connection, rids: Sequence[int]) -> None:
    among = connection.dialect.among("rid", rids)
    for table in (*TABLES, *connection.dialect.kept_by_rid):
        connection.execute(f"DELETE FROM {table} WHERE {among.text}", among.parameters)
    found = stored(connection, rids)
    connection.insert(index_rows((r, e.rows) for r, e in found.items() if not e.write.deleted))
    owning.tell(connection, found)


def _set(connection: Connection, values: dict[str, str]) -> None:
    for item in values.items():
        connection.execute(
            "INSERT INTO search_index (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            item,
        )


def _state(read: Read) -> dict[str, str]:
    return {row[0]: row[1] for row in read("SELECT name, value FROM search_index")}


def under_way(read: Read) -> Progress | None:
    """Return how far a renewal is, None where there is none."""
    state = _state(read)
    return Progress(int(state[_UP_TO]), int(state[_UNTIL])) if _TO in state else None


def refuse(found: Progress | None) -> None:
    """Raise FhirError 503 while a renewal is under way."""
    if found is not None:
        done = f"{found.up_to} of {found.until}" if found.until else "not yet begun"
        text = f"The search index is being made anew ({done}): ask again in a while."
        raise FhirError(503, [error("transient", text)])


class Watch:
    """Whether a process may ask the index: what it read of the state, and when."""

    def __init__(self) -> None:
        self._read_at = float("-inf")
        self._found: Progress | None = None

    def refuse(self, database: Database) -> None:
        """Raise FhirError 503 while a renewal is under way."""
        now = time.monotonic()
        if self._found is not None or now - self._read_at >= SEEN_AFTER:
            self._found = under_way(database.read)
            self._read_at = now
        refuse(self._found)


async def renewals(database: Database) -> AsyncIterator[Progress]:
    """Carry an announced renewal through; yields how far it is after each slice."""
    found = under_way(database.read)
    if found is not None and found.until == 0:
        await asyncio.sleep(2 * SEEN_AFTER)  # what other processes ask is answered by then
    while (done := await database.write(advance)) is not None:
        yield done


async def renew(database: Database) -> int:
    """Carry an announced renewal through; returns the number of slices."""
    return len([each async for each in renewals(database)])

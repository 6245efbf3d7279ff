"""The links that parents have been sent: each is used once, before it expires, with few wrong dates.

Of a link only a digest is kept, so that nobody who reads the database can open a survey by it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from fhir_server.store.connection import Connection, Database
from fhir_server.store.search.keys import place

WRONG = 5
"""Wrong dates of birth after which a link is dead."""
_MANY = 500
"""Most values in one statement."""


@dataclass(frozen=True, slots=True)
class Opening:
    """That somebody comes with a link: its digest, its Task's id, when, and whether the date is right.

    now in microseconds.
    """

    digest: str
    task: str
    now: int
    is_right: bool


async def record(database: Database, digest: str, task: str, expires: int) -> None:
    """Record a link to a Task that is about to be sent; expires in microseconds."""
    row = (digest, place("Task", task), expires)
    await database.write(partial(_record, row=row))


def _record(connection: Connection, row: tuple[str, int, int]) -> None:
    connection.execute(
        "INSERT INTO survey_link (digest, place, expires, attempts) VALUES (?, ?, ?, 0)", row
    )


async def spend(database: Database, opening: Opening) -> bool:
    """Tell whether a link opens its survey; it is used up then, and a wrong date is counted.

    One commit decides, so that of two who come together one is let in.
    """
    return await database.write(partial(_spend, opening=opening))


def _spend(connection: Connection, opening: Opening) -> bool:
    change = "used = ?" if opening.is_right else "attempts = attempts + 1"
    values = [opening.now] if opening.is_right else []
    changed = connection.execute(
        f"UPDATE survey_link SET {change} WHERE digest = ? AND place = ? AND used IS NULL"
        " AND expires > ? AND attempts < ?",
        (*values, opening.digest, place("Task", opening.task), opening.now, WRONG),
    )
    return changed == 1 and opening.is_right


def forget(connection: Connection, places: Iterable[int]) -> None:
    """Forget the links of what stood at some places, in the transaction of the caller."""
    listed = list(dict.fromkeys(places))
    for start in range(0, len(listed), _MANY):
        among = connection.dialect.among("place", listed[start : start + _MANY])
        connection.execute(f"DELETE FROM survey_link WHERE {among.text}", among.parameters)

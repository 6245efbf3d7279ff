"""When each sender last told something about a record, by the time that its messages say themselves.

Written in the commit that applies a message, and read to plan the next one: what is older than that is
no news. A place is the key of a resource's type and id (`store.search.keys.place`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache

import msgspec

from fhir_server.store.connection import Connection, portions
from fhir_server.store.search.worded import Reader

Key = tuple[int, str]
"""A place and a sender."""
_MANY = 500
"""Most values in one statement."""


class Applied(msgspec.Struct, frozen=True):
    """That a message of a sender counts for a place: its moment, in microseconds, and its number.

    The number is for operators, who see in the table which message said last what stands there.
    before: the moment that stood there when this was planned; where another one stands by then, the
    plan does not hold. is_new: nothing was stored at the place, and its own guard says so.
    """

    place: int
    sender: str
    moment: int
    message: int
    before: int | None = None
    is_new: bool = False

    @property
    def key(self) -> Key:
        """The place and the sender."""
        return self.place, self.sender


def moments(reader: Reader, places: Collection[int]) -> dict[Key, int]:
    """Return when each sender last told something about each of some places, in one query."""
    found: dict[Key, int] = {}
    listed = list(dict.fromkeys(places))
    for start in range(0, len(listed), _MANY):
        among = reader.dialect.among("place", listed[start : start + _MANY])
        sql = f"SELECT place, sender, moment FROM applied WHERE {among.text}"
        rows = reader.read_each(sql, among.parameters, 0)
        found |= {(row[0], row[1]): row[2] for row in rows}
    return found


def record(connection: Connection, told: Mapping[Key, Applied]) -> None:
    """Record what has been applied, in the transaction of the caller."""
    for some in portions([_row(each) for each in told.values()]):
        connection.execute(_recording(len(some)), [value for row in some for value in row])


@cache
def _recording(many: int) -> str:
    values = ", ".join(["(?, ?, ?, ?)"] * many)
    return (
        f"INSERT INTO applied (place, sender, moment, message) VALUES {values}"
        " ON CONFLICT (place, sender)"
        " DO UPDATE SET moment = excluded.moment, message = excluded.message"
    )


def _row(told: Applied) -> Sequence[int | str]:
    return told.place, told.sender, told.moment, told.message


def forget(connection: Connection, places: Iterable[int]) -> None:
    """Forget what has been told about some places, in the transaction of the caller."""
    listed = list(dict.fromkeys(places))
    for start in range(0, len(listed), _MANY):
        among = connection.dialect.among("place", listed[start : start + _MANY])
        connection.execute(f"DELETE FROM applied WHERE {among.text}", among.parameters)

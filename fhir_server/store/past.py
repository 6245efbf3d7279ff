"""What stood at a moment and stands no more: the way back from what is current.

The index finds current versions alone. What has been replaced or deleted since a moment is found by the
times of its successors, so that the cost is that of the changes since, however large the store is.
"""

from collections.abc import Sequence

from fhir_server.store.connection import Database
from fhir_server.store.search.sql import marks

SLICE = 20_000
"""Rows that are looked through at once."""


def first_after(database: Database, moment: int) -> int | None:
    """Return the first row that was stamped after a moment in microseconds, None where there is none."""
    found: int | None = database.read("SELECT min(rid) FROM resource WHERE updated > ?", (moment,))[
        0
    ][0]
    return found


def replaced(
    database: Database, kinds: Sequence[str], moment: int, rows: tuple[int, int]
) -> list[int]:
    """Return the rows of some types that stood at a moment and that rows of a range have replaced.

    A version that replaced one which stood no more is none of them; a deletion replaces too.
    """
    first, last = rows
    found = database.read(
        "SELECT r.rid FROM resource AS n JOIN resource AS r ON r.place = n.place AND r.type = n.type"
        " AND r.id = n.id AND r.version = n.version - 1"
        f" WHERE n.rid >= ? AND n.rid <= ? AND n.type IN ({marks(kinds)}) AND n.version > 1"
        " AND n.updated > ? AND r.updated <= ? AND NOT r.deleted ORDER BY r.rid",
        (first, last, *kinds, moment, moment),
    )
    return [row[0] for row in found]

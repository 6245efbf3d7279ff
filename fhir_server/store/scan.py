"""Reading all that stood at one moment, type by type, in the order of its rows: no search, no index.

What stood is told by row ids, so that several readers on connections of their own see the same: rows are
written in the order of their commits, and what is written later has greater ones.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import msgspec

from fhir_server.store.connection import Database
from fhir_server.store.search.keys import place
from fhir_server.store.search.sql import Sql

_MANY = 500
"""Most values in one statement."""
_LINK = (b'"link"',)


class Standing(msgspec.Struct, frozen=True):
    """What stood: up to a row and, where it is given, at a moment in microseconds (inclusive)."""

    newest: int
    moment: int | None = None


class Extent(NamedTuple):
    """The first and the last row of a type, and how many rows it has."""

    first: int
    last: int
    many: int


def extent(database: Database, resource_type: str, standing: Standing) -> Extent:
    """Return where the rows of a type lie; nowhere from 0 to 0 where there are none."""
    ((first, last, many),) = database.read(
        "SELECT min(rid), max(rid), count(*) FROM resource WHERE type = ? AND rid <= ?",
        (resource_type, standing.newest),
    )
    return Extent(first or 0, last or 0, many)


def bodies(
    database: Database, resource_type: str, standing: Standing, rows: tuple[int, int]
) -> list[bytes]:
    """Return what stood of a type, of the rows behind one and up to another one."""
    stood = _stood(standing)
    after, until = rows
    found = database.read(
        "SELECT c.body FROM resource AS r JOIN content AS c ON c.rid = r.rid"
        f" WHERE r.type = ? AND r.rid > ? AND r.rid <= ? AND {stood.text} ORDER BY r.rid",
        (resource_type, after, until, *stood.parameters),
    )
    return [row[0] for row in found]


def linked_patients(database: Database, standing: Standing) -> list[bytes]:
    """Return the Patients that stood and may be linked to others."""
    stood = _stood(standing)
    links = database.dialect.holds("c.body", _LINK)
    found = database.read(
        "SELECT c.body FROM resource AS r JOIN content AS c ON c.rid = r.rid"
        f" WHERE r.type = 'Patient' AND {stood.text} AND ({links.text})",
        (*stood.parameters, *links.parameters),
    )
    return [row[0] for row in found]


def standing_patients(
    database: Database, standing: Standing, ids: Collection[str]
) -> Iterator[str]:
    """Yield those of the ids of Patients that stood."""
    stood, listed = _stood(standing), sorted(ids)
    for start in range(0, len(listed), _MANY):
        some = listed[start : start + _MANY]
        among = database.dialect.among("r.place", [place("Patient", id) for id in some])
        rows = database.read(
            f"SELECT r.id FROM resource AS r WHERE {among.text} AND r.type = 'Patient'"
            f" AND {stood.text}",
            (*among.parameters, *stood.parameters),
        )
        yield from {row[0] for row in rows}.intersection(some)


def _stood(standing: Standing) -> Sql:
    """Return what is so of a row `r` that stood."""
    if standing.moment is None:
        text = "NOT r.deleted AND r.rid <= ? AND (r.superseded IS NULL OR r.superseded > ?)"
        return Sql(text, (standing.newest, standing.newest))
    text = (
        "NOT r.deleted AND r.rid <= ? AND r.updated <= ? AND (r.superseded IS NULL OR"
        " (SELECT n.updated FROM resource AS n WHERE n.rid = r.superseded) > ?)"
    )
    return Sql(text, (standing.newest, standing.moment, standing.moment))

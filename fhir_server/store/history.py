"""What was stored before: versions of one resource, of a type, or of everything, newest first.

A page is cut by row id, which only grows: what is written meanwhile neither repeats nor skips a version.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.store.connection import Database
from fhir_server.store.read import COLUMNS, Stored, stored
from fhir_server.store.search.keys import place


@dataclass(frozen=True, slots=True)
class Span:
    """Which versions: of a type and id (None: all), since and at moments in microseconds."""

    type: str | None = None
    id: str | None = None
    since: int | None = None
    at: tuple[int, int] | None = None


def versions(database: Database, span: Span, limit: int, before: int | None) -> list[Stored]:
    """Return versions with a row id below `before`, newest first, at most `limit`."""
    where, parameters = _where(span)
    if before is not None:
        where += " AND r.rid < ?"
        parameters = [*parameters, before]
    rows = database.read(
        f"SELECT {COLUMNS} FROM resource AS r WHERE {where} ORDER BY r.rid DESC LIMIT ?",
        [*parameters, limit],
    )
    return [stored(row) for row in rows]


def count(database: Database, span: Span) -> int:
    """Count the versions."""
    where, parameters = _where(span)
    found: int = database.read(f"SELECT count(*) FROM resource AS r WHERE {where}", parameters)[0][
        0
    ]
    return found


def _where(span: Span) -> tuple[str, Sequence[Any]]:
    conditions = ["1 = 1"]
    parameters: list[Any] = []
    if span.type is not None and span.id is not None:
        conditions.append("r.place = ?")
        parameters.append(place(span.type, span.id))
    for column, value in (("type", span.type), ("id", span.id)):
        if value is not None:
            conditions.append(f"r.{column} = ?")
            parameters.append(value)
    if span.since is not None:
        conditions.append("r.updated >= ?")
        parameters.append(span.since)
    if span.at is not None:
        # Current at some moment of the period: written before its end, replaced after its beginning.
        conditions.append(
            "r.updated <= ? AND NOT EXISTS (SELECT 1 FROM resource AS n WHERE n.place = r.place"
            " AND n.type = r.type AND n.id = r.id AND n.version = r.version + 1 AND n.updated < ?)"
        )
        parameters += [span.at[1], span.at[0]]
    return " AND ".join(conditions), parameters

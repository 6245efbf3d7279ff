"""Reading what is stored: bodies as the bytes that were stored, never decoded here."""

from collections.abc import Iterable
from dataclasses import dataclass

from fhir_server.store.database import Database
from fhir_server.store.search import plan
from fhir_server.store.search.parse import Query, parse


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored version: its place, whether it records a deletion, and its canonical bytes."""

    rid: int
    type: str
    id: str
    version: int
    updated: int
    deleted: bool
    body: bytes


_COLUMNS = "r.rid, r.type, r.id, r.version, r.updated, r.deleted, r.body"


def current(database: Database, resource_type: str, resource_id: str) -> Stored | None:
    """Return the current version of a resource (a deletion included), or None."""
    rows = database.read(
        f"SELECT {_COLUMNS} FROM resource AS r WHERE type = ? AND id = ? AND superseded IS NULL",
        (resource_type, resource_id),
    )
    return _stored(rows[0]) if rows else None


def version(database: Database, resource_type: str, resource_id: str, number: int) -> Stored | None:
    """Return one version of a resource, or None."""
    rows = database.read(
        f"SELECT {_COLUMNS} FROM resource AS r WHERE type = ? AND id = ? AND version = ?",
        (resource_type, resource_id, number),
    )
    return _stored(rows[0]) if rows else None


def search(database: Database, query: Query) -> list[Stored]:
    """Return one page of the matches, in the query's order."""
    sql = plan.select(query, _COLUMNS)
    return [_stored(row) for row in database.read(sql.text, sql.parameters)]


def count(database: Database, query: Query) -> int:
    """Count the matches, exactly."""
    sql = plan.count(query)
    found: int = database.read(sql.text, sql.parameters)[0][0]
    return found


def every(database: Database, resource_type: str, criteria: str = "") -> list[Stored]:
    """Return all matches of a query string, oldest first; for the server's own use."""
    query = parse(resource_type, criteria)
    found: list[Stored] = []
    while True:
        page = Query(
            query.type, query.criteria, query.ids, query.updated, 1000, newest_first=False,
            after=found[-1].rid if found else None,
        )  # fmt: skip
        rows = search(database, page)
        found.extend(rows)
        if len(rows) < page.count:
            return found


def existing(database: Database, resource_type: str, ids: Iterable[str]) -> set[str]:
    """Return those of the ids that a current, undeleted resource of the type has."""
    wanted = list(ids)
    marks = ",".join("?" * len(wanted))
    rows = database.read(
        f"SELECT id FROM resource WHERE type = ? AND id IN ({marks})"
        " AND superseded IS NULL AND deleted = 0",
        (resource_type, *wanted),
    )
    return {row[0] for row in rows}


def _stored(row: tuple[int, str, str, int, int, int, bytes]) -> Stored:
    rid, kind, resource_id, number, updated, deleted, body = row
    return Stored(rid, kind, resource_id, number, updated, bool(deleted), body)

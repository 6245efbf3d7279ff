"""Reading what is stored: bodies as the bytes that were stored, never decoded here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fhir_server.store import resolve
from fhir_server.store.connection import Database, Row
from fhir_server.store.search import bodies, order, plan
from fhir_server.store.search.keys import place
from fhir_server.store.search.parse import parse
from fhir_server.store.search.query import Query
from fhir_server.store.search.sql import Match
from fhir_server.store.search.worded import Worded, ask
from fhir_server.store.whose import Whose


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored version: its place, whether it records a deletion, its canonical bytes, whose it is."""

    rid: int
    type: str
    id: str
    version: int
    updated: int
    deleted: bool
    body: bytes
    whose: Whose


_BODY = "(SELECT body FROM content WHERE rid = r.rid)"
COLUMNS = f"r.rid, r.type, r.id, r.version, r.updated, r.deleted, {_BODY}, r.whose"
"""What `stored` reads, of a row `r` of `resource`."""
_NEWEST = "(SELECT max(rid) FROM resource)"
_MANY = 500
"""Most values in one statement."""


def current(database: Database, resource_type: str, resource_id: str) -> Stored | None:
    """Return the current version of a resource (a deletion included), or None."""
    for row in database.read_at(place(resource_type, resource_id)):
        if (row[1], row[2]) == (resource_type, resource_id):
            return stored(row)
    return None


def version(database: Database, resource_type: str, resource_id: str, number: int) -> Stored | None:
    """Return one version of a resource, or None."""
    rows = database.read(
        f"SELECT {COLUMNS} FROM resource AS r WHERE place = ? AND version = ? AND type = ? AND id = ?",
        (place(resource_type, resource_id), number, resource_type, resource_id),
    )
    return stored(rows[0]) if rows else None


def snapshot(database: Database) -> int:
    """Return the newest row: what a search that begins now goes by."""
    newest: int = database.read("SELECT coalesce(max(rid), 0) FROM resource")[0][0]
    return newest


def search(database: Database, query: Query) -> list[Stored]:
    """Return one page of the matches, in the query's order.

    Raises FhirError 400 where an order needs the bodies of more matches than are read for it, 503
    while the index is being made anew.
    """
    return page(database, query)[0]


def page(database: Database, query: Query) -> tuple[list[Stored], int]:
    """Return one page of the matches and the snapshot that it is of; raises as `search` does.

    Without a snapshot given it is of what is current, the newest row told by the same statement.
    """
    database.index.refuse(database)
    query = _resolved(database, query)
    if not order.in_tables(query):
        query = _of_snapshot(database, query)
        return _by_bodies(database, query), query.snapshot or 0
    if not order.by_rid(query):  # a sorter must not carry the bodies of all matches
        query = _of_snapshot(database, query)
        sql = plan.select(database.dialect, query, "r.rid")
        rids = [row[0] for row in database.read(sql.text, sql.parameters)]
        return by_rid(database, rids), query.snapshot or 0
    sql = plan.select(database.dialect, query, f"{COLUMNS}, {_NEWEST}")
    rows = database.read(sql.text, sql.parameters)
    found = [stored(row) for row in rows]
    newest = query.snapshot or (rows[0][8] if rows else 0)
    return (found if query.before is None else found[::-1]), newest


def _resolved(database: Database, query: Query) -> Query:
    """Resolve what the index does not answer, in the snapshot that is then searched."""
    if not resolve.is_needed(query.criteria):
        return query
    return resolve.resolved(database, _of_snapshot(database, query))


def _of_snapshot(database: Database, query: Query) -> Query:
    return query if query.snapshot is not None else replace(query, snapshot=snapshot(database))


def _by_bodies(database: Database, query: Query) -> list[Stored]:
    every = replace(query, count=bodies.MOST + 1, offset=0)
    sql = plan.select(database.dialect, every, f"r.rid, {_BODY}")
    ordered = bodies.ordered(query, database.read(sql.text, sql.parameters))
    return by_rid(database, ordered[query.offset : query.offset + query.count])


def matching(database: Database, asked: Sequence[Worded]) -> list[list[Stored]]:
    """Return the matches of each of several searches by words, the newest first.

    Raises FhirError 503 while the index is being made anew.
    """
    database.index.refuse(database)
    return [[stored(row) for row in rows] for rows in ask(database, asked, COLUMNS)]


def first(database: Database, query: Query, most: int) -> list[Stored]:
    """Return the newest matches of a query's conditions, `most` at most."""
    return search(database, replace(query, count=most, sort=(), newest_first=True))


def by_rid(database: Database, rids: Sequence[int]) -> list[Stored]:
    """Return versions by their rows, in the order given."""
    found: dict[int, Stored] = {}
    for start in range(0, len(rids), _MANY):
        some = rids[start : start + _MANY]
        among = database.dialect.among("r.rid", some)
        sql = f"SELECT {COLUMNS} FROM resource AS r WHERE {among.text}"
        found |= {row[0]: stored(row) for row in database.read(sql, among.parameters)}
    return [found[rid] for rid in rids if rid in found]  # what has been purged meanwhile is gone


def count(database: Database, query: Query) -> int:
    """Count the matches, exactly; raises FhirError 503 while the index is being made anew."""
    database.index.refuse(database)
    sql = plan.count(database.dialect, _resolved(database, query))
    found: int = database.read(sql.text, sql.parameters)[0][0]
    return found


def every(database: Database, resource_type: str, criteria: str = "") -> list[Stored]:
    """Return all matches of a query string, oldest first; for the server's own use."""
    query = replace(parse(resource_type, criteria), count=1000, newest_first=False, sort=())
    found: list[Stored] = []
    while True:
        rows = search(database, query)
        found.extend(rows)
        if len(rows) < query.count:
            return found
        query = replace(query, after=found[-1].rid)


def existing(database: Database, named: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of the types and ids that a current, undeleted resource has."""
    wanted = list(dict.fromkeys(named))
    found: set[tuple[str, str]] = set()
    for start in range(0, len(wanted), _MANY):
        places = [place(*each) for each in wanted[start : start + _MANY]]
        among = database.dialect.among("place", places)
        rows = database.read(
            "SELECT type, id FROM resource"
            f" WHERE {among.text} AND superseded IS NULL AND NOT deleted",
            among.parameters,
        )
        found |= {(row[0], row[1]) for row in rows}
    return found & set(wanted)


def at(database: Database, places: Iterable[tuple[str, str]], newest: int) -> list[Stored]:
    """Return what stood at places (type, id) in a snapshot; deleted and unknown ones are left out."""
    wanted = list(dict.fromkeys(places))
    found: dict[tuple[str, str], Stored] = {}
    for start in range(0, len(wanted), _MANY):
        some = wanted[start : start + _MANY]
        among = database.dialect.among("r.place", [place(*each) for each in some])
        rows = database.read(
            f"SELECT {COLUMNS} FROM resource AS r WHERE {among.text} AND {_STOOD}",
            (*among.parameters, newest, newest),
        )
        found |= {(row[1], row[2]): stored(row) for row in rows}
    return [found[each] for each in wanted if each in found]


def referring(database: Database, wanted: Sequence[int], newest: int, most: int) -> list[Stored]:
    """Return what had one of the words, which say where it refers, in a snapshot; `most` at most."""
    database.index.refuse(database)
    rids: dict[int, None] = {}
    for start in range(0, len(wanted), _MANY):
        tables, rid, where = database.dialect.source([Match(tuple(wanted[start : start + _MANY]))])
        conditions = " AND ".join(each.text for each in where)
        words = [value for each in where for value in each.parameters]
        rows = database.read(
            f"SELECT {rid} FROM {tables} WHERE {conditions} AND {_STOOD} LIMIT ?",
            (*words, newest, newest, most),
        )
        rids |= {row[0]: None for row in rows}
    return by_rid(database, list(rids)[:most])


_STOOD = "r.rid <= ? AND (r.superseded IS NULL OR r.superseded > ?) AND NOT r.deleted"


def stored(row: Row) -> Stored:
    """Return the version that a row of COLUMNS holds; what stands behind those is left out."""
    rid, kind, resource_id, number, updated, deleted, body, whose, *_ = row
    return Stored(rid, kind, resource_id, number, updated, bool(deleted), body, whose)

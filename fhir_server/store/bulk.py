"""Reading in bulk, a stretch of rows at a time: what stood in a snapshot, and about whom it was."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from fhir_server.store.connection import Database
from fhir_server.store.search import plan
from fhir_server.store.search.keys import key, place
from fhir_server.store.search.parameters import parameters
from fhir_server.store.search.query import Query
from fhir_server.store.search.sql import marks

Place = tuple[int, int]
"""The row of a version, and the key of its place."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """A deletion: its row, and what was deleted."""

    rid: int
    type: str
    id: str
    version: int


def extent(database: Database, resource_type: str, newest: int) -> tuple[int, int]:
    """Return the first and the last row of a type in a snapshot; 0 and 0 where there is none."""
    ((first, last),) = database.read(
        "SELECT min(rid), max(rid) FROM resource WHERE type = ? AND rid <= ?",
        (resource_type, newest),
    )
    return first or 0, last or 0


def stretch(database: Database, query: Query, after: int, many: int) -> list[Place]:
    """Return the matches among so many rows after one, in the order of storing, without their bodies."""
    among = replace(query, newest_first=False, after=after, before=after + many + 1, count=many)
    sql = plan.select(database.dialect, among, "r.rid, r.place")
    rows = database.read(sql.text, sql.parameters)
    return sorted((row[0], row[1]) for row in rows)


def matching(database: Database, query: Query, most: int) -> list[Place]:
    """Return the current matches of a query of words and ids, `most` at most, in no order.

    Raises FhirError 503 while the index is being made anew.
    """
    database.index.refuse(database)
    sql = plan.select(database.dialect, replace(query, count=most), "r.rid, r.place")
    return [(row[0], row[1]) for row in database.read(sql.text, sql.parameters)]


def of_patients(
    database: Database,
    kind: tuple[str, Sequence[str]],
    rows: Sequence[Place],
    patients: Collection[int] | int,
) -> set[int]:
    """Return which rows of a type, by its parameters, are in the compartment of a patient.

    The patients are given by the keys of their places, or they are all that stood in a snapshot.
    """
    resource_type, codes = kind
    owners = _owners(database, rows, resource_type, codes)
    if resource_type == "Patient":
        for rid, own in rows:
            owners.setdefault(rid, set()).add(own)
    named = {owner for listed in owners.values() for owner in listed}
    if isinstance(patients, int):
        patients = _patients(database, sorted(named), patients)
    known = named.intersection(patients)
    return {rid for rid, listed in owners.items() if not listed.isdisjoint(known)}


def _owners(
    database: Database, rows: Sequence[Place], resource_type: str, codes: Sequence[str]
) -> dict[int, set[int]]:
    """Map rows to the places that they refer to by the parameters."""
    params = tuple(
        key(resource_type, part)
        for code in codes
        if (parameter := parameters(resource_type).get(code))
        for part in parameter.parts or (code,)
    )
    found: dict[int, set[int]] = {}
    if not params or not rows:
        return found
    among = database.dialect.among("rid", [rid for rid, _ in rows])
    sql = f"SELECT rid, target FROM search_reference WHERE {among.text} AND param IN ({marks(params)})"
    for rid, target in database.read(sql, (*among.parameters, *params)):
        found.setdefault(rid, set()).add(target)
    return found


def _patients(database: Database, places: Sequence[int], newest: int) -> set[int]:
    """Return those of the places at which a Patient stood in a snapshot."""
    if not places:
        return set()
    among = database.dialect.among("place", places)
    rows = database.read(
        f"SELECT place FROM resource WHERE {among.text} AND type = 'Patient' AND rid <= ?"
        " AND (superseded IS NULL OR superseded > ?) AND NOT deleted",
        (*among.parameters, newest, newest),
    )
    return {row[0] for row in rows}


def deletions(database: Database, newest: int, since: int, rows: tuple[int, int]) -> list[Deleted]:
    """Return what was deleted since a moment and is still, in a snapshot: of rows after one, to another."""
    after, last = rows
    found = database.read(
        "SELECT rid, type, id, version FROM resource WHERE deleted AND rid > ? AND rid <= ?"
        " AND (superseded IS NULL OR superseded > ?) AND updated >= ? ORDER BY rid",
        (after, min(last, newest), newest, since),
    )
    return [Deleted(*row) for row in found]


def before(database: Database, deleted: Deleted) -> list[Place]:
    """Return the row of what was deleted, and its place."""
    own = place(deleted.type, deleted.id)
    rows = database.read(
        "SELECT rid FROM resource WHERE place = ? AND version = ? AND type = ? AND id = ?",
        (own, deleted.version - 1, deleted.type, deleted.id),
    )
    return [(row[0], own) for row in rows]

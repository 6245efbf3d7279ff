"""Verify: whether what is stored agrees with itself. Reads one snapshot, changes nothing.

Versions and their chains, places, bodies, references, and the index in both directions: each row can be
derived from its body, and what can be derived is there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fhir_server.store import custody, objections
from fhir_server.store.connection import Row
from fhir_server.store.index import EMPTY, Rows, referred, rows
from fhir_server.store.indexing import TABLES, index_rows
from fhir_server.store.inverted import Comparison, Read, comparison, rows_of
from fhir_server.store.owners import owners, stored
from fhir_server.store.search.dialect import Dialect
from fhir_server.store.search.keys import place
from r4.json import Resource, decode

SLICE = 500
_MOST = 100
"""Most problems of one kind that are listed of the tables as a whole."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: `type/id/_history/version` or a table's row; no content."""

    place: str
    what: str


@dataclass(frozen=True, slots=True)
class Step:
    """How many versions have been looked into, of how many; and what was wrong with the last ones."""

    done: int
    total: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What is read, and how."""

    read: Read
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class _Version:
    rid: int
    type: str
    id: str
    version: int
    updated: int
    deleted: bool
    current: bool
    place: int
    body: bytes

    @property
    def name(self) -> str:
        return f"{self.type}/{self.id}/_history/{self.version}"


def verify(read: Read, dialect: Dialect, sample: int | None = None) -> Iterator[Step]:
    """Yield what is wrong, slice by slice.

    Chains, orphans and gaps are looked for among all rows; bodies, references and index rows in every
    version, or evenly among them in about as many as `sample` says.
    """
    ((total,),) = read("SELECT count(*) FROM resource")
    step = max(1, total // sample) if sample else 1
    yield Step(0, total, tuple(_structure(read, dialect)))
    compared = comparison(dialect, read)
    done = last = 0
    while versions := _slice(read, last, step):
        yield Step(done, total, tuple(_versions(read, dialect, compared, versions)))
        done += len(versions)
        last = versions[-1].rid
    left = compared.whole() if step == 1 else ()
    yield Step(done, total, tuple(Problem("search index", what) for what in left))


def _slice(read: Read, last: int, step: int) -> list[_Version]:
    found = read(
        "SELECT r.rid, r.type, r.id, r.version, r.updated, r.deleted, r.superseded IS NULL, r.place,"
        " c.body FROM resource AS r JOIN content AS c ON c.rid = r.rid"
        f" WHERE r.rid > ? AND r.rid % {step} = 0 ORDER BY r.rid LIMIT {SLICE}",
        (last,),
    )
    return [_Version(*row) for row in found]


_CHAINS = (
    (
        "is followed by a row that is not its next version",
        "SELECT r.type, r.id, r.version FROM resource AS r LEFT JOIN resource AS n"
        " ON n.rid = r.superseded WHERE r.superseded IS NOT NULL AND (n.rid IS NULL"
        " OR n.type <> r.type OR n.id <> r.id OR n.version <> r.version + 1 OR n.rid <= r.rid)",
    ),
    (
        "has not exactly one current version",
        "SELECT type, id, max(version) FROM resource GROUP BY type, id"
        " HAVING count(*) - count(superseded) <> 1",
    ),
    (
        "has not the versions 1 to n, each once",
        "SELECT type, id, max(version) FROM resource GROUP BY type, id HAVING min(version) <> 1"
        " OR max(version) <> count(*) OR count(DISTINCT version) <> count(*)",
    ),
    (
        "has no content",
        "SELECT type, id, version FROM resource AS r"
        " WHERE NOT EXISTS (SELECT 1 FROM content AS c WHERE c.rid = r.rid)",
    ),
)


def _structure(read: Read, dialect: Dialect) -> Iterator[Problem]:
    """Yield what is wrong with the tables, whatever is in the bodies."""
    for what, sql in _CHAINS:
        for kind, key, version in read(f"{sql} LIMIT {_MOST}"):
            yield Problem(f"{kind}/{key}/_history/{version}", what)
    for table in ("content", *TABLES, *dialect.kept_by_rid):
        orphans = read(
            f"SELECT DISTINCT t.rid FROM {table} AS t WHERE NOT EXISTS"
            f" (SELECT 1 FROM resource AS r WHERE r.rid = t.rid) LIMIT {_MOST}"
        )
        for (rid,) in orphans:
            yield Problem(f"{table}, row {rid}", "is of no version")
    reader = _Snapshot(read, dialect)
    for table, derived in (
        ("custody", custody.everyone(reader)),
        ("site", custody.every_site(reader)),
    ):
        held = {(row[0], row[1]) for row in read(f"SELECT * FROM {table}")}
        for one, other in sorted(held ^ derived)[:_MOST]:
            wrong = "follows from nothing" if (one, other) in held else "is not there"
            yield Problem(f"{table}, {one} of {other}", wrong)
    objected, told = objections.held(read), objections.everyone(reader)
    for one in sorted(objected ^ told, key=lambda row: row[:3])[:_MOST]:
        wrong = "follows from nothing" if one in objected else "is not there"
        yield Problem(f"objection, {one[1]} of {one[0]}", wrong)
    for where, sender in read(
        "SELECT a.place, a.sender FROM applied AS a WHERE NOT EXISTS"
        f" (SELECT 1 FROM resource AS r WHERE r.place = a.place) LIMIT {_MOST}"
    ):
        yield Problem(f"applied, place {where} of {sender}", "is of no version")


def _versions(
    read: Read, dialect: Dialect, compared: Comparison, versions: Sequence[_Version]
) -> Iterator[Problem]:
    names = {each.rid: each.name for each in versions}
    derived: dict[int, Rows] = {}
    wanted: dict[tuple[str, str], str] = {}
    for each in versions:
        resource, problems = _body(each)
        yield from (Problem(each.name, what) for what in problems)
        if resource is not None:
            derived[each.rid] = rows(resource) if resource else EMPTY
        if resource and each.current:
            wanted |= dict.fromkeys(referred(resource), each.name)
    yield from _owned(_Snapshot(read, dialect), versions)
    for rid, what in (*_ordered(read, dialect, derived), *compared.compare(derived)):
        yield Problem(names[rid], what)
    for named in wanted.keys() - _existing(read, dialect, list(wanted)):
        yield Problem(wanted[named], f"refers to {'/'.join(named)}, which is not here")


def _owned(reader: "_Snapshot", versions: Sequence[_Version]) -> Iterator[Problem]:
    """Yield which current versions are not whose their bodies, and what they refer to, tell."""
    rids = [each.rid for each in versions if each.current and not each.deleted]
    try:
        found = stored(reader, rids, rowless=True)
    except ValueError:
        return  # a body that is no JSON is a problem of its own
    among = reader.dialect.among("rid", rids)
    sql = f"SELECT rid, whose FROM resource WHERE {among.text}"
    held = {row[0]: row[1] for row in reader.read(sql, among.parameters)}
    for rid, each in found.items():
        if each.write.type != "Bundle" and owners([each], {}, reader)[each.named] != held[rid]:
            name = f"{each.write.type}/{each.write.id}/_history/{each.write.version}"
            yield Problem(name, "is not whose its body tells")


def _body(version: _Version) -> tuple[Resource | None, list[str]]:
    """Return the resource of a version, and what is wrong with its row or body.

    {} for a deletion, None for what no index row can be derived from.
    """
    wrong = []
    if version.place != place(version.type, version.id):
        wrong.append("its place is not that of its type and id")
    if version.deleted:
        return {}, [*wrong, *(["is a deletion with a body"] if version.body else [])]
    try:
        resource = decode(version.body)
    except ValueError:
        return None, [*wrong, "its body is no JSON"]
    if not isinstance(resource, dict) or not isinstance(resource.get("meta"), dict):
        return None, [*wrong, "its body is no resource with meta"]
    said = (resource.get("resourceType"), resource.get("id"), resource["meta"].get("versionId"))
    if said != (version.type, version.id, str(version.version)):
        wrong.append("its body has another type, id or version")
    if resource["meta"].get("lastUpdated") != _instant(version.updated):
        wrong.append("its body has another lastUpdated")
    return (resource if said[0] == version.type else None), wrong


def _instant(moment: int) -> str:
    found = datetime.fromtimestamp(moment / 1_000_000, UTC)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ordered(read: Read, dialect: Dialect, given: dict[int, Rows]) -> Iterator[tuple[int, str]]:
    """Yield which rows of the ordered tables are not those of the bodies, in either direction."""
    wanted = index_rows(given.items())
    for table in TABLES:
        derived: dict[int, list[Any]] = {}
        for rid, *values in wanted[table]:
            derived.setdefault(rid, []).append(tuple(values))
        stored = rows_of(read, dialect, table, list(given))
        for rid in given:
            here, there = sorted(stored.get(rid, [])), sorted(derived.get(rid, []))
            if here != there:
                missing, extra = _differing(here, there)
                yield rid, f"{table}: {missing} rows missing, {extra} too many"


def _differing(stored: list[Row], derived: list[Row]) -> tuple[int, int]:
    left = list(stored)
    missing = 0
    for row in derived:
        if row in left:
            left.remove(row)
        else:
            missing += 1
    return missing, len(left)


def _existing(
    read: Read, dialect: Dialect, named: Sequence[tuple[str, str]]
) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for start in range(0, len(named), SLICE):
        places = [place(*each) for each in named[start : start + SLICE]]
        among = dialect.among("place", places)
        listed = read(
            "SELECT type, id FROM resource"
            f" WHERE {among.text} AND superseded IS NULL AND NOT deleted",
            among.parameters,
        )
        found |= {(row[0], row[1]) for row in listed}
    return found

"""Whose children are whose: which organisations a child was at, and of which hospital each is.

`custody` holds each child with the Organizations that a current Encounter or EpisodeOfCare of the child,
or its Patient, names; `site` each Organization with its own identifiers and those of what it is part of.
Both are made anew, for those concerned, in the transaction that changes what they come from. A child is
one person: the Patients that `Patient.link` joins have the same custody.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from fhir_server.store.connection import Connection
from fhir_server.store.index import Rows
from fhir_server.store.search.conditions import Place, criterion
from fhir_server.store.search.dialect import Dialect
from fhir_server.store.search.keys import key, link
from fhir_server.store.search.parameters import parameters
from fhir_server.store.search.query import Criterion
from fhir_server.store.search.sql import Match
from fhir_server.store.tables import COLUMNS

_GIVING = {
    "Encounter": "service-provider", "EpisodeOfCare": "organization", "Patient": "organization",
}  # fmt: skip
GIVERS = frozenset(_GIVING)
"""The types by which an organisation has a child."""
GIVING = tuple(key(kind, code) for kind, code in _GIVING.items())
"""The parameters by which they name the organisation."""
CONCERNING = GIVERS | {"Organization"}
"""The types whose versions change who sees what."""
_LINK = key("Patient", "link")
_PART_OF = key("Organization", "partof")
_CURRENT = "r.superseded IS NULL AND NOT r.deleted"
_MANY = 500
"""Most values in one statement."""

_TELLING = frozenset({*GIVING, _LINK})
VOID = "entered-in-error"
"""The status of what gives custody to nobody."""

Pairs = set[tuple[int, int]]


class Followed(NamedTuple):
    """Whose a version is that follows another one, and what it tells of custody; None: it undoes it."""

    whose: int | None
    told: frozenset[tuple[int, int]] | None


class Reader(Protocol):
    """What reads: a database's snapshot, or a connection inside a transaction."""

    @property
    def dialect(self) -> Dialect:
        """Return how the database is asked."""
        ...

    def read(self, sql: str, parameters: Sequence[Any] = (), /) -> Sequence[Sequence[Any]]:
        """Run a statement and return its rows."""
        ...


def renew(connection: Connection, children: Iterable[int], organizations: Iterable[int]) -> None:
    """Make the rows anew of children and organisations, given by the keys of their places."""
    if wanted := list(dict.fromkeys(children)):
        joined = persons(connection, wanted)
        listed = sorted({each for person in joined for each in person})
        _replace(connection, "custody", listed, _custody(connection, joined))
    if changed := list(dict.fromkeys(organizations)):
        parts = sorted(_with_parts(connection, changed))
        _replace(connection, "site", parts, _sites(connection, parts))


def told(rows: Rows) -> frozenset[tuple[int, int]]:
    """Return what the index rows of a version say of custody: organisations, and links of Patients."""
    return frozenset(each for each in rows.references if each[0] in _TELLING)


def changed(connection: Connection, followed: Mapping[int, Followed]) -> set[int]:
    """Return the children of whom a version that follows another one says something else, or undoes it.

    followed: by the row of the version before. Most say of custody what stands already.
    """
    before = _told(connection, list(followed))
    children = {each.whose for each in followed.values() if each.whose}
    held = _held(connection, sorted(children)) if before else set()
    found: set[int] = set()
    for rid, each in followed.items():
        was = frozenset(before.get(rid, ()))
        given = {(each.whose, target) for param, target in was if param in GIVING}
        if each.told != was or not given <= held:
            found |= {target for param, target in was if param == _LINK}
            found |= {each.whose} if each.whose else set()
    return found


def _told(connection: Connection, rids: Sequence[int]) -> dict[int, set[tuple[int, int]]]:
    found: dict[int, set[tuple[int, int]]] = {}
    listed = ", ".join(map(str, sorted(_TELLING)))
    for part in _parts(rids):
        among = connection.dialect.among("rid", part)
        sql = (
            f"SELECT rid, param, target FROM search_reference WHERE {among.text}"
            f" AND param IN ({listed})"
        )
        for rid, param, target in connection.read(sql, among.parameters):
            found.setdefault(rid, set()).add((param, target))
    return found


def _held(connection: Connection, children: Sequence[int]) -> set[tuple[int | None, int]]:
    found: set[tuple[int | None, int]] = set()
    for part in _parts(children):
        among = connection.dialect.among("whose", part)
        sql = f"SELECT whose, organization FROM custody WHERE {among.text}"
        found |= {(row[0], row[1]) for row in connection.read(sql, among.parameters)}
    return found


def everyone(reader: Reader) -> Pairs:
    """Return the whole of `custody`, as it follows from what is stored."""
    rows = reader.read(
        "SELECT DISTINCT r.place FROM resource AS r WHERE r.type = 'Patient' AND r.superseded IS NULL"
    )
    found: Pairs = set()
    listed = [row[0] for row in rows]
    for start in range(0, len(listed), _MANY):
        found |= _custody(reader, persons(reader, listed[start : start + _MANY]))
    return found


def every_site(reader: Reader) -> Pairs:
    """Return the whole of `site`, as it follows from what is stored."""
    rows = reader.read(
        f"SELECT r.place FROM resource AS r WHERE r.type = 'Organization' AND {_CURRENT}"
    )
    return _sites(reader, [row[0] for row in rows])


def forget(connection: Connection, places: Sequence[int]) -> None:
    """Take away the rows of what is purged."""
    for part in _parts(places):
        among = connection.dialect.among("whose", part)
        connection.execute(f"DELETE FROM custody WHERE {among.text}", among.parameters)


def are_one(reader: Reader, one: int, other: int) -> bool:
    """Tell whether two Patients are one person."""
    return any(other in person for person in persons(reader, [one]))


def persons(reader: Reader, children: Sequence[int]) -> list[set[int]]:
    """Return the Patients of each person, of whom one is given; a given one that is deleted too."""
    joined: dict[int, set[int]] = {each: {each} for each in children}
    frontier = list(joined)
    while frontier:
        pairs = list(_links(reader, frontier))
        before = set(joined)
        for one, other in pairs:
            _join(joined, one, other)
        frontier = [each for each in joined if each not in before]
    return list({id(person): person for person in joined.values()}.values())


def _join(joined: dict[int, set[int]], one: int, other: int) -> None:
    person = joined.setdefault(one, {one}) | joined.setdefault(other, {other})
    for each in person:
        joined[each] = person


def _links(reader: Reader, places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield which current Patients are linked to which, either way, from some of them."""
    for part in _parts(places):
        among = reader.dialect.among("r.place", part)
        yield from _pairs(
            reader,
            "SELECT r.place, f.target FROM resource AS r JOIN search_reference AS f"
            f" ON f.rid = r.rid AND f.param = {_LINK}"
            f" WHERE {among.text} AND {_CURRENT}",
            among.parameters,
        )
        yield from _referring(reader, _LINK, part)


def _referring(reader: Reader, param: int, places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the places that refer, by a parameter, to some places, each with each of its targets."""
    words = tuple(link(param, each) for each in places)
    source = reader.dialect.source([Match(words)])
    where = " AND ".join(f"({each.text})" for each in source.where)
    yield from _pairs(
        reader,
        f"SELECT r.place, f.target FROM {source.tables} JOIN search_reference AS f"
        f" ON f.rid = r.rid AND f.param = {param} WHERE {where} AND {_CURRENT}",
        [value for each in source.where for value in each.parameters],
    )


def _custody(reader: Reader, joined: Sequence[set[int]]) -> Pairs:
    """Return each Patient of some persons with each organisation that has the person."""
    of = {each: person for person in joined for each in person}
    found: Pairs = set()
    for part in _parts(sorted(of)):
        among = reader.dialect.among("r.whose", part)
        valid, values = _valid(reader.dialect)
        rows = _pairs(
            reader,
            "SELECT DISTINCT r.whose, f.target FROM resource AS r JOIN search_reference AS f"
            f" ON f.rid = r.rid AND f.param IN ({', '.join(map(str, GIVING))})"
            f" WHERE {among.text} AND r.type IN ('Encounter', 'EpisodeOfCare', 'Patient')"
            f" AND {_CURRENT} AND {valid}",
            [*among.parameters, *values],
        )
        found |= {(each, organization) for child, organization in rows for each in of[child]}
    return found


def _valid(dialect: Dialect) -> tuple[str, tuple[Any, ...]]:
    """Return SQL for: the row is not what was entered in error."""
    words: list[int] = []
    for kind in ("Encounter", "EpisodeOfCare"):
        asked = Criterion(parameters(kind)["status"], "", (VOID,))
        part = criterion(asked, Place((kind,), "r", dialect))
        assert isinstance(part, Match)  # noqa: S101 - a token is a word
        words += part.words
    found = dialect.of_match(Match(tuple(words), negated=True), "r")
    return found.text, found.parameters


def _sites(reader: Reader, organizations: Sequence[int]) -> Pairs:
    """Return each organisation with its own identifiers and those of what it is part of."""
    found: Pairs = set()
    climbing = {each: {each} for each in organizations}
    seen = {each: {each} for each in organizations}
    while climbing:
        places = sorted({above for each in climbing.values() for above in each})
        numbers = _by_place(reader, places, "SELECT r.place, i.word", "search_identifier AS i", "i")
        wholes = _by_place(
            reader, places, "SELECT r.place, i.target", "search_reference AS i", "i", _PART_OF
        )
        following: dict[int, set[int]] = {}
        for each, at in climbing.items():
            found |= {(each, number) for above in at for number in numbers.get(above, ())}
            higher = {whole for above in at for whole in wholes.get(above, ())} - seen[each]
            if higher:
                seen[each] |= higher
                following[each] = higher
        climbing = following
    return found


def _by_place(
    reader: Reader,
    places: Sequence[int],
    chosen: str,
    table: str,
    at: str,
    param: int | None = None,
) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    only = "" if param is None else f" AND {at}.param = {param}"
    for part in _parts(places):
        among = reader.dialect.among("r.place", part)
        sql = (
            f"{chosen} FROM resource AS r JOIN {table} ON {at}.rid = r.rid{only}"
            f" WHERE {among.text} AND {_CURRENT}"
        )
        for place, value in reader.read(sql, among.parameters):
            found.setdefault(place, set()).add(value)
    return found


def _with_parts(reader: Reader, organizations: Sequence[int]) -> set[int]:
    """Return organisations and all that are part of them."""
    found, frontier = set(organizations), list(organizations)
    while frontier:
        below = {
            part for some in _parts(frontier) for part, _ in _referring(reader, _PART_OF, some)
        }
        frontier = sorted(below - found)
        found |= below
    return found


def _pairs(reader: Reader, sql: str, values: Sequence[Any]) -> Iterator[tuple[int, int]]:
    yield from ((row[0], row[1]) for row in reader.read(sql, values))


def _replace(connection: Connection, table: str, places: Sequence[int], pairs: Pairs) -> None:
    for part in _parts(places):
        among = connection.dialect.among(COLUMNS[table][0], part)
        connection.execute(f"DELETE FROM {table} WHERE {among.text}", among.parameters)
    connection.insert({table: sorted(pairs)})


def _parts(values: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(values), _MANY):
        yield values[start : start + _MANY]

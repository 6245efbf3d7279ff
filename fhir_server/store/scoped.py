"""Queries of scopes: what of a type they find, as SQL about a row, and of a version not yet stored.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache
from urllib.parse import parse_qsl

import msgspec

from fhir_server.store.index import Rows
from fhir_server.store.search.conditions import Place, criterion
from fhir_server.store.search.dialect import SQLITE, Dialect
from fhir_server.store.search.parameters import parameters
from fhir_server.store.search.query import Criterion
from fhir_server.store.search.sql import Match, Part, Sql
from fhir_server.store.search.texts import split
from r4.issue import FhirError

KINDS = ("token", "reference", "date", "string")
"""Types of parameters that one resource decides by itself, and a scope may name."""
MOST_PAIRS, MOST_VALUES = 10, 20
"""Most parameters of one query, and most alternatives of one parameter."""
LONGEST = 700
"""Most characters of a query: those of all scopes of a client are bound in one statement, twice."""
_NOT_STORED = "AuditEvent"
"""What is made of the audit when it is asked for, and has no index."""


class Scoped(msgspec.Struct, frozen=True):
    """What one letter of scopes lets be done with a type: with what one of the queries finds.

    letter: c, r, u, d or s; queries: as the scopes have them, URL-encoded.
    """

    letter: str
    type: str
    queries: tuple[str, ...]


@lru_cache(maxsize=1024)
def criteria(resource_type: str, query: str) -> tuple[Criterion, ...]:
    """Read the query of a scope; raises ValueError that names what it may not have."""
    if not query.isascii() or not query.isprintable() or any(each in query for each in ' "\\'):
        raise ValueError(f"{query!r} is not URL-encoded.")
    if len(query) > LONGEST:
        raise ValueError(f"a scope's query has at most {LONGEST} characters.")
    if resource_type == _NOT_STORED:
        raise ValueError("an AuditEvent is not stored, and found by no query of a scope.")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        pairs = []
    if not pairs:
        raise ValueError(f"{query!r} is no query: write name=value, with & between.")
    if len(pairs) > MOST_PAIRS:
        raise ValueError(f"a scope's query has at most {MOST_PAIRS} parameters.")
    return tuple(_criterion(resource_type, name, value) for name, value in pairs)


def _criterion(resource_type: str, name: str, value: str) -> Criterion:
    if ":" in name or "." in name:
        raise ValueError(f"{name}: a scope's query has no modifiers, chains or _has.")
    found = parameters(resource_type).get(name)
    if found is None or found.type not in KINDS:
        why = "is not supported here" if found is None else f"is a {found.type}"
        raise ValueError(
            f"{name}: a scope's query has parameters of {resource_type} that are a token, reference, "
            f"date or string; {name} {why}."
        )
    values = tuple(split(value, ","))
    if not all(each.strip("|") for each in values):
        raise ValueError(f"{name} has an empty value.")
    if len(values) > MOST_VALUES:
        raise ValueError(f"{name} has at most {MOST_VALUES} values in a scope.")
    asked = Criterion(found, "", values)
    try:
        criterion(asked, Place((resource_type,), "v", SQLITE, narrowed=True))
    except FhirError as refusal:
        raise ValueError(f"{name}: {refusal.issues[0].diagnostics}") from None
    return asked


def implies(narrow: str, wide: str) -> bool:
    """Tell whether what one query finds is found by the other: by the same parameters, and fewer values."""
    held = [(name, frozenset(split(value, ","))) for name, value in parse_qsl(narrow)]
    return all(
        any(name == other and mine <= frozenset(split(value, ",")) for other, mine in held)
        for name, value in parse_qsl(wide)
    )


def shown(scoped: Sequence[Scoped], at: str, dialect: Dialect) -> Sql:
    """Return SQL for: the version `at` is found, and so is that which is current at its place."""
    texts, values = [], []
    for kind, queries in dict.fromkeys((each.type, each.queries) for each in scoped):
        own, now = (_found(kind, queries, each, dialect) for each in (at, "n"))
        texts.append(
            f"({at}.type <> ? OR ({own.text} AND ({at}.superseded IS NULL OR EXISTS"
            f" (SELECT 1 FROM {dialect.versions} AS n WHERE n.place = {at}.place"
            f" AND n.type = {at}.type AND n.id = {at}.id AND n.superseded IS NULL AND {now.text}))))"
        )
        values += [kind, *own.parameters, *now.parameters]
    return Sql(" AND ".join(texts), tuple(values))


def _found(kind: str, queries: Sequence[str], at: str, dialect: Dialect) -> Sql:
    place = Place((kind,), at, dialect, narrowed=True)
    texts, values = [], []
    for query in queries:
        parts = [_of_row(criterion(each, place), place) for each in criteria(kind, query)]
        texts.append(" AND ".join(f"({each.text})" for each in parts))
        values += [value for each in parts for value in each.parameters]
    return Sql(f"({' OR '.join(texts)})", tuple(values))


def _of_row(part: Part, place: Place) -> Sql:
    return place.dialect.of_row(part, place.at) if isinstance(part, Match) else part


def finds(resource_type: str, queries: Sequence[str], rows: Rows) -> bool:
    """Tell whether one of the queries finds a version, by its index rows, stored or not."""
    place = Place((resource_type,), "v", SQLITE, narrowed=True)
    return any(
        all(_holds(criterion(each, place), rows) for each in criteria(resource_type, query))
        for query in queries
    )


def _holds(part: Part, rows: Rows) -> bool:
    """Ask of index rows what a search asks of those in the tables."""
    if isinstance(part, Match):
        return not set(rows.words).isdisjoint(part.words)
    with closing(sqlite3.connect(":memory:")) as alone:
        alone.execute("CREATE TABLE search_date (rid, param, low, high)")
        alone.execute("CREATE TABLE search_string (rid, param, value)")
        alone.executemany("INSERT INTO search_date VALUES (1, ?, ?, ?)", rows.dates)
        alone.executemany("INSERT INTO search_string VALUES (1, ?, ?)", rows.strings)
        asked = f"SELECT 1 FROM (SELECT 1 AS rid) AS v WHERE {part.text}"
        return alone.execute(asked, part.parameters).fetchone() is not None

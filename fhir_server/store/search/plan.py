"""A query as SQL: words are found in the inverted index, what is left is asked of each row found.

Words of several criteria are one expression of the index, which yields rows in their order; a page
therefore ends when it is full.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from fhir_server.store.search import comparisons
from fhir_server.store.search.conditions import Place, as_sql, criterion, joined
from fhir_server.store.search.dialect import Dialect
from fhir_server.store.search.keys import key, link, place, storable
from fhir_server.store.search.order import order
from fhir_server.store.search.parameters import parameters
from fhir_server.store.search.query import (
    All,
    Chained,
    Compartment,
    Condition,
    Criterion,
    Either,
    Ids,
    Listed,
    Named,
    Naming,
    Not,
    Query,
    Reverse,
    Rows,
    Updated,
    Within,
    Words,
)
from fhir_server.store.search.refusal import bad, too_much
from fhir_server.store.search.sql import Match, Part, Sql, is_too_deep, marks
from fhir_server.store.search.words import words_in

_FIRST = "r"


def select(dialect: Dialect, query: Query, columns: str) -> Sql:
    """Select columns of the resources that match, in the query's order, one page."""
    found, rid = _from(dialect, query, _every_part(dialect, query))
    ordered = order(query, _FIRST, rid)
    text = f"SELECT {columns} {found.text} ORDER BY {ordered.text} LIMIT ? OFFSET ?"
    return Sql(text, (*found.parameters, *ordered.parameters, query.count, query.offset))


def count(dialect: Dialect, query: Query) -> Sql:
    """Count the resources that match; without their rows, where the database can."""
    if query.after is not None or query.before is not None:
        query = replace(query, after=None, before=None)
    parts = _every_part(dialect, query)
    if query.snapshot is None and (counted := _counted(dialect, parts)) is not None:
        return counted
    found, _ = _from(dialect, query, parts)
    return Sql(f"SELECT count(*) {found.text}", found.parameters)


def _counted(dialect: Dialect, parts: Sequence[Part]) -> Sql | None:
    """Return what counts by words alone: they hold the type, so that no more need be known."""
    matches = [part for part in parts if isinstance(part, Match)]
    if len(matches) < len(parts) or all(match.negated for match in matches):
        return None
    return dialect.counted(matches)


def _every_part(dialect: Dialect, query: Query) -> list[Part]:
    conditions: list[Condition] = [*query.criteria]
    if query.ids is not None:
        conditions.append(Ids(query.ids))
    conditions += [Updated(value) for value in query.updated]
    return _parts(dialect, conditions, query)


def _from(dialect: Dialect, query: Query, parts: Sequence[Part]) -> tuple[Sql, str]:
    """Return the FROM and WHERE of a query, and the column that yields rows in their order."""
    tables, rid, found = dialect.source([part for part in parts if isinstance(part, Match)])
    where = [*found, _of_types(query, _FIRST), _current(query, _FIRST)]
    where += [part for part in parts if isinstance(part, Sql)]
    where += _cut(query, rid)
    text = " AND ".join(f"({each.text})" for each in where)
    bound = tuple(value for each in where for value in each.parameters)
    if is_too_deep(text):
        raise too_much("url", "The query has too many chains or brackets inside one another.")
    return Sql(f"FROM {tables} WHERE {text}", bound), rid


def _parts(dialect: Dialect, conditions: Sequence[Condition], query: Query) -> list[Part]:
    """Return the conditions' parts; where words narrow the search, tables are asked row by row."""
    at = Place(query.of_types, _FIRST, dialect, now=query.now)
    first = [each for each in conditions if _finds_few(each)]
    parts = [condition(each, at, query) for each in first]
    narrowed = any(isinstance(part, Match) and not part.negated for part in parts)
    at = replace(at, narrowed=narrowed or query.ids is not None)
    return [*parts, *(condition(e, at, query) for e in conditions if not _finds_few(e))]


def _finds_few(asked: Condition) -> bool:
    return isinstance(asked, Criterion) and asked.parameter.type in ("token", "reference", "uri")


def _of_types(query: Query, at: str) -> Sql:
    types = query.of_types
    return Sql(f"{at}.type = ?" if len(types) == 1 else f"{at}.type IN ({marks(types)})", types)


def _current(query: Query, at: str) -> Sql:
    if query.snapshot is None:
        return Sql(f"{at}.superseded IS NULL AND NOT {at}.deleted", ())
    text = (
        f"{at}.rid <= ? AND ({at}.superseded IS NULL OR {at}.superseded > ?) AND NOT {at}.deleted"
    )
    return Sql(text, (query.snapshot, query.snapshot))


def _cut(query: Query, rid: str) -> list[Sql]:
    found = []
    if query.after is not None:
        found.append(Sql(f"{rid} {'<' if query.newest_first else '>'} ?", (query.after,)))
    if query.before is not None:
        found.append(Sql(f"{rid} {'>' if query.newest_first else '<'} ?", (query.before,)))
    return found


def condition(asked: Condition, at: Place, query: Query) -> Part:
    """Return any condition about the row `at`."""
    part = _CONDITIONS[type(asked)](asked, at, query)
    return part if isinstance(part, Sql) or part.words else as_sql(part, at)


def _criterion(asked: Criterion, at: Place, _query: Query) -> Part:
    return criterion(asked, at)


def _all(asked: All, at: Place, query: Query) -> Part:
    return joined([condition(part, at, query) for part in asked.parts], "AND", at)


def _either(asked: Either, at: Place, query: Query) -> Part:
    parts = [condition(part, at, query) for part in asked.parts]
    if parts and all(isinstance(part, Match) and not part.negated for part in parts):
        return Match(tuple(word for part in parts for word in part.words))  # type: ignore[union-attr]
    return joined(parts, "OR", at)


def _not(asked: Not, at: Place, query: Query) -> Part:
    part = condition(asked.part, at, query)
    if isinstance(part, Match):
        return Match(part.words, not part.negated)
    return Sql(f"NOT ({part.text})", part.parameters)


def _ids(asked: Ids, at: Place, _query: Query) -> Part:
    ids = tuple(storable(each) for each in asked.ids)
    return Sql(f"{at.at}.id IN ({marks(ids)})", ids)


def _updated(asked: Updated, at: Place, query: Query) -> Part:
    found = comparisons.date("_lastUpdated", asked.value, query.now)
    column = f"{at.at}.updated"
    return Sql(found.text.format(low=column, high=column), found.values)


def _words(asked: Words, at: Place, _query: Query) -> Part:
    found = [at.dialect.of_words(asked.column, words_in(value), at.at) for value in asked.values]
    return joined(found, "OR", at)


def _chained(asked: Chained, at: Place, query: Query) -> Part:
    """Find the targets, then what refers to them."""
    inner = Place((asked.target,), f"{at.at}t", at.dialect, now=at.now)
    found = as_sql(condition(asked.inner, inner, query), inner)
    linked = at.dialect.linked(_params(asked, at), inner.at, at.at)
    now = _current(query, inner.at)
    text = f"{linked.text} AND {inner.at}.type = ? AND ({now.text}) AND ({found.text}))"
    return Sql(text, (*linked.parameters, asked.target, *now.parameters, *found.parameters))


def _params(asked: Chained | Reverse, at: Place) -> tuple[int, ...]:
    codes = asked.parameter.parts or (asked.parameter.code,)
    types = (asked.type,) if isinstance(asked, Reverse) else at.types
    return tuple(key(kind, code) for kind in types for code in codes)


def _reverse(asked: Reverse, at: Place, query: Query) -> Part:
    """Find what refers, then where that points."""
    inner = Place((asked.type,), f"{at.at}s", at.dialect, now=at.now)
    found = as_sql(condition(asked.inner, inner, query), inner)
    params = _params(asked, at)
    now = _current(query, inner.at)
    text = (
        f"{at.at}.place IN (SELECT f.target FROM resource AS {inner.at}"
        f" CROSS JOIN search_reference AS f"
        f" WHERE f.rid = {inner.at}.rid AND f.param IN ({marks(params)})"
        f" AND {inner.at}.type = ? AND ({now.text}) AND ({found.text}))"
    )
    return Sql(text, (*params, asked.type, *now.parameters, *found.parameters))


def _rows(asked: Rows, at: Place, _query: Query) -> Part:
    return at.dialect.among(f"{at.at}.rid", asked.rids)


def _unresolved(_asked: Condition, _at: Place, _query: Query) -> Part:
    raise bad("url", "This search is not supported here.")


def _listed(asked: Listed, at: Place, query: Query) -> Part:
    now = _current(query, "l")
    text = (
        f"{at.at}.place IN (SELECT f.target FROM resource AS l JOIN search_reference AS f"
        f" ON f.rid = l.rid AND f.param = ? WHERE l.place IN ({marks(asked.lists)})"
        f" AND ({now.text}))"
    )
    lists = tuple(place("List", each) for each in asked.lists)
    return Sql(text, (key("List", "item"), *lists, *now.parameters))


def _compartment(asked: Compartment, at: Place, _query: Query) -> Part:
    owner = place(*asked.place.split("/"))
    words = [
        link(key(kind, each), owner)
        for kind, code in asked.parameters
        if kind in at.types and (parameter := parameters(kind).get(code))
        for each in parameter.parts or (code,)
    ]
    parts: list[Part] = [Match(tuple(dict.fromkeys(words)))]
    if asked.itself:
        parts.append(Sql(f"{at.at}.place = ?", (owner,)))
    return joined(parts, "OR", at)


_CONDITIONS: dict[type, Callable[[Any, Place, Query], Part]] = {
    Criterion: _criterion,
    All: _all,
    Either: _either,
    Not: _not,
    Ids: _ids,
    Updated: _updated,
    Words: _words,
    Chained: _chained,
    Reverse: _reverse,
    Listed: _listed,
    Rows: _rows,
    Named: _unresolved,
    Naming: _unresolved,
    Within: _unresolved,
    Compartment: _compartment,
}

"""Conditions that the index alone does not answer, read from the store before a search.

References by canonical url become the urls or rows that they name, a hierarchy its members: a search
that would need more than MOST of them is refused. https://hl7.org/fhir/R4/search.html#chaining
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from fhir_server.store.search import plan
from fhir_server.store.search.criteria import hierarchies
from fhir_server.store.search.dialect import Dialect
from fhir_server.store.search.parameters import parameters
from fhir_server.store.search.query import (
    All,
    Chained,
    Condition,
    Criterion,
    Either,
    Ids,
    Named,
    Naming,
    Not,
    Query,
    Reverse,
    Rows,
    Within,
)
from fhir_server.store.search.refusal import too_much
from fhir_server.store.search.texts import escape, unescape
from r4.json import decode
from r4.reference import literal

MOST = 1000
"""Most resources that a canonical or a hierarchy may lead to in one search."""
_DEEPEST = 50
"""Most steps up or down a hierarchy."""

_Canonical = tuple[int, str]
"""A row, and the canonical url of its resource with its version."""


class Reader(Protocol):
    """What reads: a database, or a connection inside a transaction."""

    @property
    def dialect(self) -> Dialect:
        """Return how the database is asked."""
        ...

    def read(self, sql: str, parameters: Sequence[Any] = (), /) -> Sequence[Sequence[Any]]:
        """Run a statement and return its rows."""
        ...


def is_needed(conditions: Iterable[Condition]) -> bool:
    """Tell whether any of the conditions has to be resolved."""
    return any(
        isinstance(each, Named | Naming | Within)
        or (isinstance(each, All | Either) and is_needed(each.parts))
        or (isinstance(each, Not) and is_needed((each.part,)))
        or (isinstance(each, Chained | Reverse) and is_needed((each.inner,)))
        for each in conditions
    )


def resolved(reader: Reader, query: Query) -> Query:
    """Return a query whose conditions the index answers; FhirError 400 for more than MOST."""
    if not is_needed(query.criteria):
        return query
    found = tuple(_resolved(reader, each, query) for each in query.criteria)
    return replace(query, criteria=found)


def _resolved(reader: Reader, asked: Condition, query: Query) -> Condition:
    work = _RESOLVED.get(type(asked))
    return asked if work is None else work(reader, asked, query)


def _parts(reader: Reader, asked: All | Either, query: Query) -> Condition:
    return replace(asked, parts=tuple(_resolved(reader, part, query) for part in asked.parts))


def _not(reader: Reader, asked: Not, query: Query) -> Condition:
    return Not(_resolved(reader, asked.part, query))


def _inner(reader: Reader, asked: Chained | Reverse, query: Query) -> Condition:
    return replace(asked, inner=_resolved(reader, asked.inner, query))


def _named(reader: Reader, asked: Named, query: Query) -> Condition:
    """Find the targets, and ask for their canonical urls."""
    inner = _resolved(reader, asked.inner, query)
    found = _canonicals(reader, asked.target, (inner,), query)
    urls = tuple(dict.fromkeys(escape_url(canonical) for _, canonical in found))
    return Criterion(asked.parameter, "named", urls) if urls else Rows(())


def _naming(reader: Reader, asked: Naming, query: Query) -> Condition:
    """Ask of each resource with a url whether one that meets the condition refers to it."""
    inner = _resolved(reader, asked.inner, query)
    rids = []
    for kind in asked.targets:
        for rid, canonical in _canonicals(reader, kind, (), query):
            refers = Criterion(asked.parameter, "named", (escape_url(canonical),))
            if _first(reader, asked.type, (refers, inner), query, "r.rid", 1):
                rids.append(rid)
    return Rows(tuple(rids))


def escape_url(canonical: str) -> str:
    """Write a canonical as a search value; the bar before its version stands for itself."""
    url, bar, version = canonical.partition("|")
    return f"{escape(url)}{bar}{escape(version)}"


def canonical_of(resource: Any) -> str:
    """Return the canonical url of a resource with its version; "" where it has no url."""
    url, version = resource.get("url", ""), resource.get("version")
    return f"{url}|{version}" if url and version else url


def _canonicals(
    reader: Reader, kind: str, conditions: tuple[Condition, ...], query: Query
) -> list[_Canonical]:
    """Return rows and canonical urls of what has one and meets conditions."""
    url = parameters(kind).get("url")
    if url is None:
        return []
    wanted = (Criterion(url, "missing", ("false",)), *conditions)
    body = "r.rid, (SELECT body FROM content WHERE rid = r.rid)"
    rows = _first(reader, kind, wanted, query, body, MOST + 1)
    _check(len(rows), kind)
    return [(rid, canonical_of(decode(body))) for rid, body in rows]


def _first(
    reader: Reader,
    kind: str,
    conditions: tuple[Condition, ...],
    query: Query,
    columns: str,
    most: int,
) -> Sequence[Sequence[Any]]:
    asked = Query(kind, conditions, count=most, snapshot=query.snapshot, now=query.now)
    sql = plan.select(reader.dialect, asked, columns)
    return reader.read(sql.text, sql.parameters)


def _within(reader: Reader, asked: Within, query: Query) -> Condition:
    """Ask for the members of the hierarchies that the values stand in."""
    kinds = hierarchies(asked.parameter)
    step = _below if asked.modifier == "below" else _above
    known: dict[str, None] = {}
    layer = [
        each
        for value in asked.values
        for each in _places(unescape(value), kinds)
    ]  # fmt: skip
    for _ in range(_DEEPEST):
        known.update(dict.fromkeys(layer))
        _check(len(known), asked.parameter.code)
        layer = [each for each in step(reader, layer, kinds, query) if each not in known]
        if not layer:
            break
    return Criterion(asked.parameter, "", tuple(known)) if known else Rows(())


def _places(value: str, kinds: Iterable[str]) -> list[str]:
    found = literal(value)
    if found is not None:
        return [f"{found.type}/{found.id}"] if found.base is None else []
    return [f"{kind}/{value}" for kind in kinds if "/" not in value]


def _below(reader: Reader, layer: Sequence[str], kinds: dict[str, str], query: Query) -> list[str]:
    """Return what is part of a layer."""
    found = []
    for kind, code in kinds.items():
        values = tuple(each for each in layer if each.startswith(f"{kind}/"))
        if values:
            part = Criterion(parameters(kind)[code], "", values)
            rows = _first(reader, kind, (part,), query, "r.id", MOST + 1)
            found += [f"{kind}/{row[0]}" for row in rows]
    return found


def _above(reader: Reader, layer: Sequence[str], kinds: dict[str, str], query: Query) -> list[str]:
    """Return what a layer is part of: the element has one name in all types."""
    found = []
    for kind in kinds:
        ids = tuple(each.partition("/")[2] for each in layer if each.startswith(f"{kind}/"))
        body = "(SELECT body FROM content WHERE rid = r.rid)"
        rows = _first(reader, kind, (Ids(ids),), query, body, MOST + 1) if ids else ()
        for row in rows:
            wholes = decode(row[0]).get("partOf", [])
            for whole in wholes if isinstance(wholes, list) else [wholes]:
                place = literal(whole.get("reference", ""))
                if place is not None and place.base is None and place.type in kinds:
                    found.append(f"{place.type}/{place.id}")
    return found


def _check(many: int, name: str) -> None:
    if many > MOST:
        raise too_much(
            name, f"{name}: this leads to more than {MOST} resources: narrow the search."
        )


_RESOLVED: dict[type, Callable[[Reader, Any, Query], Condition]] = {
    All: _parts,
    Either: _parts,
    Not: _not,
    Chained: _inner,
    Reverse: _inner,
    Named: _named,
    Naming: _naming,
    Within: _within,
}

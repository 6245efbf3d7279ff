"""Orders that no table holds (by token, reference or uri): read from the bodies of the matches.

https://hl7.org/fhir/R4/search.html#sort
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from fhir_server.store.search import expressions, values
from fhir_server.store.search.keys import fold
from fhir_server.store.search.query import Query, Sort
from fhir_server.store.search.refusal import bad
from r4 import fhirpath
from r4.json import Resource, decode

MOST = 10_000
"""Most matches whose bodies are read for an order."""

Value = str | float


def ordered(query: Query, found: Sequence[Sequence[Any]]) -> list[int]:
    """Order rows of (rid, body), newest first among equals; FhirError 400 for more than MOST."""
    if len(found) > MOST:
        codes = ", ".join(each.name for each in query.sort)
        text = f"_sort={codes} is supported for at most {MOST} matches: narrow the search."
        raise bad("_sort", text)
    listed = [(rid, decode(body)) for rid, body in found]
    listed.sort(key=lambda each: -each[0])
    for sort in reversed(query.sort):
        listed = _sorted(sort, listed)
    return [rid for rid, _ in listed]


def _sorted(sort: Sort, listed: list[tuple[int, Resource]]) -> list[tuple[int, Resource]]:
    """Order stably by the least value of each, or the greatest; those without one come last."""
    having: list[tuple[Value, tuple[int, Resource]]] = []
    without = []
    for each in listed:
        found: list[Any] = list(_values(sort, *each))
        if found:
            having.append((max(found) if sort.descending else min(found), each))
        else:
            without.append(each)
    having.sort(key=_value, reverse=sort.descending)
    return [each for _, each in having] + without


def _value(pair: tuple[Value, Any]) -> Any:
    return pair[0]


def _values(sort: Sort, rid: int, resource: Resource) -> Iterator[Value]:
    if sort.parameter is None:
        yield rid if sort.name == "_lastUpdated" else resource["id"]
        return
    around = expressions.environment(resource)
    expression = _expression(sort.parameter.expression)
    for value, kind in expression.typed(resource, around):
        yield from _ends(sort, value, kind)


def _ends(sort: Sort, value: Any, kind: str) -> Iterator[Value]:
    of = sort.parameter.type if sort.parameter else ""
    if of == "token":
        yield from (f"{code}|{system}" for system, code in values.tokens(value, kind))
    elif of == "string":
        yield from (fold(text) for text in values.strings(value, kind))
    elif of == "date":
        yield from (end[sort.descending] for end in values.periods(value))
    elif of == "number":
        yield from (end[sort.descending] for end in values.numbers(value))
    elif of == "quantity":
        for *_, low, high in values.quantities(value):
            yield values.bounded(low, high)[sort.descending]
    else:
        yield value if isinstance(value, str) else value.get("reference", "")


@cache
def _expression(text: str) -> fhirpath.Compiled:
    return fhirpath.compile(text)

"""A resource's index rows: what its search parameters find in it.

For each type a plan is compiled once: which elements hold values of which parameter. Indexing walks
the elements that a resource has, not the parameters that its type could have.
https://hl7.org/fhir/R4/search.html#ptypes
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import msgspec

from fhir_server.store.search import expressions, keys, values
from fhir_server.store.search.composites import enter_pairs
from fhir_server.store.search.entries import ENTER, Collected, Column, column
from fhir_server.store.search.expressions import Path
from fhir_server.store.search.parameters import parameters
from r4 import fhirpath
from r4.json import Resource
from r4.reference import literal, walk


class Rows(msgspec.Struct, frozen=True):
    """The index rows of one resource.

    words: keys for the inverted index; dates, numbers, strings: (parameter, …) rows in order;
    references: (parameter, key of the target's place); narrative and content: texts for words in them.
    """

    words: list[int]
    dates: list[tuple[int, int, int]]
    numbers: list[tuple[int, float, float, int]]
    strings: list[tuple[int, str]]
    references: list[tuple[int, int]]
    narrative: str
    content: str


EMPTY = Rows([], [], [], [], [], "", "")

Enter = Callable[[Collected, Column, Any, str], None]
_Way = tuple[tuple[str, ...], str, str, Column, Enter]
_Search = Callable[[Resource, Collected], None]


def rows(resource: Resource) -> Rows:
    """Index a resource whose references are literal; a value that is not well-formed is left out."""
    ways, searches = _plan(resource["resourceType"])
    collected = Collected()
    for element in resource:
        for rest, kind, only, into, enter in ways.get(element, ()):
            for value in _down(resource[element], rest):
                if not only or _refers(value, only):
                    enter(collected, into, value, kind)
        for search in searches.get(element, ()):
            search(resource, collected)
    text = resource.get("text")
    words = [*collected.words, *(keys.referring(*each) for each in referred(resource))]
    return Rows(
        words,
        list(collected.dates),
        list(collected.numbers),
        list(collected.strings),
        list(collected.references),
        values.words(text["div"]) if isinstance(text, dict) and "div" in text else "",
        values.words(resource),
    )


def referred(resource: Resource) -> tuple[tuple[str, str], ...]:
    """Return type and id of each resource here that a resource, its references literal, refers to.

    A document Bundle is closed: its references are its own.
    """
    if resource["resourceType"] == "Bundle":
        return ()
    found = (literal(reference["reference"]) for reference in walk(resource))
    return tuple(
        dict.fromkeys((each.type, each.id) for each in found if each and each.base is None)
    )


def _down(node: Any, keys: tuple[str, ...]) -> list[Any]:
    nodes = node if node.__class__ is list else [node]
    for key in keys:
        found: list[Any] = []
        for each in nodes:
            child = each.get(key) if each.__class__ is dict else None
            if child.__class__ is list:
                found.extend(child)
            elif child is not None:
                found.append(child)
        nodes = found
    return [each for each in nodes if each is not None] if None in nodes else nodes


def _refers(value: Any, resource_type: str) -> bool:
    found = values.target(value)
    return found is not None and found.type == resource_type


@cache
def _plan(resource_type: str) -> tuple[dict[str, list[_Way]], dict[str, list[_Search]]]:
    ways: dict[str, list[_Way]] = {}
    searches: dict[str, list[_Search]] = {}
    for parameter in parameters(resource_type).values():
        if parameter.type == "composite":
            for element in parameter.elements:
                _add(searches, resource_type, element, enter_pairs(resource_type, parameter))
        elif not parameter.parts:
            into = column(resource_type, parameter)
            for alternative in expressions.alternatives(parameter.expression):
                if (paths := expressions.plain(alternative)) is not None:
                    _walk(ways, paths, into, ENTER[parameter.type])
                else:
                    found = _evaluated(alternative, into, ENTER[parameter.type])
                    _add(searches, resource_type, alternative, found)
    return ways, searches


def _walk(ways: dict[str, list[_Way]], paths: Iterable[Path], into: Column, enter: Enter) -> None:
    for path in paths:
        first, *rest = path.keys
        ways.setdefault(first, []).append((tuple(rest), path.type, path.only, into, enter))


def _add(
    searches: dict[str, list[_Search]], resource_type: str, expression: str, search: _Search
) -> None:
    """Let a search begin at one element alone, for it finds all that there is."""
    keys = expressions.first_keys(resource_type, expression) or (
        expressions.first_step(expression).partition("(")[0],
    )
    for key in keys:
        searches.setdefault(key, []).append(search)


def _evaluated(expression: str, into: Column, enter: Enter) -> _Search:
    evaluate = fhirpath.compile(expression)

    def search(resource: Resource, collected: Collected) -> None:
        for value, kind in evaluate.typed(resource, environment(resource)):
            enter(collected, into, value, kind)

    return search


def environment(resource: Resource) -> fhirpath.Environment:
    """Return what search expressions stand in; a reference resolves to a stand-in of its type."""
    return fhirpath.Environment(resource=resource, root_resource=resource, resolve=_stand_in)


def _stand_in(reference: str) -> Resource | None:
    found = literal(reference)
    return None if found is None else {"resourceType": found.type, "id": found.id}

"""A resource's index rows: what its search parameters find in it.

For each type a plan is compiled once: which elements hold values of which parameter. Indexing walks
the elements that a resource has, not the parameters that its type could have.
https://hl7.org/fhir/R4/search.html#ptypes
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import msgspec

from fhir_server.store.search import expressions, values
from fhir_server.store.search.composites import enter_pairs
from fhir_server.store.search.entries import OF, Collected, Column, Enter, column
from fhir_server.store.search.expressions import Path
from fhir_server.store.search.parameters import Parameter, parameters
from r4 import fhirpath
from r4.json import Resource
from r4.reference import literal


class Rows(msgspec.Struct, frozen=True):
    """The index rows of one resource, each once.

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

_Find = Callable[[list[Any]], list[Any]]
_Way = tuple[_Find | None, Enter]
"""How values are found below an element (None: they are its own), and what enters them."""
_Search = Callable[[Resource, Collected], None]


def rows(resource: Resource) -> Rows:
    """Index a resource whose references are literal; a value that is not well-formed is left out."""
    ways, searches = _plan(resource["resourceType"])
    found = Collected()
    for element, value in resource.items():
        if element in ways:
            nodes = value if value.__class__ is list else [value]
            if None in nodes:
                nodes = [node for node in nodes if node is not None]
            for find, enter in ways[element]:
                if listed := nodes if find is None else find(nodes):
                    enter(found, listed)
        if element in searches:
            for search in searches[element]:
                search(resource, found)
    text = resource.get("text")
    return Rows(
        list(dict.fromkeys(found.words)),
        list(dict.fromkeys(found.dates)),
        list(dict.fromkeys(found.numbers)),
        list(dict.fromkeys(found.strings)),
        list(dict.fromkeys(found.references)),
        values.unmarked([text["div"]]) if text.__class__ is dict and "div" in text else "",
        values.words(resource),
    )


@cache
def _plan(resource_type: str) -> tuple[dict[str, list[_Way]], dict[str, list[_Search]]]:
    ways: dict[str, list[_Way]] = {}
    searches: dict[str, list[_Search]] = {}
    for parameter in parameters(resource_type).values():
        if parameter.type == "composite":
            for element in parameter.elements:
                search = enter_pairs(resource_type, parameter, element)
                _begin(searches, _first_keys(resource_type, element), search)
        elif not parameter.parts:
            into = column(resource_type, parameter)
            for alternative in expressions.alternatives(parameter.expression):
                if (paths := expressions.plain(alternative)) is not None:
                    _walk(ways, paths, into, parameter)
                else:
                    _evaluate(searches, alternative, into, parameter)
    return ways, searches


def _walk(
    ways: dict[str, list[_Way]], paths: Iterable[Path], into: Column, parameter: Parameter
) -> None:
    for path in paths:
        enter = OF[parameter.type](into, path.type, path.implied)
        ways.setdefault(path.keys[0], []).append((_finding(path), enter))


def _finding(path: Path) -> _Find | None:
    """Return what finds a path's values in the nodes of its first element; None: they are these."""
    where, keys, only = path.where, path.keys[1:], path.only
    if where is None and not only:
        return (lambda nodes: _below(nodes, keys)) if keys else None

    def find(nodes: list[Any]) -> list[Any]:
        if where is not None:
            key, value = where
            nodes = [node for node in nodes if node.get(key) == value]
        found = _below(nodes, keys)
        return [each for each in found if _refers(each, only)] if only else found

    return find


def _below(nodes: list[Any], keys: tuple[str, ...]) -> list[Any]:
    for key in keys:
        found: list[Any] = []
        for node in nodes:
            child = node.get(key) if node.__class__ is dict else None
            if child.__class__ is list:
                found += child
            elif child is not None:
                found.append(child)
        nodes = found
    return [node for node in nodes if node is not None] if None in nodes else nodes


def _refers(value: Any, resource_type: str) -> bool:
    found = values.target(value)
    return found is not None and found.type == resource_type


def _begin(searches: dict[str, list[_Search]], keys: Iterable[str], search: _Search) -> None:
    """Let a search begin at one element alone, for it finds all that there is."""
    for key in keys:
        searches.setdefault(key, []).append(search)


def _first_keys(resource_type: str, expression: str) -> tuple[str, ...]:
    return expressions.first_keys(resource_type, expression) or (
        expressions.first_step(expression).partition("(")[0],
    )


def _evaluate(
    searches: dict[str, list[_Search]], expression: str, into: Column, parameter: Parameter
) -> None:
    """Add what FHIRPath finds, where an expression does more than walk."""
    search, keys = _evaluated(expression, into, parameter), _first_keys(into.type, expression)
    if keys == expressions.ALWAYS and parameter.type == "token":
        search = _of_absence(search, into.type, expression)
    _begin(searches, keys, search)


def _evaluated(expression: str, into: Column, parameter: Parameter) -> _Search:
    evaluate = fhirpath.compile(expression)
    entering = cache(lambda kind: OF[parameter.type](into, kind, ""))

    def search(resource: Resource, found: Collected) -> None:
        for value, kind in evaluate.typed(resource, environment(resource)):
            entering(kind)(found, [value])

    return search


def _of_absence(search: _Search, resource_type: str, expression: str) -> _Search:
    """Search once what is found where nothing is there that the expression speaks of."""
    keys = expressions.keys_of_absence(resource_type, expression)
    absent = Collected()
    search({"resourceType": resource_type}, absent)

    def search_if_there(resource: Resource, found: Collected) -> None:
        if keys.isdisjoint(resource):
            found.words += absent.words
        else:
            search(resource, found)

    return search_if_there


def environment(resource: Resource) -> fhirpath.Environment:
    """Return what search expressions stand in; a reference resolves to a stand-in of its type."""
    return fhirpath.Environment(resource=resource, root_resource=resource, resolve=_stand_in)


def _stand_in(reference: str) -> Resource | None:
    found = literal(reference)
    return None if found is None else {"resourceType": found.type, "id": found.id}

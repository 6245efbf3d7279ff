"""A resource's index rows: what its search parameters find in it.

For each type a plan is compiled once: which elements hold values of which parameter. Indexing walks
the elements that a resource has, not the parameters that its type could have.
https://hl7.org/fhir/R4/search.html#ptypes
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

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


class _Node(NamedTuple):
    """What is entered of the values at a place in the JSON, and what is below them, by key."""

    enters: list[Enter]
    below: dict[str, "_Node"]


_Search = Callable[[Resource, Collected], None]


def rows(resource: Resource) -> Rows:
    """Index a resource whose references are literal; a value that is not well-formed is left out."""
    root, searches = _plan(resource["resourceType"])
    found = Collected()
    _enter((resource,), root.below, found)
    for element in searches:
        if element in resource:
            for search in searches[element]:
                search(resource, found)
    text = resource.get("text")
    return Rows(
        list(found.words),
        _once(found.dates),
        _once(found.numbers),
        _once(found.strings),
        _once(found.references),
        values.unmarked([text["div"]]) if text.__class__ is dict and "div" in text else "",
        values.words(resource),
    )


def _once(listed: list[Any]) -> list[Any]:
    return list(dict.fromkeys(listed)) if len(listed) > 1 else listed


def _enter(nodes: Iterable[Any], below: dict[str, _Node], found: Collected) -> None:
    """Walk the elements that are there, and enter those that have a place in the plan."""
    for node in nodes:
        if node.__class__ is not dict:
            continue
        for key, value in node.items():
            if key in below:
                enters, deeper = below[key]
                listed = value if value.__class__ is list else (value,)
                if None in listed:
                    listed = [each for each in listed if each is not None]
                if listed:
                    for enter in enters:
                        enter(found, listed)
                    if deeper:
                        _enter(listed, deeper, found)


@cache
def _plan(resource_type: str) -> tuple[_Node, dict[str, list[_Search]]]:
    root = _Node([], {})
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
                    for path in paths:
                        _plant(root, path, OF[parameter.type](into, path.type, path.implied))
                else:
                    _evaluate(searches, alternative, into, parameter)
    return root, searches


def _plant(root: _Node, path: Path, enter: Enter) -> None:
    """Put what enters the values of a path in its place; the first element, where it is chosen by one."""
    if path.only:
        enter = _referring(path.only, enter)
    keys = path.keys
    if path.where is not None:
        enter, keys = _where(*path.where, keys[1:], enter), keys[:1]
    node = root
    for key in keys:
        node = node.below.setdefault(key, _Node([], {}))
    node.enters.append(enter)


def _referring(resource_type: str, enter: Enter) -> Enter:
    def enter_referring(found: Collected, listed: Sequence[Any]) -> None:
        if kept := [each for each in listed if _refers(each, resource_type)]:
            enter(found, kept)

    return enter_referring


def _where(key: str, value: str, below: tuple[str, ...], enter: Enter) -> Enter:
    """Enter only what is in, or below, the elements that have a value at a key."""
    root = _Node([], {})
    _plant(root, Path(("", *below), ""), enter)
    place = root.below[""]

    def enter_where(found: Collected, listed: Sequence[Any]) -> None:
        if kept := [each for each in listed if each.get(key) == value]:
            for each in place.enters:
                each(found, kept)
            if place.below:
                _enter(kept, place.below, found)

    return enter_where


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
            found.words |= absent.words
        else:
            search(resource, found)

    return search_if_there


def environment(resource: Resource) -> fhirpath.Environment:
    """Return what search expressions stand in; a reference resolves to a stand-in of its type."""
    return fhirpath.Environment(resource=resource, root_resource=resource, resolve=_stand_in)


def _stand_in(reference: str) -> Resource | None:
    found = literal(reference)
    return None if found is None else {"resourceType": found.type, "id": found.id}

"""A resource's index rows: what its search parameters find in it.

For each type a plan is compiled once: which elements hold values of which parameter. Indexing walks
the elements that a resource has, not the parameters that its type could have.
https://hl7.org/fhir/R4/search.html#ptypes
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import msgspec

from fhir_server.store.search import expressions, keys, values
from fhir_server.store.search.composites import enter_pairs
from fhir_server.store.search.entries import OF, Collected, Column, Enter, column
from fhir_server.store.search.expressions import Path
from fhir_server.store.search.parameters import Parameter, parameters
from r4 import fhirpath
from r4.json import Resource
from r4.reference import literal, references


class Rows(msgspec.Struct, frozen=True):
    """The index rows of one resource, each once.

    words: keys for the inverted index; dates, numbers, strings: (parameter, …) rows in order;
    references: (parameter, key of the target's place); identifiers: the words of its own identifiers, with
    system and value; narrative and content: texts for words in them.
    """

    words: list[int]
    dates: list[tuple[int, int, int]]
    numbers: list[tuple[int, float, float, int]]
    strings: list[tuple[int, str]]
    references: list[tuple[int, int]]
    identifiers: list[int]
    narrative: str
    content: str


EMPTY = Rows([], [], [], [], [], [], "", "")


Named = tuple[str, str]
"""Type and id of a resource."""

_Tree = dict[str, Enter]
"""What enters the values of each key of an object, wherever in a resource that stands."""
_Way = tuple[tuple[str, ...], Enter]
_Search = Callable[[Resource, Collected], None]


def rows(resource: Resource, refers: Sequence[Named] | None = None) -> Rows:
    """Index a resource whose references are literal; a value that is not well-formed is left out.

    refers: what `referred` finds in it, where that is known.
    """
    tree, searches = _plan(resource["resourceType"])
    found = Collected()
    _walk(resource, tree, found)
    for element in searches:
        if element in resource:
            for search in searches[element]:
                search(resource, found)
    found.words.update(
        keys.referring(*each) for each in (referred(resource) if refers is None else refers)
    )
    text = resource.get("text")
    return Rows(
        list(found.words),
        _once(found.dates),
        _once(found.numbers),
        _once(found.strings),
        _once(found.references),
        _once(found.identifiers),
        values.unmarked([text["div"]]) if text.__class__ is dict and "div" in text else "",
        values.words(resource),
    )


def referred(resource: Resource) -> list[Named]:
    """List type and id of each resource here that a resource, its references literal, refers to.

    A document Bundle is closed: its references are its own.
    """
    if resource["resourceType"] == "Bundle":
        return []
    return named_here(references(resource))


def named_here(texts: Iterable[str]) -> list[Named]:
    """List type and id of each resource here that the texts of literal references name."""
    parts = (literal(text) for text in texts)
    return list(dict.fromkeys((each.type, each.id) for each in parts if each and not each.base))


def _once(listed: list[Any]) -> list[Any]:
    return list(dict.fromkeys(listed)) if len(listed) > 1 else listed


def _walk(node: Any, tree: _Tree, found: Collected) -> None:
    """Enter those elements that are there and have a place in the plan."""
    for key, value in node.items():
        if key in tree:
            if value.__class__ is not list:
                if value is not None:
                    tree[key](found, (value,))
            elif value and None not in value:
                tree[key](found, value)
            elif listed := [each for each in value if each is not None]:
                tree[key](found, listed)


@cache
def _plan(resource_type: str) -> tuple[_Tree, dict[str, list[_Search]]]:
    ways: list[_Way] = []
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
                    ways += [_way(path, into, parameter.type) for path in paths]
                else:
                    _evaluate(searches, alternative, into, parameter)
    return _tree(ways), searches


def _way(path: Path, into: Column, kind: str) -> _Way:
    enter = OF[kind](into, path.type, path.implied)
    if path.only:
        enter = _referring(path.only, enter)
    if path.where is None:
        return path.keys, enter
    kept, below = path.keys[: path.kept], path.keys[path.kept :]
    return kept, _where(*path.where, _below([(below, enter)]))


def _tree(ways: Iterable[_Way]) -> _Tree:
    """Merge ways that begin alike, so that each element is met once."""
    by_key: dict[str, list[_Way]] = {}
    for (key, *rest), enter in ways:
        by_key.setdefault(key, []).append((tuple(rest), enter))
    return {key: _below(below) for key, below in by_key.items()}


def _below(ways: list[_Way]) -> Enter:
    """Return what enters values for the ways that end at them, and walks on for the others."""
    enters = [enter for keys, enter in ways if not keys]
    if tree := _tree(way for way in ways if way[0]):
        enters.append(lambda found, listed: _walk_each(listed, tree, found))
    if len(enters) == 1:
        return enters[0]

    def enter_all(found: Collected, listed: Sequence[Any]) -> None:
        for enter in enters:
            enter(found, listed)

    return enter_all


def _walk_each(nodes: Iterable[Any], tree: _Tree, found: Collected) -> None:
    for node in nodes:
        if node.__class__ is dict:
            _walk(node, tree, found)


def _referring(resource_type: str, enter: Enter) -> Enter:
    def enter_referring(found: Collected, listed: Sequence[Any]) -> None:
        if kept := [each for each in listed if _refers(each, resource_type)]:
            enter(found, kept)

    return enter_referring


def _where(key: str, value: str, enter: Enter) -> Enter:
    """Enter only the elements that have a value at a key, or what is below them."""

    def enter_where(found: Collected, listed: Sequence[Any]) -> None:
        if kept := [each for each in listed if each.get(key) == value]:
            enter(found, kept)

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
        for value, kind in evaluate.typed(resource, expressions.environment(resource)):
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

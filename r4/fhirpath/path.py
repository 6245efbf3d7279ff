"""Paths of element names: `name.given` walks the JSON to its end, without a Node for what is between.

How the JSON is walked is found out once for each path and type: a Way.

https://hl7.org/fhirpath/N1/#path-selection
"""

from collections.abc import Callable
from typing import Any

import msgspec

from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.scope import Evaluate, Scope, Step, Values
from r4.fhirpath.types import UNKNOWN, Field, Type, find, of_resource
from r4.fhirpath.values import EMPTY, Node, collect, collect_keys, knows, members


class Way(msgspec.Struct, frozen=True, gc=False):
    """The keys down to the last element's owners, and that element: one field, or a choice."""

    keys: tuple[str, ...]
    last: Field | None
    choice: dict[str, Field]


_NOWHERE = Way((), None, {})
"""The way of a path that begins with another type's name."""


def steps(names: tuple[str, ...]) -> Step:
    """Compile navigation by these names; unknown ones are an error when strict."""
    ways = _ways(names)

    def step(scope: Scope, items: list[Any]) -> list[Any]:
        found: list[Any] = []
        for item in items:
            if item.__class__ is not Node:
                continue
            way = ways(item.type) if item.value.__class__ is dict else None
            if way is None:
                found.extend(_one_by_one(scope.strict, item, names))
            elif way.last is not None:
                _walk(item.value, way.keys, way.last, found)
            else:
                _walk_to_choice(item.value, way.keys, way.choice, found)
        return found

    return step


def from_head(names: tuple[str, ...]) -> Evaluate:
    """Compile a path at the head of an expression, where the first name may be that of a type."""
    whole = steps(names)
    if not names[0][:1].isupper():
        return lambda scope: whole(scope, scope.this)
    name, rest = names[0], steps(names[1:]) if names[1:] else None

    def evaluate(scope: Scope) -> list[Any]:
        items = scope.this
        if len(items) == 1 and items[0].__class__ is Node:
            kind = items[0].type
            if name in kind.ancestors:
                return rest(scope, items) if rest else items
            if kind.is_resource and not scope.strict and not find(kind, name):
                return EMPTY
        return whole(scope, items)

    return evaluate


def values_from_head(names: tuple[str, ...]) -> Values:
    """Compile a path at the head of an expression to what reads its values without any Node."""
    known: dict[Any, Way | None] = {}

    def values(resource: dict[str, Any]) -> list[Any] | None:
        kind = resource.get("resourceType")
        try:
            way = known[kind]
        except (KeyError, TypeError):
            if not isinstance(kind, str) or of_resource(kind) is UNKNOWN:
                return None
            way = known[kind] = _planned_from_head(of_resource(kind), names)
        if way is None:
            return None
        return [] if way is _NOWHERE else _read(resource, way)

    return values


def _planned_from_head(kind: Type, names: tuple[str, ...]) -> Way | None:
    if not names[0][:1].isupper():
        return _planned(kind, names)
    if names[0] in kind.ancestors:
        return _planned(kind, names[1:]) if names[1:] else None
    return None if find(kind, names[0]) else _NOWHERE


def _read(fields: dict[str, Any], way: Way) -> list[Any]:
    found: list[Any] = []
    for owner in _owners(fields, way.keys) if way.keys else (fields,):
        keys = owner if way.last is None else (way.last.key,)
        for key in keys:
            if way.last is None and (key not in way.choice or way.choice[key].key != key):
                continue
            value = owner.get(key)
            if value.__class__ is list:
                found.extend([each for each in value if each is not None])
            elif value is not None:
                found.append(value)
    return found


def _ways(names: tuple[str, ...]) -> Callable[[Type], Way | None]:
    known: dict[Type, Way | None] = {}

    def way(kind: Type) -> Way | None:
        try:
            return known[kind]
        except KeyError:
            return known.setdefault(kind, _planned(kind, names))

    return way


def _planned(kind: Type, names: tuple[str, ...]) -> Way | None:
    """Return the way, or None where only the values tell: of choices on the way, of resources."""
    keys = []
    for name in names[:-1]:
        field = _only(kind, name)
        if field is None or field.type.is_primitive or field.type.is_resource:
            return None
        if field.type is UNKNOWN:
            return None
        keys.append(field.key)
        kind = field.type
    last = _only(kind, names[-1])
    choice = {} if last else find(kind, names[-1])
    return Way(tuple(keys), last, choice) if last or choice else None


def _only(kind: Type, name: str) -> Field | None:
    """Return the one field of a name; the one met before, for a backbone's type is made when met."""
    fields = {kind.fields[name]} if name in kind.fields else set(find(kind, name).values())
    return fields.pop() if len(fields) == 1 else None


def _walk(fields: dict[str, Any], keys: tuple[str, ...], last: Field, found: list[Any]) -> None:
    if keys:
        for owner in _owners(fields, keys):
            collect(owner, last, found)
    else:
        collect(fields, last, found)


def _walk_to_choice(
    fields: dict[str, Any], keys: tuple[str, ...], choice: dict[str, Field], found: list[Any]
) -> None:
    for owner in _owners(fields, keys):
        collect_keys(owner, choice, found)


def _owners(fields: dict[str, Any], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    owners = [fields]
    for key in keys:
        below: list[dict[str, Any]] = []
        for owner in owners:
            value = owner.get(key)
            if value.__class__ is dict:
                below.append(value)
            elif value.__class__ is list:
                below.extend([each for each in value if each.__class__ is dict])
        owners = below
    return owners


def _one_by_one(strict: bool, item: Node, names: tuple[str, ...]) -> list[Any]:
    items = [item]
    for name in names:
        found: list[Any] = []
        for each in items:
            if strict and not knows(each, name):
                raise EvaluationError(f"{each.type.path or 'the input'} has no element `{name}`")
            found.extend(members(each, name))
        items = found
    return items

"""The values of an element in a resource, with what JSON spreads over several properties.

https://hl7.org/fhir/R4/json.html#primitive
"""

from functools import cache
from typing import Any, NamedTuple

from profiles.findings import Path
from profiles.structure import Element, address, json_name, shape, step
from r4 import definitions
from r4.json import Resource

Address = tuple[str, str]
"""A StructureDefinition's url and a path in it: where the shape of a value stands."""


class Field(NamedTuple):
    """One way in which JSON writes an element: its property, and what stands there.

    beside: the property of a primitive's id and extensions.
    """

    json: str
    beside: str
    code: str
    where: Address
    step: str
    is_primitive: bool
    is_resource: bool


class Item(NamedTuple):
    """One value: the value itself, the object that holds its elements, its type and its place.

    `value` is None where a primitive has only extensions; `held` is then its `_` sibling. Of an
    object, both are the object.
    """

    value: Any
    held: Resource
    code: str
    where: Address
    path: Path
    is_resource: bool = False


_NOTHING: Resource = {}


@cache
def element_of(where: Address, name: str) -> Element | None:
    """Return the element of a name in the shape at an address, or None."""
    return next((each for each in shape(*where).elements if each.name == name), None)


@cache
def fields(where: Address, name: str) -> tuple[Field, ...]:
    """List the ways in which JSON writes an element of the shape at an address."""
    element = element_of(where, name)
    if element is None:
        return ()
    if not element.types:
        return (Field(name, f"_{name}", "", element.shape or where, name, False, False),)
    return tuple(_field(element, each.code) for each in element.types)


def _field(element: Element, code: str) -> Field:
    is_resource = code == "Resource" or code in definitions.resource_types()
    is_primitive = any(each.code == code and each.is_primitive for each in element.types)
    where = address("Element") if is_primitive else element.shape or address(code)
    name, here = json_name(element, code), step(element, code)
    return Field(name, f"_{name}", code, where, here, is_primitive, is_resource)


def items(ways: tuple[Field, ...], source: Resource, path: Path) -> list[Item]:
    """List the values of an element in an object; those that are not of its JSON are left out."""
    found: list[Item] = []
    for way in ways:
        if way.json not in source and way.beside not in source:
            continue
        value = source.get(way.json)
        if way.is_primitive:
            beside = source.get(way.beside)
            if value is not None or beside is not None:
                found += _primitives(way, value, beside, path)
        elif value.__class__ is dict:
            found.append(_object(way, value, (path, way.step, None)))
        elif value.__class__ is list:
            found += [
                _object(way, each, (path, way.step, index))
                for index, each in enumerate(value)
                if each.__class__ is dict
            ]
    return found


def children(item: Item, name: str) -> list[Item]:
    """List the values of an element by its name, for any item."""
    return items(fields(item.where, name), item.held, item.path)


def of_resource(resource: Resource, path: Path) -> Item:
    """Return a resource as an item."""
    name = resource.get("resourceType")
    known = isinstance(name, str) and name in definitions.resource_types()
    code = str(name) if known else "Resource"
    return Item(resource, resource, code, address(code), path, True)


def _object(way: Field, value: Resource, path: Path) -> Item:
    if way.is_resource:
        return of_resource(value, path)
    return Item(value, value, way.code, way.where, path)


def _primitives(way: Field, value: Any, beside: Any, path: Path) -> list[Item]:
    if value.__class__ is not list and beside.__class__ is not list:
        return [_primitive(way, value, beside, (path, way.step, None))]
    values = value if isinstance(value, list) else []
    besides = beside if isinstance(beside, list) else []
    return [
        _primitive(way, _at(values, index), _at(besides, index), (path, way.step, index))
        for index in range(max(len(values), len(besides)))
    ]


def _primitive(way: Field, value: Any, beside: Any, path: Path) -> Item:
    held = beside if isinstance(beside, dict) else _NOTHING
    return Item(value, held, way.code, way.where, path)


def _at(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else None

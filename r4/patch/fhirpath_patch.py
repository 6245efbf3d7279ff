"""FHIRPath Patch: add, insert, delete, replace and move what a FHIRPath selects.

https://hl7.org/fhir/R4/fhirpatch.html
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from r4 import fhirpath
from r4.fhirpath.parse import parse
from r4.fhirpath.syntax import Member, Path
from r4.fhirpath.types import Field, Type
from r4.fhirpath.values import Node
from r4.issue import FhirError, error
from r4.json import Resource
from r4.patch import elements
from r4.patch.elements import Place, Slot
from r4.patch.errors import failed
from r4.patch.operations import Given, Operation, read

_STRICT = fhirpath.Environment(strict=True)
_LAST_STEP = re.compile(r"(.*)\.\s*[^.]+", re.DOTALL)

# Beyond a type and its specialisations: xhtml is no value[x], and every date is a valid dateTime.
_ALSO_FITS = {("string", "xhtml"), ("date", "dateTime")}


def apply(resource: Resource, parameters: Any) -> Resource:
    """Apply the operations in order, all or none, to a copy of the resource.

    parameters: a Parameters resource; without operations nothing changes. An element that loses
    all its content goes too, for FHIR knows no empty elements. Elements are found strictly: a path
    that names an element its type lacks is an error.
    Raises FhirError: 400 where the patch or a path is not well-formed; 422 where a path selects
    nothing (but for delete) or several elements, or a value does not fit its place. The issue's
    expression leads to the part of the Parameters that is at fault.
    """
    try:
        document = elements.laid_out(resource)
        for operation in read(parameters):
            _PERFORM[operation.type](document, operation)
        return elements.folded(document)
    except RecursionError:
        raise failed("Parameters", "the resource or the patch is too deeply nested") from None


def _add(document: Resource, operation: Operation) -> None:
    owner, kind = _owner(document, operation, operation.path)
    _add_to(owner, kind, operation.name, operation.value)


def _insert(document: Resource, operation: Operation) -> None:
    owner, slot = _list(document, operation)
    field = _field(slot, operation.value)
    value, extensions = _build(field.type, operation.value)
    values, beside = _lists(owner, field, operation.at)
    _check_index(operation, "index", operation.index, len(values) + 1)
    values.insert(operation.index, value)
    beside.insert(operation.index, extensions)


def _delete(document: Resource, operation: Operation) -> None:
    nodes = _select(document, operation, operation.path)
    if nodes:
        _take(_place(document, operation, nodes))


def _replace(document: Resource, operation: Operation) -> None:
    place = _place(document, operation, _select(document, operation, operation.path))
    slot = elements.slot_of_key(place.kind, place.key)
    if slot is None:
        raise failed(_at_path(operation), f"FHIR R4 defines no `{place.key}` there")
    field = _field(slot, operation.value)
    value, extensions = _build(field.type, operation.value)
    if place.index is None:
        _take(place)
        _set(place.owner, field, value, extensions)
    else:
        values, beside = _lists(place.owner, field, operation.at)
        values[place.index] = value
        beside[place.index] = extensions


def _move(document: Resource, operation: Operation) -> None:
    owner, slot = _list(document, operation)
    lists = _lists(owner, slot.fields[0], operation.at)
    for name in ("source", "destination"):
        _check_index(operation, name, getattr(operation, name), len(lists[0]))
    for held in lists:
        held.insert(operation.destination, held.pop(operation.source))


_PERFORM: dict[str, Callable[[Resource, Operation], None]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}


def _add_to(owner: Resource, kind: Type, name: str, given: Given) -> None:
    slot = elements.slot(kind, name)
    if slot is None:
        raise failed(given.at, f"{kind.path or 'the element'} has no element `{name}`")
    field = _field(slot, given)
    value, extensions = _build(field.type, given)
    if not slot.repeats:
        if any(each.key in owner for each in slot.fields):
            raise failed(
                given.at, f"there is a `{name}` already, and it does not repeat", "conflict"
            )
        _set(owner, field, value, extensions)
        return
    values, beside = _lists(owner, field, given.at)
    values.append(value)
    beside.append(extensions)


def _set(owner: Resource, field: Field, value: Any, extensions: Resource) -> None:
    owner[field.key] = value
    if field.shadow:
        owner[field.shadow] = extensions


def _lists(owner: Resource, field: Field, at: str) -> tuple[list[Any], list[Any]]:
    """Return the list of an element and the list beside it, which only primitives keep."""
    values = owner.setdefault(field.key, [])
    beside = owner.setdefault(field.shadow, []) if field.shadow else []
    if not isinstance(values, list) or not isinstance(beside, list):
        raise failed(at, f"`{field.key}` of the resource should be a list, and is none")
    beside.extend({} for _ in values[len(beside) :])
    return values, beside


def _field(slot: Slot, given: Given) -> Field:
    """Choose the key of an element that takes a value: the same type first, then a related one."""
    if given.kind is None:
        fits = [each for each in slot.fields if not each.type.is_primitive]
    else:
        same = [each for each in slot.fields if each.type.name == given.kind.name]
        fits = same or [each for each in slot.fields if _fits(given.kind, each.type)]
    if len(fits) != 1 or (given.kind is None and len(slot.fields) > 1):
        wanted = ", ".join(each.type.name for each in slot.fields)
        offered = given.kind.name if given.kind else "parts"
        raise failed(given.at, f"`{slot.name}` takes {wanted}, not {offered}")
    return fits[0]


def _fits(given: Type, wanted: Type) -> bool:
    if "." in wanted.path:
        return False
    related = given.name in wanted.ancestors or wanted.name in given.ancestors
    return related or (given.name, wanted.name) in _ALSO_FITS


def _build(kind: Type, given: Given) -> tuple[Any, Resource]:
    """Make the value, laid out, and what stands beside it if it is a primitive."""
    if given.kind is None:
        if kind.is_resource:
            raise failed(given.at, "a resource is given as `resource`, not in parts")
        made: Resource = {}
        for name, part in given.parts:
            _add_to(made, kind, name, part)
        return made, {}
    if kind.is_primitive:
        return given.value, elements.laid_out(given.extensions)
    return elements.laid_out(given.value), {}


def _select(document: Resource, operation: Operation, path: str) -> list[Any]:
    with _blamed_on(_at_path(operation)):
        return fhirpath.compile(path).items(document, _STRICT)


@contextmanager
def _blamed_on(at: str) -> Iterator[None]:
    try:
        yield
    except FhirError as problem:
        issues = [error(each.code, each.diagnostics, at, each.rule) for each in problem.issues]
        raise FhirError(problem.status, issues) from None


def _single(operation: Operation, nodes: list[Any]) -> Node:
    if len(nodes) != 1:
        what, code = (f"{len(nodes)} elements", "multiple-matches") if nodes else _NOTHING
        problem = f"`{operation.path}` must select one element to {operation.type}, found {what}"
        raise failed(_at_path(operation), problem, code)
    if not isinstance(nodes[0], Node):
        raise failed(_at_path(operation), f"`{operation.path}` selects no element, but a value")
    return nodes[0]


_NOTHING = ("none", "not-found")


def _place(document: Resource, operation: Operation, nodes: list[Any]) -> Place:
    """Find where the one selected element stands; the resource as a whole has no place."""
    place = elements.places(document).get(id(_object(_single(operation, nodes))))
    if place is None:
        problem = f"`{operation.path}` must select an element within the resource"
        raise failed(_at_path(operation), problem)
    return place


def _owner(document: Resource, operation: Operation, path: str) -> tuple[Resource, Type]:
    """Find the one element to change, or the resource itself; its extensions, if a primitive."""
    nodes = _select(document, operation, path)
    node = _single(operation, nodes)
    if node.value is document:
        return document, node.type
    _place(document, operation, nodes)
    return _object(node), node.type


def _object(node: Node) -> Any:
    return node.value if isinstance(node.value, dict) else node.extra


def _list(document: Resource, operation: Operation) -> tuple[Resource, Slot]:
    """Find the owner of the list that a path names, which may be empty, and the list's element."""
    parent, name = _split(operation)
    owner, kind = _owner(document, operation, parent)
    slot = elements.slot(kind, name)
    if slot is None or not slot.repeats:
        raise failed(_at_path(operation), f"`{operation.path}` names no list")
    return owner, slot


def _split(operation: Operation) -> tuple[str, str]:
    cut = _LAST_STEP.fullmatch(operation.path)
    with _blamed_on(_at_path(operation)):
        match parse(operation.path):
            case Member(name):
                return "$this", name
            # A full stop in a comment after the path would be the wrong place to cut.
            case Path(source, Member(name)) if cut and parse(cut[1]) == source:
                return cut[1], name
    problem = f"`{operation.path}` must end in the name of the list to {operation.type} in"
    raise failed(_at_path(operation), problem)


def _take(place: Place) -> None:
    owner, key = place.owner, place.key
    if place.index is None:
        del owner[key]
        owner.pop(f"_{key}", None)
        return
    del owner[key][place.index]
    if f"_{key}" in owner:
        del owner[f"_{key}"][place.index]


def _check_index(operation: Operation, name: str, index: int, end: int) -> None:
    if index >= end:
        at = f"{operation.at}.part.where(name = '{name}')"
        raise failed(at, f"the {name} {index} lies outside the list `{operation.path}`")


def _at_path(operation: Operation) -> str:
    return f"{operation.at}.part.where(name = 'path')"

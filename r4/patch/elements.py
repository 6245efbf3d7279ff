"""A resource laid out so that what a FHIRPath selects can be found again and changed in place.

An object is told by its identity; a text or number cannot be, but the `_name` object beside it can.
`laid_out` therefore gives every primitive such an object, empty if need be, and `folded` takes the
empty ones away again.

https://hl7.org/fhir/R4/json.html#primitive
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import Any

from r4 import definitions
from r4.fhirpath import types
from r4.fhirpath.types import UNKNOWN, Field, Type
from r4.json import Resource


@dataclass(frozen=True, slots=True)
class Slot:
    """An element as its type defines it; fields: the keys that may hold it, several for `x[x]`."""

    name: str
    repeats: bool
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an element stands: the object that owns it, that object's type, the key, the index."""

    owner: Resource
    kind: Type
    key: str
    index: int | None


def slot(kind: Type, name: str) -> Slot | None:
    """Return the element of this name ("value", not "valueString"); None if the type has none."""
    return _slots(kind.path).get(name)


def slot_of_key(kind: Type, key: str) -> Slot | None:
    """Return the element that a JSON key ("valueString") holds."""
    own = _slots(kind.path).values()
    return next((each for each in own if any(field.key == key for field in each.fields)), None)


@cache
def _slots(path: str) -> dict[str, Slot]:
    kind = types.named(path)
    structure = definitions.structure(path.partition(".")[0])
    if kind is None or structure is None:
        return {}
    own = [e for e in structure["snapshot"]["element"] if e["path"].rpartition(".")[0] == path]
    names = {each["path"].rpartition(".")[2].removesuffix("[x]"): each["max"] for each in own}
    if kind.is_primitive:
        del names["value"]
    return {
        name: Slot(
            name,
            most != "1",
            tuple(field for key, field in types.find(kind, name).items() if key == field.key),
        )
        for name, most in names.items()
    }


def laid_out(fields: Resource) -> Resource:
    """Copy an object, with an object of its own beside every primitive."""
    copy: Resource = {}
    for key in _names(fields):
        value, beside = fields.get(key), fields.get(f"_{key}")
        if isinstance(value, dict):
            copy[key] = laid_out(value)
        elif isinstance(value, list) or isinstance(beside, list):
            copy |= _laid_out_list(key, _listed(value), _listed(beside))
        elif key == "resourceType":
            copy[key] = value
        else:
            copy[key], copy[f"_{key}"] = value, _beside(beside)
    return copy


def _laid_out_list(key: str, values: list[Any], beside: list[Any]) -> Resource:
    if any(isinstance(value, dict) for value in values):
        return {key: [laid_out(each) if isinstance(each, dict) else each for each in values]}
    count = max(len(values), len(beside))
    padded = values + [None] * (count - len(values))
    extended = beside + [None] * (count - len(beside))
    return {key: padded, f"_{key}": [_beside(each) for each in extended]}


def _beside(extensions: Any) -> Resource:
    return laid_out(extensions) if isinstance(extensions, dict) else {}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def folded(fields: Resource) -> Resource:
    """Copy a laid out object back to FHIR JSON, leaving out whatever is empty."""
    copy: Resource = {}
    for key in _names(fields):
        value, beside = fields.get(key), fields.get(f"_{key}")
        if isinstance(value, list):
            copy |= _folded_list(key, value, beside)
        else:
            kept = folded(value) if isinstance(value, dict) else value
            extensions = folded(beside) if isinstance(beside, dict) else {}
            copy |= {key: kept} if kept not in (None, {}) else {}
            copy |= {f"_{key}": extensions} if extensions else {}
    return copy


def _folded_list(key: str, values: list[Any], beside: list[Any] | None) -> Resource:
    if beside is None:
        items = [folded(each) if isinstance(each, dict) else each for each in values]
        kept = [each for each in items if each != {}]
        return {key: kept} if kept else {}
    extended = [folded(each) for each in beside]
    pairs = [(v, e) for v, e in zip_longest(values, extended) if v is not None or e]
    copy: Resource = {}
    if any(value is not None for value, _ in pairs):
        copy[key] = [value for value, _ in pairs]
    if any(extensions for _, extensions in pairs):
        copy[f"_{key}"] = [extensions or None for _, extensions in pairs]
    return copy


def _names(fields: Resource) -> dict[str, None]:
    return dict.fromkeys(key.removeprefix("_") for key in fields)


def places(document: Resource) -> dict[int, Place]:
    """Map the identity of every element's object, below a laid out resource, to its place."""
    kind = types.of(document, None)
    return {id(found): place for found, place in _walk(document, kind)}


def _walk(fields: Resource, kind: Type) -> Iterator[tuple[Resource, Place]]:
    plan = kind.keys()
    for key, value in fields.items():
        if key.startswith("_") or key == "resourceType":
            continue
        field = plan.get(key)
        for index, found in _objects(value, fields.get(f"_{key}")):
            yield found, Place(fields, kind, key, index)
            yield from _walk(found, _type(found, field.type if field else UNKNOWN))


def _objects(value: Any, beside: Any) -> Iterator[tuple[int | None, Resource]]:
    held = value if beside is None else beside
    if isinstance(held, dict):
        yield None, held
    elif isinstance(held, list):
        yield from ((i, each) for i, each in enumerate(held) if isinstance(each, dict))


def _type(found: Resource, kind: Type) -> Type:
    return types.of(found, None) if kind.is_resource else kind

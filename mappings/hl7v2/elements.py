"""Target paths of the tables, checked against the R4 definitions and compiled to setters.

A path is `name[1].given`: `[1]` tags one element among several and is no index; `[n]` stands for one
element for each segment that fills the resource. The first value that reaches a single element stays,
so a later row is a fallback; a list takes every value.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from r4.definitions import structure
from r4.json import Resource

_STEP = re.compile(r"(?P<name>[a-z][A-Za-z0-9]*)(?:\[(?P<tag>\d+|n)\])?\Z")
_NESTED = {"BackboneElement", "Element"}


class Slot:
    """One resource in the making: what the tables have put in it, and which elements to delete.

    `matches` are the identifiers by any of which the resource may be known already; where there are
    none, its first one. `number` is that of the segment, among those of its name, that fills it now,
    and `linked` what refers to which urn already.
    """

    __slots__ = (
        *("deleted", "elements", "linked", "matches"),
        *("number", "request", "resource", "urn"),
    )

    def __init__(self, resource: Resource, request: str) -> None:
        self.resource = resource
        self.request = request
        self.elements: dict[tuple[str, int], Resource] = {}
        self.deleted: dict[str, None] = {}
        self.matches: list[Resource] = []
        self.number = 0
        self.linked: set[tuple[object, str]] = set()
        self.urn = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: an element's name, and the key of its entry where it is a list.

    Each repetition of a field has its own entry, and all rows with the same path share it; with
    `by_segment` each segment has its own.
    """

    name: str
    key: str | None
    by_segment: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A compiled path: the way to the leaf, the leaf, its type, and its rivals if it is a choice.

    `takes_text` says whether a concept may be text alone, as no binding requires a code.
    """

    way: tuple[Step, ...]
    name: str
    is_list: bool
    type: str
    targets: frozenset[str]
    rivals: tuple[str, ...]
    takes_text: bool
    extension: str | None = None

    def put(self, slot: Slot, value: Any, repetition: int = 0) -> None:
        """Set the value, or add it where the element is a list."""
        node = slot.resource
        for step in self.way:
            node = _descend(node, step, slot, repetition)
        if self.extension is not None:
            kind = self.type[0].upper() + self.type[1:]
            value = {"url": self.extension, f"value{kind}": value}
        if self.is_list:
            node.setdefault(self.name, []).append(value)
        elif not any(rival in node for rival in self.rivals):
            node.setdefault(self.name, value)
            if self.rivals and not self.way:  # a stored rival must go when the two are merged
                slot.deleted |= dict.fromkeys(self.rivals)

    def delete(self, slot: Slot) -> None:
        """Note that the sender removed the value, where it is a whole element of the resource.

        Identifiers and extensions are never removed: they are shared with what others know.
        """
        if not self.way and self.name not in ("identifier", "extension"):
            slot.deleted[self.name] = None


def _descend(node: Resource, step: Step, slot: Slot, repetition: int) -> Resource:
    if step.key is None:
        child: Resource = node.setdefault(step.name, {})
        return child
    key = (step.key, slot.number if step.by_segment else repetition)
    entry = slot.elements.get(key)
    if entry is None:
        listed = node.setdefault(step.name, [])
        listed.append({})
        entry = slot.elements[key] = listed[-1]
    return entry


def place(resource_type: str, path: str, extension: str | None = None) -> Place:
    """Compile a path of a type. Raises ValueError where R4 has no such element."""
    way: list[Step] = []
    trail = prefix = owner = resource_type
    *inner, last = path.split(".")
    for text in inner:
        name, tag = _parsed(text, path)
        element, type_name = _element(owner, prefix, name, path)
        trail = f"{trail}.{name}[{tag}]"
        way.append(Step(name, trail if element["max"] != "1" else None, tag == "n"))
        owner, prefix = _within(owner, prefix, element, name, type_name)
    name, _ = _parsed(last, path)
    element, type_name = _element(owner, prefix, name, path)
    is_list = element["max"] != "1"
    if extension is not None and name != "extension":
        raise ValueError(f"{resource_type}.{path}: only `extension` can hold {extension}")
    rivals = tuple(rival for rival in _choices(element) if rival != name)
    takes_text = element.get("binding", {}).get("strength") != "required"
    targets = _targets(element, type_name)
    return Place(tuple(way), name, is_list, type_name, targets, rivals, takes_text, extension)


def children(resource_type: str, path: str = "") -> Mapping[str, str]:
    """Map the elements right below a path to their types, but for choices and those of many types.

    Raises ValueError where R4 has no such path.
    """
    owner = prefix = resource_type
    for text in path.split(".") if path else ():
        name, _ = _parsed(text, path)
        element, type_name = _element(owner, prefix, name, path)
        owner, prefix = _within(owner, prefix, element, name, type_name)
    below = {
        element["path"].rpartition(".")[2]: element.get("type", [])
        for element in _elements(owner).values()
        if element["path"].rpartition(".")[0] == prefix
    }
    return {name: types[0]["code"] for name, types in below.items() if len(types) == 1}


def _within(
    owner: str, prefix: str, element: Resource, name: str, type_name: str
) -> tuple[str, str]:
    """Return the type and path that what stands below an element is defined by."""
    if "contentReference" in element:
        return owner, element["contentReference"].removeprefix("#")
    return (owner, f"{prefix}.{name}") if type_name in _NESTED else (type_name, type_name)


def _parsed(text: str, path: str) -> tuple[str, str]:
    match = _STEP.match(text)
    if match is None:
        raise ValueError(f"{path}: `{text}` is no step of a path")
    return match["name"], match["tag"] or "1"


def _element(owner: str, prefix: str, name: str, path: str) -> tuple[Resource, str]:
    elements = _elements(owner)
    element = elements.get(f"{prefix}.{name}")
    if element is not None:
        if "contentReference" in element:
            return element, "BackboneElement"
        types = element.get("type", [])
        if len(types) != 1:
            raise ValueError(f"{path}: {prefix}.{name} has no single type")
        return element, types[0]["code"]
    for candidate in elements.values():
        if candidate["path"].startswith(f"{prefix}.") and name in _choices(candidate):
            return candidate, _choices(candidate)[name]
    raise ValueError(f"{path}: R4 has no element {prefix}.{name}")


def _choices(element: Resource) -> dict[str, str]:
    """Map `valueString` to `string` for a `value[x]`; empty for any other element."""
    stem = element["path"].rpartition(".")[2]
    if not stem.endswith("[x]"):
        return {}
    codes = [kind["code"] for kind in element["type"]]
    return {f"{stem[:-3]}{code[0].upper()}{code[1:]}": code for code in codes}


def _targets(element: Resource, type_name: str) -> frozenset[str]:
    return frozenset(
        profile.rpartition("/")[2]
        for kind in element.get("type", [])
        if kind["code"] == type_name
        for profile in kind.get("targetProfile", [])
    )


@cache
def _elements(type_name: str) -> dict[str, Resource]:
    definition = structure(type_name)
    if definition is None:
        raise ValueError(f"R4 has no type {type_name}")
    return dict(_by_path(definition))


def _by_path(definition: Resource) -> Iterator[tuple[str, Resource]]:
    for element in definition["snapshot"]["element"]:
        yield element["path"], element

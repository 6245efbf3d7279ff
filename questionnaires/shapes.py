"""Where an element id leads: how R4 writes that element in JSON, and what a profile fixes in it.

https://hl7.org/fhir/R4/elementdefinition.html#id
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from questionnaires.item_elements import Element, element_of, elements
from r4 import definitions
from r4.json import Resource

Definitions = Callable[[str], Resource | None]
"""The StructureDefinition of a canonical; None where it is not known."""

_TYPED_SLICE = re.compile(r"(\w+)\[x\]:(\1\w+)")
_SYSTEM_TYPE = "http://hl7.org/fhirpath/System."


class Segment(NamedTuple):
    """One step of an element id: a name, and the slice that is meant."""

    name: str
    slice: str | None


def normal(id: str) -> str:
    """Write an element id as JSON names its parts: `value[x]:valueQuantity` is `valueQuantity`."""
    return _TYPED_SLICE.sub(r"\2", id).replace("[x]", "")


def segment(text: str) -> Segment:
    """Read one step of a normal element id."""
    name, _, slice_name = text.partition(":")
    return Segment(name, slice_name or None)


@dataclass(frozen=True, slots=True)
class Shape:
    """An element as R4 defines it; many: a JSON array; key: None where its type is still open."""

    structure: Resource
    id: str
    types: tuple[str, ...]
    many: bool
    key: str | None
    name: str

    @property
    def is_primitive(self) -> bool:
        """Tell whether its value is no object."""
        return bool(self.types) and all(each[0].islower() for each in self.types)

    def child(self, name: str) -> "Shape | None":
        """Return the element of a name below this one, or None: `value`, `valueQuantity`."""
        for id in (f"{self.id}.{name}", f"{self.id}.{name}[x]"):
            if (found := element_of(self.structure, id)) is not None:
                return _shape(self.structure, found, _types(found))
        for element in elements(self.structure):
            base = element["id"].rpartition(".")[2].removesuffix("[x]")
            if element["id"] != f"{self.id}.{base}[x]" or not name.startswith(base):
                continue
            for code in _types(element):
                if name == base + code[0].upper() + code[1:]:
                    return _shape(self.structure, element, (code,))
        return self._in_type(name)

    def _in_type(self, name: str) -> "Shape | None":
        """Return the element from what this one's content refers to, or from its type."""
        own = element_of(self.structure, self.id) or {}
        if "contentReference" in own:
            id = own["contentReference"].removeprefix("#")
            return Shape(self.structure, id, (), False, None, "").child(name)
        if len(self.types) != 1 or self.types[0] in ("Element", "BackboneElement"):
            return None
        whole = root(self.types[0])
        return whole.child(name) if whole is not None and whole.id != self.id else None


def root(type: str) -> Shape | None:
    """Return the shape of a resource or datatype of R4, None for any other name."""
    structure = definitions.structure(type)
    if structure is None:
        return None
    return Shape(structure, elements(structure)[0]["id"], (type,), False, None, type)


def _shape(structure: Resource, element: Element, types: tuple[str, ...]) -> Shape:
    name = element["id"].rpartition(".")[2]
    key: str | None = name
    if name.endswith("[x]"):
        name = name.removesuffix("[x]")
        key = name + types[0][0].upper() + types[0][1:] if len(types) == 1 else None
    return Shape(structure, element["id"], types, element["max"] != "1", key, name)


def _types(element: Element) -> tuple[str, ...]:
    codes = (each["code"] for each in element.get("type", ()))
    return tuple(
        code.removeprefix(_SYSTEM_TYPE).lower() if code.startswith(_SYSTEM_TYPE) else code
        for code in codes
    )


class Profile:
    """The elements of a profile by their normal ids; of a type's own definition, none."""

    def __init__(self, structure: Resource) -> None:
        listed = elements(structure) if structure.get("derivation") == "constraint" else []
        self._elements = {normal(each["id"]): each for each in listed}

    def children(self, path: str) -> Iterator[str]:
        """Yield the normal ids directly below one."""
        return (each for each in self._elements if each.rpartition(".")[0] == path)

    def types(self, path: str) -> tuple[str, ...]:
        """Return the types that the profile leaves to an element; none where it says nothing."""
        return _types(self._elements.get(path, {}))

    def is_required(self, path: str) -> bool:
        """Tell whether an element must be there."""
        element = self._elements.get(path, {})
        return element.get("min", 0) > 0 and element.get("max") != "0"

    def fixed(self, path: str) -> Any:
        """Return the value that the profile fixes for an element, or the pattern of it, or None."""
        for key, value in self._elements.get(path, {}).items():
            if key.startswith(("fixed", "pattern")):
                return value
        return None

"""What each element of FHIR's XML may hold, compiled from the definitions, once for each type.

https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.representation
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from r4 import definitions
from r4.json import Resource
from r4.xml.primitives import READERS, Read

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
DEPTH = 200
"""How many elements deep a resource may be, both ways."""

Kind = Literal["primitive", "object", "resource", "div", "attribute"]

_BACKBONES = {"BackboneElement", "Element"}
_SYSTEM_TYPE = "http://hl7.org/fhirpath/System."


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """One element or attribute: its JSON property, its FHIRPath step, its place, how it is read."""

    name: str
    companion: str
    step: str
    order: int
    repeats: bool
    kind: Kind
    read: Read
    address: tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """An object: its attributes, and its slots by XML tag and by JSON property (`_x` too)."""

    attributes: tuple[str, ...]
    by_tag: dict[str, Slot]
    by_property: dict[str, Slot]


@cache
def shape(address: tuple[str, str]) -> Shape:
    """Compile the shape at a StructureDefinition's url and a path in it ("…/Patient", "Patient").

    Raises LookupError where the definition is unknown.
    """
    url, path = address
    structure = definitions.structure(url)
    if structure is None:
        raise LookupError(f"no StructureDefinition {url}")
    below = f"{path}."
    slots = [
        slot
        for order, element in enumerate(structure["snapshot"]["element"])
        if element["path"].startswith(below) and "." not in element["path"][len(below) :]
        for slot in _slots(url, element, order)
    ]
    elements = [slot for slot in slots if slot.kind != "attribute"]
    companions = {slot.companion: slot for slot in elements if slot.kind == "primitive"}
    return Shape(
        tuple(slot.name for slot in slots if slot.kind == "attribute"),
        {f"{{{XHTML if slot.kind == 'div' else FHIR}}}{slot.name}": slot for slot in elements},
        {slot.name: slot for slot in slots} | companions,
    )


@cache
def annotated() -> Shape:
    """Return the shape that every primitive has in XML: id, value and extensions."""
    return shape((f"{definitions.CORE}string", "string"))


def resource_shape(type: str) -> Shape | None:
    """Return the shape of a resource type, or None where R4 has no such type."""
    return shape((definitions.CORE + type, type)) if type in _resource_types() else None


@cache
def types_by_tag() -> dict[str, str]:
    """Map the XML tag of every resource type to its name."""
    return {f"{{{FHIR}}}{type}": type for type in _resource_types()}


@cache
def _resource_types() -> frozenset[str]:
    return frozenset(definitions.resource_types())


def _slots(url: str, element: Resource, order: int) -> Iterator[Slot]:
    path: str = element["path"]
    name = path.rpartition(".")[2]
    chosen = name.endswith("[x]")
    name = name.removesuffix("[x]")
    for number, type in enumerate(element.get("type", ({"code": "BackboneElement"},))):
        code: str = type["code"]
        kind = _kind(code, element)
        spelt = f"{name}{code[0].upper()}{code[1:]}" if chosen else name
        yield Slot(
            name=spelt,
            companion=f"_{spelt}",
            step=f"{name}.ofType({code})" if chosen else name,
            order=order * 100 + number,
            repeats=element["max"] not in ("0", "1"),
            kind=kind,
            read=READERS.get(code, READERS["string"]),
            address=_address(url, element, code),
        )


def _kind(code: str, element: Resource) -> Kind:
    if "xmlAttr" in element.get("representation", ()):
        return "attribute"
    if code == "xhtml":
        return "div"
    if code == "Resource":
        return "resource"
    return "primitive" if code in READERS or code.startswith(_SYSTEM_TYPE) else "object"


def _address(url: str, element: Resource, code: str) -> tuple[str, str]:
    if "contentReference" in element:
        return url, element["contentReference"].removeprefix("#")
    return (url, element["path"]) if code in _BACKBONES else (definitions.CORE + code, code)

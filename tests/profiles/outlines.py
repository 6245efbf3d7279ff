"""The elements of R4's types, read from their snapshots by themselves, for what checks the validator."""

from collections.abc import Iterator
from functools import cache

from r4 import definitions
from r4.json import Resource

_SYSTEM = "http://hl7.org/fhirpath/System."
_BACKBONES = {"BackboneElement", "Element"}


@cache
def children(type_name: str, path: str) -> tuple[Resource, ...]:
    """List the elements directly below a path of a type's snapshot."""
    structure = definitions.structure(type_name)
    assert structure is not None, type_name
    below = f"{path}."
    return tuple(
        element
        for element in structure["snapshot"]["element"]
        if element["path"].startswith(below) and "." not in element["path"][len(below) :]
    )


@cache
def is_primitive(code: str) -> bool:
    """Tell whether the values of a type are JSON strings, numbers or booleans."""
    structure = definitions.structure(code)
    return structure is not None and structure["kind"] == "primitive-type"


def named(element: Resource) -> Iterator[tuple[str, str]]:
    """Yield (JSON property, type) of an element; the type of an object of its own is its path."""
    name = element["path"].rpartition(".")[2]
    if "contentReference" in element:
        yield name, element["contentReference"].removeprefix("#")
        return
    for each in element["type"]:
        code = type_code(element, each)
        stem = name.removesuffix("[x]")
        yield (stem if stem == name else f"{stem}{code[0].upper()}{code[1:]}"), code


def type_code(element: Resource, type_: Resource) -> str:
    """Return the name of one of an element's types, or its path where it holds an object of its own."""
    code: str = type_["code"]
    if code.startswith(_SYSTEM):
        # A resource's id is an id: https://hl7.org/fhir/R4/resource.html#id
        owner, _, name = element["path"].partition(".")
        structure = definitions.structure(owner)
        is_id = name == "id" and structure is not None and structure["kind"] == "resource"
        return "id" if is_id else _stated(type_)
    return element["path"] if code in _BACKBONES else code


def _stated(type_: Resource) -> str:
    return next((each["valueUrl"] for each in type_.get("extension", ())), "string")

"""A StructureDefinition's snapshot as shapes: one for each object, with the elements it may have.

https://hl7.org/fhir/R4/structuredefinition.html, https://hl7.org/fhir/R4/elementdefinition.html
"""

from dataclasses import dataclass
from functools import cache

from profiles.primitives import PRIMITIVES
from r4 import definitions
from r4.json import Resource

_SYSTEM_TYPE = "http://hl7.org/fhirpath/System."
_FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
_BACKBONES = {"BackboneElement", "Element"}


@dataclass(frozen=True, slots=True)
class Type:
    """One type an element may have: FHIR's name, the profile on it, the targets of a reference."""

    code: str
    profile: str | None = None
    targets: tuple[str, ...] = ()

    @property
    def is_primitive(self) -> bool:
        """Tell whether its JSON is a string, number or boolean."""
        return self.code in PRIMITIVES


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a shape; `name` is without `[x]`, `shape` where its own shape is, if any."""

    path: str
    name: str
    min: int
    max: str
    types: tuple[Type, ...]
    is_choice: bool
    shape: tuple[str, str] | None
    binding: Resource | None
    constraints: tuple[Resource, ...]

    @property
    def repeats(self) -> bool:
        """Tell whether its JSON is an array."""
        return self.max not in ("0", "1")


@dataclass(frozen=True, slots=True)
class Shape:
    """An object: its type's name, what it may hold, and the rules on the whole of it."""

    type: str
    is_resource: bool
    elements: tuple[Element, ...]
    constraints: tuple[Resource, ...]


@cache
def shape(url: str, path: str) -> Shape:
    """Read the shape at a path of a StructureDefinition ("…/Patient", "Patient.contact").

    Raises LookupError where the definition or the path is unknown.
    """
    structure = definitions.structure(url)
    if structure is None:
        raise LookupError(f"no StructureDefinition {url}")
    snapshot = structure["snapshot"]["element"]
    itself = next((element for element in snapshot if element["path"] == path), None)
    if itself is None:
        raise LookupError(f"no element {path} in {url}")
    is_resource = structure["kind"] == "resource" and "." not in path
    below = f"{path}."
    return Shape(
        path,
        is_resource,
        tuple(
            _element(url, element, is_resource)
            for element in snapshot
            if element["path"].startswith(below) and "." not in element["path"][len(below) :]
        ),
        tuple(itself.get("constraint", ())),
    )


@cache
def address(type_code: str, profile: str | None = None) -> tuple[str, str]:
    """Return the url and path of the shape of a type, or of a profile on it."""
    return profile or definitions.CORE + type_code, type_code


def json_name(element: Element, type_code: str) -> str:
    """Return the JSON property of an element with a type: `value`, or `valueQuantity`."""
    return (
        f"{element.name}{type_code[0].upper()}{type_code[1:]}"
        if element.is_choice
        else element.name
    )


def step(element: Element, type_code: str) -> str:
    """Return the element's step in a FHIRPath expression: `code`, or `value.ofType(Quantity)`."""
    return f"{element.name}.ofType({type_code})" if element.is_choice else element.name


def _element(url: str, element: Resource, is_resource: bool) -> Element:
    path = element["path"]
    name = path.rpartition(".")[2]
    types = tuple(read_type(each, is_resource and name == "id") for each in element.get("type", ()))
    return Element(
        path=path,
        name=name.removesuffix("[x]"),
        min=element["min"],
        max=element["max"],
        types=types,
        is_choice=name.endswith("[x]"),
        shape=_shape_address(url, element, types),
        binding=element.get("binding"),
        constraints=tuple(element.get("constraint", ())),
    )


def _shape_address(url: str, element: Resource, types: tuple[Type, ...]) -> tuple[str, str] | None:
    if "contentReference" in element:
        return url, element["contentReference"].removeprefix("#")
    return (url, element["path"]) if types and types[0].code in _BACKBONES else None


def read_type(element_type: Resource, is_resource_id: bool = False) -> Type:
    """Read one entry of ElementDefinition.type; is_resource_id tells that it is a resource's `id`."""
    code = element_type["code"]
    if code.startswith(_SYSTEM_TYPE):
        # The 4.0.1 snapshots call a resource's id a string: https://hl7.org/fhir/R4/resource.html#id
        code = "id" if is_resource_id else _fhir_type(element_type)
    profiles = element_type.get("profile", [None])
    return Type(code, profiles[0], tuple(element_type.get("targetProfile", ())))


def _fhir_type(element_type: Resource) -> str:
    extensions = element_type.get("extension", ())
    return next((e["valueUrl"] for e in extensions if e["url"] == _FHIR_TYPE), "string")

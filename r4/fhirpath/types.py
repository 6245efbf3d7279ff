"""FHIR's types as navigation needs them: the elements of a type, choice types resolved, ancestors.

Read from the compiled StructureDefinitions on first use of each type.

https://hl7.org/fhir/R4/structuredefinition.html
"""

from functools import cache, lru_cache
from typing import Any

import msgspec

from r4 import definitions
from r4.json import Resource

_FHIR_TYPE = definitions.CORE + "structuredefinition-fhir-type"
_PATTERNS = ("BackboneElement", "Element")

_SYSTEM = {
    "boolean": "Boolean", "string": "String", "uri": "String", "base64Binary": "String",
    "xhtml": "String", "integer": "Integer", "decimal": "Decimal", "date": "Date",
    "dateTime": "DateTime", "instant": "DateTime", "time": "Time", "Quantity": "Quantity",
}  # fmt: skip


class Field(msgspec.Struct, frozen=True, gc=False):
    """One way an element stands in JSON: its key, the key of its extensions, its type."""

    key: str
    shadow: str
    type: "Type"


class Type:
    """A FHIR type, or the backbone element at a path.

    name: its code ("Patient", "BackboneElement"); path: where its elements are defined; fields:
    the elements met so far that have one type (navigation looks here first); ancestors: its own
    name and those of the types it specialises; system: the FHIRPath type it converts to, or "";
    is_resource: whether a value's own `resourceType` decides.
    """

    __slots__ = (
        "_elements",
        "_keys",
        "ancestors",
        "fields",
        "is_primitive",
        "is_resource",
        "name",
        "path",
        "system",
    )

    def __init__(self, name: str, path: str, elements: dict[str, list[Resource]]) -> None:
        self.name = name
        self.path = path
        self.ancestors = _ancestors(name)
        self.is_resource = "Resource" in self.ancestors
        self.system = next((_SYSTEM[t] for t in self.ancestors if t in _SYSTEM), "")
        self.is_primitive = self.system not in ("", "Quantity")
        self.fields: dict[str, Field] = {}
        self._elements = elements
        self._keys: dict[str, Field] | None = None

    def plan(self, name: str) -> dict[str, Field]:
        """Map the JSON keys that may hold an element of this name (several for `value[x]`)."""
        found = next((_fields(e, self._elements) for e in self._own() if _name(e) == name), ())
        if len(found) == 1 and found[0].key == name:
            self.fields[name] = found[0]
        return _by_key(found)

    def keys(self) -> dict[str, Field]:
        """Map every JSON key of the type, `_key` of primitives included, to what it holds."""
        if self._keys is None:
            own = (field for each in self._own() for field in _fields(each, self._elements))
            self._keys = _by_key(tuple(own))
        return self._keys

    def _own(self) -> list[Resource]:
        return self._elements.get(self.path, [])


@lru_cache(maxsize=16384)
def find(kind: Type, name: str) -> dict[str, Field]:
    """Return `Type.plan` of a type and name, empty for an unknown name; the last ones are kept."""
    return kind.plan(name)


@cache
def named(name: str) -> Type | None:
    """Return a type by its code ("HumanName") or its path, for a backbone ("Patient.contact").

    A contentReference's path is followed. None where R4 has no such type.
    """
    parent, _, step = name.rpartition(".")
    if parent:
        owner = named(parent)
        plan = find(owner, step) if owner else {}
        return plan[step].type if step in plan else None
    structure = definitions.structure(name)
    if structure is None or structure.get("derivation") == "constraint":
        return None
    return Type(name, name, _by_parent(structure))


@cache
def of_resource(name: str) -> Type:
    """Return the type that a `resourceType` names; UNKNOWN where it names none."""
    return named(name) or UNKNOWN


def of(node: Any, name: str | None) -> Type:
    """Decide the type of a root: the name given, its own resourceType, or UNKNOWN.

    Raises KeyError for a name that R4 does not define.
    """
    if isinstance(node, dict) and isinstance(node.get("resourceType"), str):
        return of_resource(node["resourceType"])
    if name is None:
        return UNKNOWN
    found = named(name)
    if found is None:
        raise KeyError(name)
    return found


@cache
def _ancestors(name: str) -> tuple[str, ...]:
    structure = definitions.structure(name) if name else None
    if structure is None:
        return (name,)
    base = structure.get("baseDefinition", "").rpartition("/")[2]
    return (name, *_ancestors(base)) if base else (name,)


def _by_key(fields: tuple[Field, ...]) -> dict[str, Field]:
    shadows = {field.shadow: field for field in fields if field.shadow}
    return shadows | {field.key: field for field in fields}


def _by_parent(structure: Resource) -> dict[str, list[Resource]]:
    grouped: dict[str, list[Resource]] = {}
    for element in structure["snapshot"]["element"]:
        grouped.setdefault(element["path"].rpartition(".")[0], []).append(element)
    return grouped


def _name(element: Resource) -> str:
    leaf: str = element["path"].rpartition(".")[2]
    return leaf.removesuffix("[x]")


def _fields(element: Resource, elements: dict[str, list[Resource]]) -> tuple[Field, ...]:
    name, path = _name(element), element["path"]
    if "contentReference" in element:
        target = named(element["contentReference"].partition("#")[2])
        return (Field(name, "", target or UNKNOWN),)
    codes = [_code(kind, element) for kind in element.get("type", ())]
    if path.endswith("[x]"):
        return tuple(_field(name + code[0].upper() + code[1:], code) for code in codes)
    if codes and codes[0] in _PATTERNS and path in elements:
        return (Field(name, "", Type(codes[0], path, elements)),)
    return tuple(_field(name, code) for code in codes)


def _field(key: str, code: str) -> Field:
    found = named(code) or UNKNOWN
    return Field(key, f"_{key}" if found.is_primitive else "", found)


def _code(kind: Resource, element: Resource) -> str:
    code: str = kind["code"]
    if not code.startswith("http://hl7.org/fhirpath/"):
        return code
    parent, _, leaf = element["path"].rpartition(".")
    if leaf == "id" and parent in definitions.resource_types():
        return "id"
    stated = (e["valueUrl"] for e in kind.get("extension", ()) if e["url"] == _FHIR_TYPE)
    return next(stated, "string")


UNKNOWN = Type("", "", {})
"""The type of a value that no definition describes: any key may be navigated."""

"""The operations of a FHIRPath Patch, read from its Parameters resource.

https://hl7.org/fhir/R4/fhirpatch.html
"""

from dataclasses import dataclass, field
from typing import Any

from r4.fhirpath import types
from r4.fhirpath.types import Type
from r4.json import Resource
from r4.patch.errors import malformed

_TAKES = {
    "add": ("name", "value"),
    "insert": ("value", "index"),
    "delete": (),
    "replace": ("value",),
    "move": ("source", "destination"),
}
_TEXTS = ("path", "name")
_INTEGERS = ("index", "source", "destination")


@dataclass(frozen=True, slots=True)
class Given:
    """A value: JSON of a known type with its extensions, or, for a backbone element, its parts.

    at: where it stands in the Parameters, as FHIRPath; kind is None where parts are given.
    """

    at: str
    kind: Type | None
    value: Any = None
    extensions: Resource = field(default_factory=dict)
    parts: tuple[tuple[str, "Given"], ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, read: its type, its path, and those of the parts that its type takes."""

    at: str
    type: str
    path: str
    name: str = ""
    value: Given = Given("", None)
    index: int = 0
    source: int = 0
    destination: int = 0


def read(parameters: Any) -> list[Operation]:
    """Read all operations; raises FhirError (400) where the Parameters are no FHIRPath Patch."""
    if not isinstance(parameters, dict) or parameters.get("resourceType") != "Parameters":
        raise malformed("Parameters", "a FHIRPath Patch is a Parameters resource")
    listed = parameters.get("parameter", [])
    if not isinstance(listed, list):
        raise malformed("Parameters.parameter", "it must be a list")
    return [_operation(f"Parameters.parameter[{i}]", each) for i, each in enumerate(listed)]


def _operation(at: str, given: Any) -> Operation:
    if not isinstance(given, dict) or given.get("name") != "operation":
        raise malformed(at, "each parameter must be named `operation`")
    parts = _named_parts(at, given)
    kind = _text(at, parts, "type")
    if kind not in _TAKES:
        raise malformed(_part(at, "type"), f"the type must be one of {', '.join(_TAKES)}")
    wanted = {"type", "path", *_TAKES[kind]}
    for name in sorted(wanted ^ parts.keys()):
        verb = "needs" if name in wanted else "takes no"
        raise malformed(_part(at, name), f"the operation {kind} {verb} part `{name}`")
    taken: dict[str, Any] = {name: _text(at, parts, name) for name in _TEXTS if name in parts}
    taken |= {name: _integer(at, parts, name) for name in _INTEGERS if name in parts}
    if "value" in parts:
        taken["value"] = _given(_part(at, "value"), parts["value"])
    return Operation(at, kind, **taken)


def _named_parts(at: str, given: Resource) -> dict[str, Resource]:
    named: dict[str, Resource] = {}
    for index, part in enumerate(_parts(at, given)):
        name = part["name"]
        if name in named:
            raise malformed(f"{at}.part[{index}]", f"the part `{name}` is given twice")
        named[name] = part
    return named


def _parts(at: str, given: Resource) -> list[Resource]:
    parts = given.get("part")
    if not isinstance(parts, list) or not parts:
        raise malformed(at, "it needs a list of parts")
    for index, part in enumerate(parts):
        if not isinstance(part, dict) or not isinstance(part.get("name"), str):
            raise malformed(f"{at}.part[{index}]", "a part must have a name")
    return parts


def _text(at: str, parts: dict[str, Resource], name: str) -> str:
    part = parts.get(name, {})
    text = part.get("valueCode" if name == "type" else "valueString", part.get("valueString"))
    if not isinstance(text, str) or not text:
        kind = "valueCode" if name == "type" else "valueString"
        raise malformed(_part(at, name), f"the operation needs a part `{name}` with a {kind}")
    return text


def _integer(at: str, parts: dict[str, Resource], name: str) -> int:
    number = parts[name].get("valueInteger")
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise malformed(_part(at, name), f"`{name}` must be a valueInteger of 0 or more")
    return number


def _given(at: str, part: Resource) -> Given:
    """Read what a part holds, of which there must be one: value[x], `resource` or `part`."""
    values = types.find(types.of_resource("Parameters.parameter"), "value")
    fields = {values[key].key: values[key] for key in part if key in values}
    held = [*fields, *(key for key in ("resource", "part") if key in part)]
    if len(held) != 1:
        raise malformed(at, "it must hold one value: a value[x], a resource, or parts")
    if "part" in part:
        parts = enumerate(_parts(at, part))
        inner = tuple((each["name"], _given(f"{at}.part[{i}]", each)) for i, each in parts)
        return Given(at, None, parts=inner)
    if "resource" in part:
        return Given(at, _resource_type(at, part["resource"]), part["resource"])
    one = fields[held[0]]
    value, extensions = part.get(one.key), part.get(one.shadow)
    if value is None and not (isinstance(extensions, dict) and extensions):
        raise malformed(at, f"`{one.key}` has no value")
    if one.type.is_primitive == isinstance(value, dict | list) or isinstance(value, list):
        raise malformed(at, f"`{one.key}` is no {one.type.name}")
    return Given(at, one.type, value, extensions if isinstance(extensions, dict) else {})


def _resource_type(at: str, resource: Any) -> Type:
    kind = types.of(resource, None)
    if not kind.is_resource:
        raise malformed(at, "the `resource` must be a resource of FHIR R4")
    return kind


def _part(at: str, name: str) -> str:
    return f"{at}.part.where(name = '{name}')"

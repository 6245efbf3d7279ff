"""Items of a collection: FHIR elements as Nodes, FHIRPath's own values as Python's.

bool, int, Decimal, str, Temporal and Quantity are System values; everything read from a resource is
a Node, which becomes a System value where an operator needs one.

https://hl7.org/fhir/R4/fhirpath.html#types
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec

from r4.fhirpath import temporal
from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.quantities import UCUM_OF_CALENDAR, Quantity
from r4.fhirpath.temporal import Temporal
from r4.fhirpath.types import UNKNOWN, Field, Type, find, named, of_resource

UCUM = "http://unitsofmeasure.org"

TRUE: list[Any] = [True]
FALSE: list[Any] = [False]
EMPTY: list[Any] = []


# A Struct costs a quarter of what a dataclass costs to make, and a path makes one for each element.
class Node(msgspec.Struct, frozen=True, gc=False):
    """An element: its JSON (None where only extensions are given), its type, its `_name` object."""

    value: Any
    type: Type
    extra: dict[str, Any] | None = None


def root(node: Any, kind: Type) -> Node:
    """Wrap the input of an evaluation; an object for a primitive holds its extensions only."""
    if kind.is_primitive and isinstance(node, dict):
        return Node(None, kind, node)
    return Node(node, kind)


def members(node: Node, name: str) -> list[Node]:
    """List the elements of this name, in order; none where the type knows no such element."""
    found: list[Node] = []
    fields = node.value
    if fields.__class__ is not dict:
        fields = node.extra
        if fields is None:
            return found
    kind = node.type
    if name in kind.fields:
        collect(fields, kind.fields[name], found)
    elif kind is UNKNOWN:
        return _guessed(fields, name)
    else:
        collect_keys(fields, find(kind, name), found)
    return found


def knows(node: Node, name: str) -> bool:
    """Tell whether a node's type defines an element of this name; an unknown type knows all."""
    return node.type is UNKNOWN or bool(find(node.type, name))


def collect(fields: dict[str, Any], field: Field, found: list[Any]) -> None:
    """Append the elements that one key (and its `_key`) of an object holds."""
    value = fields.get(field.key)
    extra = fields.get(field.shadow) if field.shadow else None
    kind = field.type
    if extra is not None:
        _collect_extended(value, extra, kind, found)
    elif value is None:
        return
    elif kind.is_resource:
        items = value if value.__class__ is list else [value]
        found.extend(Node(item, _of_value(item)) for item in items if item is not None)
    elif value.__class__ is list:
        found.extend([Node(item, kind) for item in value if item is not None])
    else:
        found.append(Node(value, kind))


def collect_keys(fields: dict[str, Any], plan: dict[str, Field], found: list[Any]) -> None:
    """Append the elements under every key of an object that a plan knows, as they stand."""
    for key in fields if plan else ():
        field = plan.get(key)
        if field is not None and (key == field.key or field.key not in fields):
            collect(fields, field, found)


def children(node: Node) -> list[Node]:
    """List all elements of a node, in the order in which they stand."""
    fields = node.value if isinstance(node.value, dict) else node.extra or {}
    if node.type is not UNKNOWN:
        found: list[Node] = []
        collect_keys(fields, node.type.keys(), found)
        return found
    names = [key for key in fields if key != "resourceType" and not key.startswith("_")]
    return [child for name in names for child in _guessed(fields, name)]


def system(item: Any) -> Any:
    """Convert a Node to a System value; None if its primitive lacks one, the Node if complex."""
    if item.__class__ is not Node:
        return item
    convert = _CONVERSIONS.get(item.type.system)
    return item if convert is None else convert(item)


def singleton(items: list[Any], what: str) -> Any:
    """Return the one System value, None for empty; raises EvaluationError for more."""
    if not items:
        return None
    if len(items) > 1:
        raise EvaluationError(f"{what} needs a single item, got {len(items)}")
    return system(items[0])


def truth(items: list[Any]) -> bool | None:
    """Read a collection as a condition: empty is None, one item that is no boolean is true."""
    if not items:
        return None
    if len(items) > 1:
        raise EvaluationError(f"a condition needs a single item, got {len(items)}")
    value = items[0]
    if value.__class__ is Node:
        value = value.value
        if value is None:
            return None
    return value if value.__class__ is bool else True


def type_name(item: Any) -> tuple[str, str]:
    """Return the namespace and name of an item's type."""
    if isinstance(item, Node):
        return ("FHIR", item.type.name)
    name = item.kind if isinstance(item, Temporal) else _SYSTEM_NAMES.get(item.__class__)
    return ("System", name or "Any")


def plain(item: Any) -> Any:
    """Turn an item into JSON: a Temporal into its text, a Quantity into a FHIR Quantity."""
    if isinstance(item, Node):
        return item.value
    if isinstance(item, Temporal):
        return str(item)
    return _plain_quantity(item) if isinstance(item, Quantity) else item


def fhir_type_name(item: Any) -> str:
    """Return the FHIR type that holds an item: a System value's is the primitive of that name."""
    namespace, name = type_name(item)
    return name if namespace == "FHIR" or name == "Quantity" else name[0].lower() + name[1:]


def lift(value: Any) -> list[Any]:
    """Turn a caller's value into a collection: lists are collections, objects become Nodes."""
    if value is None:
        return EMPTY
    if isinstance(value, Iterable) and not isinstance(value, str | dict):
        return [item for each in value for item in lift(each)]
    return [Node(value, _of_value(value)) if isinstance(value, dict) else value]


def _plain_quantity(quantity: Quantity) -> dict[str, Any]:
    code = UCUM_OF_CALENDAR.get(quantity.unit, quantity.unit)
    return {"value": quantity.value, "unit": quantity.unit, "system": UCUM, "code": code}


def _of_value(value: Any) -> Type:
    name = value.get("resourceType") if value.__class__ is dict else None
    return of_resource(name) if isinstance(name, str) else UNKNOWN


def _collect_extended(value: Any, extra: Any, kind: Type, found: list[Any]) -> None:
    values = value if value.__class__ is list else [value]
    extras = extra if extra.__class__ is list else [extra]
    for index in range(max(len(values), len(extras))):
        item = values[index] if index < len(values) else None
        beside = extras[index] if index < len(extras) else None
        if item is not None or isinstance(beside, dict):
            found.append(Node(item, kind, beside if isinstance(beside, dict) else None))


def _guessed(fields: dict[str, Any], name: str) -> list[Node]:
    found: list[Node] = []
    if name in fields or f"_{name}" in fields:
        value = fields.get(name)
        first = value[0] if isinstance(value, list) and value else value
        collect(fields, Field(name, f"_{name}", _guess(first)), found)
        return found
    for key in fields:
        if key.startswith(name) and key[len(name) : len(name) + 1].isupper():
            suffix = key[len(name) :]
            kind = named(suffix) or named(suffix[0].lower() + suffix[1:])
            if kind is not None:
                collect(fields, Field(key, f"_{key}", kind), found)
    return found


_GUESSES: dict[type, str] = {bool: "boolean", int: "integer", Decimal: "decimal", str: "string"}


def _guess(value: Any) -> Type:
    if isinstance(value, dict):
        return _of_value(value)
    return named(_GUESSES.get(value.__class__, "")) or UNKNOWN


def _value(node: Node) -> Any:
    return node.value


def _decimal(node: Node) -> Any:
    return _exact(node.value)


def _exact(value: Any) -> Any:
    # Resources read with r4.json hold Decimals; other readers give floats.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return Decimal(value) if isinstance(value, int) else Decimal(str(value))


def _reader(read: Callable[[str], Any]) -> Callable[[Node], Any]:
    def convert(node: Node) -> Any:
        value = node.value
        return (read(value) or value) if isinstance(value, str) else value

    return convert


def _quantity(node: Node) -> Any:
    fields = node.value
    value = _exact(fields.get("value")) if isinstance(fields, dict) else None
    if not isinstance(value, Decimal) or "comparator" in fields:
        return node
    code = fields.get("code")
    if code is not None and fields.get("system") != UCUM:
        code = f"{fields.get('system')}|{code}"
    unit = code or fields.get("unit") or "1"
    return Quantity(value, str(unit), of_fhir=True)


_CONVERSIONS: dict[str, Callable[[Node], Any]] = {
    "Boolean": _value,
    "String": _value,
    "Integer": _value,
    "Decimal": _decimal,
    "Date": _reader(temporal.read),
    "DateTime": _reader(temporal.read_date_time),
    "Time": _reader(temporal.read_time),
    "Quantity": _quantity,
}

_SYSTEM_NAMES = {
    bool: "Boolean",
    int: "Integer",
    Decimal: "Decimal",
    str: "String",
    Quantity: "Quantity",
}

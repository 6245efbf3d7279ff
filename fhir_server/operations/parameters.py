"""Read an operation's input: a Parameters resource, a bare resource, or a query string.

An operation states the kind of each of its parameters; an operation is given no other kind.
https://hl7.org/fhir/R4/parameters.html
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from r4.issue import FhirError, error
from r4.json import Resource

Input = dict[str, Any]
Kind = Literal["resource", "reference", "string", "date", "party"]
"""A `party` is a Reference or its text; a date is text here, and its operation says what it takes."""
Kinds = Mapping[str, Kind]
_SAID: Mapping[Kind, str] = {
    "resource": "a resource",
    "reference": "a Reference that has a reference",
    "string": "a string",
    "date": "a date",
    "party": "a Reference that has a reference, or a string",
}


def of_resource(body: Resource | None, kinds: Kinds, bare: str | None = None) -> Input:
    """Map each parameter's name to its value or resource; a bare resource is the parameter `bare`.

    Raises FhirError 400 for a parameter that the operation does not have, or of another kind.
    """
    if body is None:
        return {}
    if body.get("resourceType") != "Parameters":
        if bare is None:
            raise FhirError(400, [error("structure", "Send a Parameters resource.", "Parameters")])
        return {bare: body}
    listed = body.get("parameter", [])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        text = "Parameters.parameter is an array of objects."
        raise FhirError(400, [error("structure", text, "Parameters.parameter")])
    pairs = ((each.get("name"), _value(each)) for each in listed)
    read = _checked(pairs, kinds, "Parameters.parameter")
    for name, value in read.items():
        if not _is(kinds[name], value):
            text = f"The parameter {name} is {_SAID[kinds[name]]}."
            raise FhirError(400, [error("structure", text, f"Parameters.parameter('{name}')")])
    return read


def of_query(pairs: Iterable[tuple[str, str]], kinds: Kinds) -> Input:
    """Map each pair's name to its text; raises FhirError 400 for one that the operation lacks."""
    listed = (pair for pair in pairs if pair[0] not in ("_format", "_pretty"))
    return _checked(listed, kinds, "http")


def required(given: Input, name: str) -> Any:
    """Return a parameter's value; raises FhirError 400 where it is missing."""
    if name not in given:
        text = f"The parameter {name} is required."
        raise FhirError(400, [error("required", text, f"Parameters.parameter('{name}')")])
    return given[name]


def _checked(given: Iterable[tuple[Any, Any]], kinds: Kinds, where: str) -> Input:
    read: Input = {}
    for name, value in given:
        if not isinstance(name, str) or name not in kinds:
            text = f"The operation has no parameter {name!r}; it has: {', '.join(kinds)}."
            raise FhirError(400, [error("not-supported", text, where)])
        read[name] = value
    return read


def _value(parameter: Resource) -> Any:
    if "resource" in parameter:
        return parameter["resource"]
    return next((value for key, value in parameter.items() if key.startswith("value")), None)


def _is(kind: Kind, value: Any) -> bool:
    if kind in ("string", "date"):
        return isinstance(value, str)
    if kind == "party" and isinstance(value, str):
        return True
    key = "resourceType" if kind == "resource" else "reference"
    return isinstance(value, dict) and isinstance(value.get(key), str)

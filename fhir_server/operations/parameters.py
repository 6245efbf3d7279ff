"""Read an operation's input: a Parameters resource, a bare resource, or a query string.

https://hl7.org/fhir/R4/parameters.html
"""

from collections.abc import Iterable
from typing import Any

from r4.issue import FhirError, error
from r4.json import Resource

Input = dict[str, Any]


def of_resource(body: Resource | None, names: Iterable[str], bare: str | None = None) -> Input:
    """Map each parameter's name to its value or resource; a bare resource is the parameter `bare`.

    Raises FhirError 400 for a parameter that the operation does not have.
    """
    if body is None:
        return {}
    if body.get("resourceType") != "Parameters":
        if bare is None:
            raise FhirError(400, [error("structure", "Send a Parameters resource.", "Parameters")])
        return {bare: body}
    return _checked(
        ((parameter.get("name", ""), _value(parameter)) for parameter in body.get("parameter", [])),
        names,
        "Parameters.parameter",
    )


def of_query(pairs: Iterable[tuple[str, str]], names: Iterable[str]) -> Input:
    """Map each pair's name to its text; raises FhirError 400 for one that the operation lacks."""
    listed = (pair for pair in pairs if pair[0] not in ("_format", "_pretty"))
    return _checked(listed, names, "http")


def required(given: Input, name: str) -> Any:
    """Return a parameter's value; raises FhirError 400 where it is missing."""
    if name not in given:
        text = f"The parameter {name} is required."
        raise FhirError(400, [error("required", text, f"Parameters.parameter('{name}')")])
    return given[name]


def _checked(given: Iterable[tuple[str, Any]], names: Iterable[str], where: str) -> Input:
    known = tuple(names)
    read: Input = {}
    for name, value in given:
        if name not in known:
            text = f"The operation has no parameter {name!r}; it has: {', '.join(known)}."
            raise FhirError(400, [error("not-supported", text, where)])
        read[name] = value
    return read


def _value(parameter: Resource) -> Any:
    if "resource" in parameter:
        return parameter["resource"]
    return next((value for key, value in parameter.items() if key.startswith("value")), None)

"""The search parameters of each resource type, from the standard's SearchParameters and our own.

Served here: token, reference, string, date and uri. Not supported: number, quantity, composite and
special; they are absent from the CapabilityStatement and answered with a 400.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from r4 import artefacts, definitions
from r4.json import Resource

SERVED = frozenset({"token", "reference", "string", "date", "uri"})
_ABSTRACT = ("Resource.", "DomainResource.")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of one resource type: code, type, FHIRPath expression, target types."""

    code: str
    type: str
    expression: str
    targets: tuple[str, ...]
    url: str
    documentation: str


@cache
def parameters(resource_type: str) -> dict[str, Parameter]:
    """Map code to parameter, for the parameters of a resource type that are served here."""
    return {parameter.code: parameter for parameter in _of_type(resource_type)}


def _of_type(resource_type: str) -> Iterator[Parameter]:
    for definition in _every():
        if definition["type"] not in SERVED or "expression" not in definition:
            continue
        base = definition["base"]
        if resource_type not in base and "Resource" not in base and "DomainResource" not in base:
            continue
        if expression := _expression(definition["expression"], resource_type):
            yield Parameter(
                definition["code"],
                definition["type"],
                expression,
                tuple(definition.get("target", ())),
                definition["url"],
                definition.get("description", ""),
            )


@cache
def _every() -> tuple[Resource, ...]:
    standard = [
        definition
        for definition in definitions.every("SearchParameter")
        if not definition["id"].startswith("example")
        and definition["code"] not in ("_id", "_lastUpdated")
    ]
    return (*standard, *artefacts.by_url("profiles", "SearchParameter").values())


def _expression(expression: str, resource_type: str) -> str:
    """Keep the alternatives of a union that speak of this type, `Resource.x` becoming `Type.x`."""
    kept = []
    for alternative in _alternatives(expression):
        path = alternative.lstrip("( ")
        for abstract in _ABSTRACT:
            if path.startswith(abstract):
                alternative = alternative.replace(abstract, f"{resource_type}.", 1)  # noqa: PLW2901
        if alternative.lstrip("( ").startswith(f"{resource_type}."):
            kept.append(alternative.strip())
    return " | ".join(kept)


def _alternatives(expression: str) -> Iterator[str]:
    depth = start = 0
    for place, character in enumerate(expression):
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            yield expression[start:place]
            start = place + 1
    yield expression[start:]

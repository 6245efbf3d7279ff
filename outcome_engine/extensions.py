"""The extensions of ours by which measures, their libraries and their reports say what FHIR cannot."""

from typing import Any

from r4.json import Resource
from terminology.systems import CSOR

EXTENSION = f"{CSOR}/StructureDefinition/"
"""Base of the urls of our own extensions."""


def several(resource: Resource, name: str) -> list[Resource]:
    """List the extensions of ours of one name, on a resource."""
    return [entry for entry in resource.get("extension", []) if entry["url"] == EXTENSION + name]


def single(resource: Resource, name: str) -> Resource:
    """Return the one extension of ours of a name; raises KeyError when the artefact lacks it."""
    for entry in several(resource, name):
        return entry
    raise KeyError(name)


def parts(extension: Resource) -> dict[str, Any]:
    """Map the parts of a complex extension to their values; of a repeated part, the last.

    The value of a part that has parts itself is the list of them.
    """
    return {part["url"]: value(part) for part in extension.get("extension", [])}


def value(part: Resource) -> Any:
    """Return an extension's value, or the list of its parts."""
    return next((part[key] for key in part if key.startswith("value")), part.get("extension", []))

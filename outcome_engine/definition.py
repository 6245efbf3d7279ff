"""Measures and what they are computed by, found among the artefacts that the engine carries.

The artefacts are `measures/Measure-*.json` and `libraries/Library-*.json`; their extensions are
described by `profiles/structuredefinitions/StructureDefinition-outcome-*.json`, and their format by
docs/outcome-definitions.md.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from outcome_engine.definition_reader import read
from outcome_engine.definition_values import (
    EXTENSION,
    ClassRule,
    Definition,
    Due,
    Evident,
    Index,
    Rule,
    Selection,
    Taken,
    parts,
    several,
    single,
)
from r4 import artefacts
from r4.issue import FhirError, error
from r4.json import Resource

__all__ = [
    "EXTENSION",
    "ClassRule",
    "Definition",
    "Due",
    "Evident",
    "Index",
    "Rule",
    "Selection",
    "Taken",
    "definition",
    "focus",
    "measure",
    "measures",
    "parts",
    "read",
    "several",
    "single",
]


def measures() -> Mapping[str, Resource]:
    """Map canonical url (without version) to Measure, for every measure that the engine carries."""
    return MappingProxyType(artefacts.by_url("outcome_engine", "Measure"))


def measure(measure_url: str) -> Resource:
    """Return a measure by its url, with or without `|version`; raises FhirError 404."""
    url, _, version = measure_url.partition("|")
    found = measures().get(url)
    if found is None or version not in ("", found["version"]):
        known = ", ".join(f"{known['url']}|{known['version']}" for known in measures().values())
        message = f"There is no measure `{measure_url}`; there are: {known}."
        raise FhirError(404, [error("not-found", message)])
    return found


def focus(measure_url: str) -> list[Resource]:
    """List the Codings of the conditions that a measure is about; raises FhirError 404."""
    return [
        coding
        for context in measure(measure_url).get("useContext", [])
        if context["code"]["code"] == "focus"
        for coding in context["valueCodeableConcept"]["coding"]
    ]


@cache
def definition(measure_url: str) -> Definition:
    """Read a measure and its library; raises FhirError 404, and 422 where it cannot be computed."""
    found = measure(measure_url)
    libraries = artefacts.by_url("outcome_engine", "Library")
    for canonical in found.get("library", []):
        url, _, version = canonical.partition("|")
        if url in libraries and version in ("", libraries[url]["version"]):
            return read(found, libraries[url])
    message = f"Measure `{found['url']}` has no library of rules: it cannot be computed."
    raise FhirError(422, [error("not-supported", message, "Measure.library")])

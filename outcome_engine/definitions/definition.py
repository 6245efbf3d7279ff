"""Measures and what they are computed by, found among the artefacts that the engine carries.

The artefacts are `measures/Measure-*.json` and `libraries/Library-*.json`; their extensions are
described by `profiles/structuredefinitions/StructureDefinition-outcome-*.json`, and their format by
docs/outcome-definitions.md.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from outcome_engine.definitions.parameterised import library as written
from outcome_engine.definitions.reader import read
from outcome_engine.definitions.values import Definition
from outcome_engine.extensions import several
from outcome_engine.parameter_files.parameter_file import ParameterFile, refuse_without_parameters
from outcome_engine.parameter_files.treatment_success import UNKNOWN
from r4 import artefacts
from r4.issue import FhirError, error
from r4.json import Resource


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


def canonical(measure_url: str) -> str:
    """Return a measure's url with its version; raises FhirError 404."""
    found = measure(measure_url)
    return f"{found['url']}|{found['version']}"


def focus(measure_url: str) -> list[Resource]:
    """List the Codings of the conditions that a measure is about; raises FhirError 404."""
    return focus_of(measure(measure_url))


def focus_of(measure: Resource) -> list[Resource]:
    """List the Codings of the conditions that a Measure is about."""
    return [
        coding
        for context in measure.get("useContext", [])
        if context["code"]["code"] == "focus"
        for coding in context["valueCodeableConcept"]["coding"]
    ]


def definition(measure_url: str, file: ParameterFile[Any] | None = None) -> Definition:
    """Read a measure and its library, the parameters of a file written into it.

    Raises FhirError 404, and 422 where it cannot be computed, or needs parameters and is given none.
    """
    if file is None:
        refuse_without_parameters(measure(measure_url))
    return _known(measure_url, file)


def outline(measure_url: str) -> Definition:
    """Read a measure and its library for what parameters do not change: cases, populations, codes.

    No child is scored by it. Raises FhirError 404, and 422 where there is no library.
    """
    return _known(measure_url, None)


def _parameterised(found: Resource, file: ParameterFile[Any] | None = None) -> Resource:
    """Return the library of a measure as it is computed; raises FhirError 422 where there is none."""
    libraries = artefacts.by_url("outcome_engine", "Library")
    for canonical in found.get("library", []):
        url, _, version = canonical.partition("|")
        if url in libraries and version in ("", libraries[url]["version"]):
            if file is not None:
                return written(
                    libraries[url], file.literals(), file.code_lists(), file.scoring_facts()
                )
            if several(found, "outcome-parameters"):
                return written(libraries[url], *UNKNOWN)
            return libraries[url]
    message = f"Measure `{found['url']}` has no library of rules: it cannot be computed."
    raise FhirError(422, [error("not-supported", message, "Measure.library")])


_READ: dict[tuple[str, str | None], Definition] = {}


def _known(measure_url: str, file: ParameterFile[Any] | None) -> Definition:
    known = (measure_url, None if file is None else file.digest)
    if known not in _READ:
        _READ[known] = _read(measure(measure_url), file)
    return _READ[known]


def _read(found: Resource, file: ParameterFile[Any] | None) -> Definition:
    return read(found, _parameterised(found, file))

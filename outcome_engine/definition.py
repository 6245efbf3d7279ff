"""A measure and its library read into values: rules, variables and the combination into a class.

The artefacts are `measures/Measure-*.json` and `libraries/Library-*.json`; their extensions are
described by `profiles/structuredefinitions/StructureDefinition-outcome-*.json`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from r4 import artefacts
from r4.issue import FhirError, error
from r4.json import Resource
from terminology.systems import CSOR

EXTENSION = f"{CSOR}/StructureDefinition/"
"""Base of the urls of our own extensions."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A FHIRPath expression with the name and the words that the artefact gives it."""

    text: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One adverse outcome: met and not_met give the evidence; minimum_age is in years, or None."""

    id: str
    title: str
    citation: str
    minimum_age: int | None
    met: Expression
    not_met: Expression
    missing: str


@dataclass(frozen=True, slots=True)
class ClassRule:
    """One step of the combination of rules into a class; the first whose criteria hold decides."""

    id: str
    title: str
    citation: str
    outcome_class: str
    criteria: Expression


@dataclass(frozen=True, slots=True)
class Definition:
    """A measure that is computed by rules; populations maps a population's code to its criteria."""

    measure: Resource
    horizon: int
    variables: tuple[Expression, ...]
    index: Expression
    rules: tuple[Rule, ...]
    class_rules: tuple[ClassRule, ...]
    populations: Mapping[str, Expression]

    @property
    def canonical(self) -> str:
        """Return the measure's url with its version."""
        return f"{self.measure['url']}|{self.measure['version']}"


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
    return [
        coding
        for context in measure(measure_url).get("useContext", [])
        if context["code"]["code"] == "focus"
        for coding in context["valueCodeableConcept"]["coding"]
    ]


@cache
def definition(measure_url: str) -> Definition:
    """Read a measure and its library; raises FhirError 404, and 422 where it has no rules."""
    found = measure(measure_url)
    libraries = artefacts.by_url("outcome_engine", "Library")
    urls = [url.partition("|")[0] for url in found.get("library", [])]
    if not urls or urls[0] not in libraries:
        message = f"Measure `{found['url']}` has no library of rules: it cannot be computed."
        raise FhirError(422, [error("not-supported", message, "Measure.library")])
    library = libraries[urls[0]]
    return Definition(
        measure=found,
        horizon=_years(single(library, "outcome-horizon")["valueAge"]),
        variables=tuple(
            _expression(entry["valueExpression"]) for entry in several(library, "outcome-variable")
        ),
        index=_expression(single(library, "outcome-index")["valueExpression"]),
        rules=tuple(_rule(entry) for entry in several(library, "outcome-rule")),
        class_rules=tuple(_class_rule(entry) for entry in several(library, "outcome-class-rule")),
        populations=MappingProxyType(_populations(found)),
    )


def several(resource: Resource, name: str) -> list[Resource]:
    """List the extensions of ours of one name, on a resource."""
    return [entry for entry in resource.get("extension", []) if entry["url"] == EXTENSION + name]


def single(resource: Resource, name: str) -> Resource:
    """Return the one extension of ours of a name; raises KeyError when the artefact lacks it."""
    for entry in several(resource, name):
        return entry
    raise KeyError(name)


def parts(extension: Resource) -> dict[str, Any]:
    """Map the parts of a complex extension to their values; of a repeated part, the last."""
    return {part["url"]: _value(part) for part in extension["extension"]}


def _value(part: Resource) -> Any:
    return next(value for key, value in part.items() if key.startswith("value"))


def _rule(extension: Resource) -> Rule:
    part = parts(extension)
    return Rule(
        id=part["id"],
        title=part["title"],
        citation=part["citation"],
        minimum_age=_years(part["minimumAge"]) if "minimumAge" in part else None,
        met=_expression(part["met"]),
        not_met=_expression(part["notMet"]),
        missing=part["missing"],
    )


def _class_rule(extension: Resource) -> ClassRule:
    part = parts(extension)
    return ClassRule(
        id=part["id"],
        title=part["title"],
        citation=part["citation"],
        outcome_class=part["class"]["code"],
        criteria=_expression(part["criteria"]),
    )


def _populations(found: Resource) -> dict[str, Expression]:
    return {
        population["code"]["coding"][0]["code"]: _expression(population["criteria"])
        for population in found["group"][0]["population"]
    }


def _expression(value: Resource) -> Expression:
    return Expression(value["expression"], value.get("name", ""), value.get("description", ""))


def _years(age: Resource) -> int:
    return int(age["value"])

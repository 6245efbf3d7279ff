"""What a code means: its concept.

https://hl7.org/fhir/R4/codesystem-operation-lookup.html
"""

from dataclasses import dataclass
from typing import Any

from r4.issue import FhirError, error
from r4.json import Resource
from terminology import rules
from terminology.loaded import LoadedConcept
from terminology.sources import Sources, canonical, written

_HIERARCHY = {"parent": "code", "child": "code"}


@dataclass(frozen=True, slots=True)
class Found:
    """A code's concept, and the system's name and version; `properties` have their `value[x]`.

    `name` is the system's title; its uri where no CodeSystem resource says it.
    """

    name: str
    version: str | None
    concept: LoadedConcept
    properties: tuple[tuple[str, Resource], ...]


def lookup(sources: Sources, system: str, code: str) -> Resource | None:
    """Return the concept of a code, without those below it; None where it is unknown."""
    concepts = sources.concepts(system)
    return None if concepts is None else concepts.by_code.get(code)


def found(sources: Sources, system: str, code: str, version: str | None = None) -> Found:
    """Return what is known of a code, its parents and children among the properties.

    Raises FhirError 404 where there is no such code, 422 where its system is not here in full.
    """
    held = sources.system(system, version)
    if held is None:
        raise absent(sources, system, version)
    concept = held.concept(code)
    if concept is None:
        if not held.is_complete:
            raise _unknown(422, "not-supported", f"{system} is held here only in part", code)
        raise _unknown(404, "not-found", f"{system} has no such code", code)
    resource = sources.find("CodeSystem", canonical(system)) or {}
    types = _HIERARCHY | {each["code"]: each["type"] for each in resource.get("property", [])}
    listed = [(name, _value(types.get(name), value)) for name, value in concept.properties]
    named = {name for name, _ in concept.properties}
    for name, rule in (("parent", rules.parents), ("child", rules.children)):
        if name not in named:
            listed += [(name, {"valueCode": each}) for each in rule(held, code).codes()]
    name = resource.get("title") or resource.get("name") or canonical(system)
    return Found(name, held.version or None, concept, tuple(listed))


def absent(sources: Sources, system: str, version: str | None) -> FhirError:
    """Return the refusal of a question about a code system that is not here."""
    which = written(system, version)
    if sources.absence(system) == "unknown-system":
        text = f"The code system {which} is not known here: check its uri."
        return FhirError(404, [error("not-found", text, rule="unknown-system")])
    text = f"The code system {which} is not loaded: ask the operator to load it."
    return FhirError(422, [error("not-supported", text, rule="not-loaded")])


def _unknown(status: int, code: str, text: str, asked: str) -> FhirError:
    return FhirError(status, [error(code, f"{text}: {asked!r}.", rule="unknown-code")])


def _value(kind: str | None, value: Any) -> Resource:
    """Write a property's value by the type that the code system declares, else by its own."""
    if kind is None:
        kinds = {bool: "boolean", int: "integer", dict: "Coding", str: "string"}
        kind = kinds.get(type(value), "decimal")
    return {f"value{kind[0].upper()}{kind[1:]}": value}

"""A code in other words: what a ConceptMap makes of it, and what it is made from.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from collections.abc import Iterator
from dataclasses import dataclass

from r4.issue import FhirError, error
from r4.json import Resource
from terminology.compose import Coding
from terminology.sources import Sources, canonical

NO_MATCH = frozenset({"unmatched", "disjoint"})
_REVERSED = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}


@dataclass(frozen=True, slots=True)
class Match:
    """One target of a mapping: its Coding, and how the source relates to it (an equivalence).

    `source` is the canonical of the map that says so.
    """

    equivalence: str
    coding: Coding
    source: str = ""


def translate(sources: Sources, url: str, system: str, code: str) -> list[Coding]:
    """List the Codings that a concept map gives a code, those that are no match left out."""
    found = matches(sources, url, system, code)
    return [match.coding for match in found if match.equivalence not in NO_MATCH]


def matches(sources: Sources, url: str, system: str, code: str) -> list[Match]:
    """List what a concept map says of a code, with the equivalence of each target.

    A target that depends on other values (`dependsOn`) is left out: they are not given here.
    Raises FhirError 404 where the map, or one that it hands over to, is unknown.
    """
    return list(_matches(sources, _map(sources, url), system, code, ()))


def of_map(sources: Sources, concept_map: Resource, system: str, code: str) -> list[Match]:
    """List what a given ConceptMap says of a code; raises FhirError 404 likewise."""
    return list(_matches(sources, concept_map, system, code, ()))


def reverse(concept_map: Resource, system: str, code: str) -> list[Match]:
    """List the codes that a ConceptMap maps to a code, each equivalence read the other way round."""
    return list(_reversed(concept_map, system, code))


def _map(sources: Sources, url: str) -> Resource:
    concept_map = sources.find("ConceptMap", url)
    if concept_map is None:
        raise FhirError(404, [error("not-found", f"The concept map {url} is not known here.")])
    return concept_map


def _matches(
    sources: Sources, concept_map: Resource, system: str, code: str, above: tuple[str, ...]
) -> Iterator[Match]:
    said_by = concept_map.get("url", "")
    for group in concept_map.get("group", []):
        if canonical(group.get("source", system)) != canonical(system):
            continue
        elements = [element for element in group["element"] if element.get("code") == code]
        if elements:
            yield from _targets(group, elements, said_by)
        elif (other := group.get("unmapped", {}).get("url")) is not None:
            if other not in above:
                handed = _map(sources, other)
                yield from _matches(sources, handed, system, code, (*above, said_by, other))
        elif "unmapped" in group:
            yield _unmapped(group, code, said_by)


def _targets(group: Resource, elements: list[Resource], said_by: str) -> Iterator[Match]:
    for element in elements:
        for target in element.get("target", []):
            if "dependsOn" not in target and "code" in target:
                equivalence = target.get("equivalence", "equivalent")
                yield Match(equivalence, _coding(group, target, "target"), said_by)


def _unmapped(group: Resource, code: str, said_by: str) -> Match:
    unmapped = group["unmapped"]
    if unmapped["mode"] == "fixed":
        return Match("inexact", _coding(group, unmapped, "target"), said_by)
    return Match("equal", _coding(group, {"code": code}, "target"), said_by)


def _reversed(concept_map: Resource, system: str, code: str) -> Iterator[Match]:
    for group in concept_map.get("group", []):
        if canonical(group.get("target", system)) != canonical(system):
            continue
        for element in group["element"]:
            for target in element.get("target", []):
                if target.get("code") == code and "dependsOn" not in target and "code" in element:
                    said = target.get("equivalence", "equivalent")
                    coding = _coding(group, element, "source")
                    yield Match(_REVERSED.get(said, said), coding, concept_map.get("url", ""))


def _coding(group: Resource, concept: Resource, side: str) -> Coding:
    coding = {"system": group[side]} if side in group else {}
    return coding | {key: concept[key] for key in ("code", "display") if key in concept}

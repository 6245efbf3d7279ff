"""A code in other words: what a ConceptMap makes of it.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from collections.abc import Iterator
from dataclasses import dataclass

from r4.issue import FhirError, error
from r4.json import Resource
from terminology.compose import Coding
from terminology.sources import Sources, canonical

NO_MATCH = frozenset({"unmatched", "disjoint"})


@dataclass(frozen=True, slots=True)
class Match:
    """One target of a mapping: its Coding, and how the source relates to it (an equivalence)."""

    equivalence: str
    coding: Coding


def translate(sources: Sources, url: str, system: str, code: str) -> list[Coding]:
    """List the Codings that a concept map gives a code, those that are no match left out."""
    found = matches(sources, url, system, code)
    return [match.coding for match in found if match.equivalence not in NO_MATCH]


def matches(sources: Sources, url: str, system: str, code: str) -> list[Match]:
    """List what a concept map says of a code, with the equivalence of each target.

    A target that depends on other values (`dependsOn`) is left out: they are not given here.
    Raises FhirError 404 where the map, or one that it hands over to, is unknown.
    """
    return list(_matches(sources, url, system, code, ()))


def _matches(
    sources: Sources, url: str, system: str, code: str, above: tuple[str, ...]
) -> Iterator[Match]:
    concept_map = sources.find("ConceptMap", url)
    if concept_map is None:
        raise FhirError(404, [error("not-found", f"The concept map {url} is not known here.")])
    for group in concept_map.get("group", []):
        if canonical(group.get("source", system)) != canonical(system):
            continue
        elements = [element for element in group["element"] if element.get("code") == code]
        if elements:
            yield from _targets(group, elements)
        elif (other := group.get("unmapped", {}).get("url")) is not None:
            if other not in above:
                yield from _matches(sources, other, system, code, (*above, url))
        elif "unmapped" in group:
            yield _unmapped(group, code)


def _targets(group: Resource, elements: list[Resource]) -> Iterator[Match]:
    for element in elements:
        for target in element.get("target", []):
            if "dependsOn" not in target and "code" in target:
                yield Match(target.get("equivalence", "equivalent"), _coding(group, target))


def _unmapped(group: Resource, code: str) -> Match:
    unmapped = group["unmapped"]
    if unmapped["mode"] == "fixed":
        return Match("inexact", _coding(group, unmapped))
    return Match("equal", _coding(group, {"code": code}))


def _coding(group: Resource, target: Resource) -> Coding:
    coding = {"system": group["target"]} if "target" in group else {}
    return coding | {key: target[key] for key in ("code", "display") if key in target}

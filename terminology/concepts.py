"""One CodeSystem as an index: its concepts by code, and who is below whom.

https://hl7.org/fhir/R4/codesystem.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from r4.json import Resource

_HIERARCHY = {"parent", "subsumedBy"}


@dataclass(frozen=True, slots=True)
class Concepts:
    """The concepts of a code system: by code, in the order written, and the parents of each.

    `is_complete` says whether a code that is absent is a code that does not exist.
    """

    by_code: dict[str, Resource]
    parents: dict[str, frozenset[str]]
    is_complete: bool

    def below(self, ancestor: str) -> frozenset[str]:
        """Return the codes that descend from an ancestor, itself left out."""
        found: set[str] = set()
        layer = {ancestor}
        while layer:
            children = {code for code, parents in self.parents.items() if parents & layer}
            layer = children - found
            found |= layer
        return frozenset(found - {ancestor})

    def above(self, descendant: str) -> frozenset[str]:
        """Return the codes that a code descends from, itself left out."""
        found: set[str] = set()
        layer = {descendant}
        while layer:
            parents = {each for code in layer for each in self.parents.get(code, ())}
            layer = parents - found
            found |= layer
        return frozenset(found - {descendant})


def index(code_system: Resource) -> Concepts:
    """Index a CodeSystem; nested concepts, `parent` and `child` properties make the tree."""
    by_code: dict[str, Resource] = {}
    parents: dict[str, set[str]] = {}
    for concept, parent in _walk(code_system.get("concept", []), None):
        code = concept["code"]
        by_code[code] = {key: value for key, value in concept.items() if key != "concept"}
        above = parents.setdefault(code, set())
        if parent is not None:
            above.add(parent)
        above.update(value for name, value in properties(concept) if name in _HIERARCHY)
        for child in (value for name, value in properties(concept) if name == "child"):
            parents.setdefault(child, set()).add(code)
    frozen = {code: frozenset(above) for code, above in parents.items()}
    return Concepts(by_code, frozen, code_system.get("content") == "complete")


def properties(concept: Resource) -> Iterator[tuple[str, Any]]:
    """Yield the concept's properties as (code, value); a Coding's value is its code."""
    for entry in concept.get("property", []):
        value = next((entry[key] for key in entry if key.startswith("value")), None)
        yield entry["code"], value["code"] if isinstance(value, dict) else value


def _walk(concepts: list[Resource], parent: str | None) -> Iterator[tuple[Resource, str | None]]:
    for concept in concepts:
        yield concept, parent
        yield from _walk(concept.get("concept", []), concept["code"])

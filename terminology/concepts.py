"""One CodeSystem as an index: its concepts by code, and who is below whom.

https://hl7.org/fhir/R4/codesystem.html
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from r4.json import Resource

_HIERARCHY = {"parent", "subsumedBy"}
_INACTIVE = {("inactive", True), ("status", "inactive"), ("status", "retired")}
"""https://hl7.org/fhir/R4/codesystem-concept-properties.html"""


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept: its terms as `designation` has them, its properties as (code, value)."""

    code: str
    display: str | None
    is_active: bool
    designations: Sequence[Resource]
    properties: Sequence[tuple[str, Any]]
    replaced_by: Sequence[str] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Concepts:
    """The concepts of a code system: by code, in the order written, with the parents of each.

    `is_complete` says whether a code that is absent is a code that does not exist. It answers what a
    `terminology.loaded.LoadedSystem` answers.
    """

    by_code: dict[str, Resource]
    parents: Mapping[str, Sequence[str]]
    children: Mapping[str, Sequence[str]]
    is_complete: bool
    url: str = ""
    version: str = ""
    _above: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)

    def below(self, ancestor: str) -> frozenset[str]:
        """Return the codes that descend from an ancestor, itself left out."""
        return frozenset(_reached(self.children, ancestor))

    def above(self, descendant: str) -> frozenset[str]:
        """Return the codes that a code descends from, itself left out."""
        if (found := self._above.get(descendant)) is not None:
            return found
        found = frozenset(_reached(self.parents, descendant))
        # Only codes of the system are remembered: users may ask for any other.
        return self._above.setdefault(descendant, found) if descendant in self.by_code else found

    def concept(self, code: str) -> Concept | None:
        """Return the concept of a code, active or not; None where there is none."""
        held = self.by_code.get(code)
        return None if held is None else _concept(held)

    def subsumes(self, ancestor: str, descendant: str) -> bool:
        """Tell whether one code is above another; each is above itself."""
        return ancestor == descendant or ancestor in self.above(descendant)

    def ancestors(self, code: str) -> Iterator[str]:
        """Yield every code above a code, itself left out."""
        return iter(_reached(self.parents, code))

    def descendants(self, code: str) -> Iterator[str]:
        """Yield every code below a code, itself left out."""
        return iter(_reached(self.children, code))

    def is_member(self, refset: str, code: str) -> bool:
        """Tell whether a reference set holds a code: a CodeSystem resource has no reference sets."""
        return code in self.members(refset)

    def members(self, _refset: str) -> Iterator[str]:
        """Yield the codes of a reference set: none."""
        return iter(())

    def search(
        self,
        words: str,
        language: str | None,
        within: Callable[[str], bool] | None,
        offset: int,
        count: int,
    ) -> tuple[Sequence[Concept], int | None]:
        """Return a page of the active concepts whose terms hold every word, and how many there are."""
        found = [
            concept
            for concept in map(_concept, self.by_code.values())
            if concept.is_active
            and (within is None or within(concept.code))
            and speaks(concept, words, language)
        ]
        return list(islice(found, offset, offset + count)), len(found)


def index(code_system: Resource, supplements: Iterable[Resource] = ()) -> Concepts:
    """Index a CodeSystem; nested concepts, `parent` and `child` properties make the tree.

    What its supplements say of a concept joins its designations and properties.
    """
    said = _said(supplements)
    by_code: dict[str, Resource] = {}
    parents: dict[str, dict[str, None]] = {}
    for concept, parent in walk(code_system.get("concept", [])):
        code = concept["code"]
        plain = {key: value for key, value in concept.items() if key != "concept"}
        by_code[code] = joined(plain, said.get(code, ()))
        above = parents.setdefault(code, {})
        if parent is not None:
            above[parent] = None
        for name, value in properties(concept):
            if name in _HIERARCHY and isinstance(value, str):
                above[value] = None
            elif name == "child" and isinstance(value, str):
                parents.setdefault(value, {})[code] = None
    children: dict[str, list[str]] = {}
    for code, above in parents.items():
        for each in above:
            children.setdefault(each, []).append(code)
    return Concepts(
        by_code,
        {code: tuple(above) for code, above in parents.items()},
        children,
        code_system.get("content") == "complete",
        code_system.get("url", ""),
        code_system.get("version", ""),
    )


def properties(concept: Resource) -> Iterator[tuple[str, Any]]:
    """Yield the concept's properties as (code, value); a Coding's value is its code."""
    for name, value in _raw(concept):
        yield name, value.get("code") if isinstance(value, dict) else value


def walk(concepts: Iterable[Resource]) -> Iterator[tuple[Resource, str | None]]:
    """Yield each concept, nested ones too, with the code that it stands under."""
    pending: list[tuple[Resource, str | None]] = [(each, None) for each in concepts]
    pending.reverse()
    while pending:
        concept, parent = pending.pop()
        yield concept, parent
        below = concept.get("concept", [])
        pending.extend((each, concept["code"]) for each in reversed(below))


def joined(concept: Resource, more: Iterable[Resource]) -> Resource:
    """Return a concept with the designations and properties that supplements give it."""
    whole = dict(concept)
    for each in more:
        for key in ("designation", "property"):
            if key in each:
                whole[key] = [*whole.get(key, ()), *each[key]]
    return whole


def speaks(concept: Any, words: str, language: str | None) -> bool:
    """Tell whether a concept's terms, in a language where one is given, hold every word."""
    if not words:
        return True
    terms = [concept.display or ""]
    terms += [
        each.get("value", "")
        for each in concept.designations
        if language is None or _in_language(each, language)
    ]
    text = " ".join(terms).casefold()
    return all(word in text for word in words.casefold().split())


def _in_language(designation: Resource, language: str) -> bool:
    spoken = str(designation.get("language", "")).casefold()
    return spoken == "" or spoken.partition("-")[0] == language.casefold().partition("-")[0]


def _said(supplements: Iterable[Resource]) -> dict[str, list[Resource]]:
    said: dict[str, list[Resource]] = {}
    for supplement in supplements:
        for concept, _ in walk(supplement.get("concept", [])):
            said.setdefault(concept["code"], []).append(concept)
    return said


def _concept(held: Resource) -> Concept:
    listed = tuple(_raw(held))
    is_active = not any(isinstance(v, str | bool) and (n, v) in _INACTIVE for n, v in listed)
    return Concept(
        held["code"], held.get("display"), is_active, held.get("designation", ()), listed
    )


def _raw(concept: Resource) -> Iterator[tuple[str, Any]]:
    for entry in concept.get("property", []):
        yield entry["code"], next((entry[key] for key in entry if key.startswith("value")), None)


def _reached(steps: Mapping[str, Sequence[str]], start: str) -> dict[str, None]:
    """Return what can be reached by steps, nearest first, the start left out."""
    found: dict[str, None] = {}
    layer: list[str] = [start]
    while layer:
        layer = [
            each
            for each in dict.fromkeys(step for code in layer for step in steps.get(code, ()))
            if each not in found and each != start
        ]
        found.update(dict.fromkeys(layer))
    return found

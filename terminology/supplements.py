"""What a CodeSystem of content `supplement` adds to a system that is loaded: terms and properties.

https://hl7.org/fhir/R4/codesystem.html#supplements
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from r4.json import Resource
from terminology.concepts import Concept, Concepts, index
from terminology.loaded import LoadedConcept, LoadedSystem


@dataclass(frozen=True, slots=True, eq=False)
class Supplemented:
    """A loaded code system of which supplements say more."""

    system: LoadedSystem
    said: Concepts

    @property
    def url(self) -> str:
        """Return the canonical uri of the system."""
        return self.system.url

    @property
    def version(self) -> str:
        """Return the version that is loaded."""
        return self.system.version

    @property
    def is_complete(self) -> bool:
        """Tell whether a code that is absent is a code that does not exist."""
        return self.system.is_complete

    def concept(self, code: str) -> LoadedConcept | None:
        """Return the concept of a code with what the supplements add; None where there is none."""
        held = self.system.concept(code)
        return None if held is None else self._joined(held)

    def _joined(self, held: LoadedConcept) -> LoadedConcept:
        more = self.said.concept(held.code)
        if more is None:
            return held
        return Concept(
            held.code,
            held.display,
            held.is_active,
            [*held.designations, *more.designations],
            [*held.properties, *more.properties],
            held.replaced_by,
        )

    def subsumes(self, ancestor: str, descendant: str) -> bool:
        """Tell whether one code is above another; each is above itself."""
        return self.system.subsumes(ancestor, descendant)

    def ancestors(self, code: str) -> Iterator[str]:
        """Yield every code above a code, itself left out."""
        return self.system.ancestors(code)

    def descendants(self, code: str) -> Iterator[str]:
        """Yield every code below a code, itself left out."""
        return self.system.descendants(code)

    def is_member(self, refset: str, code: str) -> bool:
        """Tell whether a reference set holds a code."""
        return self.system.is_member(refset, code)

    def members(self, refset: str) -> Iterator[str]:
        """Yield the codes that a reference set holds."""
        return self.system.members(refset)

    def search(
        self,
        words: str,
        language: str | None,
        within: Callable[[str], bool] | None,
        offset: int,
        count: int,
    ) -> tuple[Sequence[LoadedConcept], int | None]:
        """Return a page of the concepts by the loaded terms; those of supplements are not searched."""
        page, total = self.system.search(words, language, within, offset, count)
        return [self._joined(each) for each in page], total


def supplemented(system: LoadedSystem, supplements: Sequence[Resource]) -> LoadedSystem:
    """Return a loaded code system with its supplements; without any, as it is."""
    if not supplements:
        return system
    whole = {"concept": [concept for each in supplements for concept in each.get("concept", [])]}
    named: dict[str, Resource] = {}
    for concept in whole["concept"]:
        named.setdefault(concept["code"], {"code": concept["code"]})
    return Supplemented(system, index({"concept": list(named.values())}, supplements))

"""What a code means: CodeSystems, ValueSets, ConceptMaps, NamingSystems and the operations on them.

https://hl7.org/fhir/R4/terminology-service.html
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from r4 import artefacts
from r4.json import Resource
from terminology import expand, lookup, translate, validate_code
from terminology.compose import Coding, Members, members
from terminology.sources import Sources
from terminology.translate import Match


@dataclass(frozen=True, slots=True, eq=False)
class Terminology:
    """The terminology service, in memory: the registry's artefacts over the standard's own.

    Value sets are compiled when first asked for and kept. Aliases of systems are honoured.
    """

    sources: Sources
    _members: dict[str, Members] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls) -> "Terminology":
        """Build the service over the artefacts of this package and the standard's definitions."""
        return cls.of(artefacts.load("terminology"))

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> "Terminology":
        """Build the service over given resources and the standard's definitions."""
        return cls(Sources.of(resources))

    def validate_code(self, value_set_url: str, system: str | None, code: str) -> bool | None:
        """Tell whether a code is in a value set; None where that cannot be decided here."""
        found = self.members(value_set_url)
        return None if found is None else validate_code.validate_code(found, system, code)

    def validate_in_system(self, system: str, code: str) -> bool | None:
        """Tell whether a code exists in its system; None where the system is not held in full."""
        return validate_code.validate_in_system(self.sources, system, code)

    def expand(self, value_set_url: str) -> list[Coding]:
        """List a value set's Codings; raises FhirError 404 (unknown) or 422 (not enumerable)."""
        return expand.expand(value_set_url, self.members(value_set_url))

    def lookup(self, system: str, code: str) -> Resource | None:
        """Return the concept of a code, or None."""
        return lookup.lookup(self.sources, system, code)

    def translate(self, concept_map_url: str, system: str, code: str) -> list[Coding]:
        """List the Codings a concept map gives a code; raises FhirError 404 where it is unknown."""
        return translate.translate(self.sources, concept_map_url, system, code)

    def matches(self, concept_map_url: str, system: str, code: str) -> list[Match]:
        """List the targets of a code with their equivalence; raises FhirError 404 likewise."""
        return translate.matches(self.sources, concept_map_url, system, code)

    def members(self, value_set_url: str) -> Members | None:
        """Return the compiled codes of a value set, any `|version` ignored; None where unknown."""
        url = value_set_url.partition("|")[0]
        if (compiled := self._members.get(url)) is not None:
            return compiled
        if (value_set := self.sources.find("ValueSet", url)) is None:
            return None
        return self._members.setdefault(url, members(self.sources, value_set))

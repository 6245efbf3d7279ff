"""What a code means: CodeSystems, ValueSets, ConceptMaps, NamingSystems and the operations on them.

https://hl7.org/fhir/R4/terminology-service.html
"""

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from r4 import artefacts
from r4.canonical import split
from r4.definitions.catalogue import Catalogue
from r4.json import Resource
from terminology import expand, lookup, pinned, subsumes, translate, validate_code, verdict
from terminology.compose import Coding, Members, members
from terminology.expand import Expand
from terminology.grammars import GRAMMARS
from terminology.loaded import Loaded
from terminology.lookup import Found
from terminology.sources import Sources
from terminology.subsumes import Outcome
from terminology.systems import SNOMED_CT
from terminology.translate import Match
from terminology.verdict import Verdict

__all__ = ["Coding", "Expand", "Found", "Match", "Members", "Outcome", "Terminology", "Verdict"]

_IMPLICIT = f"{SNOMED_CT}?fhir_vs"


class Terminology:
    """The terminology service over a catalogue, and the code systems that an operator has loaded.

    Value sets and code systems are compiled when first asked for, and kept as long as this object: what
    is stored or loaded later is seen by the next one. Aliases of systems are honoured.
    """

    def __init__(self, catalogue: Catalogue, loaded: Loaded | None = None) -> None:
        self.catalogue = catalogue
        self.loaded = loaded
        self.sources = Sources(catalogue, loaded)
        self._members: dict[str, Members] = {}

    @classmethod
    def load(cls, loaded: Loaded | None = None) -> "Terminology":
        """Build the service over the artefacts of this package and the standard's definitions."""
        return cls.of(artefacts.load("terminology"), loaded)

    @classmethod
    def of(cls, resources: Iterable[Resource], loaded: Loaded | None = None) -> "Terminology":
        """Build the service over given resources and the standard's definitions."""
        return cls(Catalogue.of(resources), loaded)

    def having(self, resource: Resource) -> "Terminology":
        """Return the service in which a resource stands before all others of its url."""
        key = (resource["resourceType"], resource["url"])
        own = {**self.catalogue.own, key: [resource]}
        return Terminology(
            Catalogue(own, self.catalogue.stored, self.catalogue.generation), self.loaded
        )

    def check(self, value_set: str | None, coding: Coding) -> Verdict:
        """Tell whether a Coding is in a value set, or without one in its code system, and why not.

        Its display, where it has one, must be one of the code's terms: "wrong-display".
        """
        if value_set is None:
            return verdict.in_system(self.sources, coding)
        found = self.members(value_set)
        if found is None:
            return Verdict(None, "unknown-value-set", coding.get("system"), coding.get("code", ""))
        return verdict.in_members(self.sources, found, coding)

    def check_in(self, found: Members, coding: Coding) -> Verdict:
        """Tell whether a Coding is in a value set that is compiled already."""
        return verdict.in_members(self.sources, found, coding)

    def validate_code(self, value_set_url: str, system: str | None, code: str) -> bool | None:
        """Tell whether a code is in a value set; None where that cannot be decided here."""
        found = self.members(value_set_url)
        return None if found is None else validate_code.validate_code(found, system, code)

    def validate_in_system(self, system: str, code: str) -> bool | None:
        """Tell whether a code exists in its system; None where the system is not held in full."""
        return validate_code.validate_in_system(self.sources, system, code)

    def systems(self) -> list[str]:
        """List the uris of code systems that are known as resources, or made by a grammar."""
        return sorted({*self.catalogue.urls("CodeSystem"), *GRAMMARS})

    def expand(self, value_set_url: str) -> list[Coding]:
        """List a value set's Codings; raises FhirError 404 (unknown) or 422 (not enumerable)."""
        return expand.expand(value_set_url, self.members(value_set_url))

    def expansion(
        self, value_set: Resource, asked: Expand, compiled: Members | None = None
    ) -> tuple[list[Resource], int | None]:
        """List a ValueSet's codes as `expansion.contains`, and how many there are in all.

        compiled: its codes, where they are known already. Raises FhirError 422 where they cannot be
        listed, or are too many to be listed at once.
        """
        wanted = pinned.pinned(value_set, asked)
        found = compiled if compiled is not None and wanted is value_set else self.compiled(wanted)
        return expand.expansion(self.sources, wanted, pinned.less(found, asked.excluded), asked)

    def lookup(self, system: str, code: str) -> Resource | None:
        """Return the concept of a code, or None; of a system that is held as a resource."""
        return lookup.lookup(self.sources, system, code)

    def concept(self, system: str, code: str, version: str | None = None) -> Found:
        """Return all that is known of a code; raises FhirError 404 (no such) or 422 (not loaded)."""
        return lookup.found(self.sources, system, code, version)

    def subsumes(self, system: str, one: str, other: str, version: str | None = None) -> Outcome:
        """Tell how one code stands to another; raises FhirError 404 (no such) or 422 (not loaded)."""
        return subsumes.subsumes(self.sources, system, one, other, version)

    def translate(self, concept_map_url: str, system: str, code: str) -> list[Coding]:
        """List the Codings a concept map gives a code; raises FhirError 404 where it is unknown."""
        return translate.translate(self.sources, concept_map_url, system, code)

    def matches(self, concept_map_url: str, system: str, code: str) -> list[Match]:
        """List the targets of a code with their equivalence; raises FhirError 404 likewise."""
        return translate.matches(self.sources, concept_map_url, system, code)

    def matches_of(
        self, concept_map: Resource, coding: Coding, *, reverse: bool = False
    ) -> list[Match]:
        """List what a given ConceptMap makes of a Coding, or the Codings that it makes into it."""
        system, code = coding["system"], coding["code"]
        if reverse:
            return translate.reverse(concept_map, system, code)
        return translate.of_map(self.sources, concept_map, system, code)

    def find(self, kind: str, url: str) -> Resource | None:
        """Return the resource of a kind that a canonical means, implicit value sets among them."""
        if kind == "ValueSet" and url.startswith(_IMPLICIT):
            return _implicit(url)
        return self.sources.find(kind, url)

    def members(self, value_set_url: str) -> Members | None:
        """Return the compiled codes of a value set; None where it is unknown."""
        if (compiled := self._members.get(value_set_url)) is not None:
            return compiled
        if (value_set := self.find("ValueSet", value_set_url)) is None:
            return None
        compiled = members(self.sources, value_set)
        if value_set_url.startswith(_IMPLICIT):  # there is no end of them
            return compiled
        return self._members.setdefault(value_set_url, compiled)

    def compiled(self, value_set: Resource) -> Members:
        """Return the codes of a given ValueSet resource."""
        return members(self.sources, value_set)


def _implicit(url: str) -> Resource | None:
    """Return the value set that a uri of SNOMED CT means; https://hl7.org/fhir/R4/snomedct.html."""
    _, _, asked = split(url)[0].removeprefix(_IMPLICIT).partition("=")
    kind, _, rest = unquote(asked).partition("/")
    filters: Mapping[str, tuple[str, str]] = {
        "isa": ("concept", "is-a"),
        "refset": ("concept", "in"),
        "ecl": ("constraint", "="),
    }
    include: Resource = {"system": SNOMED_CT}
    if kind in filters and rest:
        name, operator = filters[kind]
        include["filter"] = [{"property": name, "op": operator, "value": rest}]
    elif asked:
        return None
    return {"resourceType": "ValueSet", "url": url, "compose": {"include": [include]}}

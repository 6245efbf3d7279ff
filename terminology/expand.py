"""The codes of a value set, listed: all of them, or a page of those that words find.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from r4.issue import FhirError, error
from r4.json import Resource
from terminology.compose import Coding, Members
from terminology.concepts import Concept, speaks
from terminology.loaded import LoadedConcept
from terminology.rules import Rule
from terminology.sources import Sources, canonical

MOST = 10_000
"""Most codes in one answer; a larger value set is asked for in pages."""

_ABSTRACT = ("notSelectable", True)


@dataclass(frozen=True, slots=True)
class Expand:
    """What is asked of an expansion.

    filter: words that a code's terms must all hold. offset, count: the page, in codes. versions: of the
    systems whose `include` states none, by uri. excluded: systems to leave out.
    """

    filter: str = ""
    offset: int = 0
    count: int | None = None
    active_only: bool = False
    exclude_nested: bool = True
    designations: bool = False
    language: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    excluded: frozenset[str] = frozenset()


def expand(url: str, members: Members | None) -> list[Coding]:
    """List a value set's codes as Codings, in the order its compose gives.

    Raises FhirError 404 where the value set is unknown, 422 where it cannot be enumerated, or has more
    than MOST codes that are taken from a loaded system by a rule.
    """
    if members is None:
        raise unknown(url)
    refuse_undecided(url, members)
    listed = [coding for codes in members.codes.values() for coding in codes.values()]
    ruled = (
        (system, code)
        for system, rule in members.rules.items()
        for code in rule.codes()
        if code not in members.codes.get(system, {}) and rule.holds(code)
    )
    taken = list(islice(ruled, MOST + 1))
    if len(taken) > MOST:
        raise too_costly(url)
    return listed + [{"system": system, "code": code} for system, code in taken]


def expansion(
    sources: Sources, value_set: Resource, members: Members, asked: Expand
) -> tuple[list[Resource], int | None]:
    """List `ValueSet.expansion.contains` and how many codes there are, None where that is not known.

    Raises FhirError 422 where the value set cannot be enumerated, or has more than MOST codes and no
    page of them is asked for.
    """
    url = value_set.get("url", "that was sent")
    refuse_undecided(url, members)
    count = MOST + 1 if asked.count is None else min(asked.count, MOST)
    page = _Page(sources, members, asked, _own_designations(value_set))
    contains, total = page.of(asked.offset, count)
    if asked.count is None and len(contains) > MOST:
        raise too_costly(url)
    paged = asked.count is not None or asked.offset > 0
    if asked.exclude_nested or paged or asked.filter:
        return contains, total
    return _nested(sources, contains, asked), total


def unknown(url: str) -> FhirError:
    """Return the refusal of a question about a value set that is not here."""
    return FhirError(404, [error("not-found", f"The value set {url} is not known here.")])


def too_costly(url: str) -> FhirError:
    """Return the refusal of more codes than are listed at once."""
    text = (
        f"The value set {url} has more than {MOST} codes: ask for a page (count), or add a filter."
    )
    return FhirError(422, [error("too-costly", text)])


def refuse_undecided(url: str, members: Members) -> None:
    """Raise FhirError 422 for a value set of which not every code is known."""
    if not members.undecided and not members.is_open:
        return
    systems = ", ".join(sorted(members.undecided)) or "another value set"
    why = "".join(f" {text}." for _, (_, text) in sorted(members.doubts.items()))
    reason = (
        f"The value set {url} cannot be listed: it takes codes from {systems}, not held here"
        f" in full.{why} Ask a terminology server that holds it."
    )
    raise FhirError(422, [error("not-supported", reason)])


@dataclass(frozen=True, slots=True)
class _Page:
    """The codes of a value set, first those that are listed, then those that are taken by a rule."""

    sources: Sources
    members: Members
    asked: Expand
    own: Mapping[tuple[str, str], list[Resource]]

    def of(self, offset: int, count: int) -> tuple[list[Resource], int | None]:
        """Return a page, and how many codes there are."""
        listed = self._listed()
        total: int | None = len(listed)
        page = listed[offset : offset + count]
        offset = max(0, offset - len(listed))
        for system, rule in self.members.rules.items():
            found, number = self._ruled(system, rule, offset, count - len(page))
            page += [self._contains(system, concept, rule.system.version) for concept in found]
            offset = max(0, offset - (len(found) if number is None else number))
            total = None if total is None or number is None else total + number
        return page, total

    def _ruled(
        self, system: str, rule: Rule, offset: int, count: int
    ) -> tuple[Sequence[LoadedConcept], int | None]:
        """Return a page of what a rule takes besides the listed codes, and how many there are."""
        if self.asked.filter or not rule.is_listed:
            takes = self._takes(system, rule)
            return rule.system.search(self.asked.filter, self.asked.language, takes, offset, count)
        listed = self.members.codes.get(system, {})
        codes = [code for code in rule.codes() if code not in listed]
        if self.asked.active_only:
            codes = [code for code in codes if self._is_active(rule, code)]
        found = map(rule.system.concept, codes[offset : offset + count])
        return [concept for concept in found if concept is not None], len(codes)

    def _is_active(self, rule: Rule, code: str) -> bool:
        concept = rule.system.concept(code)
        return concept is not None and concept.is_active

    def _takes(self, system: str, rule: Rule) -> Callable[[str], bool]:
        listed = self.members.codes.get(system, {})
        return lambda code: code not in listed and rule.holds(code)

    def _listed(self) -> list[Resource]:
        found = []
        for system, codes in self.members.codes.items():
            held = self.sources.system(system, self.asked.versions.get(system))
            version = held.version if held is not None else ""
            for code, coding in codes.items():
                concept = held.concept(code) if held is not None else None
                whole = self._whole(system, coding, concept)
                if (whole.is_active or not self.asked.active_only) and speaks(
                    whole, self.asked.filter, None
                ):
                    found.append(self._contains(system, whole, version))
        return found

    def _whole(self, system: str, coding: Coding, concept: LoadedConcept | None) -> LoadedConcept:
        """Join what the value set says of a code to what its system says."""
        own = self.own.get((system, coding["code"]), [])
        if concept is None:
            return Concept(coding["code"], coding.get("display"), True, own, ())
        return Concept(
            concept.code,
            coding.get("display", concept.display),
            concept.is_active,
            [*own, *concept.designations],
            concept.properties,
        )

    def _contains(self, system: str, concept: LoadedConcept, version: str) -> Resource:
        entry: Resource = {"system": system}
        if any(value is True and (name, value) == _ABSTRACT for name, value in concept.properties):
            entry["abstract"] = True
        if not concept.is_active:
            entry["inactive"] = True
        if version:
            entry["version"] = version
        entry["code"] = concept.code
        if (display := spoken(concept, self.asked.language)) is not None:
            entry["display"] = display
        if self.asked.designations and concept.designations:
            entry["designation"] = [_plain(each) for each in concept.designations]
        return entry


def spoken(concept: LoadedConcept, language: str | None) -> str | None:
    """Return a concept's term in a language, by its exact tag or its first part; else its display."""
    if language is not None:
        wanted = language.casefold()
        terms = [(str(d.get("language", "")).casefold(), d) for d in concept.designations]
        for tags in (wanted, wanted.partition("-")[0]):
            for tag, designation in terms:
                if tag == tags or (tags != wanted and tag.partition("-")[0] == tags):
                    return str(designation["value"])
    return concept.display


def _plain(designation: Resource) -> Resource:
    return {key: designation[key] for key in ("language", "use", "value") if key in designation}


def _own_designations(value_set: Resource) -> dict[tuple[str, str], list[Resource]]:
    found = {}
    for include in value_set.get("compose", {}).get("include", []):
        for concept in include.get("concept", []):
            if "designation" in concept and "system" in include:
                found[canonical(include["system"]), concept["code"]] = concept["designation"]
    return found


def _nested(sources: Sources, contains: Iterable[Resource], asked: Expand) -> list[Resource]:
    """Put each code below the first of its parents that is listed before it."""
    roots: list[Resource] = []
    placed: dict[tuple[str, str], Resource] = {}
    for entry in contains:
        concepts = sources.concepts(entry["system"], asked.versions.get(entry["system"]))
        above = concepts.parents.get(entry["code"], ()) if concepts is not None else ()
        key = next(((entry["system"], p) for p in above if (entry["system"], p) in placed), None)
        place = roots if key is None else placed[key].setdefault("contains", [])
        place.append(entry)
        placed[entry["system"], entry["code"]] = entry
    return roots

"""Where a table row runs: the message, the group and the segment it sees, and how it reports errors.

Functions named in the tables take a Here and nothing else, so they cannot reach what they may not.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mappings.hl7v2.elements import Slot
from mappings.hl7v2.errors import issue
from mappings.hl7v2.grammar import Branch
from mappings.hl7v2.parse import Message, Segment
from mappings.hl7v2.sites import Site, Translator
from mappings.hl7v2.tables import Event, local_system, vocabularies
from mappings.hl7v2.told import recorded
from r4.issue import Issue
from r4.json import Resource

_REMEMBERED = 10_000
_LONGEST = 64
"""Characters of the longest code that is remembered: what is longer is free text."""


class Engine(Protocol):
    """Tables that are compiled, as `apply.Engine` has them."""

    @property
    def version(self) -> str:
        """Name the tables that it was made from, in 12 hex digits."""
        ...

    def to_bundle(self, message: Message, context: "MappingContext") -> Resource:
        """Return the transaction Bundle of a message. Raises FhirError."""
        ...


@dataclass(frozen=True, slots=True)
class MappingContext:
    """What a mapping needs from outside: terminology; `now` stands in for an absent MSH-7.

    Translations are remembered: make one context for each state of the terminology. Without an
    `engine`, this package's own tables map.
    """

    terminology: Translator
    now: str | None = None
    engine: Engine | None = None
    known: dict[tuple[str, str, str], Sequence[Resource]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def translate(self, concept_map: str, system: str, code: str) -> Sequence[Resource]:
        """Translate a code, asking terminology once."""
        key = (concept_map, system, code)
        found = self.known.get(key)
        if found is None:
            found = self.terminology.translate(concept_map, system, code)
            # free text sent as codes must not fill the memory
            if len(code) <= _LONGEST and len(self.known) < _REMEMBERED:
                self.known[key] = found
        return found


class Run:
    """One message being mapped: its slots in order of creation, and the issues found so far."""

    def __init__(self, message: Message, event: Event, site: Site, context: MappingContext) -> None:
        self.message = message
        self.event = event
        self.site = site
        self.context = context
        self.sender = message.header.sending_facility
        self.slots: list[Slot] = []
        self.issues: list[Issue] = []
        self.counts: dict[str, int] = {}
        self.systems: dict[str, str] = {}
        """The systems of the sender's own numbers by kind, as far as they have been asked for."""
        self.referred: dict[Hashable, tuple[Slot, Slot]] = {}
        """Resources that rows of HL7's tables made on the way, and the one that refers to each."""

    @property
    def recorded(self) -> str | None:
        """Return when the hospital recorded the event, a dateTime; the receipt stands in for it.

        It is read anew each time, so that each row that asks is known to have read it (`trace`).
        """
        return recorded(self.message) or self.context.now

    def add(self, resource: Resource, request: str) -> Slot:
        """Open a slot for a resource."""
        slot = Slot(resource, request)
        self.slots.append(slot)
        return slot

    def element(self) -> Slot:
        """Open a slot for an element that a datatype map puts together."""
        return Slot({}, "")

    def occurrence(self, key: str) -> int:
        """Count how often a key has come up in this message, this time included."""
        self.counts[key] = self.counts.get(key, 0) + 1
        return self.counts[key]


class Scope:
    """One repetition of a group or of a repeating segment: the slots opened in it."""

    __slots__ = ("branch", "parent", "slots")

    def __init__(self, branch: Branch, parent: "Scope | None") -> None:
        self.branch = branch
        self.parent = parent
        self.slots: dict[str, Slot] = {}

    def slot(self, name: str) -> Slot | None:
        """Return the slot of a name in this scope or the nearest around it."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.slots:
                return scope.slots[name]
            scope = scope.parent
        return None

    def segment(self, name: str) -> Segment | None:
        """Return the first segment of a name in this group or the nearest around it."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.branch.segment(name)
            if found is not None:
                return found
            scope = scope.parent
        return None


class Here:
    """Where a row runs: the segment, and the field and repetition that errors are reported for."""

    __slots__ = ("field", "repetition", "run", "scope", "segment", "slot")

    def __init__(self, run: Run, scope: Scope, segment: Segment) -> None:
        self.run = run
        self.scope = scope
        self.segment = segment
        self.field = 0
        self.repetition = 1
        self.slot: Slot | None = None

    def find(self, name: str) -> Segment | None:
        """Return the segment itself, or the first of another name in the nearest group."""
        return self.segment if name == self.segment.name else self.scope.segment(name)

    def value(self, name: str, number: int) -> str:
        """Return the first component of a field of the nearest segment of a name, or ""."""
        found = self.find(name)
        if found is None or not found.text(number):
            return ""
        return found.field(number).value

    def local(self, kind: str) -> str:
        """Return the identifier system for numbers of one kind that the sender gives out."""
        known = self.run.systems
        if kind not in known:
            known[kind] = local_system(self.run.sender, kind)
        return known[kind]

    def translate(self, vocabulary: str, code: str) -> Resource | None:
        """Return the Coding of a code in a vocabulary (the hospital's own, if it has one)."""
        found = self.translations(vocabulary, code)
        return found[0] if found else None

    def translations(self, vocabulary: str, code: str) -> Sequence[Resource]:
        """List every Coding of a code in a vocabulary, of each system that the map gives it."""
        table, site = vocabularies()[vocabulary], self.run.site
        concept_map = site.concept_maps.get(vocabulary, table.concept_map)
        translator = site.translators.get(concept_map, self.run.context)
        return translator.translate(concept_map, table.system, code)

    def at(self, number: int, repetition: int = 1) -> "Here":
        """Point errors at another field of the segment."""
        self.field = number
        self.repetition = repetition
        return self

    def fail(self, rule: str, text: str) -> None:
        """Report an error at the present field; the message will be refused."""
        parts = [self.segment.name, str(self.segment.number)]
        if self.field:
            parts.append(str(self.field))
        if self.repetition > 1:
            parts.append(str(self.repetition))
        self.run.issues.append(issue(rule, text, "^".join(parts)))


Compute = Callable[[Here], Any]
"""A function that a table names: a condition gives bool, a value FHIR JSON, a list of it or None."""

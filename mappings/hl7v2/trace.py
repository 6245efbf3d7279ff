"""Watch a message being mapped: which row read which leaf, and which element it wrote.

The rows run as they always do. What is watched are the leaves (`parse(raw, reads=…)`), the resources
(dicts that tell what is set in them) and the rows (each wrapped before the message is mapped), so
that a message that nobody watches pays nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, NamedTuple

from mappings.hl7v2 import leaves
from mappings.hl7v2.apply import Action, Linked, Structure, connect
from mappings.hl7v2.compile import Rule
from mappings.hl7v2.elements import Slot
from mappings.hl7v2.grammar import Node
from mappings.hl7v2.parse import Message
from mappings.hl7v2.rows import Origin
from mappings.hl7v2.scope import Compute, Here, MappingContext, Run
from mappings.hl7v2.sites import Site
from mappings.hl7v2.tables import Event
from r4.json import Resource

SegmentPlace = tuple[str, int]
"""A segment of a message: its name, and its number among those of that name."""


class Put(NamedTuple):
    """A value set in a container (under a name, or at an index of a list), and the row that did it.

    `key` is None where the container itself is what was made: a whole resource.
    """

    container: "Noted | Listed"
    key: str | int | None
    value: Any
    sources: tuple[leaves.Place, ...]
    origin: Origin
    segment: SegmentPlace
    translated: Mapping[str, frozenset[str]]
    """The codes that the row has translated, and to what."""


@dataclass(slots=True)
class Trace:
    """What is noted while the rows of one message run."""

    puts: list[Put] = field(default_factory=list)
    readers: dict[leaves.Place, list[Origin | None]] = field(default_factory=dict)
    ran: dict[SegmentPlace, dict[str, None]] = field(default_factory=dict)
    """Which segment maps ran on a segment."""
    skipped: dict[tuple[SegmentPlace, Origin], None] = field(default_factory=dict)
    """Which rows of the message table did not run on a segment, for their condition did not hold."""
    origin: Origin | None = None
    segment: SegmentPlace = ("", 0)
    pending: list[leaves.Place] = field(default_factory=list)
    shared: tuple[leaves.Place, ...] = ()
    translated: dict[str, frozenset[str]] = field(default_factory=dict)

    def read(self, place: leaves.Place) -> None:
        """Note that the row that is running reads a leaf."""
        self.readers.setdefault(place, []).append(self.origin)
        self.pending.append(place)

    def put(self, container: "Noted | Listed", key: str | int | None, value: Any) -> None:
        """Note that the row that is running sets a value; what it read before is where it is from.

        Values that are set one after the other are from the same leaves. An element of a datatype
        map is from the leaf that was read last.
        """
        if self.origin is None or (isinstance(value, Noted) and value.is_element):
            return
        if self.pending:
            is_part = isinstance(container, Noted) and container.is_element
            self.shared = tuple(self.pending[-1:] if is_part else self.pending)
            self.pending.clear()
        codes = dict(self.translated)
        entry = Put(container, key, value, self.shared, self.origin, self.segment, codes)
        self.puts.append(entry)

    def run(self, origin: Origin | None, here: Here | None, work: Callable[[], Any]) -> Any:
        """Do a row's work, and note what it reads and sets as this row's."""
        self.origin, self.shared = origin, ()
        self.pending.clear()
        self.translated.clear()
        if here is not None:
            self.segment = here.segment.name, here.segment.number
        try:
            return work()
        finally:
            self.origin = None

    def structure(self, structure: Structure) -> Structure:
        """Wrap every row of a message table and of its segment maps."""
        actions: Mapping[Node, Iterable[Action]] = structure.actions
        traced = {node: tuple(map(self._action, listed)) for node, listed in actions.items()}
        return replace(structure, actions=traced)

    def connect(self, structure: Structure, links: Iterable[Linked]) -> None:
        """Set references, and note each as written by the row that asks for it."""
        self.segment = ("", 0)
        origins = {
            id(link): action.origin
            for listed in structure.actions.values()
            for action in listed
            for link in action.links
        }
        for linked in links:
            self.run(origins[id(linked[-1])], None, partial(connect, *linked))

    def _action(self, action: Action) -> Action:
        name = action.rules[0].origin.table if action.rules else ""
        return replace(
            action,
            condition=self._condition(action, name),
            rules=tuple(map(self._rule, action.rules)),
        )

    def _condition(self, action: Action, name: str) -> Compute:
        def run(here: Here) -> bool:
            place = here.segment.name, here.segment.number
            condition = action.condition
            holds = condition is None or self.run(action.origin, here, lambda: condition(here))
            if holds:
                self.ran.setdefault(place, {})[name] = None
            else:
                self.skipped[place, action.origin] = None
            return bool(holds)

        return run

    def _rule(self, rule: Rule) -> Rule:
        def run(here: Here, slot: Slot) -> None:
            self.run(rule.origin, here, lambda: rule.run(here, slot))

        return Rule(rule.origin, run)


class Noted(dict[str, Any]):
    """An object of a resource that tells a trace what is set in it."""

    def __init__(self, trace: Trace, content: Resource, *, is_element: bool = False) -> None:
        super().__init__({key: _noted(trace, value) for key, value in content.items()})
        self.trace = trace
        self.is_element = is_element

    def setdefault(self, key: str, value: Any = None) -> Any:
        """Return what the object holds under a name, which is the value if it has held nothing."""
        if key not in self:
            self[key] = value
        return self[key]

    def __setitem__(self, key: str, value: Any) -> None:
        noted = _noted(self.trace, value)
        super().__setitem__(key, noted)
        is_known = isinstance(value, list) and all(isinstance(each, Noted) for each in value)
        if value != {} and not is_known:  # some of what the list held before, or nothing yet
            self.trace.put(self, key, noted)


class Listed(list[Any]):
    """A list of a resource that tells a trace what is added to it."""

    def __init__(self, trace: Trace, content: Iterable[Any]) -> None:
        super().__init__(_noted(trace, value) for value in content)
        self.trace = trace

    def append(self, value: Any) -> None:
        """Add a value."""
        noted = _noted(self.trace, value)
        super().append(noted)
        if value != {}:
            self.trace.put(self, len(self) - 1, noted)


def _noted(trace: Trace, value: Any) -> Any:
    if isinstance(value, dict) and not isinstance(value, Noted):
        return Noted(trace, value)
    if isinstance(value, list) and not isinstance(value, Listed):
        return Listed(trace, value)
    return value


@dataclass(frozen=True, slots=True)
class TracedContext(MappingContext):
    """A context that notes which codes are translated."""

    trace: Trace = field(default_factory=Trace)

    @classmethod
    def of(cls, context: MappingContext, trace: Trace) -> "TracedContext":
        """Return a context for one message."""
        given = {each.name: getattr(context, each.name) for each in fields(MappingContext)}
        return cls(**given, trace=trace)

    def translate(self, concept_map: str, system: str, code: str) -> Sequence[Resource]:
        """Translate a code, and note it where the map knows it."""
        found = MappingContext.translate(self, concept_map, system, code)
        if found:
            self.trace.translated[code] = frozenset(str(each["code"]) for each in found)
        return found


class TracedRun(Run):
    """A message being mapped, and watched: its resources tell what is set in them."""

    def __init__(
        self, message: Message, event: Event, site: Site, context: MappingContext, trace: Trace
    ) -> None:
        super().__init__(message, event, site, TracedContext.of(context, trace))
        self.trace = trace
        self.roots: dict[int, Noted] = {}
        """The resource of each slot as it was made, by the id of the slot."""
        self.made: list[Slot] = []
        """Every slot: one that is left out again keeps its id."""

    def add(self, resource: Resource, request: str) -> Slot:
        """Open a slot for a resource."""
        noted = Noted(self.trace, resource)
        if len(resource) > 1:
            self.trace.put(noted, None, noted)
        slot = super().add(noted, request)
        self.roots[id(slot)] = noted
        self.made.append(slot)
        return slot

    def element(self) -> Slot:
        """Open a slot for an element that a datatype map puts together."""
        return Slot(Noted(self.trace, {}, is_element=True), "")

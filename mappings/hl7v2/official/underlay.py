"""HL7's own tables as the base layer: what they say of messages that we have no table of.

Our tables replace theirs of the same name wholly, maps of segments and datatypes too. Who sent a message
and when stands in one Provenance, which is ours; HL7's Bundle, MessageHeader and Provenances are not
made, as a transaction holds resources and no message.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mappings.hl7v2.apply import Action, Link, Maps, Structure
from mappings.hl7v2.compile import Reads, Rule, function
from mappings.hl7v2.conditions import Condition
from mappings.hl7v2.elements import Slot, place
from mappings.hl7v2.grammar import Node, grammar
from mappings.hl7v2.official.codetables import coding
from mappings.hl7v2.official.compile import (
    Compiled,
    CompiledMessage,
    Names,
    made,
    message_row,
    segment_row,
    sentence,
)
from mappings.hl7v2.official.decisions import NEVER, Key, errata, narrative
from mappings.hl7v2.official.finish import finish, lacking
from mappings.hl7v2.official.layer import Layer
from mappings.hl7v2.official.run import Codes, Line, line, reader, rule
from mappings.hl7v2.official.source import RowSource
from mappings.hl7v2.rows import MessageRow, Origin, SegmentRow
from mappings.hl7v2.scope import Compute, Here
from mappings.hl7v2.tables import requests
from mappings.hl7v2.targets import Hop, parse
from r4.json import Resource

NOT_MADE = frozenset({"Bundle", "MessageHeader", "Provenance"})
"""What HL7's tables make of a message that is about the message, not about what it says."""
_OURS = {"MSH": "MSH[Provenance]", "EVN": "EVN[Provenance]"}


@dataclass(frozen=True, slots=True)
class Ours:
    """What of our own tables stands in the place of theirs: maps and readers, compiled, by name.

    `conditions` has the function under which our message tables run a map, where they name one.
    """

    maps: Maps
    reads: Reads
    conditions: Mapping[str, str]


@dataclass(slots=True)
class Base:
    """The base layer, compiled: message tables by name, and the rows that cannot be run, with why."""

    structures: dict[str, Structure] = field(default_factory=dict)
    idle: list[tuple[Origin, str]] = field(default_factory=list)


def base(layer: Layer, ours: Ours, without: frozenset[str] = frozenset()) -> Base:
    """Compile HL7's tables for the messages that are not `without`.

    Raises ValueError, naming the table and line, for a row that is not accounted for.
    """
    found = Base()
    maker = _Maker(layer, ours, found)
    for name, rows in layer.messages.items():
        if name not in without:
            root = grammar(name, rows)
            found.structures[name] = Structure(root, maker.actions(root, rows), finish, lacking)
    return found


class _Maker:
    """Compiles maps when a message names them, each once for a type of resource."""

    def __init__(self, layer: Layer, ours: Ours, found: Base) -> None:
        self.layer = layer
        self.names = Names.of(layer)
        self.ours = ours
        self.found = found
        self.codes: Codes = _codes(layer)
        self.rules: dict[tuple[str, str], tuple[Rule, ...]] = {}
        self.reads = dict(ours.reads)
        for name, rows in layer.datatypes.items():
            if name not in ours.reads:
                read = reader(name, self.lines(rows), self.reads, self.codes)
                self.reads[name] = (read, name.partition("[")[2].rstrip("]"))

    def lines(self, rows: tuple[SegmentRow, ...], about: str = "") -> tuple[Line, ...]:
        """Compile the rows of a map that run: those that read before those that only assign."""
        numbered, found = made(rows), []
        for row in rows:
            compiled = self.compiled(row, numbered, about) if row.target else None
            if compiled is None:
                continue
            group = parse(row.target).group
            if group and numbered:
                self.found.idle.append((row.origin, "the table makes several resources by number"))
                continue
            if any(map(_is_in_value, compiled.target.hops)):
                told = "it is about a part of a primitive value, or of a reference"
                self.found.idle.append((row.origin, told))
                continue
            found.append(line(row, compiled, group))
        return tuple(sorted(found, key=lambda one: one.is_assigned))

    def compiled(self, row: SegmentRow, numbered: str, about: str) -> Compiled | None:
        """Compile a row as it was decided; None where it does not run."""
        if not _runs(row):
            return None
        try:
            return segment_row(
                row, numbered, self.names, at_face_value=bool(sentence(row)), about=about
            )
        except ValueError as problem:
            if about:
                self.found.idle.append((row.origin, f"of a {about}: {problem}"))
                return None
            _refuse(row, problem)
            return None

    def map(self, name: str, type_name: str) -> tuple[Rule, ...]:
        """Return a segment map, ours if there is one, for a type of resource."""
        about = "" if name.partition("[")[2].rstrip("]").split("-")[0] == type_name else type_name
        if name in self.ours.maps and not about:
            return self.ours.maps[name]
        key = (name, about)
        if key not in self.rules:
            lines = self.lines(self.layer.segments[name], about)
            self.rules[key] = tuple(rule(one, self.reads, self.codes) for one in lines)
        return self.rules[key]

    def actions(self, root: Node, rows: tuple[MessageRow, ...]) -> dict[Node, tuple[Action, ...]]:
        """Compile the rows of a message table, ours about the message itself among them."""
        told = {id(row): self.message(row) for row in rows if row.target}
        slots: dict[str, list[str]] = {}
        for each in told.values():
            if each is not None:
                slots.setdefault(each.type, []).append(_slot(each))
        found: dict[Node, tuple[Action, ...]] = {}
        for node in _leaves(root):
            found[node] = (
                *_about_message(node, self.ours.maps),
                *(
                    self.action(row, each, slots)
                    for row in node.rows
                    if (each := told.get(id(row))) is not None
                ),
            )
        return found

    def message(self, row: MessageRow) -> CompiledMessage | None:
        """Compile a row of a message table as it was decided; None where it does not run."""
        if not _runs(row):
            return None
        try:
            compiled = message_row(row, self.names)
        except ValueError as problem:
            _refuse(row, problem)
            return None
        if compiled.type in NOT_MADE:
            return None
        if len(compiled.target.hops) > 1 or any(hop.type for hop in compiled.target.hops):
            self.found.idle.append((row.origin, "the target is a resource within a resource"))
            return None
        return compiled

    def action(
        self, row: MessageRow, compiled: CompiledMessage, slots: Mapping[str, list[str]]
    ) -> Action:
        """Make what a row does with a segment."""
        slot = _slot(compiled)
        type_name = slot.partition("[")[0]
        own = compiled.segment_map in self.ours.maps
        rules = self.map(compiled.segment_map, type_name) if compiled.segment_map else ()
        if compiled.literal is not None:
            rules = (_literal(row.origin, compiled, compiled.literal),)
        condition = _condition(compiled.condition)
        name = self.ours.conditions.get(compiled.segment_map, "") if own else ""
        if name:
            condition = _both(function(name), condition)
        request = requests().get(type_name, "update")
        return Action(
            row.origin,
            condition,
            slot,
            type_name,
            "create" if type_name == "Encounter" else request,
            rules,
            tuple(self.links(row, compiled, slot, slots)),
        )

    def links(
        self, row: MessageRow, compiled: CompiledMessage, slot: str, slots: Mapping[str, list[str]]
    ) -> Iterator[Link]:
        """Yield the references that a row sets between resources that the table makes."""
        for link in compiled.links:
            source = _named(*link.source, slot, slots)
            target = _named(link.type, link.tag, slot, slots)
            if link.literal is not None or not source or not target or len(link.target.hops) > 1:
                told = f"a reference from {link.source[0]} to {link.type or 'a value'} is not set"
                self.found.idle.append((row.origin, told))
                continue
            yield Link(source, link.place, target)


def _is_in_value(hop: Hop) -> bool:
    """Tell whether a path goes on below what is written as a whole: a primitive, a reference."""
    owner, *steps = hop.key.split(".")
    above = [".".join(steps[: number + 1]) for number in range(len(steps) - 1)]
    types = [place(owner, path).type for path in above]
    return any(name == "Reference" or name[:1].islower() for name in types)


def _runs(row: MessageRow | SegmentRow) -> bool:
    """Tell whether a row runs, as far as it was decided. Raises ValueError where nothing was."""
    said = sentence(row)
    if not said:
        return True
    key = Key(row.origin.table, row.identifier, row.target)
    decision = narrative().get(key)
    if decision is None and key not in errata():
        raise ValueError(f"{row.origin}: {said}, and nothing is decided of it")
    return decision is not None and decision.decision != NEVER


def _refuse(row: MessageRow | SegmentRow, problem: ValueError) -> None:
    """Raise the ValueError of a row with its line, but for one that is known to be an erratum."""
    if Key(row.origin.table, row.identifier, row.target) not in errata():
        raise ValueError(f"{row.origin}: {problem}") from None


def _slot(compiled: CompiledMessage) -> str:
    """Name the slot of a target: `Observation[2]`; a resource without a tag has the first."""
    return f"{compiled.type}[{compiled.tag or '1'}]"


def _named(type_name: str, tag: str, slot: str, slots: Mapping[str, list[str]]) -> str:
    """Find the slot that a reference means: its own tag, else its row's own, else the type's first."""
    known = slots.get(type_name, [])
    wanted = f"{type_name}[{tag or '1'}]"
    if tag and wanted in known:
        return wanted
    if slot in known:
        return slot
    return known[0] if known else ""


def _leaves(node: Node) -> Iterator[Node]:
    for child in node.children:
        if child.children:
            yield from _leaves(child)
        else:
            yield child


def _about_message(node: Node, maps: Maps) -> Iterator[Action]:
    """Yield what makes the Provenance: it is one for each message, and ours."""
    name = _OURS.get(node.name)
    if name is not None:
        origin = Origin("own", f"segments/{name}", 1, node.name)
        yield Action(origin, None, "Provenance[1]", "Provenance", "post", maps[name], ())


def _literal(origin: Origin, compiled: CompiledMessage, text: str) -> Rule:
    at = compiled.target.hops[-1].place

    def run(_: Here, slot: Slot) -> None:
        at.put(slot, text)

    return Rule(origin, run)


def _condition(found: Condition | None) -> Compute | None:
    if found is None:
        return None
    return lambda here: found(RowSource(here))


def _both(first: Compute, second: Compute | None) -> Compute:
    if second is None:
        return first
    return lambda here: first(here) and second(here)


def _codes(layer: Layer) -> dict[tuple[str, str], Resource]:
    """Index what the code tables have for a code; of several rows the first that is sure counts."""
    found: dict[tuple[str, str], Resource] = {}
    for name, rows in layer.codesystems.items():
        for row in rows:
            if row.target and row.code and not (row.antlr or row.narrative):
                key = Key(row.origin.table, row.code, row.target)
                if key not in errata() and (given := coding(row)):
                    found.setdefault((name, row.code), given)
    return found

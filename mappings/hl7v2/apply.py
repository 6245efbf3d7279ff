"""The interpreter: lay a message out on its table, run the rows, link what they made.

Flow: `_select` the message table, `lay_out` the segments, run each row's segment map on the slot it
names, then set the `References`; `bundle.build` makes the transaction.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from mappings.hl7v2 import tables
from mappings.hl7v2.bundle import build, identify
from mappings.hl7v2.compile import Rule, datatypes_of, function, segments_of
from mappings.hl7v2.elements import Place, place
from mappings.hl7v2.errors import (
    DATA_TYPE,
    REQUIRED,
    SEQUENCE,
    UNSUPPORTED_EVENT,
    UNSUPPORTED_MESSAGE,
    UNSUPPORTED_VERSION,
    issue,
    rejected,
)
from mappings.hl7v2.grammar import Branch, Node, grammar, lay_out, missing
from mappings.hl7v2.parse import Header, Message, Segment
from mappings.hl7v2.rows import MessageRow, Origin
from mappings.hl7v2.scope import Compute, Here, MappingContext, Run, Scope
from mappings.hl7v2.sites import NOTHING, Site, every
from r4.issue import FhirError, Issue, error
from r4.json import Resource

MOST_SEGMENTS = 5000
"""How many segments a message may have: more would hold up the messages behind it for seconds."""

Maps = Mapping[str, tuple[Rule, ...]]
"""Segment maps by name, compiled."""
_SENDER = re.compile(r"[A-Za-z0-9 _.-]+\Z", re.ASCII)
_SLOT = re.compile(r"(?P<type>[A-Z][A-Za-z]+)\[\d+\]\Z")
_LINK = re.compile(
    r"(?P<source>(?P<type>[A-Z][A-Za-z]+)\[\d+\])\.(?P<path>.+)\.reference=(?P<target>\w+\[\d+\])\.id\Z"
)


@dataclass(frozen=True, slots=True)
class Link:
    """A cell of `References`: set this element of one slot to the urn of another."""

    source: str
    place: Place
    target: str


Linked = tuple[int, Scope, Link]
"""A link to be set, the scope of its slots, and the number of the segment that it stands beside."""


@dataclass(frozen=True, slots=True)
class Action:
    """A message row: which slot a segment goes to, by which map, and under which condition."""

    origin: Origin
    condition: Compute | None
    slot: str
    type: str
    request: str
    rules: tuple[Rule, ...]
    links: tuple[Link, ...]


def _nothing(_: Run) -> None:
    """Leave what the rows of a table of ours made."""


def _whole(_: Run) -> Iterable[Issue]:
    """Miss nothing: the rows of a table of ours make resources that are whole."""
    return ()


@dataclass(frozen=True, slots=True)
class Structure:
    """A compiled message table.

    `finish` is done once all of its rows have run, and `lacking` asked once all is linked.
    """

    root: Node
    actions: dict[Node, tuple[Action, ...]]
    finish: Callable[[Run], None] = _nothing
    lacking: Callable[[Run], Iterable[Issue]] = _whole


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A message before its rows run: what its event means, its compiled table, its tree, its sender."""

    event: tables.Event
    structure: Structure
    tree: Branch
    site: Site


@dataclass(frozen=True, slots=True)
class Engine:
    """The tables of one stack of layers, compiled; `version` names all that they were made from.

    `rows` are the tables, for those who ask what a row says, and `idle` those of HL7's own that
    cannot be run, with why; `hospitals` are the engines of those senders (MSH-4) that have tables of
    their own.
    """

    structures: Mapping[str, Structure]
    sites: Mapping[str, Site]
    version: str
    rows: tables.Tables = field(default_factory=tables.own)
    hospitals: Mapping[str, "Engine"] = field(default_factory=dict)
    idle: Mapping[Origin, str] = field(default_factory=dict)

    def of(self, message: Message) -> "Engine":
        """Return the engine of a message's sender: its own, or this one."""
        return self.hospitals.get(message.header.sending_facility, self)

    def to_bundle(self, message: Message, context: MappingContext) -> Resource:
        """Return the transaction Bundle of a message, as the function of this name does."""
        laid_out = self.of(message).lay_out(message)
        run = Run(message, laid_out.event, laid_out.site, context)
        links = carry_out(laid_out, run)
        _refuse(422, problems(run))
        name(run)
        for number, scope, link in links:
            connect(number, scope, link)
        _refuse(422, list(laid_out.structure.lacking(run)))
        return build(run)

    def lay_out(self, message: Message) -> LaidOut:
        """Choose a message's table, whoever sent it, and lay the message out on it.

        Raises FhirError where the message is refused before any row runs.
        """
        _refuse_length(message)
        event = self.select(message.header)
        structure = self.structures[event.structure]
        tree = lay_out(structure.root, message)
        _refuse(422, [*_header_issues(message.header), *_absent(tree)])
        site = self.sites.get(message.header.sending_facility, NOTHING)
        return LaidOut(event, structure, tree, site)

    def select(self, header: Header) -> tables.Event:
        """Choose the message table. Of our own MSH-9.3 is not asked: senders omit it, or write others.

        Of a structure that only an operator's layer has it is, or else type and event together are.
        """
        _refuse_version(header)
        code, trigger = header.message_code, header.trigger_event
        event = tables.events().get((code, trigger))
        if event is not None and event.structure in self.structures:
            return event
        for name in (header.structure, f"{code}_{trigger}"):
            if name in self.structures and name not in tables.messages():
                return tables.Event(name, "unknown", needs_visit=False)
        if code not in {known for known, _ in tables.events()}:
            text = f"Message type `{code}` is not supported."
            raise rejected(UNSUPPORTED_MESSAGE, text, "MSH^1^9^1^1")
        text = f"Event `{trigger}` of message type {code} is not supported."
        raise rejected(UNSUPPORTED_EVENT, text, "MSH^1^9^1^2")


def carry_out(laid_out: LaidOut, run: Run) -> list[Linked]:
    """Run the rows of a message; returns the references that are to be set."""
    links: list[Linked] = []
    _walk(laid_out.tree, Scope(laid_out.tree, None), run, laid_out.structure, links)
    laid_out.structure.finish(run)
    return links


def problems(run: Run) -> list[Issue]:
    """Return what refuses a message whose rows have run."""
    return [*run.issues, *_visit_issues(run)]


def name(run: Run) -> None:
    """Name the resources that the rows have made, so that they can be referred to."""
    for slot in run.slots:
        identify(slot, run)


def to_bundle(message: Message, context: MappingContext) -> Resource:
    """Return the transaction Bundle of a message, by the context's engine, else by our own tables.

    Raises FhirError: status 400 for a message that is not supported as such (AR), 422 for content
    that cannot be accepted (AE). Issues carry the table 0357 code (rule) and place (expression).
    """
    return (context.engine or own()).to_bundle(message, context)


@cache
def own() -> Engine:
    """Compile the tables of this package, once. Raises ValueError for a bad row."""
    return Engine(compiled(tables.own()), every(), tables.own().version)


def refuse_unsupported(message: Message, context: MappingContext) -> None:
    """Raise FhirError 400 (AR) for a message whose version, type or event is not mapped."""
    engine = context.engine if isinstance(context.engine, Engine) else own()
    engine.of(message).select(message.header)


def _refuse_length(message: Message) -> None:
    count = len(message.all_segments)
    if count > MOST_SEGMENTS:
        text = f"The message has {count} segments; at most {MOST_SEGMENTS} are taken: divide it."
        raise FhirError(400, [error("too-long", text, "MSH^1", SEQUENCE)])


def _refuse(status: int, issues: list[Issue]) -> None:
    if issues:
        raise FhirError(status, issues)


def _refuse_version(header: Header) -> None:
    version = header.version
    if version not in tables.versions():
        supported = ", ".join(sorted(tables.versions()))
        text = f"HL7 version `{version}` is not supported; supported are {supported}."
        raise rejected(UNSUPPORTED_VERSION, text, "MSH^1^12")


def _header_issues(header: Header) -> Iterator[Issue]:
    sender = header.sending_facility
    if not sender:
        yield issue(REQUIRED, "MSH-4 must hold the sender's ODS code.", "MSH^1^4")
    elif not _SENDER.match(sender):
        yield issue(DATA_TYPE, f"MSH-4 `{sender}` cannot be an ODS code.", "MSH^1^4")
    if not header.control_id:
        yield issue(REQUIRED, "MSH-10, the message control id, is missing.", "MSH^1^10")


def _visit_issues(run: Run) -> Iterator[Issue]:
    """Find the visits without a number; a swap of beds is about two."""
    written = sum(slot.resource["resourceType"] == "Encounter" for slot in run.slots)
    told = sum(segment.name == "PV1" for segment in run.message.all_segments)
    if run.event.needs_visit and written < max(1, told):
        yield issue(REQUIRED, "PV1-19, the visit number, is missing.", f"PV1^{written + 1}^19")


def _absent(tree: Branch) -> Iterator[Issue]:
    for name in missing(tree):
        yield issue(REQUIRED, f"The message has no {name} segment.", f"{name}^1")


def _walk(
    branch: Branch,
    scope: Scope,
    run: Run,
    structure: Structure,
    links: list[Linked],
) -> None:
    for node, found in zip(branch.node.children, branch.found, strict=True):
        if len(found) > 1 and not node.repeats:
            text = f"The message has more than one {node.name} where one may stand."
            run.issues.append(issue(SEQUENCE, text, f"{node.name}^2"))
        for part in found:
            if isinstance(part, Branch):
                inner = Scope(part, scope) if node.repeats else scope
                _walk(part, inner, run, structure, links)
            else:
                inner = Scope(scope.branch, scope) if node.repeats else scope
                for action in structure.actions[node]:
                    _act(action, part, inner, run, links)


def _act(action: Action, segment: Segment, scope: Scope, run: Run, links: list[Linked]) -> None:
    here = Here(run, scope, segment)
    if action.condition is not None and not action.condition(here):
        return
    slot = scope.slot(action.slot)
    if slot is None:
        slot = run.add({"resourceType": action.type}, action.request)
        scope.slots[action.slot] = slot
    here.slot = slot
    slot.number = segment.number
    for rule in action.rules:
        rule.run(here, slot)
    links.extend((segment.number, scope, link) for link in action.links)


def connect(number: int, scope: Scope, link: Link) -> None:
    """Set a reference, where both resources are there; they have been named."""
    source, target = scope.slot(link.source), scope.slot(link.target)
    if source is None or target is None or not target.urn:
        return
    if (link, target.urn) not in source.linked:
        source.linked.add((link, target.urn))
        source.number = number
        link.place.put(source, {"reference": target.urn})


def structures() -> Mapping[str, Structure]:
    """Return every message table of ours by its name, compiled."""
    return own().structures


def compiled(given: tables.Tables) -> dict[str, Structure]:
    """Compile every message table of a stack, with the maps it names. Raises ValueError for a bad row."""
    return structures_of(given, segments_of(given.segments, datatypes_of(given.datatypes)))


def structures_of(given: tables.Tables, maps: Maps) -> dict[str, Structure]:
    """Compile every message table of a stack, whose segment maps are compiled already."""
    return {name: _structure(name, rows, maps) for name, rows in given.messages.items()}


def _structure(name: str, rows: Sequence[MessageRow], maps: Maps) -> Structure:
    root = grammar(name, rows)
    return Structure(root, dict(_actions(root, maps)))


def _actions(node: Node, maps: Maps) -> Iterator[tuple[Node, tuple[Action, ...]]]:
    for child in node.children:
        if child.children:
            yield from _actions(child, maps)
        else:
            yield child, tuple(_action(row, maps) for row in child.rows if row.target)


def _action(row: MessageRow, maps: Maps) -> Action:
    match = _SLOT.match(row.target)
    name = row.segment_map
    if match is None or name not in maps or not _gives(name, match["type"]):
        raise ValueError(f"{row.origin}: no segment map {name} for {row.target}")
    return Action(
        row.origin,
        function(row.condition) if row.condition else None,
        row.target,
        match["type"],
        row.request or tables.requests()[match["type"]],
        maps[name],
        tuple(_links(row)),
    )


def _gives(segment_map: str, resource_type: str) -> bool:
    target = segment_map.partition("[")[2].rstrip("]")
    return target.partition("-")[0] == resource_type


def _links(row: MessageRow) -> Iterator[Link]:
    for text in filter(None, map(str.strip, row.references.split(";"))):
        match = _LINK.match(text)
        if match is None:
            raise ValueError(f"{row.origin}: `{text}` is no reference")
        target = place(match["type"], match["path"])
        if not target.targets & {match["target"].partition("[")[0], "Resource"}:
            raise ValueError(f"{row.origin}: {text} refers to a type that R4 does not allow")
        yield Link(match["source"], target, match["target"])

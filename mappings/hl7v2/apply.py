"""The interpreter: lay a message out on its table, run the rows, link what they made.

Flow: `_select` the message table, `lay_out` the segments, run each row's segment map on the slot it
names, then set the `References`; `bundle.build` makes the transaction.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from mappings.hl7v2 import tables
from mappings.hl7v2.bundle import build, identify
from mappings.hl7v2.compile import Rule, function, segment_maps
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
from mappings.hl7v2.sites import site
from r4.issue import FhirError, Issue, error
from r4.json import Resource

MOST_SEGMENTS = 5000
"""How many segments a message may have: more would hold up the messages behind it for seconds."""

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


@dataclass(frozen=True, slots=True)
class Structure:
    """A compiled message table."""

    root: Node
    actions: dict[Node, tuple[Action, ...]]


def to_bundle(message: Message, context: MappingContext) -> Resource:
    """Return the transaction Bundle of a message.

    Raises FhirError: status 400 for a message that is not supported as such (AR), 422 for content
    that cannot be accepted (AE). Issues carry the table 0357 code (rule) and place (expression).
    """
    _refuse_length(message)
    event = _select(message.header)
    structure = structures()[event.structure]
    tree = lay_out(structure.root, message)
    _refuse(422, [*_header_issues(message.header), *_absent(tree)])
    run = Run(message, event, site(message.header.sending_facility), context)
    links: list[tuple[Scope, Link]] = []
    _walk(tree, Scope(tree, None), run, structure, links)
    _refuse(422, [*run.issues, *_visit_issues(run)])
    for slot in run.slots:
        identify(slot, message)
    for scope, link in links:
        _connect(scope, link)
    return build(run)


def refuse_unsupported(message: Message) -> None:
    """Raise FhirError 400 (AR) for a message whose version, type or event is not mapped."""
    _select(message.header)


def _refuse_length(message: Message) -> None:
    count = len(message.all_segments)
    if count > MOST_SEGMENTS:
        text = f"The message has {count} segments; at most {MOST_SEGMENTS} are taken: divide it."
        raise FhirError(400, [error("too-long", text, "MSH^1", SEQUENCE)])


def _refuse(status: int, issues: list[Issue]) -> None:
    if issues:
        raise FhirError(status, issues)


def _select(header: Header) -> tables.Event:
    """Choose the message table. MSH-9.3 is not asked: senders omit it, or write other structures."""
    version = header.version
    if version not in tables.versions():
        supported = ", ".join(sorted(tables.versions()))
        text = f"HL7 version `{version}` is not supported; supported are {supported}."
        raise rejected(UNSUPPORTED_VERSION, text, "MSH^1^12")
    code, trigger = header.message_code, header.trigger_event
    event = tables.events().get((code, trigger))
    if event is not None:
        return event
    if code not in {known for known, _ in tables.events()}:
        raise rejected(
            UNSUPPORTED_MESSAGE, f"Message type `{code}` is not supported.", "MSH^1^9^1^1"
        )
    text = f"Event `{trigger}` of message type {code} is not supported."
    raise rejected(UNSUPPORTED_EVENT, text, "MSH^1^9^1^2")


def _header_issues(header: Header) -> Iterator[Issue]:
    sender = header.sending_facility
    if not sender:
        yield issue(REQUIRED, "MSH-4 must hold the sender's ODS code.", "MSH^1^4")
    elif not _SENDER.match(sender):
        yield issue(DATA_TYPE, f"MSH-4 `{sender}` cannot be an ODS code.", "MSH^1^4")
    if not header.control_id:
        yield issue(REQUIRED, "MSH-10, the message control id, is missing.", "MSH^1^10")


def _visit_issues(run: Run) -> Iterator[Issue]:
    written = any(slot.resource["resourceType"] == "Encounter" for slot in run.slots)
    if run.event.needs_visit and not written:
        yield issue(REQUIRED, "PV1-19, the visit number, is missing.", "PV1^1^19")


def _absent(tree: Branch) -> Iterator[Issue]:
    for name in missing(tree):
        yield issue(REQUIRED, f"The message has no {name} segment.", f"{name}^1")


def _walk(
    branch: Branch,
    scope: Scope,
    run: Run,
    structure: Structure,
    links: list[tuple[Scope, Link]],
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


def _act(
    action: Action, segment: Segment, scope: Scope, run: Run, links: list[tuple[Scope, Link]]
) -> None:
    here = Here(run, scope, segment)
    if action.condition is not None and not action.condition(here):
        return
    slot = scope.slot(action.slot)
    if slot is None:
        slot = run.add({"resourceType": action.type}, action.request)
        scope.slots[action.slot] = slot
    here.slot = slot
    for rule in action.rules:
        rule.run(here, slot)
    links.extend((scope, link) for link in action.links)


def _connect(scope: Scope, link: Link) -> None:
    source, target = scope.slot(link.source), scope.slot(link.target)
    if source is not None and target is not None:
        link.place.put(source, {"reference": target.urn})


@cache
def structures() -> dict[str, Structure]:
    """Compile every message table, segment map and datatype. Raises ValueError for a bad row."""
    return {name: _structure(name, rows) for name, rows in tables.messages().items()}


def _structure(name: str, rows: Sequence[MessageRow]) -> Structure:
    root = grammar(name, rows)
    return Structure(root, dict(_actions(root)))


def _actions(node: Node) -> Iterator[tuple[Node, tuple[Action, ...]]]:
    for child in node.children:
        if child.children:
            yield from _actions(child)
        else:
            yield child, tuple(_action(row) for row in child.rows if row.target)


def _action(row: MessageRow) -> Action:
    match = _SLOT.match(row.target)
    name = row.segment_map
    if match is None or name not in segment_maps() or not _gives(name, match["type"]):
        raise ValueError(f"{row.origin}: no segment map {name} for {row.target}")
    return Action(
        row.origin,
        function(row.condition) if row.condition else None,
        row.target,
        match["type"],
        row.request or tables.requests()[match["type"]],
        segment_maps()[name],
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

"""What a message would become, row by row: which element is from where, and what is left out.

Every leaf of the message is accounted for: it is among the sources of an element that was written, or
it is ignored, and it is said why (`mappings.hl7v2.accounting`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mappings.hl7v2.accounting import Accounts, Ignored, Said, refused
from mappings.hl7v2.apply import Engine, carry_out, name, own, problems
from mappings.hl7v2.bundle import build
from mappings.hl7v2.leaves import Place
from mappings.hl7v2.parse import Message, parse
from mappings.hl7v2.rows import Origin, SegmentRow
from mappings.hl7v2.scope import MappingContext
from mappings.hl7v2.shown import shown
from mappings.hl7v2.tables import Tables
from mappings.hl7v2.trace import Listed, Noted, Put, SegmentPlace, Trace, TracedRun
from r4.issue import FhirError, Issue
from r4.json import Resource


@dataclass(frozen=True, slots=True)
class Written:
    """An element of the Bundle, the leaves that it is from, and the row that wrote it.

    `expression` is FHIRPath (`Bundle.entry[1].resource.name[0].family`). `part` is the row of the
    datatype map, where one says what becomes of the component.
    """

    expression: str
    source: tuple[Place, ...]
    origin: Origin
    part: Origin | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a message would become; `bundle` is None where the issues refuse it.

    Each leaf of the message is a source in `written`, or in `ignored` once. `version` names the tables.
    """

    message: Message
    bundle: Resource | None
    issues: tuple[Issue, ...]
    written: tuple[Written, ...]
    ignored: tuple[Ignored, ...]
    version: str


def explain(raw: bytes | Message, context: MappingContext) -> Conversion:
    """Convert a message and account for every leaf of it, by the context's engine, else by our tables.

    What `to_bundle` would refuse is in the issues; of what is refused before its rows run, every leaf
    is ignored as refused. Raises FhirError 400 for bytes that are no message.
    """
    trace = Trace()
    message = parse(raw.raw if isinstance(raw, Message) else raw, reads=trace.read)
    engine = (context.engine if isinstance(context.engine, Engine) else own()).of(message)
    try:
        laid_out = engine.lay_out(message)
    except FhirError as refusal:
        ignored = tuple(refused(message, refusal.issues))
        return Conversion(message, None, tuple(refusal.issues), (), ignored, engine.version)
    run = TracedRun(message, laid_out.event, laid_out.site, context, trace)
    links = carry_out(replace(laid_out, structure=trace.structure(laid_out.structure)), run)
    issues = tuple(problems(run))
    name(run)
    trace.connect(laid_out.structure, links)
    issues = issues or tuple(laid_out.structure.lacking(run))
    expressions = _Expressions(run)
    written = tuple(_written(trace, expressions, message, engine.rows))
    bundle = None if issues else build(run)
    sources = {place for each in written for place in each.source}
    wrote = frozenset((put.origin, put.segment) for put in trace.puts if expressions.of(put))
    said = Said.of(engine.rows, engine.idle)
    accounts = Accounts(said, laid_out, trace, wrote, _value_types(message))
    ignored = tuple(accounts.ignored(message, sources))
    return Conversion(message, bundle, issues, written, ignored, engine.version)


def _value_types(message: Message) -> dict[SegmentPlace, str]:
    """Map each OBX to the datatype that it names for its value."""
    leaves = (leaf for leaf in message.walk() if leaf.place[0::2] == ("OBX", 2, 1))
    return {(leaf.place.segment, leaf.place.number): leaf.text for leaf in leaves}


class _Expressions:
    """Where in the Bundle each object and list of a resource stands, as it is before it is linked."""

    def __init__(self, run: TracedRun) -> None:
        self._places: dict[int, tuple[Any, str]] = {}
        entries: dict[str, tuple[int, Resource]] = {}
        for slot in run.slots:  # a resource that says nothing has been left out again
            root = run.roots[id(slot)]
            number, first = entries.setdefault(slot.urn, (len(entries), slot.resource))
            path = f"Bundle.entry[{number}].resource"
            self._walk(slot.resource, path)
            self._places[id(root)] = (first, path)

    def _walk(self, node: Any, path: str) -> None:
        self._places.setdefault(id(node), (node, path))
        if isinstance(node, dict):
            for name, value in node.items():
                self._walk(value, f"{path}.{name}")
        elif isinstance(node, list):
            for number, value in enumerate(node):
                self._walk(value, f"{path}[{number}]")

    def of(self, put: Put) -> str | None:
        """Return the expression of what was put; None where it is not in the Bundle after all."""
        node, path = self._places.get(id(put.container), (None, ""))
        if node is None:  # the list was made anew: what it held may stand in the other one
            return self._places[id(put.value)][1] if id(put.value) in self._places else None
        if put.key is None:
            return path
        if isinstance(put.container, Listed):
            return f"{path}[{put.key}]" if node is put.container else None
        return f"{path}.{put.key}" if _is_held(node, put) else None


def _is_held(node: Noted, put: Put) -> bool:
    held = node.get(str(put.key))
    return held is put.value or bool(held == put.value)


def _written(
    trace: Trace, expressions: _Expressions, message: Message, given: Tables
) -> Iterator[Written]:
    texts = {leaf.place: leaf.text for leaf in message.walk()}
    rows = {row.origin: row for listed in given.segments.values() for row in listed}
    read: dict[tuple[str, int, int], list[Place]] = {}
    for place in trace.readers:
        read.setdefault(place[:3], []).append(place)
    for put in trace.puts:
        expression = expressions.of(put)
        if expression is not None:
            row = rows.get(put.origin)
            found = put.sources if row is None else _sources(put, row, read)
            sources = tuple(shown(put, dict.fromkeys(found), texts))
            part = _part(given.datatypes.get(row.datatype_map, ()) if row else (), sources)
            yield Written(expression, sources, put.origin, part)


def _sources(
    put: Put, row: SegmentRow, read: Mapping[tuple[str, int, int], Sequence[Place]]
) -> Sequence[Place]:
    """Return the leaves that a row has read for a value: without a function, those of its own field."""
    if row.function and put.sources:
        return put.sources
    if row.assignment:
        return ()
    name, number = put.segment
    field = row.identifier.partition("-")[2].partition(".")[0]
    if not field:
        return ()
    own = (name, number, int(field))
    if not put.sources:  # read before its row ran, for the whole message
        return read.get(own, ())
    listed = [place for place in put.sources if place[:3] == own]
    return [place for place in listed if place.repetition == listed[-1].repetition]


def _part(rows: Iterable[SegmentRow], sources: Sequence[Place]) -> Origin | None:
    """Return the row of the datatype map that names the component."""
    number = str(sources[-1].component) if sources else ""
    of_component = [
        row for row in rows if row.identifier.partition(".")[2] == number and row.target
    ]
    return of_component[0].origin if of_component else None

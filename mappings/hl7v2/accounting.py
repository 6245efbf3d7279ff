"""Why a leaf of a message is in no element: what each row of the tables says about it.

A leaf ends in one class. `unexplained` is a gap in the tables: the reason names the table and the row
that it lacks.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mappings.hl7v2.apply import LaidOut
from mappings.hl7v2.grammar import Branch
from mappings.hl7v2.leaves import DELETE, Leaf, Place
from mappings.hl7v2.parse import Message
from mappings.hl7v2.rows import MessageRow, Origin, SegmentRow
from mappings.hl7v2.tables import Tables
from mappings.hl7v2.trace import SegmentPlace, Trace
from r4.issue import Issue

Why = Literal[
    "used",
    "deleted",
    "structure",
    "not-mapped",
    "no-table",
    "outside-structure",
    "refused",
    "unexplained",
]
"""used: read by a row that wrote nothing from it; deleted: `""`; structure: what holds the message
together; not-mapped: a row says why; no-table: a segment that no table knows; outside-structure: one
that the message's table has no place for; refused: not looked at, as the message is refused."""

_SEPARATORS = (1, 2)
_ALIKE = {
    "CE": "CWE",
    "CF": "CWE",
    "CNE": "CWE",
    "DT": "TS",
    "DTM": "TS",
}
"""Datatypes that are accounted for by the table of another."""
_TEXTS = frozenset({"ST", "TX", "FT", "IS", "ID", "SI", "NM"})
"""Datatypes that have one component, so that none of theirs is left out."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A leaf that is in no element: why, in a word and in a sentence, and the row that says so."""

    place: Place
    why: Why
    reason: str
    origin: Origin | None = None


def refused(message: Message, issues: Sequence[Issue]) -> Iterator[Ignored]:
    """Yield every leaf of a message that was refused before its rows ran."""
    reason = f"the message is refused: {issues[0].diagnostics}"
    for leaf in message.walk():
        yield Ignored(leaf.place, "refused", reason)


@dataclass(frozen=True, slots=True)
class Said:
    """What the tables say, found by segment map and field, and by datatype and component."""

    segments: Mapping[str, Sequence[SegmentRow]]
    datatypes: Mapping[str, Sequence[SegmentRow]]
    names: frozenset[str]
    """The segments that a table maps."""

    @classmethod
    def of(cls, given: Tables) -> "Said":
        """Take the segment maps and datatype maps of a stack of tables."""
        names = frozenset(name.partition("[")[0] for name in given.segments)
        return cls(given.segments, given.datatypes, names)

    def fields(self, maps: Iterable[str], field: str) -> list[SegmentRow]:
        """List the rows of some segment maps for a field (`PID-5`), those of its components too.

        Where these have none, what the segment's other maps say of a field that they leave out.
        """
        found = [row for name in maps for row in self._rows(name, field)]
        if found:
            return found
        segment = field.partition("-")[0]
        others = (name for name in self.segments if name.partition("[")[0] == segment)
        return [row for name in others for row in self._rows(name, field) if not row.target]

    def _rows(self, name: str, field: str) -> list[SegmentRow]:
        rows = self.segments.get(name, ())
        return [row for row in rows if row.identifier.partition(".")[0] == field]

    def component(self, row: SegmentRow, place: Place) -> SegmentRow | None:
        """Return the datatype's row that says why a component is left out; None where none does."""
        kind = _ALIKE.get(row.type, row.type)
        maps = [self.datatypes.get(row.datatype_map, ()), self.datatypes.get(kind, ())]
        maps += [rows for name, rows in self.datatypes.items() if name.startswith(f"{kind}[")]
        for number in (f"{place.component}.{place.subcomponent}", str(place.component)):
            for each in (row for rows in maps for row in rows if not row.target and row.comment):
                if each.identifier.partition(".")[2] == number:
                    return each
        return None


@dataclass(frozen=True, slots=True)
class Accounts:
    """One message that has been mapped, and what is known of each of its segments."""

    said: Said
    laid_out: LaidOut
    trace: Trace
    wrote: frozenset[tuple[Origin, SegmentPlace]]
    """Which rows wrote something from which segment."""

    def ignored(self, message: Message, sources: Collection[Place]) -> Iterator[Ignored]:
        """Yield every leaf that is no source of an element, in order."""
        placed = dict(_placed(self.laid_out.tree))
        read = {place[:4] for place, rows in self.trace.readers.items() if any(rows)}
        for leaf in message.walk():
            if leaf.place not in sources:
                rows = placed.get((leaf.place.segment, leaf.place.number))
                yield self._outside(leaf) if rows is None else self._inside(leaf, rows, read)

    def _outside(self, leaf: Leaf) -> Ignored:
        name = leaf.place.segment
        if name in self.said.names:
            structure = self.laid_out.event.structure
            reason = f"{structure} has no place for {name}: it is kept in the raw message alone"
            return Ignored(leaf.place, "outside-structure", reason)
        reason = f"no table maps {name}: it is kept in the raw message alone"
        return Ignored(leaf.place, "no-table", reason)

    def _inside(self, leaf: Leaf, rows: Sequence[MessageRow], read: Collection[object]) -> Ignored:
        place = leaf.place
        mapped = [row for row in rows if row.target]
        field = f"{place.segment}-{place.field}"
        found = self.said.fields([row.segment_map for row in mapped], field)
        if leaf.text == DELETE:
            reason = "the sender says that this has no value"
            return Ignored(place, "deleted", reason, _first(found, rows))
        if not mapped:
            return _by_table(place, rows)
        readers = [origin for origin in self.trace.readers.get(place, ()) if origin is not None]
        if readers:
            segment = (place.segment, place.number)
            wrote = [origin for origin in readers if (origin, segment) in self.wrote]
            return _used(place, (wrote or readers)[-1], found, writes=bool(wrote))
        return self._unread(place, mapped, found, read)

    def _unread(
        self,
        place: Place,
        mapped: Sequence[MessageRow],
        found: Sequence[SegmentRow],
        read: Collection[object],
    ) -> Ignored:
        if not found:
            name = mapped[0].segment_map
            return _gap(place, f"segments/{name} needs a row {place.segment}-{place.field}")
        segment = (place.segment, place.number)
        aims = [row for row in found if row.target]
        first = place._replace(repetition=1)
        if place[:4] in read or first[:4] in read:
            return self._component(place, found, read)
        if aims and self._ran(aims, segment):
            return _said(place, found)
        if aims:
            return self._skipped(place, mapped, segment)
        return _said(place, found)

    def _ran(self, rows: Iterable[SegmentRow], segment: SegmentPlace) -> bool:
        ran = self.trace.ran.get(segment, {})
        return any(row.origin.table in ran for row in rows)

    def _skipped(
        self, place: Place, mapped: Sequence[MessageRow], segment: SegmentPlace
    ) -> Ignored:
        row = next(row for row in mapped if (segment, row.origin) in self.trace.skipped)
        reason = f"the condition `{row.condition}` does not hold: {place.segment} is not mapped"
        return Ignored(place, "not-mapped", reason, row.origin)

    def _component(
        self, place: Place, found: Sequence[SegmentRow], read: Collection[object]
    ) -> Ignored:
        """Say why a component of a field is in no element, though the field is looked at."""
        for row in found:
            about = self.said.component(row, place)
            if about is not None:
                return Ignored(place, "not-mapped", about.comment, about.origin)
        if place[:4] not in read and place.repetition > 1:
            first = place._replace(repetition=1)
            if first[:4] in read:
                reason = "the first repetition alone is read"
                return Ignored(place, "not-mapped", reason, found[0].origin)
        return _engine(place, found)


def _engine(place: Place, found: Sequence[SegmentRow]) -> Ignored:
    """Say what follows from how a row reads a field: a code, one text, or nothing."""
    row = next((row for row in found if row.target), found[0])
    if (place.component, place.subcomponent) == (1, 1):
        return _said(place, found)
    if row.vocabulary:
        reason = f"the code map {row.vocabulary} reads the code and its text alone"
        return Ignored(place, "not-mapped", reason, row.origin)
    kind = _ALIKE.get(row.type, row.type)
    if kind in _TEXTS:
        reason = f"{row.type} has one component: what follows it is not read"
        return Ignored(place, "not-mapped", reason, row.origin)
    table = f"datatypes/{row.datatype_map}" if row.datatype_map else f"datatypes/{kind}[…]"
    number = f"{place.component}.{place.subcomponent}".removesuffix(".1")
    return _gap(place, f"{table} needs a row {kind}.{number} that says why it is left out")


def _said(place: Place, found: Sequence[SegmentRow]) -> Ignored:
    """Return what the field's own rows say."""
    row = next((row for row in found if row.comment and not row.target), None)
    if row is not None:
        return Ignored(place, _class(place, row), row.comment, row.origin)
    if any(row.target for row in found):
        reason = "; ".join(dict.fromkeys(row.comment for row in found if row.comment))
        row = found[0]
        if reason:
            return Ignored(place, "not-mapped", f"not read here: {reason}", row.origin)
        return _gap(place, f"{row.origin} did not read it, and has no comment that says when")
    return _gap(place, f"{found[0].origin} has neither a target nor a comment that says why not")


def _class(place: Place, row: SegmentRow) -> Why:
    if place.segment == "MSH" and place.field in _SEPARATORS:
        return "structure"
    return "structure" if row.type == "SI" and place.field == 1 else "not-mapped"


def _used(place: Place, origin: Origin, found: Sequence[SegmentRow], *, writes: bool) -> Ignored:
    row = next((row for row in found if row.comment and not row.target), None)
    name = origin.identifier
    if row is not None:
        reason = row.comment
    elif writes:
        reason = f"read by {name} to decide what it writes; it does not show there"
    else:
        reason = f"read by {name}, which writes nothing here"
    return Ignored(place, "used", reason, origin)


def _by_table(place: Place, rows: Sequence[MessageRow]) -> Ignored:
    row = next((row for row in rows if row.comment), None)
    if row is None:
        return _gap(place, f"{rows[0].origin} has neither a target nor a comment that says why not")
    return Ignored(place, "not-mapped", row.comment, row.origin)


def _gap(place: Place, reason: str) -> Ignored:
    return Ignored(place, "unexplained", reason)


def _first(found: Sequence[SegmentRow], rows: Sequence[MessageRow]) -> Origin:
    return found[0].origin if found else rows[0].origin


def _placed(branch: Branch) -> Iterator[tuple[SegmentPlace, Sequence[MessageRow]]]:
    """Yield each segment of a tree with the rows of the message table that it was laid out on."""
    for node, found in zip(branch.node.children, branch.found, strict=True):
        for part in found:
            if isinstance(part, Branch):
                yield from _placed(part)
            else:
                yield (part.name, part.number), node.rows

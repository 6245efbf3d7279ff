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
from mappings.hl7v2.official.decisions import NEVER, Key, errata, narrative
from mappings.hl7v2.official.layer import LAYER
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
_VARIES = ("", "varies")
"""Types of a field whose datatype another field names: that of OBX-5 stands in OBX-2."""
_NO_TARGET = "HL7's own table gives it no target"
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
    idle: Mapping[Origin, str]
    """Rows of HL7's own tables that cannot be run, with why."""

    @classmethod
    def of(cls, given: Tables, idle: Mapping[Origin, str]) -> "Said":
        """Take the segment maps and datatype maps of a stack of tables."""
        names = frozenset(name.partition("[")[0] for name in given.segments)
        return cls(given.segments, given.datatypes, names, idle)

    def fields(self, maps: Sequence[str], field: str) -> list[SegmentRow]:
        """List the rows of some segment maps for a field (`PID-5`), those of its components too.

        Where these have none, what they say of the whole segment; else what the segment's other maps
        say of a field that they leave out.
        """
        segment = field.partition("-")[0]
        found = self.rows(maps, field)
        if found:
            return found
        whole = [row for row in self.rows(maps, segment) if _why(row)]
        others = [name for name in self.segments if name.partition("[")[0] == segment]
        return whole or [row for row in self.rows(others, field) if _is_ours(row) and _why(row)]

    def rows(self, maps: Iterable[str], field: str) -> list[SegmentRow]:
        """List the rows of some segment maps for a field and its components, and no other's."""
        listed = (row for name in maps for row in self.segments.get(name, ()))
        return [row for row in listed if row.identifier.partition(".")[0] == field]

    def component(self, row: SegmentRow, kind: str, place: Place) -> SegmentRow | None:
        """Return the datatype's row that says why a component is left out; None where none does.

        What a row of ours leaves out is said by our own tables.
        """
        maps = [self.datatypes.get(row.datatype_map, ()), self.datatypes.get(kind, ())]
        maps += [rows for name, rows in self.datatypes.items() if name.startswith(f"{kind}[")]
        listed = [each for rows in maps for each in rows if _is_ours(each) or not _is_ours(row)]
        for number in (f"{place.component}.{place.subcomponent}", str(place.component)):
            for each in listed:
                if each.identifier.partition(".")[2] == number and _why(each):
                    return each
        return None

    def unrun(self, row: SegmentRow | MessageRow) -> str:
        """Say why a row of HL7's own tables that has a target has read nothing."""
        key = Key(row.origin.table, row.identifier, row.target)
        decision = errata().get(key) or narrative().get(key)
        if decision is not None and decision.decision == NEVER:
            return f"HL7's own row is not run: {decision.reason}"
        if row.origin in self.idle:
            return f"HL7's own row is not run: {self.idle[row.origin]}"
        if row.antlr or row.narrative:
            return "HL7's own row has a condition, which does not hold"
        return "no row of HL7's own tables that is run here reads it"


@dataclass(frozen=True, slots=True)
class Accounts:
    """One message that has been mapped, and what is known of each of its segments."""

    said: Said
    laid_out: LaidOut
    trace: Trace
    wrote: frozenset[tuple[Origin, SegmentPlace]]
    """Which rows wrote something from which segment."""
    types: Mapping[SegmentPlace, str]
    """The datatype that each OBX names for its value."""

    def ignored(self, message: Message, sources: Collection[Place]) -> Iterator[Ignored]:
        """Yield every leaf that is no source of an element, in order."""
        placed = dict(_placed(self.laid_out.tree))
        actions = self.laid_out.structure.actions.values()
        run = {action.origin for listed in actions for action in listed}
        read = {place[:4] for place, rows in self.trace.readers.items() if any(rows)}
        for leaf in message.walk():
            if leaf.place not in sources:
                rows = placed.get((leaf.place.segment, leaf.place.number))
                if rows is None:
                    yield self._outside(leaf)
                else:
                    mapped = [row for row in rows if row.origin in run]
                    yield self._inside(leaf, rows, mapped, read)

    def _outside(self, leaf: Leaf) -> Ignored:
        name = leaf.place.segment
        if name in self.said.names:
            structure = self.laid_out.event.structure
            reason = f"{structure} has no place for {name}: it is kept in the raw message alone"
            return Ignored(leaf.place, "outside-structure", reason)
        reason = f"no table maps {name}: it is kept in the raw message alone"
        return Ignored(leaf.place, "no-table", reason)

    def _inside(
        self,
        leaf: Leaf,
        rows: Sequence[MessageRow],
        mapped: Sequence[MessageRow],
        read: Collection[object],
    ) -> Ignored:
        """Say why a leaf of a segment that has rows, and of these some that map it, is in no element."""
        place = leaf.place
        segment = (place.segment, place.number)
        found = self._found(place, mapped or rows)
        if leaf.text == DELETE:
            reason = "the sender says that this has no value"
            return Ignored(place, "deleted", reason, _first(found, rows))
        if not mapped and not self.trace.ran.get(segment):
            return self._by_table(place, rows)
        readers = [origin for origin in self.trace.readers.get(place, ()) if origin is not None]
        if readers:
            wrote = [origin for origin in readers if (origin, segment) in self.wrote]
            return _used(place, (wrote or readers)[-1], found, writes=bool(wrote))
        unread = self._unread(place, mapped, found, read)
        theirs = self._theirs(place, rows, found) if unread.why == "unexplained" else None
        return theirs or unread

    def _found(self, place: Place, rows: Sequence[MessageRow]) -> list[SegmentRow]:
        """List what is said of a field: by the maps that ran on the segment, else by its rows' maps."""
        field = f"{place.segment}-{place.field}"
        tables = self.trace.ran.get((place.segment, place.number), {})
        ran = [name.removeprefix("segments/") for name in tables]
        return self.said.rows(ran, field) or self.said.fields([r.segment_map for r in rows], field)

    def _by_table(self, place: Place, rows: Sequence[MessageRow]) -> Ignored:
        """Say why a segment is not mapped: field by field, where its row names a map, else at all."""
        maps = [row.segment_map for row in rows if not row.target]
        fields = self.said.rows(maps, f"{place.segment}-{place.field}")
        if any(map(_why, fields)):
            return _said(place, fields)
        row = next((row for row in rows if _why(row)), rows[0])
        why = _why(row) or ("" if _is_ours(row) else self.said.unrun(row))
        return Ignored(place, "not-mapped", why, row.origin) if why else _unsaid(place, row.origin)

    def _unread(
        self,
        place: Place,
        mapped: Sequence[MessageRow],
        found: Sequence[SegmentRow],
        read: Collection[object],
    ) -> Ignored:
        if not found:
            name = mapped[0].segment_map if mapped else place.segment
            return _gap(place, f"segments/{name} needs a row {place.segment}-{place.field}")
        segment = (place.segment, place.number)
        if any(row.target for row in found) and not self._ran(found, segment):
            skipped = [row for row in mapped if (segment, row.origin) in self.trace.skipped]
            if skipped:
                return _skipped(place, skipped[0])
        first = place._replace(repetition=1)
        if place[:4] in read or first[:4] in read:
            return self._component(place, found, read)
        return _said(place, found)

    def _ran(self, rows: Iterable[SegmentRow], segment: SegmentPlace) -> bool:
        ran = self.trace.ran.get(segment, {})
        return any(row.origin.table in ran for row in rows if row.target)

    def _component(
        self, place: Place, found: Sequence[SegmentRow], read: Collection[object]
    ) -> Ignored:
        """Say why a component of a field is in no element, though the field is looked at."""
        for row in found:
            about = self.said.component(row, self._kind(place, row), place)
            if about is not None:
                return Ignored(place, "not-mapped", _why(about), about.origin)
        if place[:4] not in read and place.repetition > 1:
            first = place._replace(repetition=1)
            if first[:4] in read:
                reason = "the first repetition alone is read"
                return Ignored(place, "not-mapped", reason, found[0].origin)
        if place.subcomponent > 1 and any(
            self.trace.readers.get(place._replace(subcomponent=1), ())
        ):
            reason = "the first subcomponent alone is read"
            return Ignored(place, "not-mapped", reason, found[0].origin)
        row = next((row for row in found if row.target), found[0])
        return _engine(place, found, row, self._kind(place, row))

    def _kind(self, place: Place, row: SegmentRow) -> str:
        """Name the datatype of a field, by the name that its table has."""
        varies = row.type in _VARIES
        kind = self.types.get((place.segment, place.number), "") if varies else row.type
        return _ALIKE.get(kind, kind)

    def _theirs(
        self, place: Place, rows: Sequence[MessageRow], found: Sequence[SegmentRow]
    ) -> Ignored | None:
        """Say what HL7's own tables leave out, where the segment is mapped by these."""
        row = next((row for row in found if not _is_ours(row)), None)
        if row is not None:
            return Ignored(place, "not-mapped", self.said.unrun(row), row.origin)
        maps = [self.said.segments.get(each.segment_map, ()) for each in rows]
        ours: list[SegmentRow | MessageRow] = [*rows, *(row for listed in maps for row in listed)]
        if found or any(map(_is_ours, ours)):
            return None
        reason = f"HL7's own tables have no row {place.segment}-{place.field} here"
        return Ignored(place, "not-mapped", reason, rows[0].origin)


def _is_ours(row: SegmentRow | MessageRow) -> bool:
    """Tell whether a row is ours or the operator's, and not HL7's own."""
    return row.origin.layer != LAYER


def _why(row: SegmentRow | MessageRow) -> str:
    """Return why a row has no target; "" where it has one, or does not say."""
    if row.target:
        return ""
    return row.comment if _is_ours(row) else _NO_TARGET


def _skipped(place: Place, row: MessageRow) -> Ignored:
    condition = row.condition or row.antlr or row.narrative
    reason = f"the condition `{condition}` does not hold: {row.segment_map} does not read it"
    return Ignored(place, "not-mapped", reason, row.origin)


def _engine(place: Place, found: Sequence[SegmentRow], row: SegmentRow, kind: str) -> Ignored:
    """Say what follows from how a row reads a field: a code, one text, or nothing."""
    if (place.component, place.subcomponent) == (1, 1) or any(map(_why, found)):
        return _said(place, found)
    if row.vocabulary:
        reason = f"the code map {row.vocabulary} reads the code and its text alone"
        return Ignored(place, "not-mapped", reason, row.origin)
    if kind in _TEXTS:
        reason = f"{kind} has one component: what follows it is not read"
        return Ignored(place, "not-mapped", reason, row.origin)
    table = f"datatypes/{row.datatype_map}" if row.datatype_map else f"datatypes/{kind}"
    number = f"{place.component}.{place.subcomponent}".removesuffix(".1")
    return _gap(place, f"{table} needs a row {kind}.{number} that says why it is left out")


def _said(place: Place, found: Sequence[SegmentRow]) -> Ignored:
    """Return what the field's own rows say."""
    row = next((row for row in found if _why(row)), None)
    if row is not None:
        return Ignored(place, _class(place, row), _why(row), row.origin)
    if any(row.target for row in found):
        told = [row for row in found if _is_ours(row) and row.comment]
        reason = "; ".join(dict.fromkeys(row.comment for row in told))
        if reason:
            return Ignored(place, "not-mapped", f"not read here: {reason}", told[0].origin)
        return _gap(place, f"{found[0].origin} did not read it, and has no comment that says when")
    return _unsaid(place, found[0].origin)


def _unsaid(place: Place, origin: Origin) -> Ignored:
    return _gap(place, f"{origin} has neither a target nor a comment that says why not")


def _class(place: Place, row: SegmentRow) -> Why:
    if place.segment == "MSH" and place.field in _SEPARATORS:
        return "structure"
    return "structure" if row.type == "SI" and place.field == 1 else "not-mapped"


def _used(place: Place, origin: Origin, found: Sequence[SegmentRow], *, writes: bool) -> Ignored:
    row = next((row for row in found if _is_ours(row) and _why(row)), None)
    name = origin.identifier
    if row is not None:
        reason = _why(row)
    elif writes:
        reason = f"read by {name} to decide what it writes; it does not show there"
    else:
        reason = f"read by {name}, which writes nothing here"
    return Ignored(place, "used", reason, origin)


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

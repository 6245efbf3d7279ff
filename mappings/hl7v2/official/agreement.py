"""Our tables beside HL7's own, row by row: what is the same, what differs, and why.

A row of theirs is about an identifier (`PID-5`, `XPN.1`, a segment in its groups, a code) and a target.
It is the same where a row of ours sends that identifier to that target; it differs where ours goes
elsewhere, or nowhere. The reason is the comment of our row; where no row of ours can carry it, that of
`agreement.csv`.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from mappings.hl7v2 import tables
from mappings.hl7v2.official.decisions import NEVER, Key, errata, narrative
from mappings.hl7v2.official.layer import Layer
from mappings.hl7v2.rows import CodeRow, MessageRow, SegmentRow
from r4 import artefacts
from r4.json import Resource

_TAGS = re.compile(r"\[[^\]]*\]")
_SPACES = re.compile(r"\s")
_TABLE = re.compile(r"HL?7?(?P<number>\d{4})\Z")
ANY = "*"
"""In `agreement.csv`: every target, every identifier of a table; `*.PRT` is PRT in every message."""


class Outcome(StrEnum):
    """How a row of theirs stands to ours; `NO_TABLE` where we have no table of that name."""

    SAME = "same"
    DIFFERS = "differs"
    NOT_MAPPED = "not mapped by ours"
    NO_TABLE = "no table of ours"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row of theirs: what ours do instead, and why; "" where it is the same, or nobody says."""

    key: Key
    line: int
    outcome: Outcome
    ours: str = ""
    reason: str = ""

    @property
    def is_explained(self) -> bool:
        """Tell whether nothing needs a reason that has none."""
        return bool(self.reason) or self.outcome in (Outcome.SAME, Outcome.NO_TABLE)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Every row of theirs compared; `stale` are rows of `agreement.csv` that nothing needed."""

    rows: tuple[Comparison, ...]
    stale: tuple[Key, ...]

    def counts(self, table: str) -> Counter[Outcome]:
        """Count the outcomes of a table (`segments/PID[Patient]`), or of a kind (`segments`)."""
        return Counter(
            row.outcome
            for row in self.rows
            if row.key.table == table or row.key.table.startswith(f"{table}/")
        )

    @property
    def unexplained(self) -> tuple[Comparison, ...]:
        """List the differences that nobody gives a reason for."""
        return tuple(row for row in self.rows if not row.is_explained)


@dataclass(frozen=True, slots=True)
class _Ours:
    """What a row of ours makes of an identifier: target, value or segment map; and its comment."""

    target: str
    value: str
    comment: str


def agreement(layer: Layer, reasons: Mapping[Key, str] | None = None) -> Agreement:
    """Compare every row of theirs that has a target. `reasons` are by default those of this package."""
    given = written() if reasons is None else reasons
    used: set[Key] = set()
    found = tuple(
        comparison
        for comparisons in (_elements(layer), _messages(layer), _codes(layer))
        for comparison in _explained(comparisons, given, used)
    )
    return Agreement(found, tuple(sorted(set(given) - used, key=str)))


@cache
def written() -> Mapping[Key, str]:
    """Read `agreement.csv`. Raises ValueError for a row that stands twice or says no reason."""
    text = (files("mappings.hl7v2.official") / "agreement.csv").read_text(encoding="utf-8")
    found: dict[Key, str] = {}
    for row in csv.DictReader(text.splitlines(), strict=True):
        key = Key(row["table"], row["identifier"], row["target"])
        if key in found or not row["reason"]:
            raise ValueError(f"agreement.csv: {key} stands twice, or without a reason")
        found[key] = row["reason"]
    return MappingProxyType(found)


def _explained(
    rows: Iterable[Comparison], reasons: Mapping[Key, str], used: set[Key]
) -> Iterator[Comparison]:
    """Give a reason to what differs: one written for this target, else our row's, else the nearest."""
    for row in rows:
        if row.outcome in (Outcome.SAME, Outcome.NO_TABLE):
            yield row
            continue
        of_target, others = _reasons(row.key)
        looked = of_target if row.reason else of_target + others
        key = next((one for one in looked if one in reasons), None)
        if key is not None:
            used.add(key)
        reason = reasons[key] if key is not None else row.reason
        yield replace(row, reason=reason)


def _reasons(key: Key) -> tuple[list[Key], list[Key]]:
    """Return what `agreement.csv` may have about a row of theirs, nearest first: its target, all."""
    kind, _, _ = key.table.partition("/")
    segment = f"{ANY}.{key.identifier.rpartition('.')[2]}"
    of_target = [key, Key(f"{kind}/{ANY}", segment, _TAGS.sub("", key.target))]
    whole = [Key(key.table, key.identifier, ANY), Key(f"{kind}/{ANY}", segment, ANY)]
    return of_target, [*whole, Key(key.table, ANY, ANY)]


def _elements(layer: Layer) -> Iterator[Comparison]:
    ours: dict[str, Mapping[str, tuple[SegmentRow, ...]]] = {
        "segments": tables.segment_maps(),
        "datatypes": tables.datatype_maps(),
    }
    for kind, theirs in (("segments", layer.segments), ("datatypes", layer.datatypes)):
        for name, rows in theirs.items():
            own = ours[kind].get(name)
            yield from _compared(rows, None if own is None else _by_identifier(own))


def _messages(layer: Layer) -> Iterator[Comparison]:
    for name, rows in layer.messages.items():
        own = tables.messages().get(name)
        yield from _compared(rows, None if own is None else _by_segment(own))


def _by_identifier(rows: Iterable[SegmentRow]) -> dict[str, list[_Ours]]:
    found: dict[str, list[_Ours]] = {}
    for row in rows:
        one = _Ours(row.target, row.assignment, row.comment)
        field = row.identifier.partition(".")[0] if "-" in row.identifier else row.identifier
        for name in {row.identifier, field}:
            found.setdefault(name, []).append(one)
    return found


def _by_segment(rows: Iterable[MessageRow]) -> dict[str, list[_Ours]]:
    found: dict[str, list[_Ours]] = {}
    for row in rows:
        one = _Ours(row.target, row.segment_map, row.comment)
        for name in (row.identifier, row.identifier.rpartition(".")[2]):
            found.setdefault(name, []).append(one)
    return found


def _compared(
    rows: Iterable[SegmentRow | MessageRow], own: Mapping[str, list[_Ours]] | None
) -> Iterator[Comparison]:
    for row in rows:
        if not row.target:
            continue
        key, line = Key(row.origin.table, row.identifier, row.target), row.origin.line
        if own is None:
            yield Comparison(key, line, Outcome.NO_TABLE)
            continue
        found = own.get(row.identifier) or [
            replace(one, comment="") for one in own.get(_whole(row), [])
        ]
        value = row.assignment if isinstance(row, SegmentRow) else row.segment_map
        yield _outcome(key, line, value, found)


def _whole(row: SegmentRow | MessageRow) -> str:
    """Return what a row about the whole stands under: PID of PID-5.1, XPN of XPN.1, NK1 in any group."""
    if isinstance(row, MessageRow):
        return row.identifier.rpartition(".")[2]
    return re.split(r"[-.]", row.identifier)[0]


def _outcome(key: Key, line: int, value: str, found: list[_Ours]) -> Comparison:
    wanted = _plain(key.target)
    same = [one for one in found if one.target and _plain(one.target) == wanted]
    if any(not value or not one.value or one.value == value for one in same):
        return Comparison(key, line, Outcome.SAME)
    targets = ", ".join(dict.fromkeys(_shown(one) for one in found if one.target))
    reason = "; ".join(dict.fromkeys(one.comment for one in found if one.comment))
    outcome = Outcome.DIFFERS if targets else Outcome.NOT_MAPPED
    return Comparison(key, line, outcome, targets, reason or _unusable(key))


def _shown(one: _Ours) -> str:
    return f"{one.target} = {one.value}" if one.value.startswith('"') else one.target


def _unusable(key: Key) -> str:
    """Return why a row of theirs cannot run as it stands, where that was decided."""
    decision = errata().get(key) or narrative().get(key)
    return decision.reason if decision is not None and decision.decision == NEVER else ""


def _plain(target: str) -> str:
    """Write a target without its tags, which only tell elements of one table apart."""
    text = _TAGS.sub("", _SPACES.sub("", target)).partition("=")[0].partition("(")[0]
    return text.removeprefix("$this").lstrip(".")


def _codes(layer: Layer) -> Iterator[Comparison]:
    """Compare code tables with our ConceptMaps of the same v2 table, code by code."""
    ours = _maps()
    for rows in layer.codesystems.values():
        for row in rows:
            if not row.target or not row.code:
                continue
            key, line = Key(row.origin.table, row.code, row.target), row.origin.line
            known = ours.get(_number(row))
            if known is None:
                yield Comparison(key, line, Outcome.NO_TABLE)
                continue
            targets = known.get(row.code, [])
            if row.target in targets:
                yield Comparison(key, line, Outcome.SAME)
            else:
                outcome = Outcome.DIFFERS if targets else Outcome.NOT_MAPPED
                yield Comparison(key, line, outcome, ", ".join(targets), _unusable(key))


def _number(row: CodeRow) -> str:
    match = _TABLE.match(row.table)
    return match["number"] if match else ""


def _maps() -> dict[str, dict[str, list[str]]]:
    """Map the number of a v2 table to what each of its codes becomes by our ConceptMaps."""
    found: dict[str, dict[str, list[str]]] = {}
    known = artefacts.by_url("terminology", "ConceptMap")
    for vocabulary in tables.vocabularies().values():
        number = vocabulary.system.rpartition("/")[2]
        for code, target in _pairs(known[vocabulary.concept_map]):
            found.setdefault(number, {}).setdefault(code, []).append(target)
    return found


def _pairs(concept_map: Resource) -> Iterator[tuple[str, str]]:
    for group in concept_map.get("group", ()):
        for element in group["element"]:
            yield from ((element["code"], one["code"]) for one in element.get("target", ()))

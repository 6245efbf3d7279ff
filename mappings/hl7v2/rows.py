"""A mapping table as values: CSV rows with the columns of HL7's v2-to-FHIR maps, read by heading.

https://build.fhir.org/ig/HL7/v2-to-fhir/
There are two rows of headings: the second names the columns, the first names those that the second
leaves blank. HL7's own files spell headings differently, so a heading is compared by its letters.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Generic, TypeVar

_ASIDE = re.compile(r"\(.*\)", re.DOTALL)
_SPELLINGS = {
    "displaysequence": "sortorder",
    "cardinalityminimum": "cardinalitymin",
    "cardinalitymaximum": "cardinalitymax",
    "derivedmapping": "assignment",
    "fhirattributedatatype": "fhirattribute",
}
_OF_SEGMENT, _OF_MESSAGE = "fhirattribute", "primarytarget"
_MIDDLE = frozenset({_OF_SEGMENT, _OF_MESSAGE})
"""Where FHIR's columns begin: `Data Type` and `Cardinality` stand on both sides of it."""
_PLACES = ("sortorder", "identifier", "name", "datatype", "cardinalitymin", "cardinalitymax")
"""The first columns, in case the headings leave them blank, as those of one of HL7's files do."""
_BOTH_SIDES = ("code", "codesystem")
"""What a table of codes has of v2, and again of FHIR."""
_HEADINGS_WITHIN = 8
_CONDITION = ("computableantlr", "narrative")
_NEEDED = {
    _OF_SEGMENT: (
        *("identifier", "name", "datatype", "cardinalitymin", *_CONDITION, "fhir extension"),
        *("fhir datatype", "datatypemapping", "vocabularymapping", "comments"),
    ),
    _OF_MESSAGE: (
        *("identifier", "syntax", "name", "cardinalitymin", *_CONDITION),
        *("segmentmap", "references", "comments"),
    ),
}
"""The columns that a table must have, beside the one in its middle."""
_OPTIONAL = {
    _OF_SEGMENT: (
        *("cardinalitymax", "fhir cardinalitymin", "fhir cardinalitymax"),
        *("assignment", "function"),
    ),
    _OF_MESSAGE: ("cardinalitymax", "request"),
}
_ANY = frozenset(
    {"sortorder", "computablefhirpath", "fhir extension", "conditionfunction", "op", "reason"}
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row stands: its layer ("own"), table ("segments/PID[Patient]"), line and identifier.

    The line is counted from 1 in the file, headings included.
    """

    layer: str
    table: str
    line: int
    identifier: str

    def __str__(self) -> str:
        return f"{self.table}, line {self.line} ({self.identifier})"


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A row of a segment map or datatype map; blanks are "".

    `condition` and `function` name functions; `antlr` and `narrative` are HL7's own conditions.
    `extension` is the URL of the extension that `target` is, in the unnamed column beside it.
    """

    origin: Origin
    identifier: str
    name: str
    type: str
    minimum: int
    condition: str
    antlr: str
    narrative: str
    target: str
    extension: str
    fhir_type: str
    datatype_map: str
    vocabulary: str
    assignment: str
    function: str
    comment: str


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A row of a message table: a segment, or the begin or end of a group; blanks are ""."""

    origin: Origin
    identifier: str
    syntax: str
    name: str
    minimum: int
    condition: str
    antlr: str
    narrative: str
    target: str
    segment_map: str
    request: str
    references: str
    comment: str


_Row = TypeVar("_Row", SegmentRow, MessageRow)


@dataclass(frozen=True, slots=True)
class Change(Generic[_Row]):
    """A row of an overlay: what is to be done (`op`), why, and the row to add, replace or drop."""

    op: str
    reason: str
    row: _Row


@dataclass(frozen=True, slots=True)
class CodeRow:
    """A row of one of HL7's code tables: a code of v2, and what FHIR has for it; blanks are ""."""

    origin: Origin
    code: str
    table: str
    antlr: str
    narrative: str
    target: str
    display: str
    system: str


def code_rows(text: str, layer: str, table: str) -> tuple[CodeRow, ...]:
    """Read a code table: two codes stand in a row, v2's and then FHIR's.

    Raises ValueError where it has not both, or a row is longer than the headings.
    """
    lines = _lines(text, table)
    names = [_named(cell) for cell in lines[1][1]] if len(lines) > 1 else []
    if [name for name in names if name in _BOTH_SIDES] != [*_BOTH_SIDES, *_BOTH_SIDES]:
        raise ValueError(f"{table} is no table of codes")
    middle = names.index("code", names.index("code") + 1)
    source, system = names.index("codesystem"), names.index("codesystem", middle)
    antlr = names.index("computableantlr" if "computableantlr" in names else "computable")
    narrative, display = names.index("narrative"), names.index("display")
    found = []
    for line, row in lines[2:]:
        if len(row) > len(names) and any(row[len(names) :]):
            raise ValueError(f"{table}, line {line}: the row is longer than the heading")
        cells = [*row, *[""] * (len(names) - len(row))]
        if any(cells):
            found.append(
                CodeRow(
                    origin=Origin(layer, table, line, cells[0]),
                    code=cells[0],
                    table=cells[source],
                    antlr=cells[antlr],
                    narrative=cells[narrative],
                    target=cells[middle],
                    display=cells[display],
                    system=cells[system],
                )
            )
    return tuple(found)


def segment_rows(text: str, layer: str, table: str) -> tuple[SegmentRow, ...]:
    """Read a segment or datatype map. Raises ValueError where it is not one, or a row is too long."""
    found = _whole(text, table, _OF_SEGMENT)
    return tuple(_segment_row(Origin(layer, table, line, ""), cells) for line, cells in found)


def message_rows(text: str, layer: str, table: str) -> tuple[MessageRow, ...]:
    """Read a message table. Raises ValueError where it is not one, or a row is too long."""
    found = _whole(text, table, _OF_MESSAGE)
    return tuple(_message_row(Origin(layer, table, line, ""), cells) for line, cells in found)


def segment_changes(text: str, layer: str, table: str) -> tuple[Change[SegmentRow], ...]:
    """Read changes of a segment or datatype map. Raises ValueError as `segment_rows`."""
    return _changes(text, Origin(layer, table, 0, ""), _OF_SEGMENT, _segment_row)


def message_changes(text: str, layer: str, table: str) -> tuple[Change[MessageRow], ...]:
    """Read changes of a message table. Raises ValueError as `message_rows`."""
    return _changes(text, Origin(layer, table, 0, ""), _OF_MESSAGE, _message_row)


def _changes(
    text: str, at: Origin, middle: str, read: Callable[[Origin, dict[str, str]], _Row]
) -> tuple[Change[_Row], ...]:
    """Read changes: of the columns only those that are used need be there, and no others may be."""
    found = []
    known = {*_ANY, middle, *_NEEDED[middle], *_OPTIONAL[middle]}
    for line, cells in _cells(text, at.table, middle):
        if unknown := sorted(set(cells) - known):
            raise ValueError(f"{at.table}: a table has no column {', '.join(unknown)} there")
        if not {"identifier", "op", "reason"} <= set(cells):
            raise ValueError(f"{at.table}: columns must be headed Identifier, Op and Reason")
        row = read(replace(at, line=line), dict.fromkeys(known, "") | cells)
        found.append(Change(cells["op"].lower(), cells["reason"], row))
    return tuple(found)


def _segment_row(at: Origin, cells: dict[str, str]) -> SegmentRow:
    return SegmentRow(
        origin=replace(at, identifier=cells["identifier"]),
        identifier=cells["identifier"],
        name=cells["name"],
        type=cells["datatype"],
        minimum=_number(cells["cardinalitymin"]),
        condition=cells.get("conditionfunction", ""),
        antlr=cells["computableantlr"],
        narrative=cells["narrative"],
        target=cells["fhirattribute"],
        extension=cells["fhir extension"],
        fhir_type=cells["fhir datatype"],
        datatype_map=cells["datatypemapping"],
        vocabulary=cells["vocabularymapping"],
        assignment=cells.get("assignment", ""),
        function=cells.get("function", ""),
        comment=cells["comments"],
    )


def _message_row(at: Origin, cells: dict[str, str]) -> MessageRow:
    return MessageRow(
        origin=replace(at, identifier=cells["identifier"]),
        identifier=cells["identifier"],
        syntax=cells["syntax"],
        name=cells["name"],
        minimum=_number(cells["cardinalitymin"]),
        condition=cells.get("conditionfunction", ""),
        antlr=cells["computableantlr"],
        narrative=cells["narrative"],
        target=cells["primarytarget"],
        segment_map=cells["segmentmap"],
        request=cells.get("request", ""),
        references=cells["references"],
        comment=cells["comments"],
    )


def _number(cell: str) -> int:
    return int(cell) if cell.isdecimal() else 0


def _whole(text: str, table: str, middle: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table that has every column."""
    for line, cells in _cells(text, table, middle):
        if missing := [name for name in _NEEDED[middle] if name not in cells]:
            raise ValueError(f"{table}: no column is headed {missing[0]}")
        yield line, cells


def _cells(text: str, table: str, middle: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line and cells by heading of every row that is not blank."""
    lines = _lines(text, table)
    number, names = _headings(lines, table)
    if middle not in names:
        raise ValueError(f"{table}: no column is headed {middle}")
    for line, row in lines[number:]:
        if len(row) > len(names) and any(row[len(names) :]):
            raise ValueError(f"{table}, line {line}: the row is longer than the heading")
        if any(row):
            padded = [*row, *[""] * (len(names) - len(row))]
            yield line, {name: cell for name, cell in zip(names, padded, strict=False) if name}


def _lines(text: str, table: str) -> list[tuple[int, list[str]]]:
    """Split the table into rows, each with the line that it begins on."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    found, line = [], 1
    try:
        for row in reader:
            found.append((line, [cell.strip() for cell in row]))
            line = reader.line_num + 1
    except csv.Error as problem:
        raise ValueError(f"{table}, line {line}: this is no CSV: {problem}") from None
    return found


def _headings(lines: Sequence[tuple[int, list[str]]], table: str) -> tuple[int, list[str]]:
    """Find the two rows of headings: how many rows there are up to the data, and their names."""
    pairs = pairwise(row for _, row in lines[:_HEADINGS_WITHIN])
    for number, (above, row) in enumerate(pairs, start=2):
        names = [_named(cell) for cell in row]
        middle = next((place for place, name in enumerate(names) if name in _MIDDLE), None)
        if middle is not None:
            over = [_named(cell) for cell in above] + [""] * len(names)
            return number, list(_sides(names, over, middle))
    raise ValueError(f"{table} has no rows of headings")


def _sides(names: list[str], over: list[str], middle: int) -> Iterator[str]:
    blank = not any(names[: len(_PLACES)])
    for place, name in enumerate(names):
        if blank and place < len(_PLACES):
            yield _PLACES[place]
        elif place == middle + 1 and not name:
            yield "fhir extension"
        elif place > middle and name in _PLACES:
            yield f"fhir {name}"
        else:
            yield name or (over[place] if over[place] == "comments" else "")


def _named(heading: str) -> str:
    letters = re.sub(r"[^a-z]", "", _ASIDE.sub("", heading).lower())
    return _SPELLINGS.get(letters, letters)

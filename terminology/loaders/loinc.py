"""LOINC's release: `Loinc.csv`, `MapTo.csv` and `ComponentHierarchyBySystem.csv`, CSV with headers.

https://loinc.org/downloads/; which statuses are active says
https://hl7.org/fhir/R4/loinc.html.
"""

import csv
from collections.abc import Iterator, Sequence
from operator import itemgetter

from terminology.loaders.rows import (
    Concept,
    Lines,
    Name,
    Parent,
    Replacement,
    decoded,
    unreadable,
)

_AXES = ("COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP", "CLASS")
_DEPRECATED = "DEPRECATED"
_PART = "LP"


def concepts(name: str, lines: Lines) -> Iterator[Concept | Name]:
    """Yield each term of `Loinc.csv`, its long common name and its short name."""
    columns = ("LOINC_NUM", "STATUS", "LONG_COMMON_NAME", "SHORTNAME", *_AXES)
    for number, (code, status, long, short, *axes) in _table(name, lines, columns):
        if not (code and long):
            raise unreadable(name, number, "has no LOINC_NUM or no LONG_COMMON_NAME")
        given = [("STATUS", status), *zip(_AXES, axes, strict=True)]
        properties = tuple((key, value) for key, value in given if value)
        yield Concept(code, status != _DEPRECATED, None, properties)
        yield Name(code, long, "en")
        if short:
            yield Name(code, short, "en", 1)


def parts(name: str, lines: Lines) -> Iterator[Concept | Name]:
    """Yield the parts by which the hierarchy groups terms: their codes begin with LP."""
    seen: set[str] = set()
    for _, (code, _, text) in _hierarchy(name, lines):
        if code.startswith(_PART) and code not in seen:
            seen.add(code)
            yield Concept(code)
            yield Name(code, text or code, "en")


def parents(name: str, lines: Lines) -> Iterator[Parent]:
    """Yield, for each code of the hierarchy, what stands directly above it; each pair once."""
    seen: set[tuple[str, str]] = set()
    for _, (code, parent, _) in _hierarchy(name, lines):
        if parent and (code, parent) not in seen:
            seen.add((code, parent))
            yield Parent(code, parent)


def replacements(name: str, lines: Lines) -> Iterator[Replacement]:
    """Yield what `MapTo.csv` puts in the place of a term."""
    for _, (code, target) in _table(name, lines, ("LOINC", "MAP_TO")):
        yield Replacement(code, "", target)


def _hierarchy(name: str, lines: Lines) -> Iterator[tuple[int, tuple[str, ...]]]:
    return _table(name, lines, ("CODE", "IMMEDIATE_PARENT", "CODE_TEXT"))


def _table(
    name: str, lines: Lines, columns: Sequence[str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    table = csv.reader((text + "\n" for _, text in decoded(name, lines)), strict=True)
    try:
        header = [cell.removeprefix("\ufeff") for cell in next(table, [])]
        if missing := [column for column in columns if column not in header]:
            raise unreadable(name, 1, f"the header has no column {', '.join(missing)}")
        pick = itemgetter(*(header.index(column) for column in columns))
        for cells in table:
            if len(cells) != len(header):
                what = f"has {len(cells)} columns, the header {len(header)}"
                raise unreadable(name, table.line_num, what)
            yield table.line_num, pick(cells)
    except csv.Error as failure:
        raise unreadable(name, table.line_num, str(failure)) from None

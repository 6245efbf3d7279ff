"""The Organisation Data Service's CSV files of organisations: 27 columns, quoted, no header.

https://digital.nhs.uk/services/organisation-data-service/data-downloads; the columns that are read are
the code (1), the name (2), the open date (11) and the close date (12), dates as YYYYMMDD.
"""

import csv
import re
from collections.abc import Iterator

from terminology.loaders.rows import Concept, Lines, Name, decoded, unreadable

_COLUMNS = 27
_CODE = re.compile(r"[A-Z0-9][A-Z0-9-]{2,11}")
_DATE = re.compile(r"([0-9]{8})?")


def concepts(name: str, lines: Lines, on: str) -> Iterator[Concept | Name]:
    """Yield each organisation and its name; on: the date (YYYYMMDD) for which closed ones are told."""
    table = csv.reader((text + "\n" for _, text in decoded(name, lines)), strict=True)
    try:
        for cells in table:
            yield from _organisation(name, table.line_num, cells, on)
    except csv.Error as failure:
        raise unreadable(name, table.line_num, str(failure)) from None


def _organisation(name: str, line: int, cells: list[str], on: str) -> Iterator[Concept | Name]:
    if not cells:
        return
    if len(cells) != _COLUMNS:
        raise unreadable(name, line, f"has {len(cells)} columns, not {_COLUMNS}")
    code, opened, closed = cells[0], cells[10], cells[11]
    if not _CODE.fullmatch(code) or not cells[1]:
        raise unreadable(name, line, f"{code!r} is no code of an organisation, or has no name")
    if not (_DATE.fullmatch(opened) and _DATE.fullmatch(closed)):
        raise unreadable(name, line, f"{opened!r} or {closed!r} is no date (YYYYMMDD)")
    dates = (("openDate", opened), ("closeDate", closed))
    properties = tuple((key, f"{date[:4]}-{date[4:6]}-{date[6:]}") for key, date in dates if date)
    yield Concept(code, not closed or closed >= on, None, properties)
    yield Name(code, cells[1], "en")

"""Patients who are told of alike: asked by whichever of what is told the fewest have in common.

A search by names and a date looks at all that one of them leaves; a new child would cost more the more
children there are.
"""

from collections.abc import Sequence
from typing import NamedTuple

from fhir_server.store.connection import Database
from fhir_server.store.read import COLUMNS, Stored, stored
from fhir_server.store.search import comparisons
from fhir_server.store.search.keys import fold, key

_FEW, _MOST = 256, 4096
"""How many rows are counted, to tell which condition fewer rows keep; the second where all keep many."""


class _Asked(NamedTuple):
    """A condition on rows `{at}` of one table of the index, and its bound values."""

    table: str
    text: str
    values: tuple[int | float | str, ...]


def alike(
    database: Database, born: str, names: Sequence[tuple[str, str]], most: int
) -> list[Stored]:
    """Return the newest current Patients born on a date and with names, case and accents aside.

    Where each of these is told in very many rows (the versions of a resource are one each), it is the
    newest rows of one name that are looked at. names: search parameters (`family`, `given`), each with
    a whole value. Raises FhirError 400 for a text that is no date, 503 while the index is made anew.
    https://hl7.org/fhir/R4/patient.html#search
    """
    database.index.refuse(database)
    asked = [*(_name(code, value) for code, value in names), _date("birthdate", born)]
    counted = _counts(database, asked, _FEW)
    if min(counted) == _FEW:
        counted = _counts(database, asked, _MOST)
    if 0 in counted:
        return []
    first, *others = [asked[n] for n in sorted(range(len(asked)), key=counted.__getitem__)]
    among = " AND ".join(
        f"EXISTS (SELECT 1 FROM {each.table} AS o WHERE o.rid = f.rid AND {each.text.format(at='o')})"
        for each in others
    )
    newest = (
        f"SELECT n.rid FROM {first.table} AS n WHERE {first.text.format(at='n')}"
        " ORDER BY n.rid DESC LIMIT ?"
    )
    text = (
        f"SELECT {COLUMNS} FROM ({newest}) AS f CROSS JOIN resource AS r"
        " WHERE r.rid = f.rid AND r.type = ? AND r.superseded IS NULL AND NOT r.deleted"
        f" AND {among} ORDER BY f.rid DESC LIMIT ?"
    )
    told = [value for each in others for value in each.values]
    values = [*first.values, _MOST, "Patient", *told, most]
    return [stored(row) for row in database.read(text, values)]


def _counts(database: Database, asked: Sequence[_Asked], most: int) -> Sequence[int]:
    """Count the rows that keep each condition, up to so many."""
    each = ", ".join(
        f"(SELECT count(*) FROM (SELECT 1 FROM {one.table} AS c WHERE {one.text.format(at='c')}"
        " LIMIT ?) AS few)"
        for one in asked
    )
    (found,) = database.read(f"SELECT {each}", [v for one in asked for v in (*one.values, most)])
    return tuple(found)  # `in` asks a row of PostgreSQL's driver for a name


def _date(code: str, value: str) -> _Asked:
    found = comparisons.date(code, value, None)
    text = found.text.format(low="{at}.low", high="{at}.high")
    return _Asked("search_date", f"{{at}}.param = ? AND {text}", (_param(code), *found.values))


def _name(code: str, value: str) -> _Asked:
    text = "{at}.param = ? AND {at}.value = ?"
    return _Asked("search_string", text, (_param(code), fold(value)))


def _param(code: str) -> int:
    return key("Patient", code)

"""The values of one row as an episode."""

import re
from collections.abc import Mapping
from datetime import date

from mappings.hes.episodes import Episode, Operation
from mappings.hes.lines import RefusalError

Values = Mapping[str, str]
TRANSFER_METHODS = frozenset({"2B", "81"})
TRANSFER_PLACES = frozenset({"51", "52", "53"})
_DIAGNOSES = tuple(f"DIAG_{n:02}" for n in range(1, 21))
_OPERATIONS = tuple((f"OPERTN_{n:02}", f"OPDATE_{n:02}") for n in range(1, 25))
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def episode(values: Values) -> Episode:
    """Return the episode of a row's values; raises RefusalError for what cannot be read."""
    said = values.get
    start, order = _date(values, "EPISTART"), _number(values, "EPIORDER")
    admitted = _date(values, "ADMIDATE")
    method, source = said("ADMIMETH", ""), said("ADMISORC", "")
    transferred = method in TRANSFER_METHODS or source in TRANSFER_PLACES
    if admitted is None and order == 1 and not transferred:
        admitted = start
    provider = said("PROCODE") or said("PROCODE5") or said("PROCODET") or ""
    return Episode(
        said("PERSON", ""), said("EPIKEY", ""), said("EPISTAT", ""), start,
        _date(values, "EPIEND"), order, admitted, _date(values, "DISDATE"), method, source,
        said("DISMETH", ""), said("DISDEST", ""), said("CLASSPAT", ""), provider[:3],
        tuple(values[name] for name in _DIAGNOSES if name in values), _operations(values),
    )  # fmt: skip


def _operations(values: Values) -> tuple[Operation, ...]:
    """Return the operations with their days; a day without an operation says nothing, but is a date."""
    listed = ((values.get(code), _date(values, day)) for code, day in _OPERATIONS)
    return tuple(Operation(code, day) for code, day in listed if code is not None)


def _date(values: Values, name: str) -> date | None:
    text = values.get(name)
    if text is None:
        return None
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise RefusalError(f"has something in {name} that is no date (YYYY-MM-DD)")


def _number(values: Values, name: str) -> int | None:
    text = values.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):  # noqa: PLR2004 - fits an integer
        raise RefusalError(f"has something in {name} that is no number")
    return int(text)

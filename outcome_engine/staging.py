"""Rows of views as whole numbers, texts and booleans: what every back end reads alike.

Dates, decimals and calendars are settled here, once, so that no back end has its own opinion of them.
"""

from calendar import monthrange
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import Any, Literal

from outcome_engine.views.rows import compiled
from outcome_engine.views.view import Column, View
from r4.issue import FhirError, error
from r4.json import Resource

Kind = Literal["text", "boolean", "integer"]

MICRO = 1_000_000
"""A staged decimal counts millionths."""

DAY = "__day"
"""Suffix of the column that counts days since 1970-01-01: NULL unless the date is full."""

FIRST = "__from"
LAST = "__to"
"""Suffixes of the columns with the first and the last day that a date may mean: of a month, a year."""

MOMENT = "__at"
"""Suffix of the column that counts seconds since 1970-01-01T00:00:00Z: NULL without time and zone."""

_OF_DATE = (DAY, FIRST, LAST, MOMENT)
_INTEGERS = frozenset({"integer", "positiveInt", "unsignedInt", "integer64"})
_DATES = frozenset({"date", "dateTime", "instant"})
_TEXTS = frozenset(
    {"string", "code", "id", "uri", "url", "canonical", "oid", "uuid", "markdown", "time",
     "base64Binary"}
)  # fmt: skip
_FULL = len("2018-01-31")
_PARTS = 3
_FIRST = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Staged:
    """A staged column: its name and what a back end stores: text, boolean or 64-bit integer."""

    name: str
    kind: Kind


@lru_cache(maxsize=64)
def columns(view: View) -> tuple[Staged, ...]:
    """List the staged columns of a view, `child` first; raises FhirError 422 for one without a kind."""
    staged = [Staged("child", "text")]
    for column in view.columns:
        type_ = _type(column)
        if type_ in _DATES:
            staged.append(Staged(column.name, "text"))
            staged += (Staged(column.name + suffix, "integer") for suffix in _OF_DATE)
        elif type_ == "boolean":
            staged.append(Staged(column.name, "boolean"))
        else:
            staged.append(Staged(column.name, "text" if type_ in _TEXTS else "integer"))
    return tuple(staged)


def stage(view: View, child: str, resources: Iterable[Resource]) -> list[tuple[Any, ...]]:
    """List the staged rows of a child's resources, in the order of `columns`."""
    flatten, steps = _prepared(view)
    return [_staged(child, row, steps) for resource in resources for row in flatten(resource)]


def rows(view: View, child: str, resources: Iterable[Resource]) -> list[dict[str, Any]]:
    """List the same rows as `stage`, each as values by the names of `columns`."""
    names = [column.name for column in columns(view)]
    return [dict(zip(names, row, strict=True)) for row in stage(view, child, resources)]


def day(text: str | None) -> int | None:
    """Count the days from 1970-01-01 to a date as written; None unless it names a day."""
    return None if text is None or len(text) < _FULL else _day(text[:_FULL])


def span(text: str | None) -> tuple[int, int] | tuple[None, None]:
    """Give the first and the last day that a date may mean, counted like `day`; alike when it is full.

    None for both where there is no date, or none of the calendar.
    """
    return (None, None) if text is None else _span(text[:_FULL])


def moment(text: str | None) -> int | None:
    """Count the whole seconds from 1970-01-01T00:00:00Z; None without a time and a zone."""
    if text is None or len(text) <= _FULL:
        return None
    leap = text[16:19] == ":60"
    try:
        read = datetime.fromisoformat(text.replace(":60", ":59", 1) if leap else text)
    except ValueError:
        return None
    if read.tzinfo is None:
        return None
    return (read - _EPOCH) // _SECOND + leap


def micro(number: int | Decimal | None) -> int | None:
    """Count millionths, half to even beyond; None for what does not fit into 64 bits."""
    if number is None:
        return None
    if isinstance(number, int):
        scaled = number * MICRO
    elif number.adjusted() > len(str(_LARGEST)):
        return None
    else:
        exact = _EXACT.multiply(number, Decimal(MICRO))
        scaled = int(exact.to_integral_value(ROUND_HALF_EVEN))
    return scaled if -_LARGEST <= scaled <= _LARGEST else None


@lru_cache(maxsize=65536)
def _day(text: str) -> int | None:
    try:
        return date.fromisoformat(text).toordinal() - _FIRST
    except ValueError:
        return None


@lru_cache(maxsize=65536)
def _span(text: str) -> tuple[int, int] | tuple[None, None]:
    try:
        parts = [int(part) for part in text.split("-")]
        year, month = parts[0], parts[1] if len(parts) > 1 else None
        if len(parts) == _PARTS:
            full = date(*parts).toordinal() - _FIRST
            return full, full
        last = month or 12
        return (
            date(year, month or 1, 1).toordinal() - _FIRST,
            date(year, last, monthrange(year, last)[1]).toordinal() - _FIRST,
        )
    except ValueError:
        return None, None


def _type(column: Column) -> str:
    type_ = column.type.rpartition("/")[2]
    if column.collection or type_ not in _INTEGERS | _DATES | _TEXTS | {"boolean", "decimal"}:
        message = (
            f"Column `{column.name}` cannot be staged: it needs a primitive type and one value, not "
            f"`{column.type or 'no type'}`{' as a collection' if column.collection else ''}."
        )
        raise FhirError(422, [error("not-supported", message, f"{column.element}.type")])
    return type_


@lru_cache(maxsize=64)
def _prepared(
    view: View,
) -> tuple[Callable[[Resource], list[tuple[Any, ...]]], tuple[str, ...]]:
    columns(view)
    return compiled(view), tuple(_step(_type(column)) for column in view.columns)


def _step(type_: str) -> str:
    return "date" if type_ in _DATES else "decimal" if type_ == "decimal" else ""


def _staged(child: str, row: tuple[Any, ...], steps: tuple[str, ...]) -> tuple[Any, ...]:
    staged: list[Any] = [child]
    for value, step in zip(row, steps, strict=True):
        staged.append(micro(value) if step == "decimal" else value)
        if step == "date":
            staged += (day(value), *span(value), moment(value))
    return tuple(staged)

"""Rows of views as whole numbers, texts and booleans: what every back end reads alike.

Dates, decimals and calendars are settled here, once, so that no back end has its own opinion of them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, Literal

from outcome_engine import civil
from outcome_engine.views.rows import compiled
from outcome_engine.views.view import Column, View
from r4.issue import FhirError, error
from r4.json import Resource
from r4.quantity import canonical

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

UNITS: Mapping[str, tuple[str, ...]] = {"g": ("g", "kg", "mg"), "wk": ("wk", "d")}
"""UCUM units in which quantities are staged too, and which units are converted to each."""

_OF_DATE = (DAY, FIRST, LAST, MOMENT)
_INTEGERS = frozenset({"integer", "positiveInt", "unsignedInt", "integer64"})
_DATES = frozenset({"date", "dateTime", "instant"})
_TEXTS = frozenset(
    {"string", "code", "id", "uri", "url", "canonical", "oid", "uuid", "markdown", "time",
     "base64Binary"}
)  # fmt: skip
_FULL = len("2018-01-31")
_DAY_SECONDS = 86400
_UNDATED = (None, None, None, None)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_NOTHING_LOST = Context(prec=60, traps=[Inexact])
_UNMEASURED = (None,) * len(UNITS)
_LARGEST = 2**63 - 1


_Row = tuple[Any, ...]


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
        if unit_of(view, column.name):
            staged += (Staged(in_unit(column.name, unit), "integer") for unit in UNITS)
    return tuple(staged)


def unit_of(view: View, column: str) -> str | None:
    """Name the column with the unit of a quantity's number, `<x>_unit` of `<x>_decimal`, if it is one."""
    name, _, kind = column.rpartition("_")
    unit = f"{name}_unit"
    return unit if kind == "decimal" and any(each.name == unit for each in view.columns) else None


def in_unit(column: str, unit: str) -> str:
    """Name the staged column of a quantity's number in one of UNITS."""
    return f"{column}__{unit}"


def stage(view: View, child: str, resources: Iterable[Resource]) -> list[tuple[Any, ...]]:
    """List the staged rows of a child's resources, in the order of `columns`."""
    flatten, staged = _prepared(view)
    return [staged(child, row) for resource in resources for row in flatten(resource)]


def day(text: str | None) -> int | None:
    """Count the days from 1970-01-01 to a date as written; None unless it names a day."""
    return None if text is None else _days(text[:_FULL])[0]


def span(text: str | None) -> tuple[int | None, int | None]:
    """Give the first and the last day that a date may mean, counted like `day`; alike when it is full.

    None for both where there is no date, or none of the calendar.
    """
    return (None, None) if text is None else _days(text[:_FULL])[1:]


def moment(text: str | None) -> int | None:
    """Count the whole seconds from 1970-01-01T00:00:00Z; None without a time and a zone."""
    if text is None or len(text) <= _FULL:
        return None
    days, seconds = _days(text[:_FULL])[0], _seconds(text[_FULL + 1 :])
    return None if days is None or seconds is None else days * _DAY_SECONDS + seconds


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


def measured(number: int | Decimal | None, unit: str | None) -> tuple[int | None, ...]:
    """Count the millionths of a quantity in each of UNITS; None where it is not converted exactly."""
    if number is None or unit is None:
        return _UNMEASURED
    return tuple(
        micro(number) if unit == wanted else _converted(number, unit, wanted) for wanted in UNITS
    )


def _converted(number: int | Decimal, unit: str, wanted: str) -> int | None:
    if unit not in UNITS[wanted]:
        return None
    times = _factor(unit, wanted)
    try:
        scaled = _NOTHING_LOST.multiply(Decimal(number), Decimal(MICRO * times.numerator))
        scaled = _NOTHING_LOST.divide(scaled, Decimal(times.denominator))
    except Inexact:
        return None
    whole = scaled == scaled.to_integral_value() and abs(scaled) <= _LARGEST
    return int(scaled) if whole else None


@cache
def _factor(unit: str, wanted: str) -> Fraction:
    (one, _), (other, _) = _base(unit), _base(wanted)
    return Fraction(one) / Fraction(other)


def _base(unit: str) -> tuple[Decimal, str]:
    found = canonical(1, unit)
    if found is None:
        raise ValueError(unit)
    return found


@lru_cache(maxsize=65536)
def _days(text: str) -> tuple[int | None, int | None, int | None]:
    """Give the day of a date, and the first and the last that it may mean."""
    found = civil.span(text)
    if found is None:
        return None, None, None
    return found[0] if len(text) == _FULL else None, *found


@lru_cache(maxsize=65536)
def _seconds(clock: str) -> int | None:
    """Count the whole seconds from midnight in UTC to a time of day with a zone."""
    leap = clock[6:8] == "60"
    try:
        read = datetime.fromisoformat(
            f"1970-01-01T{clock[:6]}59{clock[8:]}" if leap else f"1970-01-01T{clock}"
        )
    except ValueError:
        return None
    return None if read.tzinfo is None else (read - _EPOCH) // _SECOND + leap


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
def _prepared(view: View) -> tuple[Callable[[Resource], list[_Row]], Callable[[str, _Row], _Row]]:
    columns(view)
    return compiled(view), _stager(view)


def _stager(view: View) -> Callable[[str, _Row], _Row]:
    """Generate what stages a row: a tuple written out is made several times faster than a loop's."""
    names = {column.name: f"v{number}" for number, column in enumerate(view.columns)}
    staged = ", ".join(_staged(view, column, names) for column in view.columns)
    made: dict[str, Any] = {"dated": _dated, "micro": micro, "measured": measured}
    listed = ", ".join(names.values())
    source = f"def stage(child, row):\n    {listed}, = row\n    return (child, {staged})\n"
    exec(source, made)  # noqa: S102 - of our own names
    stager: Callable[[str, _Row], _Row] = made["stage"]
    return stager


def _staged(view: View, column: Column, names: Mapping[str, str]) -> str:
    name, type_ = names[column.name], _type(column)
    if type_ in _DATES:
        return f"{name}, *dated({name})"
    unit = unit_of(view, column.name)
    if unit:
        return f"micro({name}), *measured({name}, {names[unit]})"
    return f"micro({name})" if type_ == "decimal" else name


def _dated(text: str | None) -> tuple[int | None, ...]:
    if text is None:
        return _UNDATED
    return (*_days(text[:_FULL]), moment(text))

"""FHIRPath's Date, DateTime and Time values: reading, comparing, adding, boundaries.

https://hl7.org/fhirpath/N1/#datetime-arithmetic, https://hl7.org/fhirpath/N1/#comparison
"""

import re
from calendar import monthrange
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from r4.dates import offset_minutes
from r4.fhirpath.errors import EvaluationError

_FORM = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d))?)?"
    r"(?P<t>T(?:(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?)?)?"
    r"(?P<zone>Z|[+-]\d\d:\d\d)?)?"
)
_TIME = re.compile(
    r"T?(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?)?"
)
_UNITS = ("year", "month", "day", "hour", "minute", "second")
_SECONDS: dict[str, int | Decimal] = {
    "year": 365 * 86400, "month": 30 * 86400, "week": 7 * 86400, "day": 86400,
    "hour": 3600, "minute": 60, "second": 1, "millisecond": Decimal("0.001"),
}  # fmt: skip
_UCUM = {"wk": "week", "d": "day", "h": "hour", "min": "minute", "s": "second", "ms": "millisecond"}
_DATE_PARTS = 3
_TIME_PARTS = 3
_SECOND_US = 1_000_000
_MINUTES_A_DAY = 1440
_DIGITS = (4, 6, 8, 10, 12, 14, 17)
_TIME_DIGITS = (2, 4, 6, 9)
_MILLISECOND_DIGITS = 3

Kind = Literal["Date", "DateTime", "Time"]


@dataclass(frozen=True, slots=True)
class Temporal:
    """A date, dateTime or time as far as it is known.

    fields: year, month, day, hour, minute, second (a Time begins at the hour); the last one counts
    microseconds, because seconds and their fraction are one precision. digits: how many digits of
    the fraction were written. offset: minutes east of UTC, or None.
    """

    kind: Kind
    fields: tuple[int, ...]
    digits: int = 0
    offset: int | None = None

    def __str__(self) -> str:
        if self.kind == "Time":
            return _clock(self.fields, self.digits)
        year, *rest = self.fields[:_DATE_PARTS]
        text = "-".join([f"{year:04}", *(f"{part:02}" for part in rest)])
        if len(self.fields) <= _DATE_PARTS:
            return text
        return f"{text}T{_clock(self.fields[_DATE_PARTS:], self.digits)}{_zone(self.offset)}"


@lru_cache(maxsize=4096)
def read(text: str) -> Temporal | None:
    """Read a Date, a DateTime (`…T…`) or a Time (`T…`); None when it is none of the calendar's."""
    if text.startswith("T"):
        return read_time(text)
    match = _FORM.fullmatch(text)
    if match is None or (match["t"] and match["zone"] and match["hour"] is None):
        return None
    fields, digits = _fields(match, ("year", "month", "day", "hour", "minute", "second"))
    value = Temporal(
        "DateTime" if match["t"] else "Date",
        fields,
        digits,
        None if match["zone"] is None else offset_minutes(match["zone"]),
    )
    return value if _is_of_calendar(fields) else None


@lru_cache(maxsize=512)
def read_date_time(text: str) -> Temporal | None:
    """Read a DateTime, also one written as a date."""
    value = read(text)
    return None if value is None or value.kind == "Time" else replace(value, kind="DateTime")


@lru_cache(maxsize=512)
def read_time(text: str) -> Temporal | None:
    """Read a Time, with or without its `T`."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    fields, digits = _fields(match, ("hour", "minute", "second"))
    return Temporal("Time", fields, digits) if _is_clock(fields) else None


def compare(left: Temporal, right: Temporal) -> int | None:
    """Order two values: -1, 0 or 1, or None where their precision or time zones leave it open.

    Raises EvaluationError when one is a Time and the other is not.
    """
    if (left.kind == "Time") != (right.kind == "Time"):
        raise EvaluationError(f"a {left.kind} cannot be compared with a {right.kind}")
    one, other = left, right
    if left.offset != right.offset:
        if left.offset is not None and right.offset is not None:
            one, other = _in_utc(left), _in_utc(right)
        elif len(left.fields) > _DATE_PARTS and len(right.fields) > _DATE_PARTS:
            return None
    for a, b in zip(one.fields, other.fields, strict=False):
        if a != b:
            return -1 if a < b else 1
    return 0 if len(one.fields) == len(other.fields) else None


def equal(left: Temporal, right: Temporal) -> bool | None:
    """Tell whether two values are equal; None where precision or time zones leave it open."""
    if (left.kind == "Time") != (right.kind == "Time"):
        return False
    order = compare(left, right)
    return None if order is None else order == 0


def add(value: Temporal, amount: Decimal, unit: str) -> Temporal | None:
    """Add a duration (calendar or UCUM unit); None when the result leaves the calendar.

    Raises EvaluationError for a unit that is no calendar duration (`mo` and `a` are not).
    """
    name = _UCUM.get(unit, unit)
    if name not in _SECONDS:
        raise EvaluationError(f"`{unit}` is not a duration that can be added to a {value.kind}")
    try:
        return _add_time(value, amount, name) if value.kind == "Time" else _add(value, amount, name)
    except (OverflowError, ValueError):
        return None


def boundary(value: Temporal, digits: int | None, *, high: bool) -> Temporal | None:
    """Return the earliest or latest value that a partial one may stand for, to so many digits.

    Digits count as in `precision`: 4 is a year, 8 a day, 17 a millisecond (9 for a Time).
    None for a precision that does not exist.
    """
    if value.kind == "Time":
        return _time_boundary(value, _TIME_DIGITS[-1] if digits is None else digits, high=high)
    wanted = digits or (_DIGITS[2] if value.kind == "Date" else _DIGITS[-1])
    if wanted not in _DIGITS:
        return None
    fields = _filled(value, high=high)[: _DIGITS.index(wanted) + 1]
    if len(fields) <= _DATE_PARTS:
        return Temporal("Date" if value.kind == "Date" else "DateTime", fields)
    zone = (-12 if high else 14) * 60 if value.offset is None else value.offset
    return Temporal("DateTime", fields, _fraction(wanted == _DIGITS[-1]), zone)


def precision(value: Temporal) -> int:
    """Count the digits of a value: 4 is a year, 8 a day, 17 a millisecond; 9 for a full Time."""
    counts = _TIME_DIGITS if value.kind == "Time" else _DIGITS
    return counts[len(value.fields)] if value.digits else counts[len(value.fields) - 1]


def _fields(match: re.Match[str], names: tuple[str, ...]) -> tuple[tuple[int, ...], int]:
    fields = [int(match[name]) for name in names if match[name] is not None]
    fraction = match["fraction"] or ""
    if match["second"] is not None:
        fields[-1] = fields[-1] * _SECOND_US + int(fraction[:6].ljust(6, "0"))
    return tuple(fields), len(fraction)


def _is_of_calendar(fields: tuple[int, ...]) -> bool:
    year, month, day = (*fields, 1, 1)[:_DATE_PARTS]
    return (
        year > 0
        and 1 <= month <= 12  # noqa: PLR2004
        and 1 <= day <= monthrange(year, month)[1]
        and _is_clock(fields[_DATE_PARTS:])
    )


def _is_clock(fields: tuple[int, ...]) -> bool:
    limits = (24, 60, 61 * _SECOND_US)
    return all(part < limit for part, limit in zip(fields, limits, strict=False))


def _clock(fields: tuple[int, ...], digits: int) -> str:
    parts = [f"{part:02}" for part in fields[:2]]
    if len(fields) == _TIME_PARTS:
        seconds, rest = divmod(fields[2], _SECOND_US)
        fraction = f".{rest:06}".ljust(digits + 1, "0")[: digits + 1] if digits else ""
        parts.append(f"{seconds:02}{fraction}")
    return ":".join(parts)


def _zone(offset: int | None) -> str:
    if offset is None:
        return ""
    hours, minutes = divmod(abs(offset), 60)
    return "Z" if offset == 0 else f"{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"


def _in_utc(value: Temporal) -> Temporal:
    if len(value.fields) <= _DATE_PARTS:
        return value
    moved = _moment(value.fields) - timedelta(minutes=value.offset or 0)
    return replace(value, fields=_as_fields(moved)[: len(value.fields)], offset=0)


def _moment(fields: tuple[int, ...]) -> datetime:
    year, month, day, hour, minute, microseconds = (*fields, *(1, 1, 1, 0, 0, 0)[len(fields) :])
    start = datetime(year, month, day, hour, minute)  # noqa: DTZ001 - the offset is kept beside it
    return start + timedelta(microseconds=microseconds)


def _as_fields(moment: datetime) -> tuple[int, ...]:
    microseconds = moment.second * _SECOND_US + moment.microsecond
    return (*moment.timetuple()[:5], microseconds)


def _add(value: Temporal, amount: Decimal, unit: str) -> Temporal:
    precise = _UNITS[len(value.fields) - 1]
    if unit in ("week", "millisecond"):
        amount, unit = amount * (7 if unit == "week" else Decimal("0.001")), _finer(unit)
    if _UNITS.index(unit) >= len(value.fields):
        months = (unit, precise) == ("month", "year")
        ratio = Decimal(_SECONDS[unit]) / _SECONDS[precise]
        amount, unit = amount / 12 if months else amount * ratio, precise
    if unit == "second":
        moved = _moment(value.fields) + timedelta(microseconds=int(amount * _SECOND_US))
    elif unit in ("year", "month"):
        moved = _add_months(_moment(value.fields), int(amount) * (12 if unit == "year" else 1))
    else:
        moved = _moment(value.fields) + timedelta(seconds=int(amount) * int(_SECONDS[unit]))
    return replace(value, fields=_as_fields(moved)[: len(value.fields)])


def _finer(unit: str) -> str:
    return "day" if unit == "week" else "second"


def _add_months(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def _add_time(value: Temporal, amount: Decimal, unit: str) -> Temporal:
    if unit in ("year", "month", "week", "day"):
        raise EvaluationError(f"`{unit}` cannot be added to a Time")
    whole = amount if unit in ("second", "millisecond") else Decimal(int(amount))
    hour, minute, microseconds = (*value.fields, 0, 0)[:_TIME_PARTS]
    total = (hour * 60 + minute) * 60 * _SECOND_US + microseconds
    total += int(whole * Decimal(_SECONDS[unit]) * _SECOND_US)
    minutes, microseconds = divmod(total, 60 * _SECOND_US)
    fields = (*divmod(minutes % _MINUTES_A_DAY, 60), microseconds)
    return replace(value, fields=fields[: len(value.fields)])


def _filled(value: Temporal, *, high: bool) -> tuple[int, ...]:
    year, month = (*value.fields, 12 if high else 1)[:2]
    last = (12, monthrange(year, month)[1], 23, 59, 60 * _SECOND_US - 1000)
    rest = (last if high else (1, 1, 0, 0, 0))[len(value.fields) - 1 :]
    return (*_to_the_millisecond(value, high=high), *rest)


def _time_boundary(value: Temporal, digits: int, *, high: bool) -> Temporal | None:
    if digits not in _TIME_DIGITS:
        return None
    rest = ((59, 60 * _SECOND_US - 1000) if high else (0, 0))[len(value.fields) - 1 :]
    known = _to_the_millisecond(value, high=high)
    fields = (*known, *rest)[: _TIME_DIGITS.index(digits) + 1]
    return Temporal("Time", fields, _fraction(digits == _TIME_DIGITS[-1]))


def _to_the_millisecond(value: Temporal, *, high: bool) -> tuple[int, ...]:
    """Return the fields with the seconds at the end of what their written digits leave open."""
    parts = _TIME_PARTS if value.kind == "Time" else len(_UNITS)
    if not high or len(value.fields) < parts or value.digits >= _MILLISECOND_DIGITS:
        return value.fields
    open_ = 10 ** (_MILLISECOND_DIGITS - value.digits) - 1
    return (*value.fields[:-1], value.fields[-1] + open_ * 1000)


def _fraction(milliseconds: bool) -> int:
    return _MILLISECOND_DIGITS if milliseconds else 0

"""Dates, dateTimes, instants and times as FHIR writes them: partial, with or without a time zone.

https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

_YEAR = r"(?P<year>(?!0000)\d{4})"
_MONTH = r"(?P<month>0[1-9]|1[0-2])"
_DAY = r"(?P<day>0[1-9]|[12]\d|3[01])"
_CLOCK = r"(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)"
_SECOND = r":(?P<second>[0-5]\d|60)(?:\.(?P<fraction>\d+))?"
_ZONE = r"(?P<zone>Z|[+-](?:0\d|1[0-3]):[0-5]\d|[+-]14:00)"

_DATE = re.compile(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY})?)?")
_DATE_TIME = re.compile(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:T{_CLOCK}{_SECOND}{_ZONE})?)?)?")
_INSTANT = re.compile(rf"{_YEAR}-{_MONTH}-{_DAY}T{_CLOCK}{_SECOND}{_ZONE}")
_TIME = re.compile(rf"{_CLOCK}{_SECOND}")
_LENIENT = re.compile(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:T{_CLOCK}(?:{_SECOND})?{_ZONE}?)?)?)?")

_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
_DAY_US = 1440 * _MINUTE_US
_EPOCH = date(1970, 1, 1).toordinal()
_MICROSECOND_DIGITS = 6


@dataclass(frozen=True, slots=True)
class PartialDate:
    """A date as far as it is known: what is None was not written; offset is minutes east of UTC.

    `digits` says how many digits of the second's fraction were written.
    """

    year: int
    month: int | None = None
    day: int | None = None
    hour: int | None = None
    minute: int | None = None
    second: int | None = None
    microsecond: int = 0
    digits: int = 0
    offset: int | None = None


def parse_date(text: str) -> PartialDate:
    """Read a date, dateTime or instant of any precision; seconds and time zone may be missing.

    Raises ValueError, naming the text, when it is none or names a day the calendar lacks.
    """
    match = _LENIENT.fullmatch(text)
    if match is None or not _is_of_calendar(match):
        raise ValueError(f"`{text}` is not a FHIR date, dateTime or instant")
    fraction = match["fraction"] or ""
    month, day, hour, minute, second = (
        None if part is None else int(part)
        for part in match.group("month", "day", "hour", "minute", "second")
    )
    return PartialDate(
        int(match["year"]),
        month,
        day,
        hour,
        minute,
        second,
        microsecond=int(fraction[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")),
        digits=len(fraction),
        offset=None if match["zone"] is None else offset_minutes(match["zone"]),
    )


def interval(text: str, zone: tzinfo = UTC) -> tuple[int, int]:
    """Return the half-open interval [low, high) that a partial date covers, in microseconds.

    Microseconds are counted from 1970-01-01T00:00:00Z. `2024-02` is the whole of February, and a
    time to the second lasts one second. A text without a time zone is read in `zone`.
    Raises ValueError like `parse_date`.
    """
    partial = parse_date(text)
    year, month, day = partial.year, partial.month or 1, partial.day or 1
    if partial.hour is not None:
        low = _day_us(date(year, month, day).toordinal()) + _clock_us(partial)
        shift = _shift_us(low, partial.offset, zone)
        return low - shift, low - shift + _width_us(partial)
    last_month = partial.month or 12
    last_day = partial.day or monthrange(year, last_month)[1]
    low = _day_us(date(year, month, day).toordinal())
    high = _day_us(date(year, last_month, last_day).toordinal() + 1)
    return low - _shift_us(low, None, zone), high - _shift_us(high, None, zone)


def offset_minutes(zone: str) -> int:
    """Read `Z` or `+hh:mm` as minutes east of UTC."""
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return -minutes if zone[0] == "-" else minutes


def is_date(text: str) -> bool:
    """Tell whether a text is a valid FHIR date (year, year-month or full date)."""
    return _is_valid(_DATE, text)


def is_date_time(text: str) -> bool:
    """Tell whether a text is a valid FHIR dateTime: a time needs its seconds and time zone."""
    return _is_valid(_DATE_TIME, text)


def is_instant(text: str) -> bool:
    """Tell whether a text is a valid FHIR instant: to the second at least, with time zone."""
    return _is_valid(_INSTANT, text)


def is_time(text: str) -> bool:
    """Tell whether a text is a valid FHIR time (hh:mm:ss, no time zone)."""
    return _TIME.fullmatch(text) is not None


def years_between(start: str, end: str) -> int:
    """Count whole years from one date to another, as ages are counted (negative when reversed).

    Only the dates as written count, not times or zones; a missing month or day is taken as the
    first. A child born on 29 February is a year older on 1 March of common years.
    Raises ValueError like `parse_date`.
    """
    first, last = parse_date(start), parse_date(end)
    reached = (last.month or 1, last.day or 1) >= (first.month or 1, first.day or 1)
    return last.year - first.year - (0 if reached else 1)


def _is_valid(form: re.Pattern[str], text: str) -> bool:
    match = form.fullmatch(text)
    return match is not None and _is_of_calendar(match)


def _is_of_calendar(match: re.Match[str]) -> bool:
    if match["day"] is None:
        return True
    return int(match["day"]) <= monthrange(int(match["year"]), int(match["month"]))[1]


def _day_us(ordinal: int) -> int:
    return (ordinal - _EPOCH) * _DAY_US


def _clock_us(partial: PartialDate) -> int:
    minutes = (partial.hour or 0) * 60 + (partial.minute or 0)
    return minutes * _MINUTE_US + (partial.second or 0) * _SECOND_US + partial.microsecond


def _width_us(partial: PartialDate) -> int:
    if partial.second is None:
        return _MINUTE_US
    return max(1, _SECOND_US // int(10**partial.digits))


def _shift_us(local: int, offset: int | None, zone: tzinfo) -> int:
    if offset is not None:
        return offset * _MINUTE_US
    if zone is UTC:
        return 0
    wall = datetime(1970, 1, 1, tzinfo=zone).replace(tzinfo=None) + timedelta(microseconds=local)
    shift = wall.replace(tzinfo=zone).utcoffset() or timedelta()
    return int(shift.total_seconds()) * _SECOND_US

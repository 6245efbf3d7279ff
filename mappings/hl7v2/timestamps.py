"""HL7 v2 timestamps to FHIR dates; clocks without a zone are clocks on a wall in London.

HL7 v2.4 chapter 2.9.47 (TS) and the forms seen in UK feeds: `2025-05-05 23:23:32`, `20180121+^D`.
An hour that the autumn clock change repeats is read as its first passing.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")
_FORM = re.compile(
    r"(?P<year>\d{4})(?:-?(?P<month>\d\d)(?:-?(?P<day>\d\d)"
    r"(?:[T ]?(?P<hour>\d\d)(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?P<fraction>\.\d{1,9})?)?)?"
    r")?)?)?\s*(?P<zone>Z|[+-]\d\d:?\d\d)?\+?\Z",
    re.ASCII,
)
_PARTS = ("year", "month", "day", "hour", "minute", "second", "fraction", "zone")
_AGAIN = 256
"""How many times are remembered: a message says the same one in several places."""


def date_time(text: str) -> str | None:
    """Return the FHIR dateTime of a timestamp, None where it is none.

    A time keeps its seconds and gets its zone; minutes alone get `:00`, as FHIR has no such form.
    """
    match = _FORM.match(text)
    if match is None:
        return None
    date = _date(match)
    if date is None or match["hour"] is None:
        return date
    return _instant(match)


def date(text: str) -> str | None:
    """Return the FHIR date of a timestamp (its time is dropped), None where it is none."""
    match = _FORM.match(text)
    return None if match is None else _date(match)


def span(text: str) -> tuple[datetime, datetime] | None:
    """Return the first and the last moment that a timestamp may mean; None without a time of day.

    It may mean all of a minute or second and, in the hour that the autumn clock change repeats, both.
    None too where either moment is not in the years 1 to 9999 of UTC.
    """
    match = _FORM.match(text)
    if match is None or match["hour"] is None or (moment := _instant(match)) is None:
        return None
    first = datetime.fromisoformat(moment).replace(tzinfo=_zone(match["zone"]))
    try:  # in the hour that the spring clock change leaves out, the second passing is the earlier
        last = max(first, first.replace(fold=1), key=lambda each: each.astimezone(UTC))
        return first.astimezone(UTC), _end(match, last).astimezone(UTC)
    except OverflowError:
        return None


def _end(match: re.Match[str], last: datetime) -> datetime:
    """Return the end of the minute or second that a timestamp names."""
    if match["fraction"] is None:
        seconds = 59 if match["second"] is None else last.second
        minutes = 59 if match["minute"] is None else last.minute
        return last.replace(minute=minutes, second=seconds, microsecond=999_999)
    return last


def is_before(first: str, second: str) -> bool:
    """Tell whether a FHIR dateTime is before another, as far as both are precise."""
    if "T" in first and "T" in second:
        return datetime.fromisoformat(first) < datetime.fromisoformat(second)
    length = min(len(first.partition("T")[0]), len(second.partition("T")[0]))
    return first[:length] < second[:length]


def _date(match: re.Match[str]) -> str | None:
    return _day(*match.group(*_PARTS[:3]))


@lru_cache(maxsize=_AGAIN)
def _day(year: str, month: str | None, day: str | None) -> str | None:
    try:
        datetime(int(year), int(month or 1), int(day or 1), tzinfo=LONDON)
    except ValueError:
        return None
    return "-".join(part for part in (year, month, day) if part)


def _instant(match: re.Match[str]) -> str | None:
    return _time(match.group(*_PARTS))


@lru_cache(maxsize=_AGAIN)
def _time(parts: tuple[str | None, ...]) -> str | None:
    *numbers, fraction, zone = parts
    year, month, day, hour, minute, second = (int(each or 0) for each in numbers)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_zone(zone))
        offset = moment.isoformat()[19:]
    except (ValueError, OverflowError):
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + (fraction or "") + offset


def _zone(text: str | None) -> tzinfo:
    if text is None:
        return LONDON
    digits = text.replace(":", "").replace("Z", "+0000")
    minutes = int(digits[1:3]) * 60 + int(digits[3:5])
    return timezone(timedelta(minutes=-minutes if digits[0] == "-" else minutes))

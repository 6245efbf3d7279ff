"""Calendar arithmetic on days as integers, counted from 1970-01-01.

A day that a month lacks is the first of the next: who was born on 29 February is a year older on
1 March of common years. The arithmetic of `first_of` is that of columns, too: it uses only
operators that Python's integers and a back end's have in common.
"""

from datetime import date

from r4.dates import parse_date

EPOCH = date(1970, 1, 1).toordinal()
FIRST = date.min.toordinal() - EPOCH
LAST = date.max.toordinal() - EPOCH
"""The first day of the year 1 and the last of the year 9999."""


def first_of(month: int) -> int:
    """Return the first day of a month, which is counted from January of the year 0.

    The Julian day number of the Gregorian calendar, with years that begin in March.
    """
    year, rest = month // 12, month % 12
    before_march = (13 - rest) // 12
    years = year + 4800 - before_march
    months = rest + 12 * before_march - 2
    leap = years // 4 - years // 100 + years // 400
    return (153 * months + 2) // 5 + 365 * years + leap - 2472632


def month_of(day: int) -> tuple[int, int]:
    """Return a day's month, counted from January of the year 0, and its day of the month."""
    found = date.fromordinal(day + EPOCH)
    return found.year * 12 + found.month - 1, found.day


def add_months(day: int, months: int) -> int | None:
    """Return the same day so many months later; None beyond the calendar's years 1 to 9999."""
    month, day_of_month = month_of(day)
    later = min(first_of(month + months) + day_of_month - 1, first_of(month + months + 1))
    return later if FIRST <= later <= LAST else None


def add_days(day: int, days: int) -> int | None:
    """Return the day so many days later; None beyond the calendar's years 1 to 9999."""
    later = day + days
    return later if FIRST <= later <= LAST else None


def text(day: int) -> str:
    """Write a day as a FHIR date."""
    return date.fromordinal(day + EPOCH).isoformat()


def said(written: str | None) -> str:
    """Write a date or dateTime as it is read aloud, as far as it is known; what is none, as it stands."""
    if written is None:
        return "not dated"
    try:
        found = parse_date(written)
    except ValueError:
        return written
    if found.month is None:
        return str(found.year)
    month = f"{date(found.year, found.month, 1):%B} {found.year}"
    return month if found.day is None else f"{found.day} {month}"


def day_of(written: str) -> int:
    """Return the day of a full date; raises ValueError for what is none."""
    return date.fromisoformat(written).toordinal() - EPOCH


def span(written: str) -> tuple[int, int] | None:
    """Return the first and the last day that a date or dateTime may mean; None for what is none."""
    try:
        found = parse_date(written)
    except ValueError:
        return None
    if found.month is None:
        return first_of(found.year * 12), first_of(found.year * 12 + 12) - 1
    month = found.year * 12 + found.month - 1
    if found.day is None:
        return first_of(month), first_of(month + 1) - 1
    day = first_of(month) + found.day - 1
    return day, day

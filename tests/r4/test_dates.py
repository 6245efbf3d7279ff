"""Partial dates: what they cover, what is valid, and how ages are counted.

https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r4.dates import (
    PartialDate,
    interval,
    is_date,
    is_date_time,
    is_instant,
    is_time,
    parse_date,
    years_between,
)

LONDON = ZoneInfo("Europe/London")


def moment(text: str) -> int:
    """Microseconds since the epoch, as Python's own calendar counts them."""
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2024", "2024-01-01T00:00+00:00", "2025-01-01T00:00+00:00"),
        ("2024-02", "2024-02-01T00:00+00:00", "2024-03-01T00:00+00:00"),
        ("2024-12", "2024-12-01T00:00+00:00", "2025-01-01T00:00+00:00"),
        ("2024-02-29", "2024-02-29T00:00+00:00", "2024-03-01T00:00+00:00"),
        ("2024-06-01T10:30Z", "2024-06-01T10:30+00:00", "2024-06-01T10:31+00:00"),
        ("2024-06-01T10:30:15Z", "2024-06-01T10:30:15+00:00", "2024-06-01T10:30:16+00:00"),
        ("2024-06-01T10:30:15+01:00", "2024-06-01T09:30:15+00:00", "2024-06-01T09:30:16+00:00"),
        ("1969-12-31T23:59:59-05:00", "1970-01-01T04:59:59+00:00", "1970-01-01T05:00:00+00:00"),
        (
            "2024-06-01T10:30:15.25Z",
            "2024-06-01T10:30:15.250000+00:00",
            "2024-06-01T10:30:15.260000+00:00",
        ),
    ],
)
def test_a_partial_date_covers_the_half_open_interval_of_its_precision(
    text: str, low: str, high: str
) -> None:
    assert interval(text) == (moment(low), moment(high))


def test_a_text_without_time_zone_is_read_in_the_zone_given() -> None:
    assert interval("2024-06-01T10:30:00", LONDON)[0] == moment("2024-06-01T09:30+00:00")
    assert interval("2024-01-01T10:30:00", LONDON)[0] == moment("2024-01-01T10:30+00:00")


def test_a_day_of_a_clock_change_lasts_as_long_as_it_does_there() -> None:
    low, high = interval("2024-03-31", LONDON)
    assert high - low == 23 * 3_600_000_000


def test_the_last_year_of_the_calendar_has_an_end() -> None:
    low, high = interval("9999")
    assert high - low == 365 * 86_400_000_000


def test_a_fraction_finer_than_a_microsecond_still_covers_something() -> None:
    low, high = interval("2024-06-01T10:30:15.123456789Z")
    assert high - low == 1


@given(st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)))  # noqa: DTZ001
def test_every_instant_lies_in_its_day_month_and_year(when: datetime) -> None:
    instant, _ = interval(when.isoformat() + "Z")
    day = when.date().isoformat()
    for text in (day, day[:7], day[:4]):
        low, high = interval(text)
        assert low <= instant < high


def test_parse_date_keeps_what_was_written_and_no_more() -> None:
    assert parse_date("2018-03") == PartialDate(2018, 3)
    assert parse_date("2018-03-04T05:06:07.80-01:30") == PartialDate(
        2018, 3, 4, 5, 6, 7, microsecond=800_000, digits=2, offset=-90
    )


@pytest.mark.parametrize("text", ["", "2023-02-29", "2024-13", "24-01-01", "2024-1-1", "0000"])
def test_what_the_calendar_lacks_is_no_date(text: str) -> None:
    assert not is_date(text)
    with pytest.raises(ValueError, match="is not a FHIR date"):
        parse_date(text)


def test_a_date_has_no_time() -> None:
    assert all(is_date(text) for text in ("2024", "2024-02", "2024-02-29"))
    assert not is_date("2024-02-29T10:00:00Z")


def test_a_date_time_with_a_time_needs_seconds_and_a_zone() -> None:
    assert is_date_time("2024")
    assert is_date_time("2024-02-29T10:00:00+01:00")
    assert not is_date_time("2024-02-29T10:00Z")
    assert not is_date_time("2024-02-29T10:00:00")
    assert not is_date_time("2024-02-29T24:00:00Z")
    assert not is_date_time("2024-02-29T10:00:00+14:30")


def test_an_instant_is_complete() -> None:
    assert is_instant("2024-02-29T10:00:00.123Z")
    assert not is_instant("2024-02-29")


def test_a_time_has_seconds_and_no_zone() -> None:
    assert all(is_time(text) for text in ("10:00:00", "23:59:59.5"))
    assert not any(is_time(text) for text in ("10:00", "24:00:00", "10:00:00Z"))


@pytest.mark.parametrize(
    ("birth", "end", "years"),
    [
        ("2018-01-20", "2023-01-19", 4),
        ("2018-01-20", "2023-01-20", 5),
        ("2020-02-29", "2021-02-28", 0),
        ("2020-02-29", "2021-03-01", 1),
        ("2018", "2023-01-01", 5),
        ("2018-06", "2023-05-31", 4),
        ("2018-01-20", "2023-01-20T00:30:00+01:00", 5),
        ("2020-01-01", "2019-12-31", -1),
    ],
)
def test_ages_are_whole_years(birth: str, end: str, years: int) -> None:
    assert years_between(birth, end) == years

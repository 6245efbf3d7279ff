"""What the inbox notes of a message beside its bytes: hospital, kind and time, nothing of the child."""

import pytest

from mappings import hl7v2


def origin(kind: str, sent: str, *segments: str) -> hl7v2.Origin:
    head = f"MSH|^~\\&|PAS|RTH|CSOR|CSOR|{sent}||{kind}|1|P|2.4"
    return hl7v2.origin(hl7v2.parse("\r".join([head, *segments, ""]).encode()))


def test_it_is_the_hospital_the_kind_and_when_it_happened() -> None:
    found = origin("ADT^A08^ADT_A01", "20200103", "EVN|A08|202001031015", "PID|1||9990000018")
    assert found == ("RTH", "ADT^A08", 1_578_046_500_000_000)


@pytest.mark.parametrize("recorded", ["", "Sub", "2020", '""'])
def test_without_a_time_of_the_event_that_of_the_message_counts(recorded: str) -> None:
    found = origin("ADT^A08", "20200703101530.5+0100", f"EVN|A08|{recorded}")
    assert found.occurred == 1_593_767_730_500_000


def test_a_time_of_day_in_the_message_counts_before_a_day_of_the_event() -> None:
    found = origin("ADT^A08", "20200703101530", "EVN|A08|20200702")
    assert found.occurred == 1_593_767_730_000_000
    assert origin("ADT^A08", "2020", "EVN|A08|20200703").occurred == 1_593_730_800_000_000
    assert origin("ADT^A08", "20200703", "EVN|A08|2020").occurred == 1_593_730_800_000_000


def test_a_day_alone_begins_at_midnight_in_london() -> None:
    assert origin("ADT^A08", "20200703").occurred == 1_593_730_800_000_000


@pytest.mark.parametrize(
    "sent", ["", "now", "00010101000000+1400", "99991231235959-1200", "202002301200"]
)
def test_a_time_that_is_none_or_far_away_does_no_harm(sent: str) -> None:
    found = origin("ADT^A08", sent).occurred
    assert found is None or abs(found) < 2**62


@pytest.mark.parametrize("kind", ["", "ADT", "ADT^A8", "Testchild^Wren", "9990000018^A01"])
def test_what_is_no_kind_of_message_is_not_noted(kind: str) -> None:
    assert origin(kind, "20200703").kind is None


def moments(sent: str) -> list[str]:
    """When a message may have been told, by its MSH-7, in UTC: the first and the last moment."""
    head = f"MSH|^~\\&|PAS|RTH|CSOR|CSOR|{sent}||ADT^A08|1|P|2.4\r"
    found = hl7v2.told(hl7v2.parse(head.encode()))
    return [f"{each:%d %H:%M:%S}" for each in found or ()]


def test_a_time_that_a_clock_change_repeats_may_be_either_and_one_that_it_leaves_out_is_not_reversed():
    assert moments("20250330013000") == ["30 01:30:00", "30 01:30:00"]
    assert moments("202503300130") == ["30 01:30:00", "30 01:30:59"]
    assert moments("20251026013000") == ["26 00:30:00", "26 01:30:00"]
    assert moments("20250701013000") == ["01 00:30:00", "01 00:30:00"]


@pytest.mark.parametrize("sent", ["00010101000000+0100", "99991231235959-0100"])
def test_a_time_that_is_in_no_year_of_utc_tells_nothing(sent: str) -> None:
    assert moments(sent) == []

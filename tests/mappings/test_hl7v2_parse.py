"""HL7 v2 bytes to a Message: HL7 v2.4 chapter 2, and the ways senders leave it."""

from pathlib import Path

import hl7apy.consts
import pytest
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st

from mappings.hl7v2 import identity, parse
from mappings.hl7v2.timestamps import date, date_time, is_before
from r4.issue import FhirError

EXAMPLES = sorted((Path(__file__).parents[2] / "mappings/hl7v2/examples").glob("*.hl7"))
MSH = b"MSH|^~\\&|EPR|RTH|CSOR|CSOR|202505060930||ADT^A01|42|P|2.4"


def text_of(pid_5: bytes, msh: bytes = MSH) -> str:
    return parse(msh + b"\rPID|||||" + pid_5).segments("PID")[0].field(5).value


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_segments_end_with_cr_lf_or_both(end):
    message = parse(end.join([MSH, b"EVN|A01", b"PID|1"]) + end)
    assert [segment.name for segment in message] == ["MSH", "EVN", "PID"]


def test_the_header_is_counted_from_the_separator():
    header = parse(MSH + b"|||AL|NE").header
    assert (header.sending_application, header.sending_facility) == ("EPR", "RTH")
    assert (header.message_code, header.trigger_event, header.control_id) == ("ADT", "A01", "42")
    assert (header.version, header.timestamp) == ("2.4", "202505060930")
    assert (header.accept_acknowledgement, header.application_acknowledgement) == ("AL", "NE")


def test_other_separators_are_obeyed():
    message = parse(b"MSH*:+\\&*EPR*RTH*****ADT:A01*42*P*2.4\rPID*1**7:::RTH+8:::R0A")
    assert message.header.trigger_event == "A01"
    pid = message.segments("PID")[0]
    assert [value.component(4) for value in pid.field(3).repetitions] == ["RTH", "R0A"]


def test_repetitions_components_and_subcomponents():
    field = parse(MSH + b"\rPID|||1^2&3^4~~5").segments("PID")[0].field(3)
    first, second, third = field.repetitions
    assert (first.component(2), first.subcomponent(2, 2), first.component(9)) == ("2", "3", "")
    assert not second
    assert third.component(1) == "5"


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        (b"O\\X27\\Brien", "O'Brien"),
        (b"S\\XC3A9\\an", "Séan"),
        (b"one\\.br\\two", "one\ntwo"),
        (b"\\H\\loud\\N\\", "loud"),
        (b"kept \\Zany\\ whole", "kept \\Zany\\ whole"),
        (b"open \\F", "open \\F"),
        (b"  padded  ", "padded"),
        (b"no\x00control\x07s", "nocontrols"),
    ],
)
def test_escapes(raw, read):
    assert text_of(raw) == read


def test_two_quotes_ask_for_deletion_and_hold_no_value():
    field = parse(MSH + b'\rPID|||""||""^""').segments("PID")[0].field(3)
    assert field.is_delete
    assert not field.repetitions[0]


@pytest.mark.parametrize(
    ("charset", "raw", "guessed"),
    [
        (b"", "Zoë".encode(), False),
        (b"UNICODE UTF-8", "Zoë".encode(), False),
        (b"8859/1", "Zoë".encode("iso-8859-1"), False),
        (b"", "Zoë".encode("cp1252"), True),
        (b"UNICODE", "Zoë".encode("cp1252"), True),
    ],
)
def test_charsets_are_declared_or_guessed_and_flagged(charset, raw, guessed):
    msh = MSH + b"||||||" + charset
    assert text_of(raw, msh) == "Zoë"
    assert parse(msh + b"\rPID|||||" + raw).charset_guessed is guessed


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"hello",
        b"MSH",
        b"MSH|",
        b"MSH|^^\\&|x",
        b"MSHA^~\\&|x",
        b"MSH|^~|EPR",
        b"FHS|^~\\&|x",
        MSH + b"\rthis is no segment",
        MSH + b"\r" + MSH,
    ],
)
def test_what_is_no_message_is_refused_as_structural(raw):
    with pytest.raises(FhirError) as refused:
        parse(raw)
    assert refused.value.status == 400
    assert refused.value.issues[0].rule == "100"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_a_fhir_error(raw):
    for candidate in (raw, b"MSH|^~\\&|" + raw):
        try:
            message = parse(candidate)
        except FhirError:
            continue
        assert message.header.control_id == identity(message)[1]
        for segment in message:
            for number in range(segment.size + 2):
                for value in segment.field(number).repetitions:
                    assert value.text == value.text.strip()


def test_identity_is_sender_control_id_and_digest():
    sender, control_id, digest = identity(parse(MSH))
    assert (sender, control_id, len(digest)) == ("EPR|RTH", "42", 64)
    assert identity(parse(MSH + b"\r"))[2] != digest


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_hl7apy_reads_the_same_fields(path):
    raw = path.read_bytes()
    level = hl7apy.consts.VALIDATION_LEVEL.TOLERANT
    theirs = parse_message(raw.decode(), validation_level=level, find_groups=False)
    ours = [segment for segment in parse(raw) if not segment.name.startswith("Z")]
    known = {child.name for child in theirs.children}
    compared = [segment for segment in ours if segment.name in known]
    their_segments = [child for child in theirs.children if not child.name.startswith("Z")]
    assert len(compared) == len(their_segments)
    for mine, other in zip(compared, their_segments, strict=True):
        assert mine.name == other.name
        for field in other.children:
            number = int(field.name.rpartition("_")[2])
            if mine.name != "MSH" or number > 2:
                sent = [value.raw for value in mine.field(number).repetitions]
                # hl7apy escapes a formatting escape once more when it writes it back
                assert field.to_er7().replace("\\E\\.br\\E\\", "\\.br\\") in sent


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2025", "2025"),
        ("202505", "2025-05"),
        ("20250506", "2025-05-06"),
        ("2025050609", "2025-05-06T09:00:00+01:00"),
        ("202501060930", "2025-01-06T09:30:00+00:00"),
        ("20250506093015.1234+0000", "2025-05-06T09:30:15.1234+00:00"),
        ("20250506093015-0530", "2025-05-06T09:30:15-05:30"),
        ("2025-05-05 23:23:32", "2025-05-05T23:23:32+01:00"),
        ("202510260130", "2025-10-26T01:30:00+01:00"),
        ("20250230", None),
        ("202505062460", None),
        ("00000000", None),
        ("tomorrow", None),
        ("", None),
    ],
)
def test_timestamps_without_a_zone_are_london_time(text, read):
    assert date_time(text) == read


def test_a_birth_date_with_a_precision_mark_is_a_date():
    assert date("20180121+") == "2018-01-21"
    assert date("20180121120000") == "2018-01-21"


def test_dates_compare_as_far_as_they_are_precise():
    assert is_before("2025-05-06T10:00:00+01:00", "2025-05-06T09:30:00+00:00")
    assert not is_before("2025-05-06", "2025-05-06T09:30:00+00:00")
    assert is_before("2025", "2026-01-01")


@given(st.text(max_size=24))
def test_any_text_is_a_timestamp_or_none(text):
    assert date_time(text) is None or date_time(text)[:4].isdigit()
    assert date(text) is None or len(date(text)) <= 10

"""HL7 v2 bytes to a Message: HL7 v2.4 chapter 2, and the ways senders leave it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.hl7v2 import identity, parse
from mappings.hl7v2.timestamps import date, date_time, is_before
from r4.issue import FhirError

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
        (b"one\\.sp\\two\\.sp2\\three\\.ce\\four", "one\ntwo\n\nthree\nfour"),
        (b"\\.in+4\\kept\\.fi\\", "\\.in+4\\kept\\.fi\\"),
        (b"\\C2842\\", "\\C2842\\"),
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
    ("charset", "text", "codec", "guessed"),
    [
        ("", "Zoë", "utf-8", False),
        ("ASCII", "Zoë", "utf-8", False),
        ("UNICODE", "Zoë", "utf-8", False),
        ("UNICODE UTF-8", "Zoë", "utf-8", False),
        ("unicode utf-8", "Zoë", "utf-8", False),
        ("8859/1", "Zoë", "iso-8859-1", False),
        ("ISO 8859-1", "Zoë", "iso-8859-1", False),
        ("8859/2", "Žofie", "iso-8859-2", False),
        ("8859/7", "Ζωή", "iso-8859-7", False),
        ("8859/15", "€ Zoë", "iso-8859-15", False),
        ("ASCII~8859/1", "Zoë", "utf-8", False),
        ("~UNICODE UTF-8", "Zoë", "utf-8", False),
        ("", "Zoë", "cp1252", True),
        ("UNICODE", "Zoë", "cp1252", True),
        ("8859/1", "O’Brien", "cp1252", True),
        ("GBR", "Zoë", "utf-8", True),
    ],
)
def test_charsets_are_declared_or_guessed_and_flagged(charset, text, codec, guessed):
    msh = MSH + b"||||||" + charset.encode()
    message = parse(msh + b"\rPID|||||" + text.encode(codec))
    assert message.segments("PID")[0].field(5).value == text
    assert message.charset_guessed is guessed
    assert message.charset == codec


def test_a_segment_in_another_charset_spoils_no_other_segment():
    message = parse(b"\r".join([MSH, "NTE|1||Zoë".encode(), "NTE|2||Zoë".encode("cp1252")]))
    assert [note.field(3).value for note in message.segments("NTE")] == ["Zoë", "Zoë"]
    assert message.charset_guessed


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (MSH.decode().encode("utf-16"), "UTF-16"),
        (MSH.decode().encode("utf-16-be"), "UTF-16"),
        (MSH.decode().encode("utf-32-le"), "UTF-16 or UTF-32"),
        (MSH + b"||||||UNICODE UTF-16", "UNICODE UTF-16, is not supported"),
        (MSH + b"||||||ISO IR87", "ISO IR87, is not supported"),
        (MSH + b"||||||ASCII~ISO IR87\rPID|||||\x1b$B;3ED\x1b(B", "switches between"),
        (MSH + b"||||||ASCII~ISO IR87\rPID|||||\\M243B33\\", "switches between"),
        (MSH + b"||||||8859/7\rPID|||||\xff", "not in the charset of MSH-18, 8859/7"),
    ],
)
def test_charsets_that_cannot_be_read_are_refused_with_the_way_out(raw, words):
    with pytest.raises(FhirError) as refused:
        parse(raw)
    assert refused.value.issues[0].rule == "100"
    assert words in refused.value.issues[0].diagnostics
    assert "UTF-8" in refused.value.issues[0].diagnostics


def test_a_line_feed_within_a_text_is_text_where_segments_end_with_cr():
    raw = MSH + b"\rOBX|1|FT|||first\nsecond\n\nthird\nNTE|1||note\n\rPID|1\r\n"
    message = parse(raw)
    assert [segment.name for segment in message] == ["MSH", "OBX", "NTE", "PID"]
    assert message.segments("OBX")[0].field(5).value == "first\nsecond\n\nthird"
    assert message.segments("NTE")[0].field(3).value == "note"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"SPM|2|S-23||119297000^Blood|||201301160912-0800ORC|NW|ORD231-2^NIST", "ORC"),
        (b"PID|1||1^^^NIST||Smirnoff^Peggy|||N^Not Hispanic^HL70189NK1|1||OTH^Other", "NK1"),
        (b"OBX|1|TX|9^Note^L||fineOBX|2|NM|718-7^Haemoglobin^LN||14", "OBX"),
        (b"EVN|A01|20250506PID|1||1^^^RTH^MR||Testchild^Ann", "PID"),
        (b"PID|1||1^^^RTH||Testchild^AnnPV1|1|I|NEO^B1", "PV1"),
        (b"NTE|1||done.MSH|^~\\&|EPR|RTH|CSOR|CSOR|20250506||ADT^A01|43|P|2.4", "MSH"),
    ],
)
def test_two_segments_on_one_line_are_refused_by_name(line, name):
    with pytest.raises(FhirError) as refused:
        parse(MSH + b"\r" + line)
    issue = refused.value.issues[0]
    assert issue.rule == "100"
    assert issue.diagnostics.startswith(f"Line 2 of the message holds two segments: {name} must")


@pytest.mark.parametrize(
    "line",
    [
        b"OBX|1|ST|RAPID|1|POSITIVE|mg|1-2|N||F",
        b"OBX|1|TX|9^Note^L||see PV1|1|I",
        b"NTE|1||HL7 segment PV1|L",
        b"OBX|1|ST|TORC|1|OK",
        b"ERR|PID|1||1^^^RTH||a^b",
        b"NTE|1||xPID||",
    ],
)
def test_a_value_that_ends_like_a_segment_name_is_a_value(line):
    assert parse(MSH + b"\r" + line).all_segments[1].raw == line.decode()


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


def test_a_line_of_nothing_but_such_values_is_read_in_one_pass():
    many = 200_000
    segment = parse(MSH + b"\rZZ1|" + b"|".join([b"xPID"] * many)).all_segments[1]
    assert segment.size == many


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

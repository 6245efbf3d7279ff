"""Acknowledgements: HL7 v2.4 chapter 2.13 with the ERR fields of v2.5."""

import pytest
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st

from mappings.hl7v2 import ack, ack_code, identity, parse
from mappings.hl7v2.errors import issue
from r4.issue import Issue, error

NOW = "2026-11-22T09:30:00.500Z"
RAW = b"MSH|^~\\&|EPR^1.2.3^ISO|RTH|CSOR|NPEU|202505060930||ADT^A01|4\\T\\2|T|2.4\rPID|1"


def fields(answer: bytes, name: str) -> list[str]:
    line = next(line for line in answer.decode().split("\r") if line.startswith(name))
    return line.split("|")


def test_sender_and_receiver_change_places():
    msh = fields(ack(parse(RAW), code="AA", control_id="a1", now=NOW), "MSH")
    assert msh[2:6] == ["CSOR", "NPEU", "EPR^1.2.3^ISO", "RTH"]
    assert msh[6:12] == ["20261122093000.500+0000", "", "ACK^A01^ACK", "a1", "T", "2.4"]


def test_the_control_id_comes_back_as_it_was_sent():
    assert fields(ack(parse(RAW), code="AA", control_id="a1", now=NOW), "MSA") == [
        "MSA",
        "AA",
        "4\\T\\2",
    ]


def test_every_segment_ends_with_cr_and_none_with_lf():
    answer = ack(parse(RAW), code="AE", issues=[issue("101", "x")], control_id="a", now=NOW)
    assert answer.endswith(b"\r")
    assert b"\n" not in answer
    assert answer.count(b"\r") == 3


def test_one_err_for_each_issue_with_place_code_severity_and_text():
    issues = [
        issue("103", "Invalid NHS number | 1^2", "PID^1^3^2"),
        issue("101", "No PV1-2", "PV1^1^2"),
    ]
    answer = ack(parse(RAW), code="AE", issues=issues, control_id="a1", now=NOW).decode()
    lines = [line for line in answer.split("\r") if line.startswith("ERR")]
    assert lines == [
        "ERR||PID^1^3^2|103^Table value not found^HL70357|E||||Invalid NHS number \\F\\ 1\\S\\2",
        "ERR||PV1^1^2|101^Required field missing^HL70357|E||||No PV1-2",
    ]


def test_what_is_too_long_or_too_much_is_no_error_of_ours():
    found = error("too-long", "The Bundle has 1001 entries.")
    err = fields(ack(parse(RAW), code="AE", issues=[found], control_id="a", now=NOW), "ERR")
    assert err[3] == "104^Value too long^HL70357"


def test_issues_made_elsewhere_get_a_table_0357_code():
    found = Issue("warning", "not-found", "no such organisation", "Bundle.entry[0]", "some-rule")
    err = fields(ack(parse(RAW), code="AE", issues=[found], control_id="a", now=NOW), "ERR")
    assert (err[2], err[3], err[4]) == ("", "204^Unknown key identifier^HL70357", "W")


@pytest.mark.parametrize("raw", [b"", b"rubbish", b"MSH", b"MSH|", b"\xff\xfe\x00", b"MSH|^~\\&"])
def test_bytes_without_a_readable_header_are_answered(raw):
    answer = ack(raw, code="AR", issues=[issue("100", "no MSH")], control_id="a1", now=NOW)
    assert fields(answer, "MSA")[:2] == ["MSA", "AR"]
    assert parse(answer).header.control_id == "a1"


def test_raw_bytes_that_have_a_header_are_answered_to_their_sender():
    answer = ack(RAW[:60] + b"\rrubbish", code="AR", control_id="a1", now=NOW)
    assert fields(answer, "MSH")[4:6] == ["EPR^1.2.3^ISO", "RTH"]


BOM = b"\xef\xbb\xbf"
ODD = b"MSH*:+!;*EPR:1*RTH*CSOR*NPEU*202505060930**ADT:A01*4!S!2*T*2.4\rPID*1"


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize(
    ("raw", "charset", "control_id"),
    [
        (BOM + RAW, "utf-8", "4\\T\\2"),
        (RAW.replace(b"4\\T\\2", "Zoë".encode()), "utf-8", "Zoë"),
        (RAW.replace(b"4\\T\\2", "Zoë".encode("cp1252")), "cp1252", "Zoë"),
        (
            RAW.replace(b"4\\T\\2|T|2.4", "Zoë|T|2.4||||||8859/1".encode("iso-8859-1")),
            "iso-8859-1",
            "Zoë",
        ),
        (RAW.replace(b"4\\T\\2", b"M^&1"), "utf-8", "M^&1"),
    ],
)
def test_the_control_id_comes_back_whatever_the_message_begins_with_or_is_written_in(
    raw, charset, control_id, readable
):
    message = parse(raw) if readable else raw + b"\rthis is no segment"
    answer = ack(message, code="AE", issues=[issue("101", "Zoë")], control_id="a", now=NOW)
    msa = answer.decode(charset).split("\r")[1]
    assert msa == f"MSA|AE|{control_id}|Zoë"


@pytest.mark.parametrize("readable", [True, False])
def test_the_answer_is_written_with_the_senders_own_separators(readable):
    message = parse(ODD) if readable else ODD + b"\rthis is no segment"
    lines = ack(
        message, code="AE", issues=[issue("103", "a*b:c!d;e", "PID^1^8")], control_id="a", now=NOW
    ).decode().split("\r")  # fmt: skip
    assert lines[0].startswith("MSH*:+!;*CSOR*NPEU*EPR:1*RTH*")
    assert lines[0].endswith("*ACK:A01:ACK*a*T*2.4")
    assert lines[1] == "MSA*AE*4!S!2*a!F!b!S!c!E!d!T!e"
    assert lines[2].startswith("ERR**PID:1:8*103:Table value not found:HL70357*E*")
    assert parse("\r".join(lines).encode()).segments("MSA")[0].field(3).value == "a*b:c!d;e"


def test_a_truncation_character_is_echoed_and_escaped():
    raw = RAW.replace(b"^~\\&", b"^~\\&#")
    answer = ack(parse(raw), code="AE", issues=[issue("101", "no #")], control_id="a", now=NOW)
    assert answer.startswith(b"MSH|^~\\&#|CSOR|")
    assert parse(answer).segments("MSA")[0].field(3).raw == "no \\P\\"
    assert parse(answer).segments("MSA")[0].field(3).value == "no #"


def test_a_message_with_a_byte_order_mark_is_the_same_each_time_it_is_sent():
    marked = parse(BOM + RAW)
    assert identity(marked)[:2] == identity(parse(RAW))[:2] == ("EPR|RTH", "4&2")
    assert identity(marked) == identity(parse(BOM + RAW))
    answers = [ack(sent, code="AA", control_id="a", now=NOW) for sent in (marked, BOM + RAW)]
    assert answers[0] == answers[1] == ack(parse(RAW), code="AA", control_id="a", now=NOW)


@pytest.mark.parametrize(
    "raw", [b"MSH^MSH", b"MSH~|a", b"MSH\\^", b"MSH&&&&&", b"MSH\xffa", b"MSH a"]
)
def test_a_separator_that_means_something_else_is_not_taken_over(raw):
    answer = ack(raw, code="AR", issues=[issue("100", "x")], control_id="1", now=NOW)
    assert answer.startswith(b"MSH|^~\\&|")
    assert fields(answer, "MSA")[1] == "AR"


@given(st.binary(max_size=200))
def test_any_bytes_can_be_answered(raw):
    answer = ack(
        raw, code="AR", issues=[issue("100", raw.decode("latin-1"))], control_id="1", now=NOW
    )
    assert parse(answer).segments("MSA")[0].field(1).value == "AR"
    assert answer.endswith(b"</ACK>" if answer.startswith(b"<") else b"\r")


def test_hl7apy_reads_the_answer():
    answer = ack(
        parse(RAW), code="AE", issues=[issue("102", "bad date", "PID^1^7")], control_id="a", now=NOW
    )
    theirs = parse_message(answer.decode().replace("|2.4\r", "|2.5\r", 1))
    assert theirs.msa.acknowledgment_code.to_er7() == "AE"
    assert theirs.err.hl7_error_code.to_er7().startswith("102")


def test_the_code_follows_from_the_issues():
    assert ack_code([]) == "AA"
    assert ack_code([Issue("warning", "value", "odd")]) == "AA"
    assert ack_code([issue("102", "bad date")]) == "AE"
    assert ack_code([error("not-found", "no such organisation")]) == "AE"
    assert ack_code([issue("102", "bad date"), issue("203", "version")]) == "AR"
    assert ack_code([issue("100", "no MSH")]) == "AR"

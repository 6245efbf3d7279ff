"""Batches: HL7 v2.4 chapter 2.15, and the batch of acknowledgements of 2.13."""

import hl7
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.hl7v2 import ack, batch, batch_ack, parse
from r4.issue import FhirError

NOW = "2026-11-22T09:30:00Z"
FHS = "FHS|^~\\&|EPR|RTH|CSOR|NPEU|202505060930||night.hl7||F1"
BHS = "BHS|^~\\&|EPR|RTH|CSOR|NPEU|202505060930||||B{}"


def message(number: int) -> str:
    return f"MSH|^~\\&|EPR|RTH|CSOR|NPEU|202505060930||ADT^A01|M{number}|P|2.4\rPID|{number}"


def joined(*lines: str, end: str = "\r") -> bytes:
    return "".join(f"{line}\r" for line in lines).replace("\r", end).encode()


def answers(found) -> list[bytes]:
    return [
        ack(parse(raw), code="AA", control_id=f"a{number}", now=NOW)
        for number, raw in enumerate(found.messages)
    ]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_a_file_of_two_batches_is_divided_into_its_messages(end):
    raw = joined(
        FHS, BHS.format(1), message(1), message(2), "BTS|2", BHS.format(2), message(3), "BTS|1",
        "FTS|2", end=end,
    )  # fmt: skip
    found = batch(b"\xef\xbb\xbf\r\n" + raw)
    assert [parse(one).header.control_id for one in found.messages] == ["M1", "M2", "M3"]
    assert [len(part.messages) for part in found.parts] == [2, 1]
    assert found.messages[0] == joined(message(1), end=end)


@pytest.mark.parametrize(
    "lines",
    [
        [BHS.format(1), message(1), message(2), "BTS|2|all of them"],
        [BHS.format(1), message(1), message(2)],
        [BHS.format(1), message(1), message(2), "BTS"],
        [FHS, message(1), message(2), "FTS|1"],
        [FHS, BHS.format(1), message(1), message(2), "BTS|2", "FTS"],
    ],
)
def test_file_header_trailers_and_their_counts_are_optional(lines):
    assert [parse(one).header.control_id for one in batch(joined(*lines)).messages] == ["M1", "M2"]


@pytest.mark.parametrize("raw", [b"", b"hello", joined(message(1)), b"<ADT_A01/>", b"BTS|0"])
def test_what_has_no_batch_header_is_no_batch(raw):
    assert batch(raw) is None


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([BHS.format(1), message(1), "BTS|2"], "BTS-1 does not say the number of messages"),
        ([BHS.format(1), message(1), "BTS|" + "9" * 5000], "BTS-1 does not say the number"),
        ([BHS.format(1), message(1), "BTS|one"], "BTS-1 does not say the number of messages"),
        ([FHS, BHS.format(1), message(1), "BTS|1", "FTS|2"], "FTS-1 does not say the number"),
        ([BHS.format(1), message(1), "BTS|1", "FTS|1"], "FTS out of order"),
        ([FHS, message(1), "BTS|1", "FTS|1"], "BTS out of order"),
        ([FHS, FHS, message(1)], "FHS out of order"),
        ([BHS.format(1), "PID|1", "BTS|0"], "BHS is followed by PID"),
        ([BHS.format(1), message(1), "BTS|1", "PID|1"], "BTS is followed by PID"),
        (["BHS|^^", message(1), "BTS|1"], "five different separators"),
    ],
)
def test_a_batch_that_is_not_whole_is_refused_as_a_whole(lines, words):
    with pytest.raises(FhirError) as refused:
        batch(joined(*lines))
    assert refused.value.status == 400
    assert refused.value.issues[0].rule == "100"
    assert words in refused.value.issues[0].diagnostics


def test_within_a_frame_a_batch_is_refused_as_before():
    with pytest.raises(FhirError, match="one message at a time"):
        parse(joined(BHS.format(1), message(1), "BTS|1"))


def test_the_answers_come_as_a_batch_of_the_same_form_to_the_sender():
    raw = joined(FHS, BHS.format(1), message(1), "BTS|1", BHS.format(2), message(2), "BTS", "FTS")
    found = batch(raw)
    lines = batch_ack(found, answers(found), control_id="r1", now=NOW).decode().split("\r")
    assert [line[:3] for line in lines] == [
        *("FHS", "BHS", "MSH", "MSA", "BTS", "BHS", "MSH", "MSA", "BTS", "FTS", "")
    ]
    assert lines[0] == "FHS|^~\\&|CSOR|NPEU|EPR|RTH|20261122093000+0000||||r1|F1"
    assert lines[1] == "BHS|^~\\&|CSOR|NPEU|EPR|RTH|20261122093000+0000||||r1|B1"
    assert (lines[4], lines[8], lines[9]) == ("BTS|1", "BTS|1", "FTS|2")
    assert [line for line in lines if line.startswith("MSA")] == ["MSA|AA|M1", "MSA|AA|M2"]


def test_the_answer_uses_the_separators_of_each_header():
    raw = b"BHS*:+!;*EPR:1*RTH*CSOR*NPEU*20250506****B*1\r" + joined(message(1))
    found = batch(raw)
    lines = batch_ack(found, answers(found), control_id="r*1", now=NOW).decode().split("\r")
    assert lines[0].startswith("BHS*:+!;*CSOR*NPEU*EPR:1*RTH*")
    assert lines[0].endswith("*r!F!1*B")
    assert lines[1].startswith("MSH|^~\\&|")
    assert lines[-2] == "BTS*1"


def test_every_message_must_have_its_answer():
    found = batch(joined(BHS.format(1), message(1)))
    with pytest.raises(ValueError, match="1 messages have 0 answers"):
        batch_ack(found, [], control_id="r1", now=NOW)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_any_number_of_batches_is_answered_message_by_message_and_read_by_hl7(sizes):
    lines, number = [FHS], 0
    for size in sizes:
        lines += [BHS.format(size), *(message(number + n) for n in range(size)), f"BTS|{size}"]
        number += size
    raw = joined(*lines, f"FTS|{len(sizes)}")
    found = batch(raw)
    assert [parse(one).header.control_id for one in found.messages] == [
        f"M{n}" for n in range(number)
    ]
    answer = batch_ack(found, answers(found), control_id="r", now=NOW)
    again = batch(answer)
    assert [len(part.messages) for part in again.parts] == sizes
    theirs = hl7.parse_file(answer.decode())
    assert [[str(one.segment("MSA")(2)) for one in part] for part in theirs] == [
        [parse(one).segments("MSA")[0].field(2).value for one in part.messages]
        for part in again.parts
    ]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_none_or_a_fhir_error(raw):
    for candidate in (raw, b"BHS|^~\\&|" + raw, b"FHS|^~\\&|\r" + raw):
        try:
            batch(candidate)
        except FhirError:
            continue

"""A signed note as MDM: what a hospital's records read of it, and what is not sent."""

from copy import deepcopy
from datetime import UTC, datetime

import hl7apy.consts
import pytest
from hl7apy.parser import parse_message

from mappings.hl7v2 import Message, parse
from mappings.hl7v2.mdm import Known, Sent, mdm
from r4.issue import FhirError
from r4.json import Resource, decode
from tests.support.server import ROOT

NHS = "https://fhir.nhs.uk/Id/nhs-number"
CHI = "https://fhir.nhs.uk/Id/chi-number"
SENT = Sent("CSOR", "C-1", datetime(2026, 7, 23, 10, 0, tzinfo=UTC))
CHILD: Resource = {
    "resourceType": "Patient",
    "identifier": [{"system": NHS, "value": "9990000018"}, {"system": CHI, "value": "0101250001"}],
    "name": [{"family": "O'N|eill^Ŵyn", "given": ["Ann", "B"]}],
    "birthDate": "2025-04-30",
    "gender": "female",
}
LINES = ["Findings", "Narrow ~ wide & |pipe| ^caret^ \\back\\"]
EXAMPLE = (
    ROOT / "questionnaires/examples/operative-note-hirschsprung/soave-laparoscopic.bundle.json"
)


@pytest.fixture
def document() -> Resource:
    """The document of a signed example."""
    entries = decode(EXAMPLE.read_bytes())["entry"]
    found = next(e["resource"] for e in entries if e["resource"].get("type") == "document")
    return deepcopy(found)


def value(message: Message, place: str) -> str:
    """Return a value such as PID-5.2."""
    segment, _, field = place.partition("-")
    number, _, component = field.partition(".")
    held = message.segments(segment)[0]
    return (
        held.field(int(number)).component(int(component)) if component else held.value(int(number))
    )


def read(document: Resource, known: Known | None = None) -> Message:
    return parse(mdm(document, b"%PDF-1.7", LINES, sent=SENT, known=known or Known(CHILD)))


def test_it_says_who_sends_what_to_which_hospital(document: Resource) -> None:
    message = read(document)
    expected = {
        "MSH-3": "CSOR", "MSH-4": "CSOR", "MSH-5": "ROUTE", "MSH-6": "RTH", "MSH-7": "20260723110000",
        "MSH-9.1": "MDM", "MSH-9.2": "T02", "MSH-9.3": "MDM_T02", "MSH-10": "C-1", "MSH-11": "P",
        "MSH-12": "2.4", "MSH-17": "GBR", "MSH-18": "UNICODE UTF-8", "EVN-1": "T02",
    }  # fmt: skip
    assert {place: value(message, place) for place in expected} == expected


def test_it_names_the_child_as_uk_senders_do(document: Resource) -> None:
    message = read(document)
    numbers = message.segments("PID")[0].field(3).repetitions
    assert [(n.component(1), n.component(4)) for n in numbers] == [
        ("9990000018", "NHS"),
        ("0101250001", "CHI"),
    ]
    places = ("PID-5.1", "PID-5.2", "PID-7", "PID-8")
    assert [value(message, place) for place in places] == ["O'N|eill^Ŵyn", "Ann B", "20250430", "2"]
    assert value(read(document, Known()), "PID-3.1") == "9990000018"  # as the document says


def test_the_document_is_authenticated_by_who_signed_and_numbered(document: Resource) -> None:
    message = read(document)
    expected = {
        "TXA-2": "OP", "TXA-4": "202603090912", "TXA-5.1": "0000000", "TXA-5.2": "Surgeon",
        "TXA-5.9": "GMC", "TXA-12.1": document["identifier"]["value"].removeprefix("urn:uuid:"),
        "TXA-17": "LA", "TXA-19": "AV", "TXA-22.1": "0000000", "TXA-22.15": "202611221000",
    }  # fmt: skip
    assert {place: value(message, place) for place in expected} == expected


def test_it_holds_the_print_and_the_text(document: Resource) -> None:
    pdf, text = read(document).segments("OBX")
    assert [pdf.field(5).component(n) for n in range(1, 6)] == [
        "CSOR", "AP", "PDF", "Base64", "JVBERi0xLjc=",
    ]  # fmt: skip
    assert [line.text for line in text.field(5).repetitions] == LINES


@pytest.mark.parametrize(("code", "event"), [("appends", "T06"), ("replaces", "T10")])
def test_an_addendum_and_a_replacement_name_the_earlier_document(
    document: Resource, code: str, event: str
) -> None:
    target = {"reference": "Composition/earlier"}
    document["entry"][0]["resource"]["relatesTo"] = [{"code": code, "targetReference": target}]
    message = read(document, Known(parent="urn:uuid:1"))
    assert [value(message, place) for place in ("MSH-9.2", "EVN-1", "TXA-13.1")] == [
        event,
        event,
        "1",
    ]
    with pytest.raises(FhirError, match="whose number is not known"):
        read(document)


def test_what_is_no_signed_operative_note_of_a_hospital_is_not_sent(document: Resource) -> None:
    other = deepcopy(document)
    other["entry"][0]["resource"]["type"]["coding"][0]["code"] = "18842-5"
    kept = [e for e in document["entry"] if e["resource"]["resourceType"] != "Organization"]
    nowhere = {**document, "entry": kept}
    for refused in (other, nowhere, {**document, "type": "collection"}):
        with pytest.raises(FhirError):
            read(refused)


def test_hl7apy_finds_it_valid_by_the_letter_of_2_4(document: Resource) -> None:
    raw = mdm(document, b"%PDF-1.7", LINES, sent=SENT, known=Known(CHILD))
    level = hl7apy.consts.VALIDATION_LEVEL.STRICT
    message = parse_message(raw.decode(), validation_level=level)
    assert message.validate()
    assert message.name == "MDM_T02"

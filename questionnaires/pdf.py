"""The signed document of a note as a PDF: for reading, for printing, and with the document attached.

Made of the document alone, and the same bytes each time. It is tagged, for screen readers (PDF/UA-1),
and fit for archives (PDF/A-3a). https://hl7.org/fhir/R4/documents.html
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import typst

from questionnaires.elements import Item, value_of
from questionnaires.narrative_blocks import blocks
from r4 import dates
from r4.issue import FhirError, error
from r4.json import Resource, encode

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_RELATIONS = {
    "appends": "Addendum to an earlier note",
    "replaces": "Correction, in place of an earlier note",
}
_NUMBERS = {
    "https://fhir.nhs.uk/Id/nhs-number": "NHS number",
    "https://fhir.nhs.uk/Id/chi-number": "CHI number",
}


def pdf(document: Resource, signed: bytes) -> bytes:
    """Return the PDF of a document Bundle; signed, the Bundle's JSON as it is stored, is attached.

    Raises FhirError (422) for a Bundle that is no document of an attested Composition, and where a
    text holds a letter that the font does not have: nothing is left out of a print.
    """
    said = encode(printed(document)).decode()
    try:
        return typst.compile(
            _layout(),
            format="pdf",
            sys_inputs={"note": said, "signed": signed.decode()},
            pdf_standards=["a-3a", "ua-1"],
            ignore_system_fonts=True,
        )
    except typst.TypstError as failed:
        text = f"The note cannot be printed as it is: {failed}"
        raise FhirError(422, [error("processing", text, "Bundle", "pdf")]) from None


@cache
def _layout() -> bytes:
    return Path(__file__).with_name("note.typ").read_bytes()


def printed(document: Resource) -> dict[str, Any]:
    """Return what the print of a document shows, as texts.

    title, foot, signers: texts; signed-on: the moment's parts, in UTC; head: pairs of a label and its
    lines; sections: titles and blocks; signature: paragraphs; coded: question, answer, system, code.
    """
    held = {entry.get("fullUrl", ""): entry["resource"] for entry in document.get("entry", ())}
    composition: Resource = next(iter(held.values()), {})
    attested = [each for each in composition.get("attester", ()) if "time" in each]
    if document.get("type") != "document" or not attested:
        text = "Only the document of an attested Composition is printed: sign the note first."
        raise FhirError(422, [error("business-rule", text, "Bundle", "pdf")])
    child = _child(composition, held)
    signers = [_name(each.get("party", {}), held) for each in attested]
    signed = _utc(attested[0]["time"])
    head = {
        "Kind": _kind(composition),
        "Child": child["name"],
        "Date of birth": _day(child["birthDate"]),
        **{label: child[label] for label in _NUMBERS.values()},
        "Hospital": _name(composition.get("custodian", {}), held),
        "Signed by": ", ".join(signers),
        "Signed": _moment(signed),
    }
    return {
        "title": composition.get("title", "Note"),
        "signers": signers,
        "signed-on": signed,
        "head": [[label, [text]] for label, text in head.items() if text],
        "foot": " · ".join(
            filter(None, (child["name"], *_numbers(child), composition.get("title")))
        ),
        "sections": list(_sections(composition.get("section", ()))),
        "signature": _signature(document, signers, signed),
        "coded": [row for each in held.values() for row in _coded(each)],
    }


def _kind(composition: Resource) -> str:
    """Return what a note is to an earlier one; nothing of one that stands by itself."""
    said = (_RELATIONS.get(each["code"]) for each in composition.get("relatesTo", ()))
    return ", ".join(filter(None, said))


def _child(composition: Resource, held: dict[str, Resource]) -> dict[str, str]:
    subject = composition.get("subject", {})
    patient = held.get(subject.get("reference", ""), {})
    identifiers = [*patient.get("identifier", ()), subject.get("identifier", {})]
    numbers = dict.fromkeys(_NUMBERS.values(), "")
    for each in identifiers:
        if (label := _NUMBERS.get(each.get("system", ""))) is not None:
            numbers[label] = numbers[label] or each.get("value", "")
    name = _name(subject, held)
    return {"name": name, "birthDate": patient.get("birthDate", ""), **numbers}


def _numbers(child: dict[str, str]) -> list[str]:
    return [f"{label} {child[label]}" for label in _NUMBERS.values() if child[label]]


def _name(reference: dict[str, Any], held: dict[str, Resource]) -> str:
    """Return the name of who is referred to, as the document has it."""
    resource = held.get(reference.get("reference", ""), {})
    names = resource.get("name", "")
    if isinstance(names, list) and names:
        first = names[0]
        parts = (*first.get("prefix", ()), *first.get("given", ()), first.get("family", ""))
        names = first.get("text") or " ".join(filter(None, parts))
    return str(names or reference.get("display", ""))


def _sections(sections: Any) -> Iterator[dict[str, Any]]:
    """Yield the title and blocks of each section that has a narrative, those within it after it."""
    for section in sections:
        if found := blocks(section.get("text")):
            yield {"title": section.get("title", ""), "blocks": found}
        yield from _sections(section.get("section", ()))


def _signature(document: Resource, signers: list[str], signed: dict[str, int]) -> list[str]:
    said = [f"Signed by {', '.join(signers)} on {_moment(signed)}."]
    identifier = document.get("identifier", {}).get("value", "")
    said.append(
        "This is a print. What was signed is the FHIR document that is attached to this file as "
        f"document.json{', ' + identifier if identifier else ''}."
    )
    if "signature" in document:
        said.append(
            "It carries a digital signature (Bundle.signature, a JWS): verify it with the keys "
            "that the registry publishes."
        )
    return said


def _coded(resource: Resource) -> Iterator[list[str]]:
    """Yield question, answer, code system and code of a response's answers that have a code."""
    if resource["resourceType"] == "QuestionnaireResponse":
        yield from _of_items(resource.get("item", ()))


def _of_items(items: list[Item]) -> Iterator[list[str]]:
    for item in items:
        for answer in item.get("answer", ()):
            found = value_of(answer)
            kind, value = ("", {}) if found is None else found
            if kind in ("Coding", "Quantity") and "code" in value:
                number = f"{value.get('value', '')} {value.get('unit', '')}".strip()
                shown = value.get("display", "") if kind == "Coding" else number
                question = str(item.get("text") or item.get("linkId", ""))
                yield [question, shown, value.get("system", ""), str(value["code"])]
            yield from _of_items(answer.get("item", []))
        yield from _of_items(item.get("item", []))


def _utc(text: str) -> dict[str, int]:
    """Return year, month, day, hour, minute and second of an instant, in UTC."""
    moment = datetime.fromtimestamp(dates.interval(text)[0] // 1_000_000, UTC)
    names = ("year", "month", "day", "hour", "minute", "second")
    return {name: getattr(moment, name) for name in names}


def _moment(parts: dict[str, int]) -> str:
    day = f"{parts['day']} {_MONTHS[parts['month'] - 1]} {parts['year']}"
    return f"{day}, {parts['hour']:02}:{parts['minute']:02} UTC"


def _day(text: str) -> str:
    try:
        partial = dates.parse_date(text)
    except ValueError:
        return text
    month = "" if partial.month is None else f"{_MONTHS[partial.month - 1]} "
    return f"{'' if partial.day is None else f'{partial.day} '}{month}{partial.year}"

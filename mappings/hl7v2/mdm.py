"""A signed note as an HL7 v2 message to a hospital's records: MDM with the print and the text.

T02 for a note, T06 for an addendum, T10 for a note that replaces another; as UK v2.4 senders write it.
HL7 v2.4 chapter 9 (TXA, table 0270 and those after it).
"""

from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from mappings.hl7v2.ack import escaped
from mappings.hl7v2.parse import Separators
from mappings.hl7v2.timestamps import LONDON
from r4.issue import FhirError, error
from r4.json import Resource

_MARKS = Separators()
_NOTE = "11504-8"
_TYPE = ("OP", "Operative report", "HL70270")
_EVENTS = {None: "T02", "appends": "T06", "replaces": "T10"}
_AUTHORITIES = {
    "https://fhir.nhs.uk/Id/nhs-number": "NHS",
    "https://fhir.nhs.uk/Id/chi-number": "CHI",
}
_GMC = "https://fhir.hl7.org.uk/Id/gmc-number"
_ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
_GENDERS = {"male": "1", "female": "2", "other": "9"}
_NOT_KNOWN = "X"
_URN = "urn:uuid:"


class Sent(NamedTuple):
    """What a message is sent as: MSH-4, MSH-10 (20 characters at most), and the moment of MSH-7."""

    sender: str
    control_id: str
    now: datetime


class Known(NamedTuple):
    """What is known beside a document: its child and surgeon, in place of what it says of them.

    parent: the number of the document that it adds to or replaces.
    """

    patient: Resource | None = None
    author: Resource | None = None
    parent: str | None = None


_NOTHING = Known()


def mdm(
    document: Resource,
    pdf: bytes,
    lines: Sequence[str],
    *,
    sent: Sent,
    known: Known = _NOTHING,
) -> bytes:
    """Return the message of a signed document, in UTF-8, each segment ended by a carriage return.

    lines: the note as text. It is for the hospital of the note, by ODS code. Raises FhirError (422) for
    a document that is no operative note, has no number or hospital, or speaks of an earlier one without
    its number.
    """
    note, parent = _Note.of(document), known.parent
    note = note._replace(patient=known.patient or note.patient, author=known.author or note.author)
    event = _EVENTS.get(note.relation)
    if event is None or (note.relation is not None and parent is None):
        text = f"The note {note.relation} another document, whose number is not known: send that first."
        raise _refusal(text)
    stamp = sent.now.astimezone(LONDON).strftime("%Y%m%d%H%M%S")
    segments = [
        _segment(
            "MSH", "CSOR", sent.sender, "ROUTE", note.hospital, stamp, "", ("MDM", event, "MDM_T02"),
            sent.control_id, "P", "2.4", "", "", "", "", "GBR", "UNICODE UTF-8",
        ),
        _segment("EVN", event, stamp),
        _segment("PID", "1", "", *_child(note.patient)),
        _segment("PV1", "1", "U"),
        _header(note, parent),
        _segment("OBX", "1", "ED", _TYPE, "", _print(pdf), "", "", "", "", "", "F"),
        _segment("OBX", "2", "TX", _TYPE, "", [*lines], "", "", "", "", "", "F"),
    ]  # fmt: skip
    return "".join(f"{segment}\r" for segment in segments).encode()


class _Note(NamedTuple):
    """What the message says of a document: its parties, its number, when it was done and signed."""

    composition: Resource
    patient: Resource
    author: Resource
    hospital: str
    number: str
    done: str
    relation: str | None

    @classmethod
    def of(cls, document: Resource) -> "_Note":
        held = {each.get("fullUrl", ""): each["resource"] for each in document.get("entry", ())}
        composition: Resource = next(iter(held.values()), {})
        codings = composition.get("type", {}).get("coding", ())
        if document.get("type") != "document" or all(c.get("code") != _NOTE for c in codings):
            raise _refusal("Only the document of a signed operative note is sent as a message.")
        custodian = held.get(composition.get("custodian", {}).get("reference", ""), {})
        hospital = _identifier(custodian, _ODS)
        number = document.get("identifier", {}).get("value", "").removeprefix(_URN)
        if not hospital or not number:
            raise _refusal("The document has no number, or names no hospital by its ODS code.")
        author = composition["author"][0]
        procedures = [each for each in held.values() if each["resourceType"] == "Procedure"]
        return cls(
            composition,
            held.get(composition["subject"].get("reference", ""), {}),
            {"display": author.get("display"), **held.get(author.get("reference", ""), {})},
            hospital,
            number,
            _performed(procedures) or composition["date"],
            next((each["code"] for each in composition.get("relatesTo", ())), None),
        )


def _performed(procedures: list[Resource]) -> str | None:
    for each in procedures:
        moment = each.get("performedDateTime") or each.get("performedPeriod", {}).get("start")
        if moment:
            return str(moment)
    return None


def _refusal(text: str) -> FhirError:
    return FhirError(422, [error("business-rule", text, "Bundle", "mdm")])


def _identifier(resource: Resource, system: str) -> str:
    found = (each for each in resource.get("identifier", ()) if each.get("system") == system)
    return next((str(each.get("value", "")) for each in found), "")


def _child(patient: Resource) -> tuple[Any, ...]:
    """Return PID-3 to PID-8."""
    numbers = [
        (number, "", "", authority)
        for system, authority in _AUTHORITIES.items()
        if (number := _identifier(patient, system))
    ]
    family, given = _names(patient)
    born = str(patient.get("birthDate", "")).replace("-", "")
    gender = _GENDERS.get(patient.get("gender", ""), _NOT_KNOWN)
    return numbers, "", (family, given), "", born, gender


def _names(person: Resource) -> tuple[str, str]:
    """Return family and given names; a name that is one text is its last word and those before it."""
    name = (person.get("name") or [{}])[0]
    if "family" in name:
        return name["family"], " ".join(name.get("given", ()))
    words = str(name.get("text") or person.get("display") or "").split()
    return (words[-1], " ".join(words[:-1])) if words else ("", "")


def _header(note: _Note, parent: str | None) -> str:
    author = (_identifier(note.author, _GMC), *_names(note.author), "", "", "", "", "", "GMC")
    attested = note.composition.get("attester", [{}])[0].get("time", note.composition["date"])
    authenticated = (*author, "", "", "", "", "", _local(attested))
    written = _local(note.composition["date"])
    before = (parent.removeprefix(_URN), "CSOR") if parent else ""
    return _segment(
        "TXA", "1", _TYPE[0], "AP", _local(note.done), author, written, "", "", author, "", "",
        (note.number, "CSOR"), before, "", "", "note.pdf", "LA", "U", "AV", "", "", authenticated,
    )  # fmt: skip


def _local(moment: str) -> str:
    """Return a FHIR date or dateTime as London's clocks say it, to the minute; a day as it is."""
    if "T" not in moment:
        return moment.replace("-", "")
    return datetime.fromisoformat(moment).astimezone(LONDON).strftime("%Y%m%d%H%M")


def _print(pdf: bytes) -> tuple[str, ...]:
    return "CSOR", "AP", "PDF", "Base64", b64encode(pdf).decode()


def _segment(name: str, *fields: Any) -> str:
    """Write a segment: a tuple is a field's components, a list its repetitions."""
    first = [name, _MARKS.encoding_characters] if name == "MSH" else [name]
    return _MARKS.field.join([*first, *map(_field, fields)]).rstrip(_MARKS.field)


def _field(value: Any) -> str:
    if isinstance(value, list):
        return _MARKS.repetition.join(map(_field, value))
    if isinstance(value, tuple):
        parts = [escaped(str(each), _MARKS) for each in value]
        return _MARKS.component.join(parts).rstrip(_MARKS.component)
    return escaped(str(value), _MARKS)

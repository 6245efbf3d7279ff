"""Documents (MDM): which one, how far it has come, what it adds to or replaces, and its content.

HL7 v2.4 chapter 9; https://hl7.org/fhir/R4/documentreference.html. The content is kept inline, with
its size and hash. A part that is a CDA document is kept as any other: its sections are not read here.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable

from mappings.hl7v2 import timestamps
from mappings.hl7v2.datatypes import cwe
from mappings.hl7v2.errors import DATA_TYPE, REQUIRED, TABLE_VALUE, TOO_LONG
from mappings.hl7v2.functions.identity import known_as
from mappings.hl7v2.parse import Repetition, Segment
from mappings.hl7v2.scope import Compute, Here
from r4.json import Resource

LARGEST = 16 * 1024 * 1024
"""Most bytes that one part of a document may have; as base64 a third more."""

_RELATIONS = {"T05": "appends", "T06": "appends", "T09": "replaces", "T10": "replaces"}
_CANCEL = "T11"
_AUTHENTICATED = ("AU", "LA")
_TEXT = ("", "TX", "FT", "ST")
_MEDIA_TYPE = re.compile(
    r"(?:application|audio|image|message|model|multipart|text|video)/[a-z0-9.+-]+\Z", re.ASCII
)
_URL = re.compile(r"(?:https?|ftps?|urn):\S+\Z")
_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0270"
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


def document_number(here: Here) -> Resource | None:
    """Return TXA-12, by which the document is known."""
    return _numbered(here, 12)


def parent_number(here: Here) -> Resource | None:
    """Return TXA-13, the number of the document that this one adds to or replaces."""
    return _numbered(here, 13)


def has_parent(here: Here) -> bool:
    """Tell whether the event says that the document adds to another one, or replaces it."""
    own, parent = _number(here, 12), _number(here, 13)
    return _event(here) in _RELATIONS and bool(parent[1]) and own != parent


def relation(here: Here) -> str | None:
    """Return appends or replaces; report an addendum or a replacement that names no parent."""
    if _event(here) in _RELATIONS and not _number(here, 13)[1]:
        text = "TXA-13, the number of the document that this one adds to or replaces, is missing."
        here.at(13).fail(REQUIRED, text)
    return _RELATIONS[_event(here)] if has_parent(here) else None


def parent_status(here: Here) -> str:
    """Return what becomes of the parent: superseded where it is replaced."""
    return "superseded" if _RELATIONS[_event(here)] == "replaces" else "current"


def document_status(here: Here) -> str | None:
    """Return the status by TXA-19, current where it is blank; a cancelled one is in error."""
    if _event(here) == _CANCEL:
        return "entered-in-error"
    code = here.value("TXA", 19)
    return _coded(here.at(19), "DocumentAvailability", code) if code else "current"


def document_stage(here: Here) -> str | None:
    """Return how far the document itself has come, by TXA-17; a cancelled one is in error."""
    if _event(here) == _CANCEL:
        return "entered-in-error"
    code = here.value("TXA", 17)
    return _coded(here.at(17), "DocumentCompletion", code) if code else None


def document_type(here: Here) -> Resource | None:
    """Return TXA-2; codes without a coding system are those of HL7 table 0270.

    Of those, the ones that LOINC has a code for get it too.
    """
    found = here.segment.field(2).repetitions
    concept = cwe(found[0], here.at(2)) if found else None
    for coding in concept.get("coding", [])[:1] if concept else ():
        if coding.get("system", _TYPES) == _TYPES:
            known = here.translations("DocumentType", coding["code"])
            named = [{**one, **_shown(coding)} for one in known[:1]] + list(known[1:])
            concept = {**(concept or {}), "coding": named or [coding]}
    return concept


def document_date(here: Here) -> str | None:
    """Return TXA-6 where it is a time: an instant cannot be a day."""
    moment = timestamps.date_time(here.value("TXA", 6))
    return moment if moment and "T" in moment else None


def is_authenticated(here: Here) -> bool:
    """Tell whether TXA-17 says that the document has been authenticated."""
    return here.value("TXA", 17) in _AUTHENTICATED


def is_notification(here: Here) -> bool:
    """Tell whether the event is one that tells of a document without its content."""
    return here.run.event.structure == "MDM_T01"


def absent_content(here: Here) -> Resource:  # noqa: ARG001
    """Return content that says it is not there; a merge leaves what is stored in its place."""
    return {"attachment": {"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}}


def document_text(here: Here) -> Resource | None:
    """Return the lines of every OBX with text as one text, where the first of them stands."""
    _refuse_other_types(here)
    if _type(here.segment) not in _TEXT:
        return None
    segments = here.run.message.all_segments
    texts = (one for one in segments if one.name == "OBX" and _type(one) in _TEXT)
    first = next(texts)
    if first is not here.segment:
        return None
    text = "\n".join(line.text for one in (first, *texts) for line in one.field(5).repetitions)
    if not text.strip():
        _missing(here)
        return None
    return _attached(here, text.encode(), "text/plain; charset=utf-8")


def document_data(here: Here) -> list[Resource] | None:
    """Return the parts that OBX-5 embeds (ED), one for each repetition."""
    return _parts(here, "ED", _embedded)


def document_pointer(here: Here) -> list[Resource] | None:
    """Return the parts that OBX-5 points to (RP), by their URLs."""
    return _parts(here, "RP", _pointer)


def _event(here: Here) -> str:
    return here.run.message.header.trigger_event


def _number(here: Here, field: int) -> tuple[str, str]:
    """Return system and value of an entity identifier: the sender's, by namespace where it has one."""
    found = here.segment.field(field)
    namespace = found.component(2) or found.component(3)
    kind = "document" if namespace in ("", here.run.sender) else f"document.{namespace}"
    return here.local(kind), found.value


def _numbered(here: Here, field: int) -> Resource | None:
    system, value = _number(here, field)
    if not value:
        here.at(field).fail(REQUIRED, f"TXA-{field}, the number of the document, is missing.")
        return None
    return known_as(here, system, [value])


def _coded(here: Here, vocabulary: str, code: str) -> str | None:
    coding = here.translate(vocabulary, code)
    if coding is None:
        here.fail(TABLE_VALUE, f"The code `{code}` is not known in {vocabulary}.")
        return None
    return str(coding["code"])


def _shown(coding: Resource) -> Resource:
    return {"display": coding["display"]} if "display" in coding else {}


def _type(obx: Segment) -> str:
    return obx.value(2).upper()


def _refuse_other_types(here: Here) -> None:
    kind = _type(here.segment)
    if kind not in (*_TEXT, "ED", "RP"):
        text = f"OBX-2 `{kind}` is no content of a document; send TX, FT, ST, ED or RP."
        here.at(2).fail(DATA_TYPE, text)


def _missing(here: Here) -> None:
    here.at(5).fail(REQUIRED, "OBX-5, the content of the document, is missing.")


def _parts(
    here: Here, kind: str, read: Callable[[Repetition, Here], Resource | None]
) -> list[Resource] | None:
    if _type(here.segment) != kind:
        return None
    listed = here.segment.field(5).repetitions
    if not any(listed):
        _missing(here)
        return None
    found = (read(one, here.at(5, number)) for number, one in enumerate(listed, 1) if one)
    return [part for part in found if part is not None]


def _embedded(value: Repetition, here: Here) -> Resource | None:
    data = _decoded(value, here)
    return None if data is None else _attached(here, data, _media_type(value, here))


def _decoded(value: Repetition, here: Here) -> bytes | None:
    encoding, text = value.component(4).upper(), value.component(5)
    try:
        if encoding == "BASE64":
            found = base64.b64decode("".join(text.split()), validate=True)
        elif encoding == "HEX":
            found = bytes.fromhex(text)
        elif encoding == "A":
            found = text.encode()
        else:
            text = f"OBX-5.4 `{value.component(4)}` is no encoding; send Base64, Hex or A."
            here.fail(DATA_TYPE, text)
            return None
    except (binascii.Error, ValueError):
        here.fail(DATA_TYPE, f"OBX-5.5 is not {encoding.capitalize()}, as OBX-5.4 says it is.")
        return None
    if not found:
        _missing(here)
    return found or None


def _pointer(value: Repetition, here: Here) -> Resource | None:
    url = value.component(1)
    if not _URL.match(url):
        here.fail(DATA_TYPE, "OBX-5.1, where the document is, must be an absolute URL.")
        return None
    kind = _media_type(value, here, first=3)
    return {"attachment": {"contentType": kind, "url": url, **_described(here)}}


def _media_type(value: Repetition, here: Here, *, first: int = 2) -> str:
    """Return the media type by HL7 table 0291, or as sent in two parts (`image`, `png`)."""
    main, sub = value.component(first), value.component(first + 1)
    known = here.translate("DataSubtype", sub.upper() or main.upper())
    if known is not None:
        return str(known["code"])
    sent = f"{main}/{sub}".lower()
    return sent if _MEDIA_TYPE.match(sent) else "application/octet-stream"


def _attached(here: Here, data: bytes, media_type: str) -> Resource | None:
    if len(data) > LARGEST:
        text = f"This part of the document has {len(data)} bytes; at most {LARGEST} are taken."
        here.at(5).fail(TOO_LONG, text)
        return None
    digest = hashlib.sha1(data, usedforsecurity=False).digest()
    return {
        "attachment": {
            "contentType": media_type,
            "data": base64.b64encode(data).decode(),
            "size": len(data),
            "hash": base64.b64encode(digest).decode(),
            **_described(here),
        }
    }


def _described(here: Here) -> Resource:
    """Return the title of a part (TXA-25, OBX-3, TXA-16) and when the document was written."""
    titles = (here.value("TXA", 25), here.segment.field(3).component(2), here.value("TXA", 16))
    title = next((one for one in titles if one), "")
    created = timestamps.date_time(here.value("TXA", 6))
    return {
        **({"title": title} if title else {}),
        **({"creation": created} if created else {}),
    }


NAMED: tuple[Compute, ...] = (
    absent_content,
    document_data,
    document_date,
    document_number,
    document_pointer,
    document_stage,
    document_status,
    document_text,
    document_type,
    has_parent,
    is_authenticated,
    is_notification,
    parent_number,
    parent_status,
    relation,
)

"""Documents (MDM): which one, how far it has come, what it adds to or replaces, and its content.

HL7 v2.4 chapter 9; https://hl7.org/fhir/R4/documentreference.html. The content is kept inline, with
its size and hash. A part that is a CDA document is kept as any other: its sections are not read here.
"""

from mappings.hl7v2 import timestamps
from mappings.hl7v2.datatypes import cwe
from mappings.hl7v2.errors import DATA_TYPE, REQUIRED, TABLE_VALUE
from mappings.hl7v2.functions import content
from mappings.hl7v2.functions.identity import known_as
from mappings.hl7v2.functions.numbers import entity
from mappings.hl7v2.parse import Segment
from mappings.hl7v2.scope import Compute, Here
from r4.json import Resource

_RELATIONS = {"T05": "appends", "T06": "appends", "T09": "replaces", "T10": "replaces"}
_CANCEL = "T11"
_AUTHENTICATED = ("AU", "LA")
_TEXT = ("", "TX", "FT", "ST")
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
    return _event(here) in _RELATIONS and parent is not None and own != parent


def relation(here: Here) -> str | None:
    """Return appends or replaces; report an addendum or a replacement that names no parent."""
    if _event(here) in _RELATIONS and _number(here, 13) is None:
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
        content.miss(here.at(5))
        return None
    part = content.inline(text.encode(), "text/plain; charset=utf-8", here.at(5))
    return None if part is None else _described(part, here)


def document_data(here: Here) -> list[Resource] | None:
    """Return the parts that OBX-5 embeds (ED), one for each repetition."""
    return _parts(here, "ED")


def document_pointer(here: Here) -> list[Resource] | None:
    """Return the parts that OBX-5 points to (RP), by their URLs."""
    return _parts(here, "RP")


def _event(here: Here) -> str:
    return here.run.message.header.trigger_event


def _number(here: Here, field: int) -> Resource | None:
    """Return the Identifier of an entity identifier, None where it has no number."""
    found = here.segment.field(field)
    return entity(found.repetitions[0], "document", here) if found.value else None


def _numbered(here: Here, field: int) -> Resource | None:
    found = _number(here, field)
    if found is None:
        here.at(field).fail(REQUIRED, f"TXA-{field}, the number of the document, is missing.")
        return None
    return known_as(here, found["system"], [found["value"]])


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


def _parts(here: Here, kind: str) -> list[Resource] | None:
    if _type(here.segment) != kind:
        return None
    listed = here.segment.field(5).repetitions
    if not any(listed):
        content.miss(here.at(5))
        return None
    read = (
        content.attachment(one, kind, here.at(5, at)) for at, one in enumerate(listed, 1) if one
    )
    return [_described(part, here) for part in read if part is not None]


def _described(attachment: Resource, here: Here) -> Resource:
    """Return a part with its title (TXA-25, OBX-3, TXA-16) and when the document was written."""
    titles = (here.value("TXA", 25), here.segment.field(3).component(2), here.value("TXA", 16))
    title = next((one for one in titles if one), "")
    created = timestamps.date_time(here.value("TXA", 6))
    more = {**({"title": title} if title else {}), **({"creation": created} if created else {})}
    return {"attachment": attachment | more}


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

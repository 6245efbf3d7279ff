"""Results: which observation and which report, how far they have come, and what is attached.

HL7 v2.4 chapter 7.4. A report is an OBR that says what was asked (OBR-4); its OBX are its results.
"""

from mappings.hl7v2.datatypes import period, ts
from mappings.hl7v2.errors import DATA_TYPE, TABLE_VALUE
from mappings.hl7v2.functions.content import attachment
from mappings.hl7v2.functions.identity import message_key
from mappings.hl7v2.functions.numbers import order_numbers, order_reference
from mappings.hl7v2.scope import Compute, Here
from r4.json import Resource

_ATTACHMENTS = ("ED", "RP")
_WITHDRAWN = ("D", "W", "X")


def observation_identifier(here: Here) -> Resource:
    """Return order (OBR-3, OBR-2), code and sub-id, so that replays and corrections agree.

    Without an order the message and the child stand for it; a repeated key is numbered.
    """
    observed_code = here.segment.field(3)
    code = observed_code.component(1) or observed_code.component(2)
    key = ".".join(part for part in (_order(here), code, here.value("OBX", 4)) if part)
    return _numbered(here, "observation", "OBX", key)


def report_identifiers(here: Here) -> list[Resource]:
    """Return the report's own number (order and OBR-4), then the order's numbers.

    Laboratories give one number to several OBR of a message, so the number alone is no key.
    """
    asked = here.segment.field(4)
    key = f"{_order(here)}.{asked.component(1) or asked.component(2)}"
    return [_numbered(here, "report", "OBR", key), *order_numbers(here)]


def _order(here: Here) -> str:
    return here.value("OBR", 3) or here.value("OBR", 2) or message_key(here)


def _numbered(here: Here, kind: str, segment: str, key: str) -> Resource:
    occurrence = here.run.occurrence(f"{segment} {key}")
    value = key if occurrence == 1 else f"{key}.{occurrence}"
    return {"system": here.local(kind), "value": value}


def has_report(here: Here) -> bool:
    """Tell whether an OBR says what was asked (OBR-4): a report without that has no code."""
    asked = here.segment.field(4)
    return bool(asked.component(1) or asked.component(2) or asked.component(5))


def report_order(here: Here) -> list[Resource]:
    """Return the order that the report answers, by its number: it may not be known here."""
    return [order_reference(one) for one in order_numbers(here)[:1]]


def observed(here: Here) -> str | None:
    """Return when it was observed: OBX-14, else OBR-7."""
    for name, number in (("OBX", 14), ("OBR", 7)):
        segment = here.find(name)
        if segment is not None and (field := segment.field(number)).value:
            return ts(field.repetitions[0], here.at(number))
    return None


def effective_time(here: Here) -> str | None:
    """Return OBR-7, where OBR-8 does not make it a period."""
    field = here.segment.field(7)
    return ts(field.repetitions[0], here) if field.value and not here.value("OBR", 8) else None


def effective_period(here: Here) -> Resource | None:
    """Return OBR-7 to OBR-8; refuse an end before the start."""
    if not here.value("OBR", 8):
        return None
    start, end = (
        ts(here.segment.field(number).repetitions[0], here.at(number))
        if here.value("OBR", number)
        else None
        for number in (7, 8)
    )
    return period(start, end, here.at(8), "OBR-8, the end, comes before OBR-7, the start.")


def issued(here: Here) -> str | None:
    """Return OBR-22 where it has a time of day: FHIR has no other instant."""
    field = here.segment.field(22)
    moment = ts(field.repetitions[0], here) if field.value else None
    return moment if moment and "T" in moment else None


def observation_status(here: Here) -> str | None:
    """Return the result status of OBX-11, else of OBR-25; `unknown` where neither says."""
    code = here.value("OBX", 11)
    if not code:
        status = _report_status(here)
        return "preliminary" if status == "partial" else status
    coding = here.translate("ObservationStatus", code)
    if coding is None:
        here.at(11).fail(DATA_TYPE, f"The result status `{code}` is not in table 0085.")
        return None
    return str(coding["code"])


def report_status(here: Here) -> str:
    """Return the status of OBR-25, `unknown` where it is empty; refuse what is not in table 0123."""
    code = here.value("OBR", 25)
    if code and here.translate("ReportStatus", code) is None:
        here.fail(
            TABLE_VALUE, f"The result status `{code}` does not say how far a report has come."
        )
    return _report_status(here)


def _report_status(here: Here) -> str:
    code = here.value("OBR", 25)
    coding = here.translate("ReportStatus", code) if code else None
    return str(coding["code"]) if coding else "unknown"


def conclusion(here: Here) -> str | None:
    """Return the notes on a report as one text; each NTE adds its lines to those before it."""
    return joined_notes(here, "conclusion")


def joined_notes(here: Here, element: str) -> str | None:
    """Return the lines of NTE-3 after those that the element has; the element is emptied for them."""
    lines = [value.text for value in here.segment.field(3).repetitions]
    text = "\n".join(filter(None, lines))
    if not text or here.slot is None:
        return None
    before = here.slot.resource.pop(element, None)
    return f"{before}\n{text}" if before else text


def annotations(here: Here) -> list[Resource]:
    """Return an Annotation for each repetition of NTE-3."""
    return [{"text": value.text} for value in here.segment.field(3).repetitions if value.text]


def is_attachment(here: Here) -> bool:
    """Tell whether an OBX holds a document (ED, RP), and there is a report that can have it."""
    kind = here.segment.text(2).upper()
    return kind in _ATTACHMENTS and in_report(here)


def is_observation(here: Here) -> bool:
    """Tell whether an OBX holds a value, not a document of the report."""
    return not is_attachment(here)


def in_report(here: Here) -> bool:
    """Tell whether there is a report that a note can be about."""
    return here.scope.slot("DiagnosticReport[1]") is not None


def in_observation(here: Here) -> bool:
    """Tell whether there is an observation that a note can be about."""
    return here.scope.slot("Observation[1]") is not None


def attachments(here: Here) -> list[Resource]:
    """Return the documents in OBX-5, but for those that OBX-11 withdraws."""
    if here.segment.value(11) in _WITHDRAWN:
        return []
    kind = here.segment.text(2).upper()
    repetitions = enumerate(here.segment.field(5).repetitions, start=1)
    found = [attachment(value, kind, here.at(5, number)) for number, value in repetitions if value]
    title = here.segment.field(3).component(2)
    return [one | ({"title": title} if title else {}) for one in found if one]


NAMED: tuple[Compute, ...] = (
    annotations,
    attachments,
    conclusion,
    effective_period,
    effective_time,
    has_report,
    in_observation,
    in_report,
    is_attachment,
    is_observation,
    issued,
    observation_identifier,
    observation_status,
    observed,
    report_identifiers,
    report_order,
    report_status,
)

"""Appointments: which one, whether it stands, when it is, and who takes part.

HL7 v2.5 chapter 10. What a message lists of people, places and things is what stands: a segment that
is marked as deleted is left out.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from mappings.hl7v2 import timestamps
from mappings.hl7v2.datatypes import cwe, moment, pl, xcn
from mappings.hl7v2.errors import DATA_TYPE, REQUIRED
from mappings.hl7v2.functions.numbers import entity, order_reference
from mappings.hl7v2.functions.results import joined_notes
from mappings.hl7v2.parse import Repetition, Segment
from mappings.hl7v2.scope import Compute, Here
from mappings.hl7v2.tables import requests
from r4.json import Resource

_WITHOUT_TIME = ("cancelled", "proposed", "waitlist")
"""The statuses in which FHIR lets an appointment have no time (its constraint app-3)."""

_FIRST = ("", "0", "1")
_STARTS = (("AIS", 4, 7), ("AIP", 6, 9), ("AIL", 6, 9), ("AIG", 8, 11))
"""Where a resource of the appointment says when it starts, and for how long; the unit follows."""

_MINUTES = {
    **dict.fromkeys(("", "m", "min", "mins", "minute", "minutes"), 1),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 60),
}
_NUMBER = re.compile(r"\d{1,6}(?:\.\d{1,4})?\Z", re.ASCII)


def appointment_identifiers(here: Here) -> list[Resource]:
    """Return the placer's and the filler's number, with SCH-3 from the second occurrence on."""
    number = here.segment.value(3)
    occurrence = "" if number in _FIRST else f".{number}"
    found = [
        one | {"value": f"{one['value']}{occurrence}"}
        for field, kind in ((1, "placer-appointment"), (2, "filler-appointment"))
        if here.segment.value(field)
        and (one := entity(here.segment.field(field).repetitions[0], kind, here)) is not None
    ]
    if here.slot is not None:
        here.slot.matches = list(found)
    if not found:
        here.at(1).fail(REQUIRED, "An appointment needs a number: SCH-1 or SCH-2.")
    return found


def appointment_status(here: Here) -> str:
    """Return what the event says, unless that is no more than booked: then SCH-25, if it is known."""
    event = here.translate("AppointmentEvent", here.run.message.header.trigger_event)
    status = str(event["code"]) if event else "booked"
    stated = here.segment.value(25)
    if status != "booked" or not stated:
        return status
    coding = here.translate("FillerStatus", stated.capitalize())
    return str(coding["code"]) if coding else status


def appointment_start(here: Here) -> str | None:
    """Return when it starts: SCH-11.4, TQ1-7, else the first resource's start.

    Refused where an appointment that stands has no time, as FHIR demands one.
    """
    text = _start(here)
    if text:
        return _instant(text, here)
    if appointment_status(here) not in _WITHOUT_TIME:
        here.at(11).fail(
            REQUIRED, "The time of the appointment is missing: SCH-11.4, TQ1-7 or AIS-4."
        )
    return None


def appointment_end(here: Here) -> str | None:
    """Return when it ends: SCH-11.5, TQ1-8, else the start and the duration."""
    start_text, end_text = _start(here), _end(here)
    start = timestamps.date_time(start_text) if start_text else None
    if start is None:
        return None
    if not end_text:
        return _after(start, here)
    end = _instant(end_text, here)
    if end and timestamps.is_before(end, start):
        here.fail(DATA_TYPE, "The appointment ends before it starts.")
    return end


def _after(start: str, here: Here) -> str | None:
    minutes = _duration(here)
    if minutes is None:
        text = "The end of the appointment is missing: SCH-11.5, TQ1-8 or a duration in SCH-9."
        here.at(11).fail(REQUIRED, text)
        return None
    end = _later(start, minutes)
    if end is None:
        here.at(11).fail(DATA_TYPE, f"The appointment ends after the last day there is ({start}).")
    return end


def _later(start: str, minutes: float) -> str | None:
    try:
        return (datetime.fromisoformat(start) + timedelta(minutes=minutes)).isoformat()
    except (ValueError, OverflowError):
        return None


def _start(here: Here) -> str:
    starts = (found.value(field) for found, field, _ in _resources(here))
    return here.segment.field(11).component(4) or here.value("TQ1", 7) or next(starts, "")


def _end(here: Here) -> str:
    return here.segment.field(11).component(5) or here.value("TQ1", 8)


def _duration(here: Here) -> float | None:
    durations = [_minutes(here.segment, 9)]
    durations += [_minutes(found, field) for found, _, field in _resources(here)]
    return next((found for found in durations if found), None)


def _minutes(segment: Segment, field: int) -> float | None:
    """Return a duration whose unit is in the next field."""
    text, factor = segment.value(field), _MINUTES.get(segment.value(field + 1).lower())
    return float(text) * factor if factor and _NUMBER.match(text) else None


def _resources(here: Here) -> Iterator[tuple[Segment, int, int]]:
    """Yield the resources that say when they start, with the fields of start and duration."""
    for name, start, duration in _STARTS:
        for segment in here.run.message.segments(name):
            if segment.value(start):
                yield segment, start, duration


def _instant(text: str, here: Here) -> str | None:
    found = timestamps.date_time(text)
    if found is None or "T" not in found:
        here.fail(DATA_TYPE, f"`{text}` is not a date with a time of day.")
        return None
    return found


def appointment_minutes(here: Here) -> int | None:
    """Return SCH-9 in whole minutes, where SCH-10 is a unit that is known.

    Another time without a duration leaves none: that of the old time need not be right.
    """
    found = int(_minutes(here.segment, 9) or 0) or None
    if found is None and _start(here) and here.slot is not None:
        here.slot.deleted["minutesDuration"] = None
    return found


def cancellation_reason(here: Here) -> Resource | None:
    """Return SCH-6 of what is cancelled; an appointment that stands again loses its reason."""
    if appointment_status(here) != "cancelled":
        if here.slot is not None:
            here.slot.deleted["cancelationReason"] = None
        return None
    field = here.segment.field(6)
    return cwe(field.repetitions[0], here) if field else None


def appointment_orders(here: Here) -> list[Resource]:
    """Return the orders that it is for, SCH-26 and SCH-27, by their numbers."""
    found = (
        entity(value, kind, here)
        for field, kind in ((26, "placer-order"), (27, "filler-order"))
        for value in here.segment.field(field).repetitions
    )
    return [order_reference(one) for one in found if one is not None]


def appointment_comment(here: Here) -> str | None:
    """Return the notes as one text; each NTE adds its lines to those before it."""
    return joined_notes(here, "comment")


def service(here: Here) -> Resource | None:
    """Return what is done, AIS-3; what is deleted goes, where the message leaves nothing else."""
    field = here.segment.field(3)
    if _is_deleted(here):
        if here.slot is not None:
            here.slot.deleted["serviceType"] = None
        return None
    return cwe(field.repetitions[0], here) if field else None


def personnel(here: Here) -> list[Resource]:
    """Return a participant for each person of AIP-3."""
    if _is_deleted(here):
        return []
    found = []
    for number, value in enumerate(here.segment.field(3).repetitions, start=1):
        person = xcn(value, here.at(3, number))
        if person is not None:
            is_known = "resourceType" in person
            actor = here.run.add(person, requests()["Practitioner"]) if is_known else person
            found.append(_participant(actor, here, 4, 6))
    return found


def place(here: Here) -> list[Resource]:
    """Return a participant for each place of AIL-3."""
    if _is_deleted(here):
        return []
    found = (pl(value, here) for value in here.segment.field(3).repetitions)
    return [_participant(actor, here, 4, 6) for actor in found if actor is not None]


def thing(here: Here) -> list[Resource]:
    """Return a participant for each thing of AIG-3: a scanner, a room, a list."""
    if _is_deleted(here):
        return []
    found = (_named(value, here) for value in here.segment.field(3).repetitions)
    return [_participant(actor, here, 4, 8) for actor in found if actor is not None]


def _named(value: Repetition, here: Here) -> Resource | None:
    code, text = value.component(1), value.component(2)
    if not code:
        return {"display": text} if text else None
    return {
        "identifier": {"system": here.local("resource"), "value": code},
        "display": text or code,
    }


def _is_deleted(here: Here) -> bool:
    return here.segment.value(2) == "D"


def _participant(actor: object, here: Here, kind: int, start: int) -> Resource:
    """Return a participant; its duration stands three fields after its start."""
    field = here.segment.field(kind)
    concept = cwe(field.repetitions[0], here) if field else None
    since = moment(here.segment.value(start), here.at(start))
    return {
        **({"type": [concept]} if concept else {}),
        "actor": actor,
        "status": "accepted",
        **({"period": _period(since, here.segment, start + 3)} if since else {}),
    }


def _period(start: str, segment: Segment, duration: int) -> Resource:
    minutes = _minutes(segment, duration)
    end = _later(start, minutes) if minutes and "T" in start else None
    return {"start": start, "end": end} if end else {"start": start}


NAMED: tuple[Compute, ...] = (
    appointment_comment,
    appointment_end,
    appointment_identifiers,
    appointment_minutes,
    appointment_orders,
    appointment_start,
    appointment_status,
    cancellation_reason,
    personnel,
    place,
    service,
    thing,
)

"""Visits: which one a message is about, how far it has come, and where the child is."""

from mappings.hl7v2 import timestamps
from mappings.hl7v2.datatypes import ts
from mappings.hl7v2.errors import DATA_TYPE
from mappings.hl7v2.functions.identity import known_as, patient_values
from mappings.hl7v2.scope import Compute, Here
from r4.json import Resource

_MOVES = ("transfer", "reclassify", "track")
_AWAIT = ("A05", "A09", "A14", "A15")
_NOWHERE = ("cancelled", "entered-in-error", "unknown")


def has_visit(here: Here) -> bool:
    """Tell whether the message is about a visit, and says which one."""
    return bool(here.run.event.encounter_status and visit_numbers(here))


def visit_numbers(here: Here) -> list[str]:
    """Return the visit number: PV1-19, else PID-18, else the child's numbers and admission time."""
    number = here.value("PV1", 19)
    if not number and here.find("PV1") is not None:
        number = here.value("PID", 18)
    admitted = here.value("PV1", 44)
    if number or not admitted:
        return [number] if number else []
    return [f"{child}.{admitted}" for child in patient_values(here)]


def visit_identifier(here: Here) -> Resource:
    """Return the identifier of the visit."""
    return known_as(here, here.local("visit"), visit_numbers(here))


def encounter_status(here: Here) -> str:
    """Return the status that the event gives the visit; a discharge time means finished.

    An update is no admission: of a visit whose class is still pre-admission it says no more than that.
    """
    event = here.run.event
    status = event.encounter_status
    if status == "in-progress" and here.value("PV1", 45) and keeps_discharge(here):
        return "finished"
    if status == "in-progress" and event.visit_event == "update":
        found = here.translate("PatientClass", here.value("PV1", 2))
        return "planned" if found and found["code"] == "PRENC" else status
    return status


def discharge_time(here: Here) -> str | None:
    """Return PV1-45, which may not come before PV1-44."""
    if not here.value("PV1", 45):
        return None
    end = ts(here.segment.field(45).repetitions[0], here.at(45))
    start = timestamps.date_time(here.value("PV1", 44))
    if start and end and timestamps.is_before(end, start):
        here.fail(DATA_TYPE, "PV1-45, the discharge, comes before PV1-44, the admission.")
    return end


def keeps_discharge(here: Here) -> bool:
    """Tell whether what the message says of the discharge stands: a cancelled one does not."""
    return here.run.event.visit_event != "cancel-discharge"


def tells_destination(here: Here) -> bool:
    """Tell whether PV1-36 holds where the child went (two digits) in place of how it left (one)."""
    code = here.value("PV1", 36)
    known = here.translate("DischargeDestination", code) if code else None
    return keeps_discharge(here) and known is not None and _method(code, here) is None


def tells_method(here: Here) -> bool:
    """Tell whether PV1-36 holds how the child left, or a code that is not known."""
    return keeps_discharge(here) and not tells_destination(here)


def _method(code: str, here: Here) -> Resource | None:
    return here.translate("DischargeMethod", code)


def place_status(here: Here) -> str | None:
    """Return what the place of PV1-3 is to the child: as the visit stands, or kept for its return."""
    status = encounter_status(here)
    if status in _NOWHERE:
        return None
    if status in ("planned", "finished"):
        return "planned" if status == "planned" else "completed"
    away = status == "onleave" or goes_temporarily(here)
    return "reserved" if away else "active"


def place_start(here: Here) -> str | None:
    """Return since when the child is in PV1-3, where the event says so: admission, transfer."""
    event = here.run.event.visit_event
    if event == "admit":
        return timestamps.date_time(here.value("PV1", 44))
    return moved_at(here) if event in _MOVES and place_status(here) == "active" else None


def place_end(here: Here) -> str | None:
    """Return until when the child was in PV1-3, once it has left."""
    if place_status(here) != "completed":
        return None
    return timestamps.date_time(here.value("PV1", 45))


def temporary_status(here: Here) -> str:
    """Return what PV1-11 is to the child: on its way there (A09), or arrived (A10)."""
    return "planned" if _departs(here) else "active"


def temporary_start(here: Here) -> str | None:
    """Return since when the child is in PV1-11, once it has arrived."""
    return None if _departs(here) else moved_at(here)


def moved_at(here: Here) -> str | None:
    """Return when the event happened: EVN-6, else when it was recorded."""
    return timestamps.date_time(here.value("EVN", 6)) or here.run.recorded


def has_place(here: Here) -> bool:
    """Tell whether PV1-3 names a place."""
    return _names_place(here, 3)


def moves_from_bed(here: Here) -> bool:
    """Tell whether the event moves the child, and PV1-6 names where it was."""
    return here.run.event.visit_event in _MOVES and _names_place(here, 6)


def goes_temporarily(here: Here) -> bool:
    """Tell whether the event follows a child that is away from its bed for a time, in PV1-11."""
    return here.run.event.visit_event == "track" and _names_place(here, 11)


def left_temporarily(here: Here) -> bool:
    """Tell whether the event follows a child that was away from its bed for a time, in PV1-43."""
    return here.run.event.visit_event == "track" and _names_place(here, 43)


def awaits(here: Here) -> bool:
    """Tell whether PV1-42 is a place to which the child is to go: unless it has, or never will."""
    return here.run.message.header.trigger_event in _AWAIT and _names_place(here, 42)


def _names_place(here: Here, number: int) -> bool:
    field = here.segment.field(number)
    return any(field.component(part) for part in (1, 2, 3))


def _departs(here: Here) -> bool:
    return here.run.message.header.trigger_event == "A09"


def subjects(here: Here) -> list[str]:
    """Return what a diagnosis or procedure is of: the visit by its numbers, else the child."""
    return visit_numbers(here) or patient_values(here)


NAMED: tuple[Compute, ...] = (
    awaits,
    discharge_time,
    encounter_status,
    goes_temporarily,
    has_place,
    has_visit,
    keeps_discharge,
    left_temporarily,
    moved_at,
    moves_from_bed,
    place_end,
    place_start,
    place_status,
    temporary_start,
    temporary_status,
    tells_destination,
    tells_method,
    visit_identifier,
)

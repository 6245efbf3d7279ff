"""Visits: which one a message is about, and how far it has come."""

from mappings.hl7v2 import timestamps
from mappings.hl7v2.datatypes import ts
from mappings.hl7v2.errors import DATA_TYPE
from mappings.hl7v2.functions.identity import known_as, patient_values
from mappings.hl7v2.scope import Compute, Here
from r4.json import Resource


def has_visit(here: Here) -> bool:
    """Tell whether the message is about a visit, and says which one."""
    return bool(here.run.event.encounter_status and visit_numbers(here))


def visit_numbers(here: Here) -> list[str]:
    """Return the visit number (PV1-19), or the child's numbers and admission time in its place."""
    number = here.value("PV1", 19)
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
    status = here.run.event.encounter_status
    if status == "in-progress" and here.value("PV1", 45):
        return "finished"
    if status == "in-progress" and not here.run.event.needs_visit:
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


def subjects(here: Here) -> list[str]:
    """Return what a diagnosis or procedure is of: the visit by its numbers, else the child."""
    return visit_numbers(here) or patient_values(here)


NAMED: tuple[Compute, ...] = (
    discharge_time,
    encounter_status,
    has_visit,
    visit_identifier,
)

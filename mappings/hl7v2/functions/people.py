"""The person: death, and birth with others."""

from mappings.hl7v2 import timestamps
from mappings.hl7v2.datatypes import ts
from mappings.hl7v2.functions.visits import has_visit, visit_numbers
from mappings.hl7v2.scope import Compute, Here
from r4.json import Resource


def death_time(here: Here) -> str | None:
    """Return when the patient died: PID-29, or PV1-45 where the discharge method means death."""
    text = here.value("PID", 29)
    if text:
        return ts(here.segment.field(29).repetitions[0], here.at(29))
    if not _died_in_hospital(here):
        return None
    return timestamps.date_time(here.value("PV1", 45))


def death_flag(here: Here) -> bool | None:
    """Return PID-30, or true where the discharge method means death; None where neither says."""
    coding = here.translate("YesNo", here.value("PID", 30))
    if coding is not None:
        return bool(coding["code"] == "Y")
    return True if _died_in_hospital(here) else None


def told_by_discharge(here: Here) -> Resource | None:
    """Return the number of the visit whose discharge alone tells of the death: PID-29 and 30 do not."""
    flag = here.translate("YesNo", here.value("PID", 30))
    told = here.value("PID", 29) or (flag and flag["code"] == "Y")
    if told or not _died_in_hospital(here) or not has_visit(here):
        return None
    return {"system": here.local("visit"), "value": visit_numbers(here)[0]}


def _died_in_hospital(here: Here) -> bool:
    """Tell whether the discharge method means death, and the message does not undo the discharge."""
    method = here.value("PV1", 36)
    if not method or here.run.event.visit_event == "cancel-discharge":
        return False
    return here.translate("DischargeMethodDeath", method) is not None


def multiple_birth(here: Here) -> bool | None:
    """Return PID-24; None where it is neither yes nor no."""
    coding = here.translate("YesNo", here.value("PID", 24))
    return None if coding is None else bool(coding["code"] == "Y")


NAMED: tuple[Compute, ...] = (
    death_flag,
    death_time,
    multiple_birth,
    told_by_discharge,
)

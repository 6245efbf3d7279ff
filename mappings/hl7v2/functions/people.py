"""People: the child's death, and birth with others; its contacts, and those who treat it."""

from collections.abc import Sequence

from mappings.hl7v2 import timestamps
from mappings.hl7v2.datatypes import ts, xon, xtn
from mappings.hl7v2.functions.visits import has_visit, visit_numbers
from mappings.hl7v2.parse import Repetition
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


def can_be_reached(here: Here) -> bool:
    """Tell whether NK1 gives a name, address, telephone number or organisation, as pat-1 demands."""
    return (
        _says(here, 2, (1, 2, 3))
        or _says(here, 4, (1, 2, 3, 4, 5, 6, 8))
        or any(xtn(found, here) for number in (5, 6, 40) for found in _repetitions(here, number))
        or any(xon(found, here) for found in _repetitions(here, 13))
    )


def _says(here: Here, number: int, parts: tuple[int, ...]) -> bool:
    found = _repetitions(here, number)
    return any(one.component(part) for one in found for part in parts)


def _repetitions(here: Here, number: int) -> Sequence[Repetition]:
    return here.segment.field(number).repetitions


def contact_gender(here: Here) -> str | None:
    """Return NK1-15 where its code is known."""
    coding = here.translate("AdministrativeSex", here.value("NK1", 15))
    return coding["code"] if coding else None


def takes_part(here: Here) -> bool:
    """Tell whether ROL names a person who takes part, and has not ceased to (ROL-2 `DE`)."""
    return _says(here, 4, (1, 2, 3, 6)) and here.value("ROL", 2).upper() != "DE"


def takes_part_in_visit(here: Here) -> bool:
    """Tell whether ROL names a person who takes part in a visit that the message is about."""
    return takes_part(here) and has_visit(here)


NAMED: tuple[Compute, ...] = (
    can_be_reached,
    contact_gender,
    death_flag,
    death_time,
    multiple_birth,
    takes_part,
    takes_part_in_visit,
    told_by_discharge,
)

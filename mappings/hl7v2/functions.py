"""The functions that table cells name: conditions, and values that need more than one field.

A condition returns bool; a value function returns FHIR JSON, a list of it, or None.
"""

from collections.abc import Iterable

from mappings.hl7v2 import timestamps
from mappings.hl7v2.datatypes import ts
from mappings.hl7v2.elements import Slot
from mappings.hl7v2.errors import DATA_TYPE, DUPLICATE_KEY, REQUIRED
from mappings.hl7v2.identifiers import OWN, UNUSABLE, case_child, identifier, rank, search
from mappings.hl7v2.scope import Here
from r4.json import Resource
from terminology import systems

_CASE_MAP = f"{systems.CSOR}/ConceptMap/registry-diagnosis"


# Conditions


def has_visit(here: Here) -> bool:
    """Tell whether the message is about a visit, and says which one."""
    return bool(here.run.event.encounter_status and _visits(here))


def opens_case(here: Here) -> bool:
    """Tell whether a DG1 diagnosis is one of the registry's conditions."""
    return registry_condition(here) is not None


# Whose message, whose patient, which visit


def sending_organization(here: Here) -> Resource:
    """Return a Reference to the organisation with the ODS code in MSH-4, which must be known."""
    found = {"system": systems.ODS_ORGANIZATION, "value": here.run.sender}
    return {"reference": f"Organization?{search(found)}"}


def message_source(here: Here) -> Resource:
    """Return the identifier of the message: sender and control id."""
    value = f"{here.run.sender}:{here.run.message.header.control_id}"
    return {"identifier": {"system": systems.MESSAGE, "value": value}}


def recorded(here: Here) -> str | None:
    """Return the time of the message (MSH-7), or of its receipt where it gives none."""
    here.at(7)
    text = here.value("MSH", 7)
    if not text:
        if here.run.context.now is None:
            here.fail(REQUIRED, "MSH-7, the time of the message, is missing.")
        return here.run.context.now
    moment = timestamps.date_time(text)
    if moment is None or "T" not in moment:
        here.fail(DATA_TYPE, f"MSH-7 `{text}` is not a date and time.")
        return None
    return moment


def patient_identifiers(here: Here) -> list[Resource]:
    """Return the identifiers of PID-3, PID-2 and PID-4, the one that names the child best first.

    The child may be known by any of them: a newborn has a hospital number before an NHS number.
    """
    found = _identifiers(here, (3, 2, 4))
    if not _matched(found, here) and not here.run.issues:
        here.at(3).fail(REQUIRED, "PID-3 has no usable identifier: no NHS, CHI or hospital number.")
    return found


def prior_identifiers(here: Here) -> list[Resource]:
    """Return the identifiers of MRG-1 and MRG-4; the survivor is known by the others of PID-3."""
    found = _identifiers(here, (1, 4))
    here.at(1)
    if not _matched(found, here) and not here.run.issues:
        here.fail(REQUIRED, "MRG-1 has no usable identifier: no NHS, CHI or hospital number.")
    patient = here.scope.slot("Patient[1]")
    if patient is not None and patient.matches:
        _leave_out(patient, {_key(one) for one in found})
        if not patient.matches:
            text = "MRG-1 names every identifier of PID-3: nothing can be merged."
            here.fail(DUPLICATE_KEY, text)
    return found


def _matched(found: list[Resource], here: Here) -> bool:
    """Let the resource be found by each of its identifiers that names a child, if there is any."""
    usable = [one for one in found if rank(one, here) < UNUSABLE]
    if here.slot is not None:
        here.slot.matches = usable
    return bool(usable)


def _leave_out(survivor: Slot, prior: set[tuple[str, str]]) -> None:
    """Leave the prior record its numbers: on the survivor too, they would name two records."""
    survivor.matches = [one for one in survivor.matches if _key(one) not in prior]
    listed = survivor.resource["identifier"]
    survivor.resource["identifier"] = [one for one in listed if _key(one) not in prior]


def _identifiers(here: Here, fields: tuple[int, ...]) -> list[Resource]:
    found: dict[tuple[str, str], Resource] = {}
    for number in fields:
        field = here.segment.field(number)
        for repetition, value in enumerate(field.repetitions, start=1):
            one = identifier(value, here.at(number, repetition))
            if one is not None:
                found.setdefault(_key(one), one)
    return sorted(found.values(), key=lambda one: rank(one, here))


def _key(found: Resource) -> tuple[str, str]:
    return found["system"], found["value"]


def _visits(here: Here) -> list[str]:
    """Return the visit number (PV1-19), or the child's numbers and admission time in its place."""
    number = here.value("PV1", 19)
    admitted = here.value("PV1", 44)
    if number or not admitted:
        return [number] if number else []
    return [f"{child}.{admitted}" for child in _patient_values(here)]


def visit_identifier(here: Here) -> Resource:
    """Return the identifier of the visit."""
    return _known_as(here, here.local("visit"), _visits(here))


def _known_as(here: Here, system: str, values: Iterable[str]) -> Resource:
    """Return the identifier of the first value, and let the resource be found by each of them."""
    found = [{"system": system, "value": value} for value in dict.fromkeys(values)]
    if here.slot is not None:
        here.slot.matches = found
    return found[0]


def _children(here: Here) -> list[Resource]:
    """Return the identifiers by which the child may be known, the best first."""
    patient = here.scope.slot("Patient[1]")
    return patient.matches if patient else []


def _patient_values(here: Here) -> list[str]:
    """Return the best number, then the other ones that no other hospital can have given."""
    best, *rest = _children(here) or [{"value": ""}]
    own = (one for one in rest if rank(one, here) <= OWN)
    return [str(one["value"]) for one in (best, *own)]


# Death


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


def _died_in_hospital(here: Here) -> bool:
    method = here.value("PV1", 36)
    return bool(method) and here.translate("DischargeMethodDeath", method) is not None


# Visits


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


# Diagnoses, procedures, cases


def diagnosis_identifier(here: Here) -> Resource:
    """Return DG1-20, or visit (else patient) and code: what stays the same when it is sent again."""
    own = here.value("DG1", 20)
    code = _code(here)
    values = [own] if own else [f"{subject}.{code}" for subject in _subjects(here)]
    return _known_as(here, here.local("diagnosis"), values)


def procedure_identifier(here: Here) -> Resource:
    """Return PR1-19, or visit (else patient), time and code."""
    own = here.value("PR1", 19)
    rest = f"{here.value('PR1', 5)}.{_code(here)}"
    values = [own] if own else [f"{subject}.{rest}" for subject in _subjects(here)]
    return _known_as(here, here.local("procedure"), values)


def _subjects(here: Here) -> list[str]:
    return _visits(here) or _patient_values(here)


def _code(here: Here) -> str:
    """Return the code of field 3 as it has been mapped, so that dots and padding do not matter."""
    coding = here.slot.resource.get("code", {}).get("coding", []) if here.slot else []
    return str(coding[0]["code"]) if coding else here.segment.field(3).component(2)


def registry_condition(here: Here) -> Resource | None:
    """Return the registry's condition for a diagnosis, None where it is not one of them."""
    slot = here.scope.slot("Condition[1]")
    codings = slot.resource.get("code", {}).get("coding", []) if slot else []
    for coding in codings:
        found = here.run.context.translate(_CASE_MAP, coding.get("system", ""), coding["code"])
        if found:
            return found[0]
    return None


def case_identifier(here: Here) -> Resource:
    """Return the registry case's identifier: NHS or CHI number, or ODS code and MRN; condition."""
    condition = registry_condition(here)
    code = condition["code"] if condition else ""
    children = [case_child(one) for one in _children(here)] or [""]
    return _known_as(here, systems.CASE, (f"{child}.{code}" for child in children))


def case_type(here: Here) -> list[Resource]:
    """Return the registry's condition as the type of the case."""
    condition = registry_condition(here)
    return [{"coding": [condition]}] if condition else []


def case_start(here: Here) -> str | None:
    """Return the date of the event that opened the case: admission, event, else message."""
    sources = (("PV1", 44), ("EVN", 6), ("EVN", 2), ("MSH", 7))
    found = (timestamps.date(here.value(name, number)) for name, number in sources)
    return next((day for day in found if day), None)


# Observations


def observation_identifier(here: Here) -> Resource:
    """Return order (OBR-3, OBR-2), code and sub-id, so that replays and corrections agree.

    Without an order the message and the child stand for it; a repeated key is numbered.
    """
    message = f"{here.run.message.header.control_id}.{_patient_values(here)[0]}"
    order = here.value("OBR", 3) or here.value("OBR", 2) or message
    observed_code = here.segment.field(3)
    code = observed_code.component(1) or observed_code.component(2)
    key = ".".join(part for part in (order, code, here.value("OBX", 4)) if part)
    occurrence = here.run.occurrence(f"OBX {key}")
    value = key if occurrence == 1 else f"{key}.{occurrence}"
    return {"system": here.local("observation"), "value": value}


def observed(here: Here) -> str | None:
    """Return when it was observed: OBX-14, else OBR-7."""
    for name, number in (("OBX", 14), ("OBR", 7)):
        segment = here.find(name)
        if segment is not None and (field := segment.field(number)).value:
            return ts(field.repetitions[0], here.at(number))
    return None


def observation_status(here: Here) -> str | None:
    """Return the result status of OBX-11, else of OBR-25; `unknown` where neither says."""
    code = here.value("OBX", 11) or here.value("OBR", 25)
    if not code:
        return "unknown"
    coding = here.translate("ObservationStatus", code)
    if coding is None:
        here.at(11).fail(DATA_TYPE, f"The result status `{code}` is not in table 0085.")
        return None
    return str(coding["code"])


def multiple_birth(here: Here) -> bool | None:
    """Return PID-24; None where it is neither yes nor no."""
    coding = here.translate("YesNo", here.value("PID", 24))
    return None if coding is None else bool(coding["code"] == "Y")

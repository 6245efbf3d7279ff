"""The functions that table cells name: conditions, and values that need more than one field.

A condition returns bool; a value function returns FHIR JSON, a list of it, or None.
"""

from mappings.hl7v2 import timestamps
from mappings.hl7v2.datatypes import ts
from mappings.hl7v2.errors import DATA_TYPE, DUPLICATE_KEY, REQUIRED
from mappings.hl7v2.identifiers import UNUSABLE, identifier, rank, search
from mappings.hl7v2.scope import Here
from r4.json import Resource
from terminology import systems

_CASE_MAP = f"{systems.CSOR}/ConceptMap/registry-diagnosis"


# Conditions


def has_visit(here: Here) -> bool:
    """Tell whether the message is about a visit, and says which one."""
    return bool(here.run.event.encounter_status and _visit(here))


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
    """Return the identifiers of PID-3, PID-2 and PID-4, the one that names the child best first."""
    found = _identifiers(here, (3, 2, 4))
    if not any(rank(one, here) < UNUSABLE for one in found) and not here.run.issues:
        here.at(3).fail(REQUIRED, "PID-3 has no usable identifier: no NHS, CHI or hospital number.")
    return found


def prior_identifiers(here: Here) -> list[Resource]:
    """Return the identifiers of MRG-1 and MRG-4; none of them may be the survivor's."""
    found = _identifiers(here, (1, 4))
    here.at(1)
    if not any(rank(one, here) < UNUSABLE for one in found) and not here.run.issues:
        here.fail(REQUIRED, "MRG-1 has no usable identifier: no NHS, CHI or hospital number.")
    patient = here.scope.slot("Patient[1]")
    kept = patient.resource.get("identifier", []) if patient else []
    if {_key(one) for one in found} & {_key(one) for one in kept}:
        here.fail(DUPLICATE_KEY, "MRG-1 names an identifier of PID-3: nothing can be merged.")
    return found


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


def _visit(here: Here) -> str:
    """Return the visit number (PV1-19), or hospital number and admission time in its place."""
    number = here.value("PV1", 19)
    admitted = here.value("PV1", 44)
    return number or (f"{_patient_value(here)}.{admitted}" if admitted else "")


def visit_identifier(here: Here) -> Resource:
    """Return the identifier of the visit."""
    return {"system": here.local("visit"), "value": _visit(here)}


def _patient_value(here: Here) -> str:
    patient = here.scope.slot("Patient[1]")
    listed = patient.resource.get("identifier", []) if patient else []
    return str(listed[0]["value"]) if listed else ""


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
    """Return the status that the event gives the visit; a discharge time means finished."""
    status = here.run.event.encounter_status
    return "finished" if status == "in-progress" and here.value("PV1", 45) else status


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
    value = own or f"{_visit(here) or _patient_value(here)}.{_code(here)}"
    return {"system": here.local("diagnosis"), "value": value}


def procedure_identifier(here: Here) -> Resource:
    """Return PR1-19, or visit (else patient), time and code."""
    own = here.value("PR1", 19)
    parts = (_visit(here) or _patient_value(here), here.value("PR1", 5), _code(here))
    return {"system": here.local("procedure"), "value": own or ".".join(parts)}


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
    patient = here.scope.slot("Patient[1]")
    listed = patient.resource.get("identifier", []) if patient else []
    condition = registry_condition(here)
    code = condition["code"] if condition else ""
    if not listed:
        return {"system": systems.CASE, "value": code}
    child = listed[0]["value"]
    if rank(listed[0], here) > 1:
        child = f"{here.run.sender}:{child}"
    return {"system": systems.CASE, "value": f"{child}.{code}"}


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
    message = f"{here.run.message.header.control_id}.{_patient_value(here)}"
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

"""Diagnoses and procedures, and the registry cases that they open."""

from mappings.hl7v2 import timestamps
from mappings.hl7v2.functions.identity import case_child, children, known_as
from mappings.hl7v2.functions.visits import subjects
from mappings.hl7v2.scope import Compute, Here
from mappings.hl7v2.told import recorded
from r4.json import Resource
from terminology import systems

_CASE_MAPS = {
    "DG1": ("Condition[1]", f"{systems.CSOR}/ConceptMap/registry-diagnosis"),
    "PR1": ("Procedure[1]", f"{systems.CSOR}/ConceptMap/registry-procedure"),
}
"""What a segment has been mapped to, and the map that says whether its code names a condition."""

_OPENS = (("PV1", 44), ("EVN", 6))


def opens_case(here: Here) -> bool:
    """Tell whether a diagnosis is one of the registry's conditions, or a procedure names one."""
    return registry_condition(here) is not None


def diagnosis_identifier(here: Here) -> Resource:
    """Return DG1-20, or visit (else patient) and code: what stays the same when it is sent again."""
    own = here.value("DG1", 20)
    code = _code(here)
    values = [own] if own else [f"{subject}.{code}" for subject in subjects(here)]
    return known_as(here, here.local("diagnosis"), values)


def procedure_identifier(here: Here) -> Resource:
    """Return PR1-19, or visit (else patient), time and code."""
    own = here.value("PR1", 19)
    rest = f"{here.value('PR1', 5)}.{_code(here)}"
    values = [own] if own else [f"{subject}.{rest}" for subject in subjects(here)]
    return known_as(here, here.local("procedure"), values)


def _code(here: Here) -> str:
    """Return the code of field 3 as it has been mapped, so that dots and padding do not matter."""
    coding = here.slot.resource.get("code", {}).get("coding", []) if here.slot else []
    return str(coding[0]["code"]) if coding else here.segment.field(3).component(2)


def registry_condition(here: Here) -> Resource | None:
    """Return the registry's condition that a diagnosis or procedure names; None where it names none."""
    name, concept_map = _CASE_MAPS[here.segment.name]
    slot = here.scope.slot(name)
    codings = slot.resource.get("code", {}).get("coding", []) if slot else []
    for coding in codings:
        found = here.run.context.translate(concept_map, coding.get("system", ""), coding["code"])
        if found:
            return found[0]
    return None


def case_identifier(here: Here) -> Resource:
    """Return the registry case's identifier: NHS or CHI number, or ODS code and MRN; condition."""
    condition = registry_condition(here)
    code = condition["code"] if condition else ""
    named = [case_child(one) for one in children(here)] or [""]
    return known_as(here, systems.CASE, (f"{child}.{code}" for child in named))


def case_type(here: Here) -> list[Resource]:
    """Return the registry's condition as the type of the case."""
    condition = registry_condition(here)
    return [{"coding": [condition]}] if condition else []


def case_start(here: Here) -> str | None:
    """Return the date of the event that opened the case: admission, event, else message."""
    told = (timestamps.date(here.value(name, number)) for name, number in _OPENS)
    moment = next(filter(None, told), None) or recorded(here.run.message)
    return moment and moment.partition("T")[0]


NAMED: tuple[Compute, ...] = (
    case_identifier,
    case_start,
    case_type,
    diagnosis_identifier,
    opens_case,
    procedure_identifier,
)

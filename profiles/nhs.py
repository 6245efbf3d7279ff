"""The registry's own rules: NHS and CHI numbers, ODS codes, and dates that cannot be.

NHS Data Dictionary: https://www.datadictionary.nhs.uk/attributes/nhs_number.html,
https://www.datadictionary.nhs.uk/attributes/organisation_identifier.html
"""

import re
from collections.abc import Iterator

from profiles.by_hand import is_after
from profiles.findings import Run
from profiles.invariants import Invariant
from r4.issue import Severity
from r4.json import Resource
from terminology import nhs_number
from terminology.systems import ALIASES, CHI_NUMBER, NHS_NUMBER, ODS_ORGANIZATION, ODS_SITE

_NUMBERED = frozenset({NHS_NUMBER, CHI_NUMBER})
_ODS = frozenset({ODS_ORGANIZATION, ODS_SITE})
_ODS_CODE = re.compile(r"[A-Z0-9]+")


def rules(
    type_code: str, nhs_severity: Severity | None, *, warnings: bool
) -> tuple[Invariant, ...]:
    """Return the rules on a type; nhs_severity is that of the number's (None: it is not checked)."""
    found: list[Invariant] = []
    if type_code == "Identifier" and nhs_severity is not None:
        found.append(Invariant(has_nhs_number, "csor-nhs-number", _NUMBER, nhs_severity, "value"))
    if warnings:
        found += _ADVICE.get(type_code, ())
    return tuple(found)


def has_nhs_number(identifier: Resource, _: Run) -> bool:
    """Hold an NHS or CHI number to its ten digits and its check digit."""
    system = identifier.get("system", "")
    if ALIASES.get(system, system) not in _NUMBERED or "value" not in identifier:
        return True
    value = identifier["value"]
    return value.isascii() and len(value) == len("9990000018") and nhs_number.is_valid(value)


def has_ods_code(identifier: Resource, _: Run) -> bool:
    """Hold the code of an organisation or site to the capital letters and digits it is made of."""
    system = identifier.get("system", "")
    if ALIASES.get(system, system) not in _ODS or "value" not in identifier:
        return True
    return _ODS_CODE.fullmatch(identifier["value"]) is not None


def is_born(patient: Resource, run: Run) -> bool:
    """Hold a date of birth to the past."""
    return not is_after(patient.get("birthDate"), run.now)


def has_died_later(patient: Resource, _: Run) -> bool:
    """Hold a death to the time from birth on."""
    return not is_after(patient.get("birthDate"), patient.get("deceasedDateTime"))


def is_performed(procedure: Resource, run: Run) -> bool:
    """Hold a procedure that is completed to the past."""
    if run.now is None or procedure.get("status") != "completed":
        return True
    return not any(is_after(moment, run.now) for moment in _moments(procedure))


def is_performed_after_birth(bundle: Resource, _: Run) -> bool:
    """Hold the procedures of a Bundle to the time from the birth of its Patients on."""
    born = dict(_births(bundle))
    for _name, procedure in _entries(bundle, "Procedure"):
        birth = born.get(procedure.get("subject", {}).get("reference", ""))
        if any(is_after(birth, moment) for moment in _moments(procedure)):
            return False
    return True


def _moments(procedure: Resource) -> tuple[str, ...]:
    period = procedure.get("performedPeriod", {})
    found = (procedure.get("performedDateTime"), period.get("start"), period.get("end"))
    return tuple(moment for moment in found if moment is not None)


def _births(bundle: Resource) -> Iterator[tuple[str, str]]:
    for name, patient in _entries(bundle, "Patient"):
        if "birthDate" in patient:
            yield name, patient["birthDate"]
            yield f"Patient/{patient.get('id')}", patient["birthDate"]


def _entries(bundle: Resource, type_: str) -> Iterator[tuple[str, Resource]]:
    for entry in bundle.get("entry", ()):
        resource = entry.get("resource", {})
        if resource.get("resourceType") == type_:
            yield entry.get("fullUrl", ""), resource


_NUMBER = (
    "An NHS or CHI number is ten digits without spaces, the last of them the check digit (modulus 11):"
    " correct the number, or send what is not one under another system"
)
_ADVICE = {
    "Identifier": (
        Invariant(
            has_ods_code,
            "csor-ods-code",
            "The code of an organisation or site in the NHS is of capital letters and digits, without"
            " spaces: correct the code, or send what is not one under another system",
            "warning",
            "value",
        ),
    ),
    "Patient": (
        Invariant(
            is_born,
            "csor-birth-in-future",
            "The date of birth is in the future: correct it",
            "warning",
            "business-rule",
        ),
        Invariant(
            has_died_later,
            "csor-death-before-birth",
            "The death is before the birth: correct one of the two",
            "warning",
            "business-rule",
        ),
    ),
    "Procedure": (
        Invariant(
            is_performed,
            "csor-performed-in-future",
            "The procedure is completed, and its time is in the future: correct one of the two",
            "warning",
            "business-rule",
        ),
    ),
    "Bundle": (
        Invariant(
            is_performed_after_birth,
            "csor-performed-before-birth",
            "A procedure is before the birth of its patient: correct one of the two dates",
            "warning",
            "business-rule",
        ),
    ),
}

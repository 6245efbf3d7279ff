"""The registry's own rules: NHS and CHI numbers, ODS codes, dates that cannot be, sides that disagree.

NHS Data Dictionary: https://www.datadictionary.nhs.uk/attributes/nhs_number.html,
https://www.datadictionary.nhs.uk/attributes/organisation_identifier.html
"""

import re
from urllib.parse import unquote

from profiles import laterality, plausibility
from profiles.findings import Run
from profiles.invariants import Invariant
from r4.issue import Severity
from r4.json import Resource
from terminology import nhs_number
from terminology.systems import ALIASES, CHI_NUMBER, NHS_NUMBER, ODS_ORGANIZATION, ODS_SITE

_NUMBERED = frozenset({NHS_NUMBER, CHI_NUMBER})
_ODS = frozenset({ODS_ORGANIZATION, ODS_SITE})
_ASKED = re.compile(r"\?identifier=(?P<system>[^|&]+)\|(?P<value>[^&]*)")
_ODS_CODE = re.compile(r"[A-Z0-9]+")


def rules(
    type_code: str, nhs_severity: Severity | None, *, warnings: bool
) -> tuple[Invariant, ...]:
    """Return the rules on a type; nhs_severity is that of the number's (None: it is not checked)."""
    found: list[Invariant] = []
    if type_code == "Identifier" and nhs_severity is not None:
        found.append(Invariant(has_nhs_number, "csor-nhs-number", _NUMBER, nhs_severity, "value"))
    if warnings:
        if type_code == "Reference" and nhs_severity is not None:
            found.append(
                Invariant(names_right_numbers, "csor-nhs-number", _NUMBER, "warning", "value")
            )
        for advice in (_ADVICE, plausibility.ADVICE, laterality.ADVICE):
            found += advice.get(type_code, ())
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


def names_right_numbers(given: Resource, run: Run) -> bool:
    """Hold the NHS or CHI number of a conditional reference to the same."""
    identifier = _asked_for(given)
    return identifier is None or has_nhs_number(identifier, run)


def names_right_codes(given: Resource, run: Run) -> bool:
    """Hold the code of an organisation or site in a conditional reference to the same."""
    identifier = _asked_for(given)
    return identifier is None or has_ods_code(identifier, run)


def _asked_for(given: Resource) -> Resource | None:
    """Return the identifier by which a conditional reference names what it means, if it does."""
    text = given.get("reference", "")
    if "?identifier=" not in text:
        return None
    named = _ASKED.search(unquote(text) if "%" in text else text)
    return named and {"system": named["system"], "value": named["value"]}


_NUMBER = (
    "An NHS or CHI number is ten digits without spaces, the last of them the check digit (modulus 11):"
    " correct the number, or send what is not one under another system"
)
_CODE = (
    "The code of an organisation or site in the NHS is of capital letters and digits, without spaces:"
    " correct the code, or send what is not one under another system"
)
_ADVICE = {
    "Identifier": (Invariant(has_ods_code, "csor-ods-code", _CODE, "warning", "value"),),
    "Reference": (Invariant(names_right_codes, "csor-ods-code", _CODE, "warning", "value"),),
}

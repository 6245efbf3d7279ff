"""Codes as senders write them to FHIR Codings: coding systems by name, ICD-10 and OPCS-4 tidied.

Coding systems: HL7 table 0396 and `systems.csv`. UK classifications travel without the dot, padded
with X, and with a dagger or asterisk mark (NHS Classifications, ICD-10 5th edition; OPCS-4).
"""

import re
from collections.abc import Callable

from mappings.hl7v2.parse import Repetition
from mappings.hl7v2.scope import Here
from mappings.hl7v2.tables import coding_systems, tidying, units
from r4.json import Resource
from terminology import systems

_ICD_10 = re.compile(r"([A-Z]\d\d)(?:\.?([0-9X-])(\d)?)?[XDA†*+-]*\Z", re.ASCII)
_OPCS_4 = re.compile(r"([A-Z]\d\d)(?:\.?([0-9X-]))?\Z", re.ASCII)


def icd_10(code: str) -> str:
    """Return an ICD-10 code dotted, without padding and marks: `Q431` is Q43.1, `P77X` is P77."""
    match = _ICD_10.match(code.upper().replace(" ", ""))
    if match is None:
        return code
    category, fourth, fifth = match.groups()
    if fourth in (None, "X", "-"):
        return str(category)
    return f"{category}.{fourth}{fifth or ''}"


def opcs_4(code: str) -> str:
    """Return an OPCS-4 code dotted: `H411` is H41.1."""
    match = _OPCS_4.match(code.upper().replace(" ", ""))
    if match is None:
        return code
    category, fourth = match.groups()
    return str(category) if fourth in (None, "X", "-") else f"{category}.{fourth}"


_ALTERNATE = 4
"""Where the second triplet of a coded element begins; without a coding system it says nothing."""

TIDY: dict[str, Callable[[str], str]] = {"icd_10": icd_10, "opcs_4": opcs_4}
"""The functions that `systems.csv` may name."""


def codings(value: Repetition, here: Here) -> list[Resource]:
    """Return the Codings of a coded element: its first triplet, then its alternate."""
    found = (_coding(value, start, here) for start in (1, _ALTERNATE))
    return [coding for coding in found if coding is not None]


def _coding(value: Repetition, start: int, here: Here) -> Resource | None:
    if start == _ALTERNATE and not value.component(start + 2):
        return None
    code = value.component(start)
    if not code:
        return None
    name = value.component(start + 2) or (_method(here) if start == 1 else "")
    uri, tidy = coding_system(name, here)
    display = value.component(start + 1)
    coding: Resource = {"system": uri} if uri else {}
    coding["code"] = " ".join((tidy(code) if tidy else code).split())
    return coding | ({"display": display} if display else {})


def _method(here: Here) -> str:
    """Return the coding method of DG1-2 or PR1-2, where older feeds name the coding system."""
    return here.segment.field(2).value if here.segment.name in ("DG1", "PR1") else ""


def coding_system(name: str, here: Here) -> tuple[str, Callable[[str], str] | None]:
    """Return the URI of a coding system as senders name it, and what tidies its codes; "" for none."""
    if not name:
        return "", None
    said = here.run.site.systems.get(name.upper())
    if said is not None:
        return said, TIDY.get(tidying().get(said, ""))
    table = coding_systems()
    place = f"{here.segment.name}-{here.field}"
    system = table.get((name.upper(), place)) or table.get((name.upper(), ""))
    if system is None:
        return here.local(f"codes.{name}"), None
    return system.uri, TIDY.get(system.function)


def system_of(name: str, here: Here) -> str:
    """Return the URI of a coding system by the name that the sender gives it; "" for no name."""
    return coding_system(name, here)[0]


def unit(value: Repetition) -> Resource:
    """Return the unit part of a Quantity; only units known as UCUM get a code."""
    return unit_of(*(value.component(number) for number in (1, 2, 3)))


def unit_of(code: str, text: str, system: str) -> Resource:
    """Return the unit part of a Quantity from the parts of a coded element."""
    if not code and not text:
        return {}
    ucum = code if system.upper() == "UCUM" else units().get(code.lower())
    if ucum is None:
        return {"unit": text or code}
    return {"unit": text or code, "system": systems.UCUM, "code": ucum}

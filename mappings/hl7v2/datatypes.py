"""HL7 v2 datatypes to FHIR: the functions that the tables' `Data Type Mapping` names.

Each takes one repetition and the place it stands in, and returns FHIR JSON or None; what it cannot
read it reports (`Here.fail`). Datatypes that need no logic are tables in `datatypes/`.
"""

import re
from decimal import Decimal
from typing import Any

from mappings.hl7v2 import timestamps
from mappings.hl7v2.codes import codings, unit_of
from mappings.hl7v2.errors import DATA_TYPE
from mappings.hl7v2.parse import Repetition
from mappings.hl7v2.scope import Here
from mappings.hl7v2.tables import kinds
from r4.json import Resource
from terminology import systems

_USES = {("PID", 13): "home", ("PID", 14): "work", ("NK1", 6): "work"}
"""What a telephone number is for where the field alone says it."""

_GMC = re.compile(r"C?(\d{7})\Z", re.ASCII)


def tx(value: Repetition, here: Here) -> str | None:  # noqa: ARG001
    """Return the whole repetition as text."""
    return value.text or None


def si(value: Repetition, here: Here) -> int | None:
    """Return a positive whole number; zero and blanks are none."""
    text = value.component(1)
    if text and not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        here.fail(DATA_TYPE, f"`{text}` is not a whole number.")
        return None
    return int(text or 0) or None


def ts(value: Repetition, here: Here) -> str | None:
    """Return a dateTime; times without a zone are London time."""
    return moment(value.component(1), here)


def dt(value: Repetition, here: Here) -> str | None:
    """Return a date, dropping a time of day."""
    text = value.component(1)
    return _timestamp(text, here, timestamps.date(text))


def moment(text: str, here: Here) -> str | None:
    """Return the dateTime of a text; None where it is empty, or is none, which is reported."""
    return _timestamp(text, here, timestamps.date_time(text))


def period(start: str | None, end: str | None, here: Here, text: str) -> Resource:
    """Return the Period of what is known of two dateTimes; report `text` where it ends before it starts."""
    if start and end and timestamps.is_before(end, start):
        here.fail(DATA_TYPE, text)
    return {"start": start, "end": end} if start else {"end": end}


def _timestamp(text: str, here: Here, read: str | None) -> str | None:
    if read is None and text:
        here.fail(DATA_TYPE, f"`{text}` is not a date and time.")
    return read


def cwe(value: Repetition, here: Here) -> Resource | None:
    """Return a CodeableConcept; a code without a known system keeps its code, text and origin."""
    coding = codings(value, here)
    text = value.component(9) or value.component(2) or value.component(5)
    if not coding:
        return {"text": text} if text else None
    return {"coding": coding} | ({"text": text} if text else {})


def xtn(value: Repetition, here: Here) -> Resource | None:
    """Return a ContactPoint: telephone numbers by component 1 or 6 and 7, e-mail by component 4."""
    text = value.component(4)
    if "@" not in text:
        text = value.component(1) or "".join(value.component(part) for part in (5, 6, 7, 12))
    if not text:
        return None
    system = here.translate("TelecommunicationEquipment", value.component(3))
    default = "email" if "@" in text else "phone"
    point = {"system": system["code"] if system and "@" not in text else default, "value": text}
    use = here.translate("TelecommunicationUse", value.component(2))
    fallback = _USES.get((here.segment.name, here.field))
    chosen = use["code"] if use else fallback
    return point | ({"use": chosen} if chosen else {})


def xcn(value: Repetition, here: Here) -> Resource | None:
    """Return a Practitioner known by a GMC number; else a Reference that only names the person."""
    family, given, prefix = (value.component(number) for number in (2, 3, 6))
    shown = " ".join(part for part in (prefix, given, family) if part)
    number = _gmc_number(value)
    if number is None:
        return _named(value.component(1), shown, here)
    return _practitioner(number, family, given, prefix)


def ndl(value: Repetition, here: Here) -> Resource | None:
    """Return who read a result, as xcn does: NDL.1 is a name in subcomponents, or laid out as XCN."""
    code, family, given, prefix = (value.subcomponent(1, part) for part in (1, 2, 3, 6))
    if not family and not given:
        return xcn(value, here)
    authorities = {value.subcomponent(1, part).upper() for part in (8, 9, 10)}
    match = _GMC.match(code)
    if match and (code.startswith("C") or "GMC" in authorities):
        return _practitioner(match[1], family, given, prefix)
    return _named(code, " ".join(part for part in (prefix, given, family) if part), here)


def cq(value: Repetition, here: Here) -> Resource | None:
    """Return a Quantity: CQ.1 a number, CQ.2 its unit."""
    text = value.component(1)
    if not re.fullmatch(r"[+-]?\d{1,20}(?:\.\d{1,20})?", text, re.ASCII):
        if text:
            here.fail(DATA_TYPE, f"`{text}` is not a number.")
        return None
    return {"value": Decimal(text), **unit_of(*(value.subcomponent(2, part) for part in (1, 2, 3)))}


def _practitioner(number: str, family: str, given: str, prefix: str) -> Resource:
    name = {
        "family": family,
        "given": [given] if given else [],
        "prefix": [prefix] if prefix else [],
    }
    return {
        "resourceType": "Practitioner",
        "identifier": [{"system": systems.GMC_NUMBER, "value": number}],
        **({"name": [_filled(name)]} if family or given else {}),
    }


def _gmc_number(value: Repetition) -> str | None:
    """Read a GMC number: typed in component 8, 9 or 13, or written as consultant code, C before it."""
    match = _GMC.match(value.component(1))
    if match is None:
        return None
    typed = "GMC" in (value.component(part).upper() for part in (8, 9, 13))
    return match[1] if typed or value.component(1).startswith("C") else None


def _named(code: str, shown: str, here: Here) -> Resource | None:
    found: Resource = {"display": shown} if shown else {}
    if code:
        found["identifier"] = {"system": here.local("practitioner"), "value": code}
    return found or None


def gp(value: Repetition, here: Here) -> Resource | None:
    """Return a Reference to a general practitioner by GMP number, as PD1-4 names them."""
    shown = " ".join(part for part in (value.component(6), value.component(2)) if part)
    found: Resource = {"display": shown} if shown else {}
    code = value.component(1)
    if re.fullmatch(r"G\d{7}", code, re.ASCII):
        found["identifier"] = {"system": kinds()["gmp"]["System"], "value": code}
    return found or _named(code, shown, here)


def pl(value: Repetition, here: Here) -> Resource | None:
    """Return a Reference that names the place: ward, bay and bed."""
    parts = [value.component(number) for number in (1, 2, 3)]
    shown = ", ".join(part for part in parts if part)
    if not shown:
        return None
    code = "/".join(parts).rstrip("/")
    return {"identifier": {"system": here.local("location"), "value": code}, "display": shown}


def xon(value: Repetition, here: Here) -> Resource | None:
    """Return a Reference to an organisation: by ODS code where component 3 or 1 has one."""
    code = value.component(3) or value.component(10)
    shown = value.component(1)
    if not re.fullmatch(r"[A-Z][A-Z0-9]{2,5}", code):
        return _named("", shown, here)
    found: Resource = {"identifier": {"system": systems.ODS_ORGANIZATION, "value": code}}
    return found | ({"display": shown} if shown else {})


def _filled(resource: dict[str, Any]) -> Resource:
    return {key: value for key, value in resource.items() if value}

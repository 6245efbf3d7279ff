"""Results: which observation, its state, and OBX-5 by the type that OBX-2 names.

HL7 v2.4 chapter 7.4.2. Not supported, and refused: embedded and referenced data (ED, RP), and the
composite types that no measurement uses.
"""

import re
from decimal import Decimal

from mappings.hl7v2 import timestamps
from mappings.hl7v2.codes import codings, unit
from mappings.hl7v2.datatypes import cwe, ts
from mappings.hl7v2.errors import DATA_TYPE
from mappings.hl7v2.functions.identity import patient_values
from mappings.hl7v2.parse import Repetition
from mappings.hl7v2.scope import Compute, Here
from r4.json import Resource

_NUMBER = re.compile(
    r"(?P<comparator><=|>=|<|>)?\s*(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))\Z", re.ASCII
)
_YES_NO = "http://terminology.hl7.org/CodeSystem/v2-0136"
_KINDS = {
    "number": {"NM"},
    "structured": {"SN"},
    "coded": {"CE", "CWE", "CNE", "CF"},
    "text": {"ST", "TX", "FT", "IS", "ID", ""},
    "time": {"DT", "TS", "DTM"},
    "clock": {"TM"},
}
_LARGEST_INTEGER = 2**31 - 1
_LONGEST_NUMBER = 40


def observation_identifier(here: Here) -> Resource:
    """Return order (OBR-3, OBR-2), code and sub-id, so that replays and corrections agree.

    Without an order the message and the child stand for it; a repeated key is numbered.
    """
    message = f"{here.run.message.header.control_id}.{patient_values(here)[0]}"
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


def _value(here: Here, kind: str) -> Repetition | None:
    if here.segment.text(2).upper() not in _KINDS[kind]:
        return None
    found = here.at(5).segment.field(5).repetitions
    return found[0] if found and found[0] else None


def value_quantity(here: Here) -> Resource | None:
    """Return a number with its unit, or one that is not whole, or that has a comparator."""
    number = _number(here)
    if number is None or _is_bare_integer(number, here):
        return None
    return number | _unit(here)


def value_integer(here: Here) -> int | None:
    """Return a whole number without a unit: a score, a count."""
    number = _number(here)
    if number is None or not _is_bare_integer(number, here):
        return None
    return int(number["value"])


def _number(here: Here) -> Resource | None:
    value = _value(here, "number")
    if value is not None:
        return _read(value.component(1), here)
    value = _value(here, "structured")
    if value is None or value.component(3) or value.component(4):
        return None
    return _read(value.component(1).removeprefix("=") + value.component(2), here)


def _read(text: str, here: Here) -> Resource | None:
    match = _NUMBER.match(text)
    if match is None or len(text) > _LONGEST_NUMBER:
        _refuse(here, f"`{text}` is not a number.")
        return None
    found: Resource = {"comparator": match["comparator"]} if match["comparator"] else {}
    return {"value": Decimal(match["number"].rstrip(".")), **found}


def _is_bare_integer(number: Resource, here: Here) -> bool:
    value = number["value"]
    plain = "comparator" not in number and value == value.to_integral_value()
    return plain and not _unit(here) and "." not in str(value) and abs(value) <= _LARGEST_INTEGER


def _unit(here: Here) -> Resource:
    found = here.segment.field(6).repetitions
    return unit(found[0]) if found else {}


def value_range(here: Here) -> Resource | None:
    """Return the range of a structured numeric with a hyphen: `^10^-^20`."""
    value = _value(here, "structured")
    if value is None or value.component(3) != "-" or not value.component(4):
        return None
    low, high = _read(value.component(2), here), _read(value.component(4), here)
    if low is None or high is None:
        return None
    return {"low": low | _unit(here), "high": high | _unit(here)}


def value_ratio(here: Here) -> Resource | None:
    """Return the ratio of a structured numeric with a colon or slash: `^1^:^128`."""
    value = _value(here, "structured")
    if value is None or value.component(3) not in (":", "/") or not value.component(4):
        return None
    upper, lower = _read(value.component(2), here), _read(value.component(4), here)
    if upper is None or lower is None:
        return None
    return {"numerator": upper, "denominator": lower}


def value_boolean(here: Here) -> bool | None:
    """Return a code of HL7's yes/no table."""
    coded = _value(here, "coded")
    if coded is not None:
        found = next((one for one in codings(coded, here) if one.get("system") == _YES_NO), None)
        code = found["code"] if found else ""
    else:
        answer = _value(here, "text") if here.segment.text(2).upper() == "ID" else None
        code = answer.component(1) if answer else ""
    yes_no = here.translate("YesNo", code) if code else None
    return None if yes_no is None else bool(yes_no["code"] == "Y")


def value_concept(here: Here) -> Resource | None:
    """Return a coded value that is not yes or no."""
    value = _value(here, "coded")
    if value is None or value_boolean(here) is not None:
        return None
    return cwe(value, here)


def value_string(here: Here) -> str | None:
    """Return text: every repetition a line; a structured numeric with a suffix as written."""
    if _value(here, "text") is not None:
        if value_boolean(here) is not None:
            return None
        lines = (value.text for value in here.segment.field(5).repetitions)
        return "\n".join(line for line in lines if line) or None
    value = _value(here, "structured")
    if value is None or not value.component(3) or value.component(4):
        return None
    return "".join(value.component(part) for part in (1, 2, 3)) or None


def value_date_time(here: Here) -> str | None:
    """Return a date or time stamp; refuse the OBX-2 types that cannot be mapped."""
    _check_type(here)
    value = _value(here, "time")
    if value is None:
        return None
    moment = timestamps.date_time(value.component(1))
    if moment is None:
        _refuse(here, f"`{value.component(1)}` is not a date and time.")
    return moment


def value_time(here: Here) -> str | None:
    """Return a time of day."""
    value = _value(here, "clock")
    if value is None:
        return None
    match = re.match(r"([01]\d|2[0-3]):?([0-5]\d)(?::?([0-5]\d))?\Z", value.component(1), re.ASCII)
    if match is None:
        _refuse(here, f"`{value.component(1)}` is not a time of day.")
        return None
    return f"{match[1]}:{match[2]}:{match[3] or '00'}"


def _check_type(here: Here) -> None:
    kind = here.segment.text(2).upper()
    if here.segment.text(5) and not any(kind in kinds for kinds in _KINDS.values()):
        here.at(2).fail(DATA_TYPE, f"OBX-2 type `{kind}` is not supported.")


def _refuse(here: Here, text: str) -> None:
    """Report a value once, though several functions look at it."""
    here.at(5)
    expression = f"OBX^{here.segment.number}^5"
    if not any(found.expression == expression for found in here.run.issues):
        here.fail(DATA_TYPE, text)


NAMED: tuple[Compute, ...] = (
    observation_identifier,
    observation_status,
    observed,
    value_boolean,
    value_concept,
    value_date_time,
    value_integer,
    value_quantity,
    value_range,
    value_ratio,
    value_string,
    value_time,
)

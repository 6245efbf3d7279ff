"""The value of an OBX: OBX-5 by the type that OBX-2 names, one repetition or several.

HL7 v2.4 chapter 7.4.2. A value that repeats becomes components, as HL7's map has it; repeated text is
lines of one text. Composite types that no measurement uses are refused.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from mappings.hl7v2 import timestamps
from mappings.hl7v2.codes import codings, unit
from mappings.hl7v2.datatypes import cwe
from mappings.hl7v2.errors import DATA_TYPE
from mappings.hl7v2.parse import Repetition
from mappings.hl7v2.scope import Compute, Here
from r4.json import Resource

_NUMBER = re.compile(
    r"(?P<comparator><=|>=|<|>)?\s*(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))\Z", re.ASCII
)
_CLOCK = re.compile(r"([01]\d|2[0-3]):?([0-5]\d)(?::?([0-5]\d))?\Z", re.ASCII)
_YES_NO = "http://terminology.hl7.org/CodeSystem/v2-0136"
_CODED = frozenset({"CE", "CWE", "CNE", "CF"})
_TEXT = frozenset({"ST", "TX", "FT", "IS", "ID", ""})
_NOT_ASKED = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
            "code": "not-asked",
        }
    ]
}
_LARGEST_INTEGER = 2**31 - 1
_LONGEST_NUMBER = 40


def value_quantity(here: Here) -> Any:
    """Return a number with its unit, or one that is not whole, or that has a comparator."""
    return _value(here, "valueQuantity")


def value_integer(here: Here) -> Any:
    """Return a whole number without a unit: a score, a count."""
    return _value(here, "valueInteger")


def value_range(here: Here) -> Any:
    """Return the range of a numeric range, or of a structured numeric with a hyphen: `^10^-^20`."""
    return _value(here, "valueRange")


def value_ratio(here: Here) -> Any:
    """Return the ratio of a structured numeric with a colon or slash: `^1^:^128`."""
    return _value(here, "valueRatio")


def value_period(here: Here) -> Any:
    """Return a date/time range."""
    return _value(here, "valuePeriod")


def value_boolean(here: Here) -> Any:
    """Return a code of HL7's yes/no table."""
    return _value(here, "valueBoolean")


def value_concept(here: Here) -> Any:
    """Return a coded value that is not yes or no."""
    return _value(here, "valueCodeableConcept")


def value_string(here: Here) -> Any:
    """Return text: every repetition a line; a structured numeric with a suffix as written."""
    if here.segment.text(2).upper() not in _TEXT:
        return _value(here, "valueString")
    repetitions = here.at(5).segment.field(5).repetitions
    if not repetitions or _boolean(repetitions[0], here) is not None:
        return None
    return "\n".join(filter(None, (value.text for value in repetitions))) or None


def value_date_time(here: Here) -> Any:
    """Return a date or time stamp; refuse the OBX-2 types that cannot be mapped."""
    _check_type(here)
    return _value(here, "valueDateTime")


def value_time(here: Here) -> Any:
    """Return a time of day."""
    return _value(here, "valueTime")


def value_components(here: Here) -> list[Resource] | None:
    """Return a component for each repetition of a value that is not text, where it has several."""
    kind = here.segment.text(2).upper()
    repetitions = here.segment.field(5).repetitions
    if kind in _TEXT or not _is_repeated(repetitions) or not here.segment.text(3):
        return None
    code = cwe(here.segment.field(3).repetitions[0], here.at(3))
    found = []
    for number, value in enumerate(repetitions, start=1):
        if value and (read := _any(kind, value, here.at(5, number))):
            found.append({"code": code, **read})
    return found


def absent_reason(here: Here) -> Resource | None:
    """Return that nobody asked, where OBX-11 says so and there is no value."""
    has_value = any(name.startswith("value") for name in here.slot.resource) if here.slot else False
    return _NOT_ASKED if here.segment.value(11) == "N" and not has_value else None


def _value(here: Here, element: str) -> Any:
    kinds, read = _READERS[element]
    if here.segment.text(2).upper() not in kinds:
        return None
    repetitions = here.at(5).segment.field(5).repetitions
    if not repetitions or not repetitions[0] or _is_repeated(repetitions):
        return None
    return read(repetitions[0], here)


def _is_repeated(repetitions: tuple[Repetition, ...]) -> bool:
    return len(repetitions) > 1 and sum(map(bool, repetitions)) > 1


def _any(kind: str, value: Repetition, here: Here) -> Resource:
    for element, (kinds, read) in _READERS.items():
        if kind in kinds and (found := read(value, here)) is not None:
            return {element: found}
    return {}


def _quantity(value: Repetition, here: Here) -> Resource | None:
    number = _number(value, here)
    if number is None or _is_bare_integer(number, here):
        return None
    return number | _unit(here)


def _integer(value: Repetition, here: Here) -> int | None:
    number = _number(value, here)
    if number is None or not _is_bare_integer(number, here):
        return None
    return int(number["value"])


def _number(value: Repetition, here: Here) -> Resource | None:
    if here.segment.text(2).upper() == "NM":
        return _read(value.component(1), here)
    if value.component(3) or value.component(4):
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


def _range(value: Repetition, here: Here) -> Resource | None:
    if here.segment.text(2).upper() == "NR":
        return _ends(value.component(1), value.component(2), here)
    if value.component(3) != "-" or not value.component(4):
        return None
    return _ends(value.component(2), value.component(4), here)


def _ends(low: str, high: str, here: Here) -> Resource | None:
    read = {end: _read(text, here) for end, text in (("low", low), ("high", high)) if text}
    return {end: number | _unit(here) for end, number in read.items() if number} or None


def _ratio(value: Repetition, here: Here) -> Resource | None:
    if value.component(3) not in (":", "/") or not value.component(4):
        return None
    upper, lower = _read(value.component(2), here), _read(value.component(4), here)
    if upper is None or lower is None:
        return None
    return {"numerator": upper, "denominator": lower}


def _period(value: Repetition, here: Here) -> Resource | None:
    read = {
        end: _moment(value.component(number), here) for number, end in ((1, "start"), (2, "end"))
    }
    return {end: moment for end, moment in read.items() if moment} or None


def _boolean(value: Repetition, here: Here) -> bool | None:
    kind, code = here.segment.text(2).upper(), ""
    if kind == "ID":
        code = value.component(1)
    elif kind in _CODED:
        found = next((one for one in codings(value, here) if one.get("system") == _YES_NO), None)
        code = found["code"] if found else ""
    yes_no = here.translate("YesNo", code) if code else None
    return None if yes_no is None else bool(yes_no["code"] == "Y")


def _concept(value: Repetition, here: Here) -> Resource | None:
    return None if _boolean(value, here) is not None else cwe(value, here)


def _structured_text(value: Repetition, here: Here) -> str | None:  # noqa: ARG001
    if not value.component(3) or value.component(4):
        return None
    return "".join(value.component(part) for part in (1, 2, 3)) or None


def _date_time(value: Repetition, here: Here) -> str | None:
    return _moment(value.component(1), here)


def _moment(text: str, here: Here) -> str | None:
    moment = timestamps.date_time(text) if text else None
    if moment is None and text:
        _refuse(here, f"`{text}` is not a date and time.")
    return moment


def _time(value: Repetition, here: Here) -> str | None:
    match = _CLOCK.match(value.component(1))
    if match is None:
        _refuse(here, f"`{value.component(1)}` is not a time of day.")
        return None
    return f"{match[1]}:{match[2]}:{match[3] or '00'}"


def _check_type(here: Here) -> None:
    kind = here.segment.text(2).upper()
    if not here.segment.text(5) or kind in _READABLE:
        return
    text = f"OBX-2 type `{kind}` is not supported."
    if kind in ("ED", "RP"):
        text = f"A document (OBX-2 `{kind}`) belongs to a report: send it in an ORU, after OBR-4."
    here.at(2).fail(DATA_TYPE, text)


def _refuse(here: Here, text: str) -> None:
    """Report a value once, though several functions look at it."""
    expression = f"OBX^{here.segment.number}^5"
    if here.repetition > 1:
        expression = f"{expression}^{here.repetition}"
    if not any(found.expression == expression for found in here.run.issues):
        here.fail(DATA_TYPE, text)


_READERS: dict[str, tuple[frozenset[str], Callable[[Repetition, Here], Any]]] = {
    "valueQuantity": (frozenset({"NM", "SN"}), _quantity),
    "valueInteger": (frozenset({"NM", "SN"}), _integer),
    "valueRange": (frozenset({"SN", "NR"}), _range),
    "valueRatio": (frozenset({"SN"}), _ratio),
    "valueBoolean": (_CODED | {"ID"}, _boolean),
    "valueCodeableConcept": (_CODED, _concept),
    "valueString": (frozenset({"SN"}), _structured_text),
    "valueDateTime": (frozenset({"DT", "TS", "DTM"}), _date_time),
    "valueTime": (frozenset({"TM"}), _time),
    "valuePeriod": (frozenset({"DR"}), _period),
}
_READABLE = _TEXT.union(*(kinds for kinds, _ in _READERS.values()))

NAMED: tuple[Compute, ...] = (
    absent_reason,
    value_boolean,
    value_components,
    value_concept,
    value_date_time,
    value_integer,
    value_period,
    value_quantity,
    value_range,
    value_ratio,
    value_string,
    value_time,
)

"""Conversion: toX() and convertsToX() for every System type.

https://hl7.org/fhirpath/N1/#conversion
"""

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from r4.fhirpath import quantities, temporal
from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.function import Function
from r4.fhirpath.quantities import CALENDAR_UNITS, Quantity
from r4.fhirpath.scope import Code, Scope, Step
from r4.fhirpath.temporal import Temporal
from r4.fhirpath.values import EMPTY, FALSE, TRUE, Node, singleton

_INTEGER = re.compile(r"[+-]?\d+")
_DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?")
_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}
_DATE_PARTS = 3


def _boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _BOOLEANS.get(value.lower())
    if isinstance(value, int | Decimal) and value in (0, 1):
        return bool(value)
    return None


def _integer(value: Any) -> Any:
    if isinstance(value, str):
        return int(value) if _INTEGER.fullmatch(value) else None
    return int(value) if isinstance(value, int) else None


def _decimal(value: Any) -> Any:
    if isinstance(value, str):
        return Decimal(value) if _DECIMAL.fullmatch(value) else None
    return Decimal(value) if isinstance(value, int | Decimal) else None


def _string(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value) if isinstance(value, str | int | Temporal | Quantity) else None


def _date(value: Any) -> Any:
    found = temporal.read(value) if isinstance(value, str) else value
    if not isinstance(found, Temporal) or found.kind == "Time":
        return None
    return Temporal("Date", found.fields[:_DATE_PARTS])


def _date_time(value: Any) -> Any:
    if isinstance(value, str):
        return temporal.read_date_time(value)
    if isinstance(value, Temporal) and value.kind != "Time":
        return replace(value, kind="DateTime")
    return None


def _time(value: Any) -> Any:
    if isinstance(value, str):
        return temporal.read_time(value)
    return value if isinstance(value, Temporal) and value.kind == "Time" else None


def _quantity(value: Any, unit: Any = None) -> Any:
    if unit is not None and not isinstance(unit, str):
        raise EvaluationError("toQuantity() needs its unit as a string")
    if isinstance(value, bool):
        found: Quantity | None = Quantity(Decimal(1 if value else 0))
    elif isinstance(value, int | Decimal):
        found = Quantity(Decimal(value))
    elif isinstance(value, str):
        found = quantities.read(value)
    else:
        found = value if isinstance(value, Quantity) else None
    return found if found is None or unit is None else _in_unit(found, unit)


def _in_unit(quantity: Quantity, unit: str) -> Quantity | None:
    name = CALENDAR_UNITS.get(unit, unit)
    converted = quantities.convert(quantity, name)
    return None if converted is None else Quantity(quantities.decimal(converted), name)


def _to(convert: Callable[..., Any]) -> Callable[..., Step]:
    def build(*arguments: Code) -> Step:
        def step(scope: Scope, items: list[Any]) -> list[Any]:
            value = singleton(items, "a conversion")
            if value is None:
                return EMPTY
            converted = convert(value, *(singleton(a.evaluate(scope), "a unit") for a in arguments))
            return EMPTY if converted is None else [converted]

        return step

    return build


def _converts(convert: Callable[..., Any]) -> Callable[..., Step]:
    def build(*arguments: Code) -> Step:
        to = _to(convert)(*arguments)

        def step(scope: Scope, items: list[Any]) -> list[Any]:
            if not items:
                return EMPTY
            return TRUE if to(scope, items) else FALSE

        return step

    return build


_CONVERSIONS: dict[str, Callable[..., Any]] = {
    "Boolean": _boolean,
    "Integer": _integer,
    "Decimal": _decimal,
    "String": _string,
    "Date": _date,
    "DateTime": _date_time,
    "Time": _time,
    "Quantity": _quantity,
}


def _to_string(_: Scope, items: list[Any]) -> list[Any]:
    # FHIR's dates are given as they were written: `+00:00` does not become `Z`.
    if len(items) == 1 and items[0].__class__ is Node and isinstance(items[0].value, str):
        return [items[0].value]
    text = _string(singleton(items, "toString()"))
    return EMPTY if text is None else [text]


FUNCTIONS = {
    name: Function(build(convert), 0, 1 if kind == "Quantity" else 0)
    for kind, convert in _CONVERSIONS.items()
    for name, build in ((f"to{kind}", _to), (f"convertsTo{kind}", _converts))
} | {"toString": Function(lambda: _to_string)}

"""What a value of limited precision may stand for, and with what it may be compared.

https://hl7.org/fhirpath/#lowboundaryprecision-integer-decimal--date--datetime--time
"""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from r4.fhirpath import temporal
from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.function import of_value
from r4.fhirpath.quantities import Quantity, convert
from r4.fhirpath.temporal import Temporal

_PLACES = 8
_MOST_PLACES = 28
_HALF = Decimal("0.5")


def _boundary(high: bool) -> Callable[..., Any]:
    def find(value: Any, digits: int | None = None) -> Any:
        if isinstance(value, Temporal):
            return temporal.boundary(value, digits, high=high)
        if isinstance(value, Quantity):
            bound = _number(value.value, digits, high=high)
            return None if bound is None else Quantity(bound, value.unit)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise EvaluationError("a boundary needs a number, quantity, date or time")
        return _number(Decimal(value), digits, high=high)

    return find


def _number(value: Decimal, digits: int | None, *, high: bool) -> Decimal | None:
    places = _PLACES if digits is None else digits
    if not 0 <= places <= _MOST_PLACES:
        return None
    half = _HALF.scaleb(-_written_places(value))
    bound = value + half if high else value - half
    return bound.quantize(Decimal(1).scaleb(-places), ROUND_CEILING if high else ROUND_FLOOR)


def _written_places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _precision(value: Any) -> int:
    if isinstance(value, Temporal):
        return temporal.precision(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise EvaluationError("precision() needs a number, date or time")
    return _written_places(Decimal(value))


def _comparable(value: Any, other: Quantity) -> bool:
    if not isinstance(value, Quantity):
        raise EvaluationError("comparable() needs quantities")
    return convert(value, other.unit, of_fhir=other.of_fhir) is not None


FUNCTIONS = {
    "lowBoundary": of_value(_boundary(high=False), int, minimum=0),
    "highBoundary": of_value(_boundary(high=True), int, minimum=0),
    "precision": of_value(_precision),
    "comparable": of_value(_comparable, Quantity),
}

"""Mathematics on Integer, Decimal and Quantity, exact where decimals can be.

https://hl7.org/fhirpath/N1/#math
"""

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, Overflow, localcontext
from typing import Any

from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.function import Function, of_value
from r4.fhirpath.quantities import Quantity

_GUARD = 40
_EXACT_BITS = 128


def _number(value: Any) -> int | Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise EvaluationError("a mathematical function needs a number")
    return value


def _abs(value: Any) -> Any:
    if isinstance(value, Quantity):
        return Quantity(abs(value.value), value.unit)
    return abs(_number(value))


def _inexact(apply: Callable[..., Decimal]) -> Callable[..., Decimal | None]:
    # Guard digits, so that 16.log(2) is 4 and not 3.999…; what has no real value is empty.
    def calculate(*numbers: Any) -> Decimal | None:
        try:
            with localcontext() as context:
                context.prec = _GUARD
                result = apply(*(Decimal(_number(number)) for number in numbers))
        except (InvalidOperation, Overflow, ZeroDivisionError):
            return None
        return +result if result.is_finite() else None

    return calculate


def _power(base: Any, exponent: Any) -> Any:
    whole = isinstance(_number(base), int) and isinstance(_number(exponent), int)
    if whole and exponent >= 0 and exponent * base.bit_length() <= _EXACT_BITS:
        return base**exponent
    return _inexact(lambda one, other: one**other)(base, exponent)


def _round(value: Any, places: int = 0) -> Decimal:
    if places < 0:
        raise EvaluationError("round() needs a precision of 0 or more")
    number = Decimal(_number(value))
    return number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def _whole(apply: Callable[[Any], int]) -> Function:
    return of_value(lambda value: apply(_number(value)))


FUNCTIONS = {
    "abs": of_value(_abs),
    "ceiling": _whole(math.ceil),
    "floor": _whole(math.floor),
    "truncate": _whole(math.trunc),
    "round": of_value(_round, int, minimum=0),
    "exp": of_value(_inexact(lambda value: value.exp())),
    "ln": of_value(_inexact(lambda value: value.ln())),
    "log": of_value(_inexact(lambda value, base: value.ln() / base.ln()), object),
    "power": of_value(_power, object),
    "sqrt": of_value(_inexact(lambda value: value.sqrt())),
}

"""Quantities in one unit for each kind: what makes 5 mg and 0.005 g the same when they are searched.

https://hl7.org/fhir/R4/search.html#quantity, https://ucum.org/ucum
"""

from decimal import Decimal, DecimalException
from functools import lru_cache

from r4.fhirpath.quantities import Quantity, multiply

_UNITY = Quantity(Decimal(1), "{1}")
_TEMPERATURES = {
    "Cel": (Decimal(1), Decimal("273.15")),
    "[degF]": (Decimal(5) / Decimal(9), Decimal("459.67")),
}
"""Special units: factor and the offset that is added before it, to kelvin."""


def canonical(value: Decimal | int, code: str) -> tuple[Decimal, str] | None:
    """Return a value in the base units of its UCUM unit, with their text; None for an unknown unit."""
    found = _factor(code)
    if found is None:
        return None
    factor, offset, unit = found
    try:
        return (Decimal(value) + offset) * factor, unit
    except DecimalException:
        return None


@lru_cache(maxsize=1024)
def _factor(code: str) -> tuple[Decimal, Decimal, str] | None:
    if code in _TEMPERATURES:
        factor, offset = _TEMPERATURES[code]
        return factor, offset, "K"
    reduced = multiply(Quantity(Decimal(1), code), _UNITY)
    return None if reduced is None else (reduced.value, Decimal(0), reduced.unit)

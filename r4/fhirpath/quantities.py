"""Quantities with UCUM or calendar units: reading, converting, comparing, multiplying.

A unit is reduced to an exact factor and the powers of its base units. The table holds the units
that clinical data use; an unknown unit is comparable only with itself.

https://hl7.org/fhirpath/N1/#quantity, https://ucum.org/ucum
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

CALENDAR_UNITS = {
    name: singular
    for singular in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for name in (singular, singular + "s")
}
"""Calendar duration keywords, singular and plural, to the singular."""

_DEFINITE = {
    "week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s", "millisecond": "ms",
}  # fmt: skip
UCUM_OF_CALENDAR = {"year": "a", "month": "mo", **_DEFINITE}
"""The UCUM code by which a FHIR Quantity says a calendar duration."""

_OF_YEARS = {"year": 12, "month": 1}

_MOST_POWERS = 24
"""No clinical unit has more; without a limit a text could ask for a number of any size."""

Dimensions = tuple[tuple[str, int], ...]
Reduced = tuple[Fraction, Dimensions]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit: UCUM code, singular calendar keyword, or `1`.

    of_fhir: it came from a FHIR Quantity, whose `a` and `mo` also stand for calendar durations.
    """

    value: Decimal
    unit: str = "1"
    of_fhir: bool = False

    def __str__(self) -> str:
        if self.unit in CALENDAR_UNITS:
            plural = "" if self.value == 1 else "s"
            return f"{self.value:f} {self.unit}{plural}"
        return f"{self.value:f} '{self.unit}'"


_TEXT = re.compile(r"(?P<value>[+-]?\d+(?:\.\d+)?)\s*(?:'(?P<unit>[^']+)'|(?P<word>[a-zA-Z]+))?")


def read(text: str) -> Quantity | None:
    """Read `1.5 'mg'`, `4 days` or `3`; None when the text is no quantity."""
    match = _TEXT.fullmatch(text)
    if match is None or (match["word"] and match["word"] not in CALENDAR_UNITS):
        return None
    unit = CALENDAR_UNITS[match["word"]] if match["word"] else match["unit"] or "1"
    return Quantity(Decimal(match["value"]), unit)


def convert(quantity: Quantity, unit: str, *, of_fhir: bool = False) -> Fraction | None:
    """Return the exact value in another unit, or None where the units cannot be compared."""
    if quantity.unit == unit:
        return Fraction(quantity.value)
    calendar = quantity.of_fhir or of_fhir
    source, target = _reduce(quantity.unit, calendar), _reduce(unit, calendar)
    if source is None or target is None or source[1] != target[1]:
        return None
    return Fraction(quantity.value) * source[0] / target[0]


def compare(left: Quantity, right: Quantity) -> int | None:
    """Order two quantities: -1, 0 or 1, or None where their units cannot be compared."""
    value = convert(left, right.unit, of_fhir=right.of_fhir)
    if value is None:
        return None
    other = Fraction(right.value)
    return (value > other) - (value < other)


def multiply(left: Quantity, right: Quantity) -> Quantity | None:
    """Multiply two quantities; None where a unit is unknown."""
    return _combine(left, right, 1)


def divide(left: Quantity, right: Quantity) -> Quantity | None:
    """Divide two quantities; None where a unit is unknown or the divisor is zero."""
    return None if right.value == 0 else _combine(left, right, -1)


def decimal(value: Fraction) -> Decimal:
    """Write a fraction as a Decimal, exact where 28 digits can hold it."""
    return Decimal(value.numerator) / Decimal(value.denominator)


def _combine(left: Quantity, right: Quantity, power: int) -> Quantity | None:
    number = left.value * right.value if power > 0 else left.value / right.value
    if right.unit == "1":
        return Quantity(number, left.unit)
    if left.unit == right.unit and power < 0:
        return Quantity(number)
    one, other = _reduce(left.unit, False), _reduce(right.unit, False)
    if one is None or other is None:
        return None
    factor, dimensions = _times(one, other, power)
    scale = decimal(factor)
    return Quantity(number * scale, _write(dimensions))


def _write(dimensions: Dimensions) -> str:
    text = ".".join(f"{unit}{'' if power == 1 else power}" for unit, power in dimensions)
    return text or "1"


def _times(left: Reduced, right: Reduced, power: int) -> Reduced:
    powers = dict(left[1])
    for unit, exponent in right[1]:
        powers[unit] = powers.get(unit, 0) + exponent * power
    dimensions = tuple(sorted((unit, exponent) for unit, exponent in powers.items() if exponent))
    return left[0] * right[0] ** power, dimensions


@lru_cache(maxsize=1024)
def _reduce(unit: str, calendar: bool) -> Reduced | None:
    name = {"a": "year", "mo": "month"}.get(unit, unit) if calendar else unit
    if name in _OF_YEARS:
        return Fraction(_OF_YEARS[name]), (("month", 1),)
    return _reduce_ucum(_DEFINITE.get(name, name))


def _reduce_ucum(text: str) -> Reduced | None:
    result: Reduced = (Fraction(1), ())
    sign = -1 if text.startswith("/") else 1
    for part in re.split(r"([./])", re.sub(r"\{[^}]*\}", "", text) or "1"):
        if part in (".", "/", ""):
            sign = -1 if part == "/" else 1
            continue
        term = _term(part)
        if term is None:
            return None
        result = _times(result, term, sign)
    return result


def _term(text: str) -> Reduced | None:
    if text.isdigit():
        return Fraction(int(text)), ()
    power = re.search(r"[+-]?\d+$", text)
    atom = _atom(text[: power.start()] if power else text)
    if atom is None:
        return None
    if power is None:
        return atom
    exponent = int(power.group())
    return _times((Fraction(1), ()), atom, exponent) if abs(exponent) <= _MOST_POWERS else None


def _atom(symbol: str) -> Reduced | None:
    if symbol in _ATOMS:
        return _ATOMS[symbol]
    for length in (2, 1):
        prefix, rest = symbol[:length], symbol[length:]
        if prefix in _PREFIXES and rest in _METRIC:
            factor, dimensions = _ATOMS[rest]
            return factor * _PREFIXES[prefix], dimensions
    return None


_PREFIXES = {
    prefix: Fraction(10) ** power
    for prefix, power in {
        "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
        "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21,
    }.items()
}  # fmt: skip

_BASE = "m g s rad K C cd mol"
_DERIVED = {
    # symbol: (factor, definition in symbols above it); a definition is a UCUM term
    "l": ("1", "dm3"), "L": ("1", "l"), "Hz": ("1", "/s"), "N": ("1", "kg.m/s2"),
    "Pa": ("1", "N/m2"), "J": ("1", "N.m"), "W": ("1", "J/s"), "A": ("1", "C/s"), "V": ("1", "J/C"),
    "bar": ("100000", "Pa"), "cal": ("4.184", "J"), "Bq": ("1", "/s"), "Gy": ("1", "J/kg"),
    "Sv": ("1", "J/kg"), "kat": ("1", "mol/s"), "eq": ("1", "mol"), "osm": ("1", "mol"),
    "U": ("1/60", "umol/s"), "t": ("1000", "kg"), "m[Hg]": ("133322", "Pa"),
    "m[H2O]": ("9806.65", "Pa"),
}  # fmt: skip
_PLAIN = {
    "min": ("60", "s"), "h": ("60", "min"), "d": ("24", "h"), "wk": ("7", "d"),
    "a": ("365.25", "d"), "mo": ("30.4375", "d"), "%": ("0.01", "1"), "[ppth]": ("0.001", "1"),
    "[ppm]": ("0.000001", "1"), "10*": ("10", "1"), "10^": ("10", "1"),
    "[in_i]": ("2.54", "cm"), "[ft_i]": ("12", "[in_i]"), "[yd_i]": ("3", "[ft_i]"),
    "[mi_i]": ("5280", "[ft_i]"), "[lb_av]": ("453.59237", "g"), "[oz_av]": ("28.349523125", "g"),
    "[stone_av]": ("14", "[lb_av]"), "[gr]": ("64.79891", "mg"), "atm": ("101325", "Pa"),
    "[drp]": ("0.05", "ml"),
}  # fmt: skip

_ATOMS: dict[str, Reduced] = {symbol: (Fraction(1), ((symbol, 1),)) for symbol in _BASE.split()}
# Units that UCUM calls arbitrary or special: they convert to nothing but their own multiples.
_ATOMS |= {unit: (Fraction(1), ((unit, 1),)) for unit in ("Cel", "[degF]", "[iU]", "[arb'U]", "B")}
_METRIC = {*_ATOMS, *_DERIVED}
for _symbol, (_factor, _definition) in (_DERIVED | _PLAIN).items():
    _reduced = _reduce_ucum(_definition)
    if _reduced is not None:
        _ATOMS[_symbol] = (Fraction(_factor) * _reduced[0], _reduced[1])

"""Prefixes: how a stored range [low, high] is compared with a value that has a precision.

https://hl7.org/fhir/R4/search.html#prefix
"""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from fhir_server.store.search.keys import bounds
from r4.issue import FhirError, error

_PREFIXED = re.compile(r"^(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)$", re.DOTALL)
_NUMBER = re.compile(r"^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$")
_APPROXIMATELY = 10
"""`ap` is within a tenth: of the number, or of the time between now and the date."""

_MOST_DIGITS = 40
_LARGEST = 300
"""Most digits before or after the point: what a double can hold."""


class Comparison(NamedTuple):
    """A condition on the columns `low` and `high`, and its bound values."""

    text: str
    values: tuple[float, ...]


class Number(NamedTuple):
    """A number as searched: what it says, and the half-open range that its digits cover."""

    value: Decimal
    low: Decimal
    high: Decimal


def date(name: str, value: str, now: int | None) -> Comparison:
    """Compare with a date; raises FhirError 400 for a text that is none."""
    prefix, text = split(value)
    start, end = _bounds(name, text)
    if prefix == "ap":
        return _around(name, start, end, now)
    return _OF_RANGE[prefix](start, end)


def overlapping(name: str, value: str) -> Comparison:
    """Ask for a range that has a moment in common with a date."""
    start, end = _bounds(name, value)
    return Comparison("{high} >= ? AND {low} <= ?", (start, end))


def _bounds(name: str, text: str) -> tuple[int, int]:
    try:
        return bounds(text)
    except ValueError:
        raise refused(name, f"{name}: {text!r} is not a FHIR date.") from None


def _around(name: str, start: int, end: int, now: int | None) -> Comparison:
    if now is None:
        raise refused(name, f"{name}: the prefix ap is not supported here.")
    margin = abs(now - (start + end) // 2) // _APPROXIMATELY
    return Comparison("{high} >= ? AND {low} <= ?", (start - margin, end + margin))


_INSIDE = "{low} >= ? AND {low} <= ? AND {high} <= ?"
"""What begins inside a range and ends inside it; the second part says where the first one ends."""

_OF_RANGE: dict[str, Callable[[int, int], Comparison]] = {
    "eq": lambda start, end: Comparison(_INSIDE, (start, end, end)),
    "ne": lambda start, end: Comparison("NOT ({low} >= ? AND {high} <= ?)", (start, end)),
    "gt": lambda _, end: Comparison("{high} > ?", (end,)),
    "ge": lambda start, _: Comparison("{high} >= ?", (start,)),
    "lt": lambda start, _: Comparison("{low} < ?", (start,)),
    "le": lambda _, end: Comparison("{low} <= ?", (end,)),
    "sa": lambda _, end: Comparison("{low} > ?", (end,)),
    "eb": lambda start, _: Comparison("{high} < ?", (start,)),
}


def number(name: str, text: str) -> Number:
    """Read a number with the range that its digits cover; raises FhirError 400 for another text."""
    if not _NUMBER.match(text) or len(text) > _MOST_DIGITS:
        raise refused(name, f"{name}: {text!r} is not a number.")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise refused(name, f"{name}: {text!r} is not a number.") from None
    exponent = int(value.as_tuple().exponent)
    if max(abs(value.adjusted()), abs(exponent)) > _LARGEST:
        raise refused(name, f"{name}: {text!r} has more than {_LARGEST} digits.")
    half = Decimal(1).scaleb(exponent) / (20 if exponent > 0 else 2)
    return Number(value, value - half, value + half)


def numeric(prefix: str, asked: Number) -> Comparison:
    """Compare with a number; prefixes other than eq and ne take it as exact."""
    value = float(asked.value)
    if prefix in ("eq", "ne"):
        text = "{low} >= ? AND {low} < ? AND {high} < ?"
        ends = (float(asked.low), float(asked.high), float(asked.high))
        return Comparison(text if prefix == "eq" else f"NOT ({text})", ends)
    if prefix == "ap":
        margin = abs(value) / _APPROXIMATELY
        return Comparison("{high} >= ? AND {low} <= ?", (value - margin, value + margin))
    return Comparison(_OF_NUMBER[prefix], (value,))


_OF_NUMBER = {
    "gt": "{high} > ?",
    "ge": "{high} >= ?",
    "lt": "{low} < ?",
    "le": "{low} <= ?",
    "sa": "{low} > ?",
    "eb": "{high} < ?",
}


def split(value: str) -> tuple[str, str]:
    """Split a value into its prefix (eq where it has none) and the rest."""
    match = _PREFIXED.match(value)
    return (match[1] or "eq", match[2]) if match else ("eq", value)


def refused(name: str, diagnostics: str) -> FhirError:
    """Return the refusal of a value."""
    return FhirError(400, [error("value", diagnostics, f"http.{name}", "search")])

"""The values of FHIR's primitive types: which JSON values are right, and what to say of the others.

Lengths, patterns and ranges: https://hl7.org/fhir/R4/datatypes.html#primitive. Dates are checked
against the calendar, which the standard's patterns do not do.
"""

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Accepts = Callable[[Any], bool]
Quick = Callable[[str], Any]
"""Tells quickly what most texts are: true only of right ones."""

LONGEST_STRING = 1024 * 1024
LARGEST_INTEGER = 2**31 - 1
LARGEST_EXPONENT = 400
"""Decimals beyond ten to this power (no quantity of medicine is) would stall arithmetic."""
_BEYOND = 10**LARGEST_EXPONENT


@dataclass(frozen=True, slots=True)
class Primitive:
    """One primitive type: whether a JSON value is one, and how one is written.

    quick is true of most texts that are right and of none that is not; None where there is no such test.
    """

    accepts: Accepts
    advice: str
    quick: Quick | None = None


def _matching(pattern: str) -> Accepts:
    fullmatch = re.compile(pattern, re.ASCII).fullmatch

    def accepts(value: Any) -> bool:
        return value.__class__ is str and fullmatch(value) is not None

    return accepts


def _quick(pattern: str) -> Quick:
    return re.compile(pattern, re.ASCII).fullmatch


def _is_boolean(value: Any) -> bool:
    return value is True or value is False


def _is_string(value: Any) -> bool:
    return value.__class__ is str and is_text(value)


def is_text(value: str) -> bool:
    """Tell whether a text is a FHIR string: something to be seen, no NUL, at most a megabyte."""
    return 0 < len(value) <= LONGEST_STRING and not value.isspace() and "\x00" not in value


def _integer_from(lowest: int) -> Accepts:
    def accepts(value: Any) -> bool:
        return value.__class__ is int and lowest <= value <= LARGEST_INTEGER

    return accepts


def _is_decimal(value: Any) -> bool:
    if value.__class__ is Decimal:
        return value.is_finite() and abs(value.adjusted()) <= LARGEST_EXPONENT
    return value.__class__ is int and -_BEYOND < value < _BEYOND


_LAST_DAY_OF_EVERY_MONTH = "28"


def _is_on_the_calendar(day: str) -> bool:
    if day[8:10] <= _LAST_DAY_OF_EVERY_MONTH:
        return True
    return int(day[8:10]) <= monthrange(int(day[:4]), int(day[5:7]))[1]


def _dated(pattern: str) -> Accepts:
    fullmatch = re.compile(pattern, re.ASCII).fullmatch

    def accepts(value: Any) -> bool:
        return (
            value.__class__ is str and fullmatch(value) is not None and _is_on_the_calendar(value)
        )

    return accepts


def _is_base64(value: Any) -> bool:
    if value.__class__ is not str or not _BASE64(value):
        return False
    return sum(map(len, value.split())) % 4 == 0


_BASE64 = re.compile(r"\s*[A-Za-z0-9+/][A-Za-z0-9+/\s]*(?:=\s*){0,2}", re.ASCII).fullmatch

_YEAR = r"(?!0000)\d{4}"
_MONTH = r"-(?:0[1-9]|1[0-2])"
_DAY = r"-(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?"
_ZONE = r"(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))"
_MOST_DAYS = rf"[12]\d{{3}}{_MONTH}-(?:0[1-9]|1\d|2[0-8])"
"""Days that every month has, in the years that resources are of."""
_MOST_TIMES = r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-]0\d:[0-5]\d)"
_URI = _matching(r"\S+")
_QUICK_URI = _quick(r"\S+")
_ID = r"[A-Za-z0-9\-.]{1,64}"

PRIMITIVES = {
    "base64Binary": Primitive(_is_base64, "base64 in groups of four characters"),
    "boolean": Primitive(_is_boolean, "true or false, without quotes"),
    "canonical": Primitive(_URI, "a url without spaces", _QUICK_URI),
    "code": Primitive(
        _matching(r"\S+(?: \S+)*"),
        "a code without leading, trailing or double spaces",
        _quick(r"\S+"),
    ),
    "date": Primitive(
        _dated(f"{_YEAR}(?:{_MONTH}(?:{_DAY})?)?"),
        "a date of the calendar as YYYY, YYYY-MM or YYYY-MM-DD",
        _quick(_MOST_DAYS),
    ),
    "dateTime": Primitive(
        _dated(f"{_YEAR}(?:{_MONTH}(?:{_DAY}(?:T{_TIME}{_ZONE})?)?)?"),
        "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with Z or an offset such as +01:00",
        _quick(f"{_MOST_DAYS}(?:{_MOST_TIMES})?"),
    ),
    "decimal": Primitive(_is_decimal, "a JSON number, without quotes"),
    "id": Primitive(_matching(_ID), "1 to 64 letters, digits, hyphens and full stops", _quick(_ID)),
    "instant": Primitive(
        _dated(f"{_YEAR}{_MONTH}{_DAY}T{_TIME}{_ZONE}"),
        "YYYY-MM-DDThh:mm:ss with Z or an offset such as +01:00",
        _quick(f"{_MOST_DAYS}{_MOST_TIMES}"),
    ),
    "integer": Primitive(
        _integer_from(-LARGEST_INTEGER - 1), "a whole JSON number of at most 32 bits"
    ),
    "markdown": Primitive(_is_string, "a text with at least one visible character", is_text),
    "oid": Primitive(_matching(r"urn:oid:[0-2](?:\.(?:0|[1-9]\d*))+"), "urn:oid: and an OID"),
    "positiveInt": Primitive(_integer_from(1), "a whole JSON number of 1 or more"),
    "string": Primitive(_is_string, "a text with at least one visible character", is_text),
    "time": Primitive(_matching(_TIME), "hh:mm:ss, without a time zone"),
    "unsignedInt": Primitive(_integer_from(0), "a whole JSON number of 0 or more"),
    "uri": Primitive(_URI, "a uri without spaces", _QUICK_URI),
    "url": Primitive(_URI, "a url without spaces", _QUICK_URI),
    "uuid": Primitive(
        _matching(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        "urn:uuid: and a UUID in lower case",
    ),
    "xhtml": Primitive(_is_string, "an XHTML div"),
}

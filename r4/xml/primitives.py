"""A primitive's value as XML writes it to the value that JSON has, and back.

https://hl7.org/fhir/R4/datatypes.html#primitive. What a value may be beyond its kind (the calendar,
lengths, patterns) is for the validator, which reads both formats' result.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Read = Callable[[str], Any]

_INTEGER = re.compile(r"0|[-+]?[1-9][0-9]{0,17}").fullmatch
_DECIMAL = re.compile(
    r"(-?(?:0|[1-9][0-9]{0,999}))((?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,9})?)"
).fullmatch
_BOOLEANS = {"true": True, "false": False}
_SPECIAL = re.compile('[&<"\x00-\x1f\ud800-\udfff\ufffe\uffff]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


def write(value: Any) -> str:
    """Write a primitive as the text of a double-quoted attribute, escaped.

    Raises ValueError, saying why, for what XML cannot hold and for what is no primitive.
    """
    kind = value.__class__
    if kind is str:
        return _SPECIAL.sub(_escaped, value) if _SPECIAL.search(value) else value
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is Decimal:
        return str(value)
    raise ValueError(f"a {kind.__name__} is not the value of a primitive")


def _escaped(special: re.Match[str]) -> str:
    try:
        return _ESCAPES[special[0]]
    except KeyError:
        raise ValueError(
            f"XML cannot hold the character U+{ord(special[0]):04X}: ask for JSON"
        ) from None


def _string(text: str) -> str:
    if not text:
        raise ValueError("an attribute is never empty")
    return text


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text]
    except KeyError:
        raise ValueError("a boolean is true or false") from None


def _integer(text: str) -> int:
    if not _INTEGER(text):
        raise ValueError("an integer is digits, and perhaps a sign")
    return int(text)


def _decimal(text: str) -> int | Decimal:
    found = _DECIMAL(text)
    if found is None:
        raise ValueError("a decimal is digits with perhaps a sign, a fraction, an exponent")
    return Decimal(text) if found[2] else int(text)


READERS: dict[str, Read] = {
    "boolean": _boolean,
    "integer": _integer,
    "positiveInt": _integer,
    "unsignedInt": _integer,
    "decimal": _decimal,
} | dict.fromkeys(
    (
        "base64Binary", "canonical", "code", "date", "dateTime", "id", "instant", "markdown",
        "oid", "string", "time", "uri", "url", "uuid",
    ),
    _string,
)  # fmt: skip

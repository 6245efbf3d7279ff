"""What a row of HL7's tables writes, as FHIR has it: texts to R4's primitive types, parts to values.

A value that R4's type cannot be (`soon` as a date) is reported, and refuses the message; a code that
no table lists is not written.
"""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from mappings.hl7v2 import timestamps
from mappings.hl7v2.errors import DATA_TYPE
from mappings.hl7v2.parse import Repetition
from mappings.hl7v2.scope import Here

_WHOLE = re.compile(r"[+-]?\d{1,9}(?:\.0*)?\Z", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)?\Z", re.ASCII)
_YES_NO = {"Y": True, "N": False, "TRUE": True, "FALSE": False}
_LEAST = {"positiveInt": 1, "unsignedInt": 0}
_URI = re.compile(r"(?:https?://|urn:)\S+\Z")
_DEEPEST = 2


class Part(Repetition):
    """A component as the value of its own datatype: its subcomponents are its components."""

    __slots__ = ("_number", "_outer", "depth")

    def __init__(self, outer: Repetition, number: int) -> None:
        super().__init__("", outer._separators)  # noqa: SLF001 - it is one
        self._outer = outer
        self._number = number
        self.depth: int = outer.depth + 1 if isinstance(outer, Part) else 1

    def __bool__(self) -> bool:
        return self.depth <= _DEEPEST and bool(self._outer.component(self._number))

    @property
    def text(self) -> str:
        """Return the first subcomponent."""
        return self.component(1)

    @property
    def size(self) -> int:
        """Return 1: it is read by its parts, or as one text."""
        return 1

    def subcomponent(self, number: int, part: int) -> str:
        """Return a subcomponent; what a subcomponent would be made of is empty."""
        if part > 1:
            return ""
        return self._outer.subcomponent(self._number, number)


def primitive(text: str, type_name: str, here: Here) -> Any:
    """Return a text as a primitive type of R4 has it; None where it is empty, or is reported."""
    text = text.strip()
    if not text:
        return None
    read = _READ.get(type_name)
    if read is None:
        return text if type_name in ("string", "markdown") else " ".join(text.split())
    found = read(text, type_name)
    if found is None:
        here.fail(DATA_TYPE, f"`{text}` is no {type_name}.")
    return found


def _moment(text: str, type_name: str) -> str | None:
    found = timestamps.date_time(text)
    return found if found and (type_name == "dateTime" or "T" in found) else None


def _day(text: str, _: str) -> str | None:
    return timestamps.date(text)


def _clock(text: str, _: str) -> str | None:
    match = _TIME.match(text.partition(".")[0])
    return match and f"{match[1]}:{match[2]}:{match[3] or '00'}"


def _flag(text: str, _: str) -> bool | None:
    return _YES_NO.get(text.upper())


def _whole(text: str, type_name: str) -> int | None:
    if not _WHOLE.match(text):
        return None
    number = int(Decimal(text))
    return number if number >= _LEAST.get(type_name, number) else None


def _decimal(text: str, _: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


_READ: dict[str, Callable[[str, str], Any]] = {
    **dict.fromkeys(("dateTime", "instant"), _moment),
    "date": _day,
    "time": _clock,
    "boolean": _flag,
    **dict.fromkeys(("integer", "positiveInt", "unsignedInt"), _whole),
    "decimal": _decimal,
}


def is_uri(text: str) -> bool:
    """Tell whether a text can name a system: an absolute URI."""
    return _URI.match(text) is not None


def merged(node: dict[str, Any], value: dict[str, Any]) -> None:
    """Lay a value into an element: what stands there already stays."""
    for name, other in value.items():
        there = node.setdefault(name, other)
        if there is not other and isinstance(there, dict) and isinstance(other, dict):
            merged(there, other)

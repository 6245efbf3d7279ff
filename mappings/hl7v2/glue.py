"""Two segments on one line: a sender lost the CR between them, and the second would be lost."""

import re
from collections.abc import Sequence
from functools import cache

from mappings.hl7v2.characters import Separators
from mappings.hl7v2.errors import structural

_SET_ID = {1: r"\d{1,4}"}
_OPTIONAL_SET_ID = {1: r"\d{0,4}"}
_COMPOSED = r".*\^.*"
_SHAPES: dict[str, dict[int, str]] = {
    "MSH": {1: r"\^.*", 8: _COMPOSED},
    "EVN": {1: r"(?:[A-Z]\d\d)?", 2: r"\d{8,}.*"},
    "PID": _OPTIONAL_SET_ID | {3: r".+", 5: _COMPOSED},
    "NK1": _SET_ID | {2: r".*", 3: _COMPOSED},
    "PV1": _OPTIONAL_SET_ID | {2: r"[A-Z]", 3: _COMPOSED},
    "PV2": {3: _COMPOSED},
    "AL1": _SET_ID | {3: _COMPOSED},
    "DG1": _SET_ID | {3: _COMPOSED},
    "PR1": _SET_ID | {3: _COMPOSED},
    "MRG": {1: _COMPOSED},
    "ORC": {1: r"[A-Z]{2}", 2: r".*"},
    "OBR": _OPTIONAL_SET_ID | {4: _COMPOSED},
    "OBX": _OPTIONAL_SET_ID | {2: r"[A-Z]{2,3}", 3: _COMPOSED},
    "NTE": _SET_ID | {2: r"[A-Z]{0,2}", 3: r".+"},
    "SPM": _SET_ID | {4: _COMPOSED},
}
"""What must stand in which fields for a name at the end of a value to be a segment's: set ids,
codes, values of components. `RAPID|1` is a test; `...HL70189PID|1||7^^^RTH||Doe^Ann` is a PID."""

_PATTERNS = {
    name: {number: re.compile(f"{pattern}\\Z", re.DOTALL) for number, pattern in shape.items()}
    for name, shape in _SHAPES.items()
}
_NAMES = "|".join(_SHAPES)


@cache
def _suspicious(field: bytes) -> re.Pattern[bytes]:
    """Find a separator with a segment's name before it, and what is no separator before that.

    It looks back from the separators, the cheapest test first: this runs over every message.
    """
    name = rb"(?<=[A-Z][A-Z0-9][A-Z0-9]%s)" % re.escape(field)
    known = rb"(?<=(?:%s)%s)" % (_NAMES.encode(), re.escape(field))
    return re.compile(re.escape(field) + name + rb"(?<=[A-Za-z0-9\"').+/_-]....)" + known)


_ENDS = re.compile(rf"[A-Za-z0-9\"').+/_-](?:{_NAMES})\Z")


def refuse(head: bytes, lines: Sequence[str], separators: Separators) -> None:
    """Raise FhirError (400, rule 100) naming the line and the segment that stands within it."""
    if not _suspicious(separators.field.encode()).search(head):
        return
    for number, line in enumerate(lines, start=1):
        if name := _within(line, separators):
            raise structural(
                f"Line {number} of the message holds two segments: {name} must begin a line of its"
                " own. End each segment with a carriage return."
            )


def _within(line: str, separators: Separators) -> str | None:
    fields = line.split(separators.field)
    for position, value in enumerate(fields):
        name = value[-3:]
        if _ENDS.match(value[-4:]) and _has_shape(fields, position, name, separators):
            return name
    return None


def _has_shape(fields: list[str], position: int, name: str, separators: Separators) -> bool:
    return all(
        position + number < len(fields)
        and pattern.match(fields[position + number].replace(separators.component, "^")) is not None
        for number, pattern in _PATTERNS[name].items()
    )

"""v2.xml to the segments of a message, and an answer back to v2.xml.

HL7 v2 XML encoding syntax, urn:hl7-org:v2xml: groups hold segments, segments fields (`PID.3`),
fields components (`CX.4`), components subcomponents (`HD.1`). No document type, no entities.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape

from mappings.hl7v2.characters import Separators, separators
from mappings.hl7v2.errors import structural
from mappings.hl7v2.leaves import Repetition, Segment
from r4.issue import FhirError
from r4.xml.parse import parse

NAMESPACE = "urn:hl7-org:v2xml"
MAX_BYTES = 16 * 1024 * 1024
MAX_GROUPS = 16
_HEADER_WITHIN = 65_536
_SEGMENT_NAME = re.compile(r"[A-Z][A-Z0-9]{2}\Z")
_NUMBERED = re.compile(r"[A-Za-z][A-Za-z0-9]*\.([1-9]\d{0,2})\Z")
_MOST_FIELDS, _MOST_PARTS = 255, 99  # more than any version has: a number is so many separators
_FORMAT = re.compile(r"[A-Za-z.][A-Za-z0-9.+-]{0,15}\Z")
_TYPES = {
    ("MSH", 3): "HD",
    ("MSH", 4): "HD",
    ("MSH", 5): "HD",
    ("MSH", 6): "HD",
    ("MSH", 7): "TS",
    ("MSH", 9): "MSG",
    ("MSH", 11): "PT",
    ("MSH", 12): "VID",
    ("ERR", 2): "ERL",
    ("ERR", 3): "CWE",
}
"""The composite fields of an answer; from v2.6 on MSH-7 is simple (DTM)."""


def is_xml(head: bytes) -> bool:
    """Tell whether bytes, without what may stand before a message, are XML."""
    return head.startswith(b"<")


def is_answered_in_kind(head: bytes) -> bool:
    """Tell whether bytes that cannot be read as a whole look like v2.xml, not any other markup."""
    begin = head[:_HEADER_WITHIN]
    return is_xml(head) and (NAMESPACE.encode() in begin or b"<MSH>" in begin)


def lines(head: bytes) -> tuple[list[str], Separators]:
    """Return the segments as they would stand in pipe encoding, and the separators they have.

    Raises FhirError (400, rule 100) for what is no well-formed XML in UTF-8, has a document type,
    is larger than MAX_BYTES, is not of the namespace of v2.xml (or of none), has more than
    MAX_GROUPS groups within one another, or elements where v2.xml has none: nothing is left out.
    """
    if len(head) > MAX_BYTES:
        raise structural(f"The message is larger than {MAX_BYTES} bytes.")
    root = _tree(head)
    found = list(_segments(root, 0))
    if not found or _name(found[0]) != "MSH":
        raise structural("The message does not begin with an MSH segment.")
    used = _separators(found[0])
    return [_line(element, used) for element in found], used


def header(head: bytes) -> tuple[Segment, Separators] | None:
    """Return MSH of a message that cannot be read as a whole, or None where it cannot be found."""
    _, start, rest = head[:_HEADER_WITHIN].partition(b"<MSH>")
    within, end, _ = rest.partition(b"</MSH>")
    if not end:
        return None
    try:
        element = _tree(start + within + end)
        used = _separators(element)
        return Segment(_line(element, used), "MSH", 1, used), used
    except FhirError:
        return None


def written(answer: Sequence[str], used: Separators) -> bytes:
    """Write the segments of an acknowledgement as v2.xml."""
    segments = [Segment(line, line[:3], number, used) for number, line in enumerate(answer)]
    simple_time = segments[0].value(12)[:3] >= "2.6"
    inner = "".join(_segment(segment, simple_time=simple_time) for segment in segments)
    declaration = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{declaration}<ACK xmlns="{NAMESPACE}">{inner}</ACK>'.encode()


def _tree(head: bytes) -> Any:
    try:
        root = parse(head)
    except FhirError as error:
        raise structural(f"The message is no v2.xml: {error.issues[0].diagnostics}") from None
    namespace = root.tag.rpartition("}")[0].removeprefix("{")
    if namespace not in ("", NAMESPACE):
        raise structural(f"The message is no v2.xml: its namespace is not {NAMESPACE}.")
    return root


def _segments(group: Any, depth: int) -> Iterator[Any]:
    if depth > MAX_GROUPS:
        raise structural(f"The message has more than {MAX_GROUPS} groups within one another.")
    _refuse_text(group)
    for element in _elements(group):
        if _SEGMENT_NAME.match(_name(element)):
            yield element
        else:
            yield from _segments(element, depth + 1)


def _separators(msh: Any) -> Separators:
    default = Separators()
    stated = {_name(element): "".join(element.itertext()).strip() for element in _elements(msh)}
    field = stated.get("MSH.1") or default.field
    return separators(field, stated.get("MSH.2") or default.encoding_characters, "utf-8")


def _line(segment: Any, used: Separators) -> str:
    """Write a segment in pipe encoding: its text may hold line breaks, as it is not split again."""
    name = _name(segment)
    fields: dict[int, list[str]] = {}
    for element in _parts(segment):
        number = _number(element, _MOST_FIELDS)
        if _name(element).partition(".")[0] != name:
            raise structural(
                f"{_name(element)} stands in {name}: a field bears its segment's name."
            )
        if name != "MSH" or number not in (1, 2):
            fields.setdefault(number, []).append(_composed(element, used, used.component))
    first = [name]
    if name == "MSH":
        fields[2] = [used.encoding_characters]
    offset = 2 if name == "MSH" else 1  # MSH-1 is the separator itself
    numbers = range(offset, max(fields, default=0) + 1)
    return used.field.join(first + [used.repetition.join(fields.get(n, [])) for n in numbers])


def _composed(element: Any, used: Separators, separator: str) -> str:
    """Write a field (or component) of its components (or subcomponents), or its plain text."""
    parts = [part for part in _elements(element) if _name(part) != "escape"]
    if not parts:
        return _text(element, used)
    found: dict[int, str] = {}
    for part in _parts(element):
        number = _number(part, _MOST_PARTS)
        if number in found:
            raise structural(f"{_name(part)} stands twice in one {_name(element)}.")
        below = separator == used.component
        found[number] = _composed(part, used, used.subcomponent) if below else _text(part, used)
    return separator.join(found.get(number, "") for number in range(1, max(found) + 1))


def _text(element: Any, used: Separators) -> str:
    texts = [_escaped(element.text, used)]
    for inner in element:
        if isinstance(inner.tag, str):
            value = inner.get("V", "")
            if _name(inner) != "escape" or not _FORMAT.match(value) or len(inner):
                raise structural(f"{_name(inner)} stands in {_name(element)}, which has no parts.")
            texts.append(f"{used.escape}{value}{used.escape}")
        texts.append(_escaped(inner.tail, used))
    return "".join(texts).strip()


def _escaped(text: str | None, used: Separators) -> str:
    names = {
        used.escape: "E",
        used.field: "F",
        used.component: "S",
        used.repetition: "R",
        used.subcomponent: "T",
    }
    escapes = {ord(mark): f"{used.escape}{name}{used.escape}" for mark, name in names.items()}
    return (text or "").translate(escapes)


def _parts(element: Any) -> list[Any]:
    _refuse_text(element)
    return _elements(element)


def _refuse_text(element: Any) -> None:
    texts = [element.text, *(inner.tail for inner in element)]
    if any(text and text.strip() for text in texts):
        raise structural(f"{_name(element)} holds text beside its parts.")


def _elements(element: Any) -> list[Any]:
    """Return the elements within, without comments and processing instructions."""
    return [inner for inner in element if isinstance(inner.tag, str)]


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _number(element: Any, most: int) -> int:
    found = _NUMBERED.match(_name(element))
    if found is None or int(found[1]) > most:
        raise structural(f"{_name(element)[:40]} is no field, component or subcomponent of v2.xml.")
    return int(found[1])


def _segment(segment: Segment, *, simple_time: bool) -> str:
    fields = []
    for number in range(1, segment.size + 1):
        name = f"{segment.name}.{number}"
        kind = _TYPES.get((segment.name, number))
        if segment.name == "MSH" and number in (1, 2):
            fields.append(f"<{name}>{escape(segment.text(number))}</{name}>")
        elif segment.text(number):
            simple = kind is None or (kind == "TS" and simple_time)
            whole = segment.field(number).repetitions
            fields += [_field(name, found, "" if simple else str(kind)) for found in whole]
    return f"<{segment.name}>{''.join(fields)}</{segment.name}>"


def _field(name: str, value: Repetition, kind: str) -> str:
    if not kind:
        return f"<{name}>{escape(value.text)}</{name}>"
    parts = [
        f"<{kind}.{number}>{escape(value.component(number))}</{kind}.{number}>"
        for number in range(1, value.size + 1)
        if value.component(number)
    ]
    return f"<{name}>{''.join(parts)}</{name}>"

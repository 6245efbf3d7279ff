"""The acknowledgement of a message: MSH turned round, MSA, one ERR an issue.

HL7 v2.4 chapter 2.13, with the ERR fields of v2.5 (location, table 0357, severity, user message).
"""

import re
import string
from collections.abc import Sequence
from typing import Literal

from mappings.hl7v2 import xml
from mappings.hl7v2.errors import TEXTS, condition
from mappings.hl7v2.parse import IGNORED, Message, Segment, Separators, parse
from r4.issue import FhirError, Issue

AckCode = Literal["AA", "AE", "AR", "CA", "CE", "CR"]
_SEVERITY = {"fatal": "F", "error": "E", "warning": "W", "information": "I"}
_HEAD = 64 * 1024
_LOCATION = re.compile(r"[A-Z][A-Z0-9]{2}(\^\d+){0,5}\Z")


def ack(
    message: Message | bytes,
    *,
    code: AckCode,
    issues: Sequence[Issue] = (),
    control_id: str,
    now: str,
) -> bytes:
    """Build the answer to a message, or to bytes in which not even an MSH could be read.

    What came as v2.xml is answered as v2.xml. `control_id` is the answer's own MSH-10, `now` an
    ISO 8601 instant or an HL7 timestamp.
    """
    msh, separators = _received(message)
    lines = [
        _header(msh, separators, control_id, now),
        _acknowledgement(msh, separators, code, issues),
        *(_error(found, separators) for found in issues),
    ]
    if _is_xml(message):
        return xml.written(lines, separators)
    return "".join(f"{line}\r" for line in lines).encode(separators.charset, errors="replace")


def _is_xml(message: Message | bytes) -> bool:
    if isinstance(message, Message):
        return message.encoding == "xml"
    return xml.is_answered_in_kind(message.lstrip(IGNORED))


def _received(message: Message | bytes) -> tuple[Segment, Separators]:
    """Return MSH and its separators; of bytes, as far as their first line can be read."""
    if isinstance(message, Message):
        return message.all_segments[0], message.separators
    if _is_xml(message):
        return xml.header(message) or _guessed("")
    line = re.split(rb"[\r\n]", message.lstrip(IGNORED), maxsplit=1)[0][:_HEAD]
    try:
        return _received(parse(line))
    except FhirError:
        return _guessed(line.decode("utf-8", errors="replace"))


_FIELD_MARKS = frozenset(string.punctuation) - frozenset(Separators().encoding_characters)


def _guessed(head: str) -> tuple[Segment, Separators]:
    """Take what begins with MSH but has no usable MSH-2 to be written with the usual separators."""
    separators = Separators()
    field = head[3:4] if head[:3] == "MSH" else ""
    if field in _FIELD_MARKS:
        separators = Separators(field=field)
    text = head if head[:3] == "MSH" else "MSH|"
    return Segment(text, "MSH", 1, separators), separators


def _header(msh: Segment, separators: Separators, control_id: str, now: str) -> str:
    trigger = Segment.field(msh, 9).component(2)
    kind = ["ACK", trigger, "ACK"] if trigger else ["ACK"]
    fields = [
        f"MSH{separators.field}{separators.encoding_characters}",
        *(echo(msh, number) for number in (5, 6, 3, 4)),
        timestamp(now),
        "",
        separators.component.join(escaped(part, separators) for part in kind),
        escaped(control_id, separators),
        echo(msh, 11) or "P",
        echo(msh, 12) or "2.4",
    ]
    return separators.field.join(fields)


def echo(msh: Segment, number: int) -> str:
    """Return a received field as it was sent: it is already escaped for these separators."""
    return "".join(character for character in msh.text(number) if character.isprintable())


def _acknowledgement(
    msh: Segment, separators: Separators, code: str, issues: Sequence[Issue]
) -> str:
    text = escaped(issues[0].diagnostics[:80], separators) if issues else ""
    fields = ["MSA", code, echo(msh, 10), text]
    return separators.field.join(fields if text else fields[:3])


def _error(found: Issue, separators: Separators) -> str:
    expression = found.expression or ""
    location = expression if _LOCATION.match(expression) else ""
    rule = condition(found)
    coded = separators.component.join([rule, escaped(TEXTS[rule], separators), "HL70357"])
    severity = _SEVERITY[found.severity]
    text = escaped(found.diagnostics, separators)
    placed = location.replace("^", separators.component)
    return separators.field.join(["ERR", "", placed, coded, severity, "", "", "", text])


def escaped(text: str, separators: Separators) -> str:
    """Write a text so that it holds no separator and stays on one line."""
    names = {
        separators.escape: "E",
        separators.field: "F",
        separators.component: "S",
        separators.repetition: "R",
        separators.subcomponent: "T",
        separators.truncation: "P",
    }
    escaped = "".join(
        f"{separators.escape}{names[character]}{separators.escape}"
        if character in names
        else character
        for character in " ".join(text.split())
    )
    return "".join(character for character in escaped if character.isprintable())


def timestamp(now: str) -> str:
    """Write an ISO 8601 instant as an HL7 timestamp; an HL7 timestamp stays as it is."""
    date, _, time = now.replace("Z", "+0000").partition("T")
    if not time:
        return now
    clock, sign, zone = re.fullmatch(r"([^+-]*)([+-]?)(.*)", time, re.DOTALL).groups()  # type: ignore[union-attr]
    return "".join([date.replace("-", ""), clock.replace(":", ""), sign, zone.replace(":", "")])

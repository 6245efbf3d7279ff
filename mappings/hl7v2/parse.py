"""HL7 v2 bytes to a Message that is split only where somebody looks.

Pipe encoding, HL7 v2.4 chapter 2: separators from MSH-1/2, escapes, repetitions, `""` as delete,
segments ended by CR, LF or CRLF. v2.xml is read by way of it. Batches are for `mappings.hl7v2.batch`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256
from typing import Literal

from mappings.hl7v2 import glue, xml
from mappings.hl7v2.characters import Separators, decode, refuse_wide, separators, unescape
from mappings.hl7v2.errors import structural
from mappings.hl7v2.leaves import (
    DELETE,
    Field,
    Leaf,
    Place,
    Reads,
    Repetition,
    Segment,
    WatchedSegment,
)

__all__ = [
    "DELETE",
    "IGNORED",
    "Field",
    "Header",
    "Leaf",
    "Message",
    "Place",
    "Repetition",
    "Segment",
    "Separators",
    "identity",
    "parse",
    "unescape",
]

IGNORED = b"\xef\xbb\xbf\x0b\r\n\t "
"""What may stand before MSH and says nothing: a byte order mark, the start of a frame, blanks."""

_SEGMENT_NAME = re.compile(r"[A-Z][A-Z0-9]{2}\Z")


@dataclass(frozen=True, slots=True)
class Header:
    """What MSH says: who sends what, and which acknowledgements it wants."""

    sending_application: str
    sending_facility: str
    timestamp: str
    message_code: str
    trigger_event: str
    control_id: str
    version: str
    accept_acknowledgement: str
    application_acknowledgement: str
    structure: str


class Message:
    """A parsed message: raw bytes, header, segments; `charset_guessed` flags a wrong MSH-18.

    `raw` is what was received, `encoding` how it was written: pipes (er7) or XML.
    """

    def __init__(
        self,
        raw: bytes,
        segments: list[Segment],
        separators: Separators,
        *,
        guessed: bool,
        encoding: Literal["er7", "xml"] = "er7",
    ) -> None:
        self.raw = raw
        self.all_segments = tuple(segments)
        self.separators = separators
        self.charset_guessed = guessed
        self.encoding = encoding

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.all_segments)

    def segments(self, name: str) -> list[Segment]:
        """Return the segments of one name, in order."""
        return [segment for segment in self.all_segments if segment.name == name]

    def walk(self) -> Iterator[Leaf]:
        """Yield every leaf that has a value or is deleted (`""`), in order, MSH-1 and 2 included.

        The texts are unescaped and never empty; what is walked over does not count as read.
        """
        for segment in self.all_segments:
            yield from segment.leaves()

    @property
    def charset(self) -> str:
        """Return the codec that the message was read with and its answer is written in."""
        return self.separators.charset

    @cached_property
    def header(self) -> Header:
        """Return what MSH says."""
        msh = self.all_segments[0]
        event = msh.field(9)
        return Header(
            sending_application=msh.value(3),
            sending_facility=msh.value(4),
            timestamp=msh.value(7),
            message_code=event.component(1),
            trigger_event=event.component(2),
            control_id=msh.value(10),
            version=msh.value(12),
            accept_acknowledgement=msh.value(15),
            application_acknowledgement=msh.value(16),
            structure=event.component(3),
        )

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of the raw bytes, in hexadecimal."""
        return sha256(self.raw).hexdigest()


def parse(raw: bytes, *, reads: Reads | None = None) -> Message:
    """Read one message; `reads` is told the place of every leaf that is read from it later.

    Raises FhirError (status 400, rule 100) where the bytes are no HL7 v2 message: no MSH, broken
    XML (see `mappings.hl7v2.xml.lines`), unusable separators, a charset that cannot be read, a line
    that begins with no segment name, two segments on one line, a batch.
    """
    head = raw.lstrip(IGNORED)
    if xml.is_xml(head):
        lines, used = xml.lines(head)
        segments = _segments(lines, used, reads)
        return Message(raw, segments, used, guessed=False, encoding="xml")
    if not head.startswith(b"MSH"):
        refuse_wide(head)
        raise structural(_no_header(head))
    refuse_wide(head)
    encoded = _lines(head)
    lines, charset, guessed = decode(encoded, encoded[0])
    first = lines[0]
    mark = first[3:4]
    used = separators(mark, first[4:12].partition(mark)[0] if mark else "", charset)
    glue.refuse(head, lines, used)
    segments = _segments(lines, used, reads)
    return Message(raw, segments, used, guessed=guessed)


def identity(message: Message) -> tuple[str, str, str]:
    """Return (sender `MSH-3|MSH-4`, control id, SHA-256 of the raw bytes) for the inbox."""
    header = message.header
    sender = f"{header.sending_application}|{header.sending_facility}"
    return sender, header.control_id, message.digest


def _no_header(head: bytes) -> str:
    if not head:
        return "The message is empty."
    if head[:3] in (b"FHS", b"BHS"):
        return "Batches (FHS, BHS) are not supported: send one message at a time."
    return "The message does not begin with an MSH segment."


def _lines(head: bytes) -> list[bytes]:
    if b"\n" in head:
        head = head.replace(b"\r\n", b"\r")
        if b"\r" not in head:
            return head.split(b"\n")
        if b"\n" in head:
            return [line for part in head.split(b"\r") for line in _rejoined(part, head[3:4])]
    return head.split(b"\r")


def _rejoined(part: bytes, field: bytes) -> Iterator[bytes]:
    """Divide at the LFs that begin a segment: where segments end with CR, others stand in a text."""
    here: list[bytes] = []
    for line in part.split(b"\n"):
        if here and line[3:4] == field and _SEGMENT_NAME.match(line[:3].decode("latin-1")):
            yield b"\n".join(here).rstrip(b"\n")
            here = []
        here.append(line)
    yield b"\n".join(here).rstrip(b"\n")


def _segments(lines: Sequence[str], separators: Separators, reads: Reads | None) -> list[Segment]:
    made = Segment if reads is None else partial(WatchedSegment, reads=reads)
    found: list[Segment] = []
    counts: dict[str, int] = {}
    field = separators.field
    for number, line in enumerate(lines, start=1):
        name = line[:3]
        count = counts.get(name, 0)
        if not count:
            if not line.strip(" \t\x00\x0b\x1c"):
                continue
            if not _SEGMENT_NAME.match(name):
                raise _no_segment(number)
        elif name == "MSH":
            raise structural("The frame holds a second MSH: send one message at a time.")
        if line[3:4] not in ("", field):
            raise _no_segment(number)
        counts[name] = count + 1
        found.append(made(line, name, count + 1, separators))
    return found


def _no_segment(number: int) -> Exception:
    return structural(f"Line {number} of the message does not begin with a segment name.")

"""HL7 v2 bytes to a Message that is split only where somebody looks.

Pipe encoding, HL7 v2.4 chapter 2: separators from MSH-1/2, escapes, repetitions, `""` as delete,
segments ended by CR, LF or CRLF. Not supported: v2.xml, batches (FHS, BHS), two-byte charsets.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from mappings.hl7v2.errors import structural

DELETE = '""'
"""What a sender writes to say: this had a value and now has none."""

IGNORED = b"\xef\xbb\xbf\x0b\r\n\t "
"""What may stand before MSH and says nothing: a byte order mark, the start of a frame, blanks."""

_CHARSETS = {
    "ASCII": "utf-8",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "8859/1": "iso-8859-1",
    "8859/15": "iso-8859-15",
}
_SEGMENT_NAME = re.compile(r"[A-Z][A-Z0-9]{2}\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Separators:
    """The five or six characters that structure a message, and the charset of its escaped bytes."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    charset: str = "utf-8"
    truncation: str = ""

    @property
    def encoding_characters(self) -> str:
        """Return MSH-2."""
        return "".join(
            (self.component, self.repetition, self.escape, self.subcomponent, self.truncation)
        )


class Repetition:
    """One repetition of a field: components are counted from 1, as in the standard."""

    __slots__ = ("_components", "_separators", "raw")

    def __init__(self, raw: str, separators: Separators) -> None:
        self.raw = raw
        self._separators = separators
        self._components: list[str] | None = None

    def __bool__(self) -> bool:
        return any(self.component(n + 1) for n in range(self.size)) if self.raw else False

    @property
    def is_delete(self) -> bool:
        """Tell whether the sender asks for the value to be removed."""
        return self.raw == DELETE

    @property
    def size(self) -> int:
        """Count the components."""
        return len(self._split())

    @property
    def text(self) -> str:
        """Return the whole repetition unescaped, as free text."""
        return "" if self.is_delete else unescape(self.raw, self._separators)

    def component(self, number: int) -> str:
        """Return a component's first subcomponent, unescaped; "" where it is empty or deleted."""
        return self.subcomponent(number, 1)

    def subcomponent(self, number: int, part: int) -> str:
        """Return one subcomponent, unescaped; "" where it is empty, deleted or absent."""
        components = self._split()
        if number > len(components):
            return ""
        raw = components[number - 1]
        if not raw or raw == DELETE:
            return ""
        separator = self._separators.subcomponent
        if separator in raw:
            parts = raw.split(separator)
            raw = parts[part - 1] if part <= len(parts) else ""
        elif part > 1:
            return ""
        return unescape(raw, self._separators)

    def _split(self) -> list[str]:
        if self._components is None:
            self._components = self.raw.split(self._separators.component)
        return self._components


class Field:
    """One field of a segment: its repetitions, in order."""

    __slots__ = ("_repetitions", "_separators", "raw")

    def __init__(self, raw: str, separators: Separators) -> None:
        self.raw = raw
        self._separators = separators
        self._repetitions: tuple[Repetition, ...] | None = None

    def __bool__(self) -> bool:
        return bool(self.raw)

    @property
    def is_delete(self) -> bool:
        """Tell whether the sender asks for the value to be removed."""
        return self.raw == DELETE

    @property
    def value(self) -> str:
        """Return the first component of the first repetition, unescaped."""
        return self.component(1)

    def component(self, number: int) -> str:
        """Return a component of the first repetition, unescaped."""
        return self.repetitions[0].component(number) if self.raw else ""

    @property
    def repetitions(self) -> tuple[Repetition, ...]:
        """Return every repetition, empty ones too, so that their numbers stay true."""
        if self._repetitions is None:
            separators = self._separators
            parts = self.raw.split(separators.repetition) if self.raw else []
            self._repetitions = tuple(Repetition(part, separators) for part in parts)
        return self._repetitions


class Segment:
    """One segment: its name, its number among those of that name, its fields."""

    __slots__ = ("_fields", "_seen", "_separators", "name", "number", "raw")

    def __init__(self, raw: str, name: str, number: int, separators: Separators) -> None:
        self.raw = raw
        self.name = name
        self.number = number
        self._separators = separators
        self._fields: list[str] | None = None
        self._seen: dict[int, Field] = {}

    def field(self, number: int) -> Field:
        """Return a field by its number in the standard; an absent one is empty."""
        found = self._seen.get(number)
        if found is None:
            found = self._seen[number] = Field(self.text(number), self._separators)
        return found

    def text(self, number: int) -> str:
        """Return a field's text as sent; "" where it is absent."""
        fields = self._fields
        if fields is None:
            fields = self._split()
        return fields[number] if number < len(fields) else ""

    @property
    def size(self) -> int:
        """Return the number of the last field."""
        return len(self._fields if self._fields is not None else self._split()) - 1

    def _split(self) -> list[str]:
        fields = self.raw.split(self._separators.field)
        if self.name == "MSH":  # MSH-1 is the separator itself, MSH-2 is not repeated or escaped
            fields = ["MSH", self._separators.field, *fields[1:]]
        self._fields = fields
        return fields


@dataclass(frozen=True, slots=True)
class Header:
    """What MSH says: who sends what to whom, and which acknowledgements it wants."""

    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    timestamp: str
    message_code: str
    trigger_event: str
    control_id: str
    version: str
    accept_acknowledgement: str
    application_acknowledgement: str


class Message:
    """A parsed message: raw bytes, header, segments; `charset_guessed` flags a wrong MSH-18."""

    def __init__(
        self, raw: bytes, segments: list[Segment], separators: Separators, *, guessed: bool
    ) -> None:
        self.raw = raw
        self.all_segments = tuple(segments)
        self.separators = separators
        self.charset_guessed = guessed

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.all_segments)

    def segments(self, name: str) -> list[Segment]:
        """Return the segments of one name, in order."""
        return [segment for segment in self.all_segments if segment.name == name]

    @cached_property
    def header(self) -> Header:
        """Return what MSH says."""
        msh = self.all_segments[0]
        event = msh.field(9)
        return Header(
            sending_application=msh.field(3).value,
            sending_facility=msh.field(4).value,
            receiving_application=msh.field(5).value,
            receiving_facility=msh.field(6).value,
            timestamp=msh.field(7).value,
            message_code=event.component(1),
            trigger_event=event.component(2),
            control_id=msh.field(10).value,
            version=msh.field(12).value,
            accept_acknowledgement=msh.field(15).value,
            application_acknowledgement=msh.field(16).value,
        )

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of the raw bytes, in hexadecimal."""
        return sha256(self.raw).hexdigest()


def parse(raw: bytes) -> Message:
    """Read one message.

    Raises FhirError (status 400, rule 100) where the bytes are no pipe-encoded HL7 v2 message: no
    MSH, unusable separators, a line that begins with no segment name, or a batch.
    """
    head = raw.lstrip(IGNORED)
    if not head.startswith(b"MSH"):
        raise structural(_no_header(head))
    charset = _charset(head)
    text, used = _decode(head, charset)
    separators = _separators(text, used)
    lines = text.replace("\r\n", "\r").replace("\n", "\r").split("\r")
    segments = list(_segments(lines, separators))
    return Message(raw, segments, separators, guessed=charset != used)


def identity(message: Message) -> tuple[str, str, str]:
    """Return (sender `MSH-3|MSH-4`, control id, SHA-256 of the raw bytes) for the inbox."""
    header = message.header
    sender = f"{header.sending_application}|{header.sending_facility}"
    return sender, header.control_id, message.digest


def unescape(text: str, separators: Separators) -> str:
    """Resolve the escapes F S T R E P X and formatting, and drop control characters and padding."""
    if separators.escape in text:
        text = "".join(_unescaped(text, separators))
    if not text.isprintable():
        text = _CONTROL.sub("", text)
    return text.strip()


def _unescaped(text: str, separators: Separators) -> Iterator[str]:
    parts = text.split(separators.escape)
    literal = True
    for position, part in enumerate(parts):
        if literal:
            yield part
            literal = False
        elif position == len(parts) - 1:
            yield separators.escape + part  # an escape that never closes is text
        else:
            replacement = _escape(part, separators)
            literal = replacement is not None
            # an unknown escape is kept, and its closing character may open the next one
            yield separators.escape + part if replacement is None else replacement


def _escape(name: str, separators: Separators) -> str | None:
    simple = {
        "F": separators.field,
        "S": separators.component,
        "T": separators.subcomponent,
        "R": separators.repetition,
        "E": separators.escape,
        "P": separators.truncation or "#",
        "H": "",
        "N": "",
        ".br": "\n",
        ".sp": "\n",
        ".ce": "\n",
    }
    if name in simple:
        return simple[name]
    if name.startswith("X") and re.fullmatch(r"X(?:[0-9A-Fa-f]{2})+", name):
        return bytes.fromhex(name[1:]).decode(separators.charset, errors="replace")
    return None


def _no_header(head: bytes) -> str:
    if not head:
        return "The message is empty."
    if head[:3] in (b"FHS", b"BHS"):
        return "Batches (FHS, BHS) are not supported: send one message at a time."
    return "The message does not begin with an MSH segment."


def _charset(head: bytes) -> str:
    """Read MSH-18 before anything is decoded: its names are ASCII in every charset we support."""
    line = re.split(rb"[\r\n]", head, maxsplit=1)[0]
    fields = line.split(head[3:4]) if head[3:4] else []
    declared = b"".join(fields[17:18])  # MSH-18: the separator itself counts as MSH-1
    name = re.split(rb"[^A-Za-z0-9/ -]", declared, maxsplit=1)[0].decode("ascii").strip()
    return _CHARSETS.get(name.upper(), "utf-8")


def _decode(head: bytes, charset: str) -> tuple[str, str]:
    try:
        return head.decode(charset), charset
    except UnicodeDecodeError:
        return head.decode("cp1252", errors="replace"), "cp1252"


def _separators(text: str, charset: str) -> Separators:
    field = text[3:4]
    characters = re.split(r"[\r\n]", text[4:12], maxsplit=1)[0].partition(field)[0] if field else ""
    chosen = field + characters
    usable = re.fullmatch(r"[!-/:-@\[-`{-~]{5,6}", chosen) is not None
    if not usable or len(set(chosen)) != len(chosen):
        raise structural("MSH-1 and MSH-2 must be five different separators, such as |^~\\&.")
    component, repetition, escape, subcomponent, *more = list(characters)
    return Separators(
        field, component, repetition, escape, subcomponent, charset, truncation="".join(more)
    )


def _segments(lines: list[str], separators: Separators) -> Iterator[Segment]:
    counts: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip(" \t\x00\x0b\x1c"):
            continue
        name = line[:3]
        if not _SEGMENT_NAME.match(name) or line[3:4] not in ("", separators.field):
            raise structural(f"Line {number} of the message does not begin with a segment name.")
        if name == "MSH" and counts:
            raise structural("The frame holds a second MSH: send one message at a time.")
        counts[name] = counts.get(name, 0) + 1
        yield Segment(line, name, counts[name], separators)

"""Characters of a message: which separators, which charset, which escapes.

HL7 v2.4 chapter 2.7 (escapes), 2.9 (MSH-18), table 0211. The separators are bytes of ASCII, and no
charset that is read here uses those bytes for anything else: hence a message is split first.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mappings.hl7v2.errors import structural

_USUAL = "utf-8"
_FALLBACK = "cp1252"
_UTF_8 = {"", "ASCII", "US-ASCII", "ISO IR6", "UNICODE", "UNICODE UTF-8", "UTF-8", "UTF8"}
_REFUSED = {
    "UNICODE UTF-16", "UNICODE UTF-32", "UTF-16", "UTF-32", "ISO IR14", "ISO IR87", "ISO IR159",
    "KS X 1001", "GB 18030-2000", "GB 18030", "BIG-5", "CNS 11643-1992",
}  # fmt: skip
_LATIN = re.compile(r"(?:ISO[ -]?)?8859[/-]([1-9]|15)\Z")
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"M\x00", b"\x00M\x00", b"\x00\x00\x00M")
_SWITCH = re.compile(rb"\x1b|[!-/:-@\[-`{-~][CM][0-9A-Fa-f]{4,6}[!-/:-@\[-`{-~]")
_WESTERN = ("iso-8859-1", "iso-8859-15")
_C1 = re.compile(rb"[\x80-\x9f]")  # letters in Windows-1252 alone, which calls itself 8859/1
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]")
_BYTES = re.compile(r"X(?:[0-9A-Fa-f]{2})+\Z")
_SPACES = re.compile(r"\.sp\+?(\d{1,2})\Z")


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


@lru_cache(maxsize=256)
def separators(field: str, characters: str, charset: str) -> Separators:
    """Read MSH-1 and MSH-2; raises FhirError (400, rule 100) where they cannot divide anything."""
    chosen = field + characters
    usable = re.fullmatch(r"[!-/:-@\[-`{-~]{5,6}", chosen) is not None
    if not usable or len(set(chosen)) != len(chosen):
        raise structural("MSH-1 and MSH-2 must be five different separators, such as |^~\\&.")
    component, repetition, escape, subcomponent, *more = list(characters)
    return Separators(
        field, component, repetition, escape, subcomponent, charset, truncation="".join(more)
    )


def decode(lines: Sequence[bytes], header: bytes) -> tuple[list[str], str, bool]:
    """Return the lines as text, the charset they are in, and whether it had to be guessed.

    MSH-18 decides; without it, or where it names a charset that table 0211 does not have, UTF-8.
    What is not in the charset is read as Windows-1252, line by line. Raises FhirError (400, rule
    100) for charsets in which a byte of a separator may be part of another character, for switching
    between charsets within a message, and for what is not in an ISO 8859 part that was declared.
    """
    declared = _declared(header)
    charset, known = _codec(declared[0])
    if len(declared) > 1 and any(_SWITCH.search(line) for line in lines):
        raise structural(
            "MSH-18 names several charsets and the message switches between them: send it in one,"
            " best in UTF-8 (MSH-18 `UNICODE UTF-8`)."
        )
    if charset not in _WESTERN or not any(map(_C1.search, lines)):
        try:
            return [line.decode(charset) for line in lines], charset, not known
        except UnicodeDecodeError:
            if charset != _USUAL:
                raise structural(
                    f"The message holds bytes that are not in the charset of MSH-18, {declared[0]}:"
                    " send it in UTF-8 (MSH-18 `UNICODE UTF-8`)."
                ) from None
    return [_guessed(line, charset) for line in lines], _FALLBACK, True


def _guessed(line: bytes, charset: str) -> str:
    try:
        if charset == _USUAL:
            return line.decode(charset)
    except UnicodeDecodeError:
        pass
    return line.decode(_FALLBACK, errors="replace")


def refuse_wide(head: bytes) -> None:
    """Raise FhirError (400, rule 100) for two or four bytes a character: UTF-16, UTF-32."""
    if head.startswith(_WIDE):
        raise structural("The message is in UTF-16 or UTF-32: send it in UTF-8.")


def _declared(header: bytes) -> list[str]:
    """Read MSH-18 before anything is decoded: its names are ASCII in every charset we support."""
    fields = header.split(header[3:4], 19) if header[3:4] else []
    value = b"".join(fields[17:18])  # the separator itself counts as MSH-1
    names = [name.upper() for name in re.split(r"[^A-Za-z0-9/ -]", value.decode("latin-1"))]
    return [name.strip() for name in names]


def _codec(name: str) -> tuple[str, bool]:
    if name in _UTF_8:
        return _USUAL, True
    if name in _REFUSED:
        raise structural(
            f"The charset of MSH-18, {name}, is not supported: send the message in UTF-8"
            " (MSH-18 `UNICODE UTF-8`)."
        )
    latin = _LATIN.match(name)
    return (f"iso-8859-{latin[1]}", True) if latin else (_USUAL, False)


def unescape(text: str, separators: Separators) -> str:
    """Resolve the escapes F S T R E P X and formatting, and drop control characters and padding.

    `.br`, `.sp<n>` and `.ce` become line breaks, highlighting (H, N) is dropped. What says how to
    indent or wrap (`.in`, `.ti`, `.fi`, `.nf`), and what is not known, is kept as it was sent.
    """
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
    if _BYTES.match(name):
        return bytes.fromhex(name[1:]).decode(separators.charset, errors="replace")
    spaces = _SPACES.match(name)
    return "\n" * max(1, int(spaces[1])) if spaces else None

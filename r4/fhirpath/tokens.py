"""FHIRPath text to tokens.

https://hl7.org/fhirpath/N1/#lexical-elements
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from r4.fhirpath.errors import syntax_error

_TIME = r"\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?"
_ZONE = r"(?:Z|[+-]\d\d:\d\d)"
_TOKEN = re.compile(
    rf"""
    (?P<space>\s+|//[^\n\r]*|/\*.*?\*/)
  | (?P<moment>@(?:T{_TIME}|\d{{4}}(?:-\d\d(?:-\d\d)?)?(?:T(?:{_TIME}{_ZONE}?)?)?))
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<string>'(?:\\.|[^'\\])*')
  | (?P<quoted>`(?:\\.|[^`\\])*`)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<special>\$(?:this|index|total))
  | (?P<symbol><=|>=|!=|!~|[=~<>+\-*/&|.()\[\]{{}},%])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"r": "\r", "n": "\n", "t": "\t", "f": "\f"} | {c: c for c in "\\/'\"`"}


class Token(NamedTuple):
    """One token: its kind, its text (unescaped where it was quoted) and where it begins."""

    kind: str
    text: str
    position: int


def tokenize(expression: str) -> list[Token]:
    """Split an expression into tokens, `end` last; raises FhirError (400) at what is none."""
    return [*_tokens(expression), Token("end", "", len(expression))]


def _tokens(expression: str) -> Iterator[Token]:
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            raise syntax_error(expression, position, "a FHIRPath token")
        kind = match.lastgroup or ""
        if kind in ("string", "quoted"):
            text = _unescape(match.group()[1:-1], expression, position)
            yield Token(kind, text, position)
        elif kind != "space":
            yield Token(kind, match.group(), position)
        position = match.end()


def _unescape(text: str, expression: str, position: int) -> str:
    if "\\" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        escape = match[1]
        if len(escape) == 5:  # noqa: PLR2004 - u and four hexadecimal digits
            return chr(int(escape[1:], 16))
        if escape not in _ESCAPED:
            raise syntax_error(expression, position, f"a known escape instead of `\\{escape}`")
        return _ESCAPED[escape]

    return _ESCAPE.sub(replace, text)

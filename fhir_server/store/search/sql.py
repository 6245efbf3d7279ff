"""What conditions become: words to find in the inverted index, or SQL about one row of `resource`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sql:
    """SQL text with its parameters."""

    text: str
    parameters: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """The resource has one of these words (negated: none of them) in the inverted index."""

    words: tuple[int, ...]
    negated: bool = False


Part = Match | Sql

NEVER = Sql("1 = 0", ())


_OPENS = {"NOT (": 4, "(SELECT": 10, "(": 3}
_SIGN = re.compile(r"NOT \(|\(SELECT|\(|\)")
_FEW = 25
"""Parentheses of a text that is not nested deeply, whatever they hold."""
_DEEPEST = 92
"""What SQLite's parser has a place for, of 100: what is open at one point, weighed by _OPENS."""


def is_too_deep(text: str) -> bool:
    """Tell whether SQL has more inside one another than SQLite reads."""
    if text.count("(") < _FEW:
        return False
    opened: list[int] = []
    for sign in _SIGN.findall(text):
        if sign == ")":
            opened.pop()
        else:
            opened.append(_OPENS[sign])
            if sum(opened) > _DEEPEST:
                return True
    return False


def marks(values: Sequence[Any]) -> str:
    """Return a question mark for each value."""
    return ",".join("?" * len(values))

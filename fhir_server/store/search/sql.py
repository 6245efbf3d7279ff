"""What conditions become: words to find in the inverted index, or SQL about one row of `resource`."""

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


def marks(values: Sequence[Any]) -> str:
    """Return a question mark for each value."""
    return ",".join("?" * len(values))

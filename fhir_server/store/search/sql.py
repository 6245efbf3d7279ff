"""What conditions become: words to find in the inverted index, or SQL about one row of `resource`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.store.search.keys import text as word


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


def of_match(match: Match, at: str) -> Sql:
    """Return a Match as SQL about a row."""
    if not match.words:
        return Sql("1 = 1", ()) if match.negated else NEVER
    sense = "NOT IN" if match.negated else "IN"
    text = f"{at}.rid {sense} (SELECT rowid FROM search_key WHERE search_key MATCH ?)"
    return Sql(text, (any_of(match.words),))


def sql(part: Part, at: str) -> Sql:
    """Return any part as SQL about a row."""
    return of_match(part, at) if isinstance(part, Match) else part


def joined(parts: Sequence[Part], operator: str, at: str) -> Sql:
    """Join parts by AND or OR."""
    if not parts:
        return NEVER
    found = [sql(part, at) for part in parts]
    text = f" {operator} ".join(f"({each.text})" for each in found)
    return Sql(text, tuple(value for each in found for value in each.parameters))


def expression(matches: Iterable[Match]) -> str:
    """Return matches, one of them not negated, as one expression of the inverted index."""
    wanted = [m for m in matches if not m.negated]
    others = [m for m in matches if m.negated and m.words]
    text = " AND ".join(f"({any_of(match.words)})" for match in wanted)
    return f"({text})" + "".join(f" NOT ({any_of(match.words)})" for match in others)


def any_of(words: Iterable[int]) -> str:
    """Return the expression of the inverted index that finds any of the words."""
    return " OR ".join(word(each) for each in words)


def marks(values: Sequence[Any]) -> str:
    """Return a question mark for each value."""
    return ",".join("?" * len(values))

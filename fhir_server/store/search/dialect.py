"""What SQLite and PostgreSQL say differently: the inverted index, and the words of texts.

SQLite holds the words of a version in an FTS5 table, PostgreSQL in an array of its row, both by rid.
https://www.sqlite.org/fts5.html, https://www.postgresql.org/docs/current/gin.html
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple, Protocol

from fhir_server.store.search.keys import fold, text
from fhir_server.store.search.sql import NEVER, Match, Sql, marks

_WORD = re.compile(r"[^\W_]+")
_TOGETHER = 8
"""Most identifiers that one statement of SQLite asks for."""


class Source(NamedTuple):
    """Where the rows of a search come from: FROM, the column that yields them in order, WHERE."""

    tables: str
    rid: str
    where: tuple[Sql, ...]


class Dialect(Protocol):
    """How one database is asked."""

    @property
    def name(self) -> str:
        """Return the database's name."""
        ...

    @property
    def versions(self) -> str:
        """Return the name of the table of versions, where another relation has its plain name."""
        ...

    def narrowed(self) -> "Dialect":
        """Return how it is asked where `resource` holds a part of the versions alone."""
        ...

    @property
    def emptied(self) -> tuple[str, ...]:
        """Return the statements that take all words from an index that cannot lose some."""
        ...

    @property
    def kept_by_rid(self) -> tuple[str, ...]:
        """Return the tables, beside the common ones, whose rows leave the index by rid."""
        ...

    def source(self, matches: Sequence[Match]) -> Source:
        """Return the rows `r` of `resource` that all of the matches find."""
        ...

    def counted(self, matches: Sequence[Match], /) -> Sql | None:
        """Return what counts the current rows that all of the matches find; None: count them all."""
        ...

    def of_match(self, match: Match, at: str) -> Sql:
        """Return a Match as SQL about the row `at`."""
        ...

    def of_row(self, match: Match, at: str) -> Sql:
        """Return a Match as SQL that looks at the row `at` alone, whatever else the words find."""
        ...

    def linked(self, params: Sequence[int], target: str, at: str) -> Sql:
        """Return FROM and WHERE of the rows `f` that refer, by a parameter, to the row `target`."""
        ...

    def among(self, column: str, values: Sequence[int]) -> Sql:
        """Return SQL for: a column is one of many numbers, as one of few statements."""
        ...

    def holds(self, column: str, needles: Sequence[bytes]) -> Sql:
        """Return SQL for: the bytes of a column hold one of several texts."""
        ...

    def has(self, column: str, needle: bytes) -> str:
        """Return SQL for: the bytes of a column hold a text, which stands in the SQL itself."""
        ...

    def identified(self, columns: str, words: Sequence[int], most: int) -> list[Sql]:
        """Return what finds the newest current rows `r` that have an identifier, of each of several.

        Each yields the columns, the rid and the word; rows of one word in any order.
        """
        ...

    def of_words(self, column: str, words: Sequence[str], at: str) -> Sql:
        """Return SQL for: the narrative, or ("") any text, of the row `at` holds all the words."""
        ...


def words_of(value: str) -> list[str]:
    """Return the words of a text, as both databases tell them apart, each once."""
    return list(dict.fromkeys(_WORD.findall(value)))


def _negated_last(matches: Iterable[Match]) -> tuple[list[Match], list[Match]]:
    listed = list(matches)
    return [m for m in listed if not m.negated], [m for m in listed if m.negated and m.words]


@dataclass(frozen=True, slots=True)
class Sqlite:
    """FTS5: words of several criteria are one expression, which yields rows in their order."""

    name: str = "sqlite"
    versions: str = "main.resource"
    is_whole: bool = True
    emptied: tuple[str, ...] = tuple(
        f"INSERT INTO {table} ({table}) VALUES ('delete-all')"
        for table in ("search_key", "search_text")
    )
    kept_by_rid: tuple[str, ...] = ()

    def narrowed(self) -> "Sqlite":
        """Leave nothing to words alone: they are of all versions."""
        return replace(self, is_whole=False)

    def source(self, matches: Sequence[Match]) -> Source:
        """Begin with the words, if there are any; CROSS JOIN keeps that order."""
        wanted, others = _negated_last(matches)
        if not wanted:
            return Source("resource AS r", "r.rid", tuple(self.of_match(m, "r") for m in others))
        tables = "search_key AS k CROSS JOIN resource AS r ON r.rid = k.rowid"
        found = Sql("k.search_key MATCH ?", (_expression(wanted, others),))
        return Source(tables, "k.rowid", (found,))

    def counted(self, matches: Sequence[Match]) -> Sql | None:
        """Count words, those of superseded versions aside: what is deleted has none."""
        if not self.is_whole:
            return None
        text = (
            "SELECT count(*) FROM search_key AS k WHERE k.search_key MATCH ? AND NOT EXISTS"
            " (SELECT 1 FROM resource AS r INDEXED BY ix_resource_stale"
            " WHERE r.rid = k.rowid AND r.superseded IS NOT NULL)"
        )
        return Sql(text, (_expression(*_negated_last(matches)),))

    def of_match(self, match: Match, at: str) -> Sql:
        """Ask the index for all rows, and whether this is one."""
        if not match.words:
            return Sql("1 = 1", ()) if match.negated else NEVER
        sense = "NOT IN" if match.negated else "IN"
        asked = f"{at}.rid {sense} (SELECT rowid FROM search_key WHERE search_key MATCH ?)"
        return Sql(asked, (_any(match),))

    def of_row(self, match: Match, at: str) -> Sql:
        """Ask the index for this row."""
        asked = f"EXISTS (SELECT 1 FROM search_key WHERE search_key MATCH ? AND rowid = {at}.rid)"
        return Sql(asked, (_any(match),))

    def linked(self, params: Sequence[int], target: str, at: str) -> Sql:
        """Make the words of the links from the row's place."""
        column = f"{target}.place"
        link = f"printf('%016x', (? | {column}) - (? & {column}))"
        words = " || ' OR ' || ".join([link] * len(params))
        asked = (
            f"{at}.rid IN (SELECT f.rowid FROM resource AS {target} CROSS JOIN search_key AS f"
            f" WHERE f.search_key MATCH {words}"
        )
        return Sql(asked, tuple(param for param in params for _ in range(2)))

    def among(self, column: str, values: Sequence[int]) -> Sql:
        """Fill up to a power of two, so that few statements are prepared."""
        many = 1 << (len(values) - 1).bit_length() if values else 1
        filled = [*values, *[values[-1]] * (many - len(values))] if values else [None]
        return Sql(f"{column} IN ({marks(filled)})", tuple(filled))

    def holds(self, column: str, needles: Sequence[bytes]) -> Sql:
        """Look through the bytes."""
        return Sql(" OR ".join([f"instr({column}, ?) > 0"] * len(needles)), tuple(needles))

    def has(self, column: str, needle: bytes) -> str:
        """Look through the bytes."""
        return f"instr({column}, X'{needle.hex()}') > 0"

    def identified(self, columns: str, words: Sequence[int], most: int) -> list[Sql]:
        """Ask for some words with each statement, so that few are prepared."""
        parts = [words[at : at + _TOGETHER] for at in range(0, len(words), _TOGETHER)]
        return [
            Sql(
                _of_identifiers(columns, len(some)), tuple(v for word in some for v in (word, most))
            )
            for some in parts
        ]

    def of_words(self, column: str, words: Sequence[str], at: str) -> Sql:
        """Ask the table of texts."""
        found = " AND ".join(f'"{word}"' for word in words)
        expression = f"({column} : ({found}))" if column else f"({found})"
        asked = f"{at}.rid IN (SELECT rowid FROM search_text WHERE search_text MATCH ?)"
        return Sql(asked, (expression,))


@lru_cache(maxsize=64)
def _of_identifiers(columns: str, many: int) -> str:
    each = (
        f"SELECT * FROM (SELECT {columns}, k.rid AS found, k.word FROM search_identifier AS k"
        " CROSS JOIN resource AS r ON r.rid = k.rid"
        " WHERE k.word = ? AND r.superseded IS NULL AND NOT r.deleted ORDER BY k.rid DESC LIMIT ?)"
    )
    return " UNION ALL ".join([each] * many)


def _expression(wanted: Sequence[Match], others: Sequence[Match]) -> str:
    found = " AND ".join(f"({_any(match)})" for match in wanted)
    return f"({found})" + "".join(f" NOT ({_any(match)})" for match in others)


def _any(match: Match) -> str:
    return " OR ".join(text(word) for word in match.words)


@dataclass(frozen=True, slots=True)
class Postgresql:
    """GIN: each match is a condition on the array of a row's words."""

    name: str = "postgresql"
    versions: str = "resource"
    emptied: tuple[str, ...] = ()
    kept_by_rid: tuple[str, ...] = ("search_text",)

    def narrowed(self) -> "Postgresql":
        """Return the same: whatever is asked is asked of the rows."""
        return self

    def source(self, matches: Sequence[Match]) -> Source:
        """Ask the row itself; the planner chooses where to begin."""
        wanted, others = _negated_last(matches)
        single = tuple(match.words[0] for match in wanted if len(match.words) == 1)
        where = [Sql("r.words @> ?", (list(single),))] if single else []
        where += [self.of_match(match, "r") for match in wanted if len(match.words) != 1]
        where += [self.of_match(match, "r") for match in others]
        return Source("resource AS r", "r.rid", tuple(where))

    def counted(self, _matches: Sequence[Match]) -> Sql | None:
        """Words stand in the rows themselves."""
        return None

    def of_match(self, match: Match, at: str) -> Sql:
        """Ask whether the arrays have a word in common."""
        if not match.words:
            return Sql("1 = 1", ()) if match.negated else NEVER
        asked = f"{at}.words && ?"
        return Sql(f"NOT ({asked})" if match.negated else asked, (list(match.words),))

    def of_row(self, match: Match, at: str) -> Sql:
        """Ask the row, as ever."""
        return self.of_match(match, at)

    def linked(self, params: Sequence[int], target: str, at: str) -> Sql:
        """Make the words of the links from the row's place: `#` is XOR."""
        links = ", ".join([f"? # {target}.place"] * len(params))
        asked = (
            f"{at}.rid IN (SELECT f.rid FROM resource AS {target} CROSS JOIN resource AS f"
            f" WHERE f.words && ARRAY[{links}]::bigint[]"
        )
        return Sql(asked, tuple(params))

    def among(self, column: str, values: Sequence[int]) -> Sql:
        """Ask with one array."""
        return Sql(f"{column} = ANY(?::bigint[])", (list(values),))

    def holds(self, column: str, needles: Sequence[bytes]) -> Sql:
        """Look through the bytes."""
        each = f"position(?::bytea in {column}) > 0"
        return Sql(" OR ".join([each] * len(needles)), tuple(needles))

    def has(self, column: str, needle: bytes) -> str:
        """Look through the bytes."""
        return f"position('\\x{needle.hex()}'::bytea in {column}) > 0"

    def identified(self, columns: str, words: Sequence[int], most: int) -> list[Sql]:
        """Ask for all words at once: the statement is planned as one search would be."""
        text = (
            f"SELECT f.*, q.word FROM unnest(?::bigint[]) AS q (word) CROSS JOIN LATERAL"
            f" (SELECT {columns}, k.rid AS found FROM search_identifier AS k"
            " JOIN resource AS r ON r.rid = k.rid WHERE k.word = q.word"
            " AND r.superseded IS NULL AND NOT r.deleted ORDER BY k.rid DESC LIMIT ?) AS f"
        )
        return [Sql(text, (list(words), most))]

    def of_words(self, column: str, words: Sequence[str], at: str) -> Sql:
        """Ask the table of texts, whose words are folded as those that are asked for."""
        wanted = [each for word in words for each in words_of(fold(word))]
        condition = f"{column or 'content'} @@ ?::text::tsquery"
        quoted = " & ".join(f"'{word}'" for word in wanted)
        return Sql(f"{at}.rid IN (SELECT rid FROM search_text WHERE {condition})", (quoted,))


SQLITE, POSTGRESQL = Sqlite(), Postgresql()

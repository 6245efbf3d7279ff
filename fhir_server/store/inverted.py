"""The inverted index compared with the words that versions should have in it.

PostgreSQL keeps words by row: both are compared exactly. An FTS5 table without content can be asked
whether a row has all of some words, and how many words all rows have together: where every row has its
own, and the numbers agree, nothing else is in it. https://www.sqlite.org/fts5.html#the_fts5vocab_virtual_table_module
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from fhir_server.store.connection import Row
from fhir_server.store.index import Rows
from fhir_server.store.search import keys
from fhir_server.store.search.dialect import Dialect, words_of

Read = Callable[..., list[Row]]
_COLUMNS = ("narrative", "content")


class Comparison(Protocol):
    """Compares slices of versions, then what remains to be said of the whole."""

    def compare(self, given: Mapping[int, Rows]) -> Iterator[tuple[int, str]]:
        """Yield (rid, what is wrong) for versions of a slice."""
        ...

    def whole(self) -> Iterator[str]:
        """Yield what is wrong with the index as a whole, all its versions compared."""
        ...


def comparison(dialect: Dialect, read: Read) -> Comparison:
    """Return the comparison of a database, by a function that reads from one snapshot of it."""
    return _Fts5(read) if dialect.name == "sqlite" else _Arrays(read, dialect)


class _Arrays:
    def __init__(self, read: Read, dialect: Dialect) -> None:
        self._read, self._dialect = read, dialect

    def compare(self, given: Mapping[int, Rows]) -> Iterator[tuple[int, str]]:
        """Compare each row's own words."""
        among = self._dialect.among("rid", list(given))
        sql = f"SELECT rid, words FROM resource WHERE {among.text}"
        words = {row[0]: row[1] or [] for row in self._read(sql, among.parameters)}
        arrays = ", ".join(f"tsvector_to_array({each})" for each in _COLUMNS)
        sql = f"SELECT rid, {arrays} FROM search_text WHERE {among.text}"
        texts = {row[0]: row[1:] for row in self._read(sql, among.parameters)}
        for rid, rows in given.items():
            if sorted(words.get(rid, [])) != sorted(rows.words):
                yield rid, "its words in the index are not those of its body"
            wanted = [set(words_of(keys.fold(text))) for text in (rows.narrative, rows.content)]
            found = [set(each) for each in texts.get(rid, ((), ()))]
            if found != wanted or (rid in texts) != bool(rows.content):
                yield rid, "its words in the index of texts are not those of its body"

    def whole(self) -> Iterator[str]:
        """Add nothing: words of no version are found as rows of no version."""
        yield from ()


class _Fts5:
    def __init__(self, read: Read) -> None:
        self._read = read
        self._words = dict.fromkeys(("words", *_COLUMNS), 0)
        self._tokens = sqlite3.connect(":memory:", isolation_level=None)
        self._tokens.execute("CREATE VIRTUAL TABLE t USING fts5(narrative, content, detail=column)")
        self._tokens.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, instance)")

    def compare(self, given: Mapping[int, Rows]) -> Iterator[tuple[int, str]]:
        """Ask of each row whether it has all its words, and count them."""
        texts = self._tokenised(given)
        for rid, rows in given.items():
            words = {keys.text(word) for word in rows.words}
            self._words["words"] += len(words)
            if words and not self._has("search_key", rid, " AND ".join(sorted(words))):
                yield rid, "not all words of its body are in the index"
            expressions = []
            for column in _COLUMNS:
                terms = texts.get((rid, column), set())
                self._words[column] += len(terms)
                quoted = " AND ".join(f'"{term}"' for term in sorted(terms))
                expressions += [f"({column} : ({quoted}))"] if terms else []
            if expressions and not self._has("search_text", rid, " AND ".join(expressions)):
                yield rid, "not all words of its texts are in the index"

    def _has(self, table: str, rid: int, expression: str) -> bool:
        sql = f"SELECT 1 FROM {table} WHERE {table} MATCH ? AND rowid = ?"
        return bool(self._read(sql, (expression, rid)))

    def _tokenised(self, given: Mapping[int, Rows]) -> dict[tuple[int, str], set[str]]:
        """Return the words of texts as FTS5 tells them apart, by rid and column."""
        self._tokens.execute("DELETE FROM t")
        self._tokens.executemany(
            "INSERT INTO t (rowid, narrative, content) VALUES (?, ?, ?)",
            [(rid, rows.narrative, rows.content) for rid, rows in given.items() if rows.content],
        )
        found: dict[tuple[int, str], set[str]] = {}
        for term, rid, column in self._tokens.execute("SELECT term, doc, col FROM v"):
            found.setdefault((rid, column), set()).add(term)
        return found

    def whole(self) -> Iterator[str]:
        """Compare how many words there are with how many there should be."""
        told = self._told("search_key", "row", "'words'") | self._told("search_text", "col", "col")
        for column, wanted in self._words.items():
            if told.get(column, 0) != wanted:
                yield (
                    f"the inverted index holds {told.get(column, 0)} words ({column}) of all rows"
                    f" together, their bodies {wanted}"
                )

    def _told(self, table: str, kind: str, column: str) -> dict[str, int]:
        name = f"temp.vocabulary_of_{table}"
        self._read(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {name} USING fts5vocab(main, {table}, {kind})"
        )
        grouped = "" if kind == "row" else f" GROUP BY {column}"
        sql = f"SELECT {column}, coalesce(sum(doc), 0) FROM {name}{grouped}"
        return {row[0]: row[1] for row in self._read(sql)}


def rows_of(read: Read, dialect: Dialect, table: str, rids: Sequence[int]) -> dict[int, list[Any]]:
    """Return the rows of an ordered table by rid."""
    among = dialect.among("rid", rids)
    found: dict[int, list[Any]] = {}
    for rid, *values in read(f"SELECT * FROM {table} WHERE {among.text}", among.parameters):
        found.setdefault(rid, []).append(tuple(values))
    return found

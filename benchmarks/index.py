"""Two indexes of search keys in SQLite, at size: the inverted one that is used, and a clustered table.

Both hold the same keys of the same Observations, in transactions of 100. What is printed is why the
inverted index was chosen (ADR 0006): it is written several times as fast. The clustered table reads
faster, and most so where a child's rows are crossed with a code that every row has, as here.
"""

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.store import _observation as observation
from fhir_server.store.index import rows
from fhir_server.store.search.keys import key, link, place, text, texts

RESOURCES = 100_000
CHILDREN = 10_000
OF_A_COMMIT = 100
SEARCHES = 200


def main() -> None:
    """Print inserts a second, at first and at last, and the median of three searches, for both."""
    total = RESOURCES
    print(f"{total} Observations of {CHILDREN} children, {OF_A_COMMIT} in a commit, durable")
    print(f"{'':<12}{'first/s':>10}{'last/s':>10}{'child+code':>12}{'newest 50':>12}{'count':>10}")
    for name, index in (("inverted", Inverted()), ("clustered", Clustered())):
        with tempfile.TemporaryDirectory() as folder:
            connection = _connect(Path(folder) / "index.db")
            connection.execute(index.create)
            first, last = _fill(connection, index, total)
            timed = [_timed(connection, *query) for query in index.queries()]
            connection.close()
        figures = "".join(f"{each:>11.2f}ms" for each in timed)
        print(f"{name:<12}{first:>10,.0f}{last:>10,.0f}{figures}")


class Inverted:
    """FTS5 without content: a word for each key."""

    create = (
        "CREATE VIRTUAL TABLE k USING fts5(words, content='', detail=none, columnsize=0,"
        " tokenize='ascii')"
    )

    def insert(self, connection: sqlite3.Connection, rid: int, words: list[int]) -> None:
        connection.execute("INSERT INTO k (rowid, words) VALUES (?, ?)", (rid, texts(words)))

    def queries(self) -> Iterator[tuple[str, Callable[[int], tuple[object, ...]]]]:
        code = text(CODE)
        found = "FROM k JOIN r ON r.rid = k.rowid WHERE k MATCH ?"
        yield (
            f"SELECT r.rid {found} ORDER BY k.rowid DESC LIMIT 50",
            lambda n: (f"{text(child(n))} AND {code}",),
        )
        yield f"SELECT r.rid {found} ORDER BY k.rowid DESC LIMIT 50", lambda _: (code,)
        yield f"SELECT count(*) {found}", lambda n: (text(child(n)),)


class Clustered:
    """One table in the order of (key, rid)."""

    create = "CREATE TABLE k (key INTEGER, rid INTEGER, PRIMARY KEY (key, rid)) WITHOUT ROWID"

    def insert(self, connection: sqlite3.Connection, rid: int, words: list[int]) -> None:
        connection.executemany("INSERT INTO k VALUES (?, ?)", [(word, rid) for word in words])

    def queries(self) -> Iterator[tuple[str, Callable[[int], tuple[object, ...]]]]:
        code = CODE
        found = "FROM k JOIN r ON r.rid = k.rid WHERE k.key = ?"
        also = "AND EXISTS (SELECT 1 FROM k AS o WHERE o.key = ? AND o.rid = k.rid)"
        yield (
            f"SELECT r.rid {found} {also} ORDER BY k.rid DESC LIMIT 50",
            lambda n: (child(n), code),
        )
        yield f"SELECT r.rid {found} ORDER BY k.rid DESC LIMIT 50", lambda _: (code,)
        yield f"SELECT count(*) {found}", lambda n: (child(n),)


CODE = key("Observation", "code", "http://loinc.org|29463-7")


def child(number: int) -> int:
    return link(key("Observation", "subject"), place("Patient", str(number % CHILDREN)))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -65536"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE r (rid INTEGER PRIMARY KEY, superseded)")
    return connection


def _fill(
    connection: sqlite3.Connection, index: Inverted | Clustered, total: int
) -> tuple[float, float]:
    """Insert everything; return the rates of the first and of the last tenth."""
    spent: list[float] = []
    children = [str(number) for number in range(CHILDREN)]
    for start in range(1, total + 1, OF_A_COMMIT):
        listed = [
            (rid, rows({**observation(children, rid * 7919), "id": str(rid)}).words)
            for rid in range(start, start + OF_A_COMMIT)
        ]
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        for rid, words in listed:
            connection.execute("INSERT INTO r VALUES (?, NULL)", (rid,))
            index.insert(connection, rid, words)
        connection.execute("COMMIT")
        spent.append(time.perf_counter() - began)
    tenth = max(1, len(spent) // 10)
    return (
        OF_A_COMMIT * tenth / sum(spent[:tenth]),
        OF_A_COMMIT * tenth / sum(spent[-tenth:]),
    )


def _timed(
    connection: sqlite3.Connection, sql: str, bound: Callable[[int], tuple[object, ...]]
) -> float:
    """Return the median of some searches, in milliseconds."""
    spent = []
    for number in range(SEARCHES):
        began = time.perf_counter()
        connection.execute(sql, bound(number)).fetchall()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent) * 1000


if __name__ == "__main__":
    main()

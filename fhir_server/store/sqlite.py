"""The SQLite database: one writer that commits in groups, one reader on the event loop, one a thread.

Acknowledged means durable: WAL with synchronous=FULL, and a write is answered after its COMMIT.
"""

import asyncio
import math
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import quote

from fhir_server.store import objections
from fhir_server.store.apart import ProcessWriter
from fhir_server.store.budget import took_too_long
from fhir_server.store.connection import AT_PLACE, Connection, Row, Rows, portions
from fhir_server.store.group import Done, Job, prepare, run
from fhir_server.store.indexing import TABLES
from fhir_server.store.migrate import migrate
from fhir_server.store.renewal import Watch
from fhir_server.store.search import keys
from fhir_server.store.search.dialect import SQLITE, Dialect
from fhir_server.store.search.sql import marks
from fhir_server.store.tables import AGAIN, COLUMNS
from fhir_server.store.writer import ThreadWriter, Writer

T = TypeVar("T")

_AT_PLACE = AT_PLACE.format(among="= ?")
_MAPPED = 1 << 34
"""Bytes of the file that are read where the system holds them, not copied: reads are small and many."""
_READING, _WRITING = 16384, 65536
"""KiB of pages that a connection holds: a reader's are stale with each commit, and the file is mapped."""

_STEPS = 100_000
"""Steps of SQLite's machine, a few milliseconds', between two looks at the clock."""
_MERGED = 500
"""Pages of an inverted index that one commit merges."""


class SqliteDatabase:
    """An open SQLite file."""

    dialect: Dialect = SQLITE

    def __init__(self, path: Path, *, upgraded: bool = True, apart: bool = False) -> None:
        if upgraded:
            path.parent.mkdir(parents=True, exist_ok=True)
            migrate(f"sqlite:///{path}")
            _prepare(path)
        self.index = Watch()
        self.objections = objections.Watch()
        self._path = path
        self.listeners: list[Callable[[], None]] = []
        self._opened: list[sqlite3.Connection] = []
        self._own = _Reader(path, self._opened)
        self._writer: Writer = (
            ProcessWriter(str(path), self.listeners)
            if apart
            else ThreadWriter(SqliteCommitter(path), self.listeners)
        )

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one query and return its rows."""
        own = self._own
        own.began = monotonic()
        try:
            return own.reader.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise took_too_long(own.seconds) from None
            raise

    def read_at(self, place: int) -> list[Row]:
        """Return what stands at a place now."""
        return self._own.reader.execute(_AT_PLACE, (place,)).fetchall()

    def read_each(self, sql: str, parameters: Sequence[Any], column: int, /) -> list[Row]:
        """Run one query and return its rows: nobody else asks meanwhile."""
        del column
        return self.read(sql, parameters)

    @contextmanager
    def snapshot(self) -> Iterator[Callable[..., list[Row]]]:
        """Read in one transaction, on a connection that cannot write the file."""
        connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=ro", uri=True, isolation_level=None
        )
        try:
            connection.execute("BEGIN")
            yield lambda sql, parameters=(): connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    def limit(self, seconds: float) -> None:
        """Let no query of the calling thread take longer."""
        self._own.limit(seconds)

    async def write(self, job: Callable[[Connection], T]) -> T:
        """Run a job in the writer's next commit; returns its result once that is durable."""
        return await self._writer.write(job)

    async def driven(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work as it is: a query takes microseconds, less than handing it over would."""
        return await work

    async def overwrite(self) -> None:
        """Merge the inverted indexes, where deleted words wait for it, and empty the log.

        In commits of a fraction of a second each. Freed pages are overwritten as they are freed.
        """
        for table in ("search_key", "search_text"):
            pages = -_MERGED
            while await self.write(partial(_merge, table=table, pages=pages)):
                pages = _MERGED
        await asyncio.to_thread(_checkpoint, self._path)

    def close(self) -> None:
        """Finish the writes that are under way and close the files."""
        self._writer.close()
        for reader in self._opened:
            reader.close()


class _Reader(threading.local):
    """The connection with which a thread reads, opened when it first does."""

    def __init__(self, path: Path, opened: list[sqlite3.Connection]) -> None:
        self.reader = _connect(path, _READING)
        opened.append(self.reader)
        self.reader.execute("PRAGMA query_only = ON")
        self.reader.execute(f"PRAGMA mmap_size = {_MAPPED}")
        self.seconds, self.began = math.inf, 0.0

    def limit(self, seconds: float) -> None:
        """Interrupt a query of this thread that takes longer."""
        self.seconds = seconds
        self.reader.set_progress_handler(lambda: monotonic() - self.began > seconds, _STEPS)


class SqliteCommitter:
    """The connection that writes."""

    def __init__(self, path: Path) -> None:
        self._writer = _connect(path, _WRITING)
        self._connection = SqliteConnection(self._writer)

    def commit(self, jobs: Sequence[Job]) -> list[Done]:
        """Run jobs and commit; returns the result or the failure of each."""
        return run(self._connection, jobs)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


def _prepare(path: Path) -> None:
    writer = _connect(path)
    try:
        prepare(SqliteConnection(writer))
    finally:
        writer.close()


def _merge(connection: Connection, table: str, pages: int) -> bool:
    """Merge some pages of an inverted index; returns whether there was something to merge.

    https://www.sqlite.org/fts5.html#the_merge_command
    """
    before: int = connection.read("SELECT total_changes()")[0][0]
    connection.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('merge', ?)", (pages,))
    after: int = connection.read("SELECT total_changes()")[0][0]
    return after - before > 1


def _checkpoint(path: Path) -> None:
    connection = _connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


class SqliteConnection:
    """The writer's connection, inside a transaction."""

    dialect: Dialect = SQLITE

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a statement and return its rows."""
        return self._connection.execute(sql, parameters).fetchall()

    def read_each(self, sql: str, parameters: Sequence[Any], column: int, /) -> list[Row]:
        """Run a statement and return its rows: only one writes."""
        del column
        return self.read(sql, parameters)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; returns how many rows it changed."""
        return self._connection.execute(sql, parameters).rowcount

    def insert(self, rows: Rows) -> None:
        """Store rows of tables, many with each statement."""
        for table, given in rows.items():
            listed = [_texts(*row) for row in given] if table == "search_key" else given
            for some in portions(listed):
                values = [value for row in some for value in row]
                self._connection.execute(_insertion(table, len(some)), values)

    def unindex(self, rids: Sequence[int], rows: Rows) -> None:
        """Take versions out of the index, word by word from the inverted ones."""
        among = self.dialect.among("rid", rids)
        for table in TABLES:
            self.execute(f"DELETE FROM {table} WHERE {among.text}", among.parameters)
        for table, given in (
            ("search_key", [_texts(*row) for row in rows["search_key"]]),
            ("search_text", rows["search_text"]),
        ):
            columns = COLUMNS[table]
            names, values = ", ".join(columns), marks(columns)
            self._connection.executemany(
                f"INSERT INTO {table} ({table}, {names}) VALUES ('delete', {values})", given
            )

    def supersede(self, versions: Sequence[tuple[int, int]]) -> None:
        """Record which version took the place of which."""
        self._connection.executemany(
            "UPDATE resource SET superseded = ? WHERE rid = ?",
            [(following, rid) for rid, following in versions],
        )

    def reserve(self, _many: int) -> int:
        """Return the row id after the greatest that there ever was; only one writes at a time."""
        rows = self.read("SELECT seq FROM sqlite_sequence WHERE name = 'resource'")
        return rows[0][0] + 1 if rows else 1

    def begin(self) -> None:
        """Begin a transaction, alone in writing."""
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit durably."""
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction, if there is one."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _texts(rid: int, words: Sequence[int]) -> Row:
    return rid, keys.texts(words)


@cache
def _insertion(table: str, many: int) -> str:
    columns = COLUMNS[table]
    row = f"({marks(columns)})"
    again = " ON CONFLICT DO NOTHING" if table in AGAIN else ""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * many)}{again}"


def _connect(path: Path, cache: int = _READING) -> sqlite3.Connection:
    # Each is used by one thread, which need not be the one that opens or closes it.
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=1024
    )
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "busy_timeout = 10000",
        f"cache_size = -{cache}",
        "temp_store = MEMORY",
        "wal_autocheckpoint = 8000",  # pages: what is written often is copied seldom
        "secure_delete = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    _ensure_functions(connection)
    return connection


def _ensure_functions(connection: sqlite3.Connection) -> None:
    """Add the functions that `near` needs, where SQLite was built without them."""
    try:
        connection.execute("SELECT pow(cos(radians(sin(0))), 2)")
    except sqlite3.OperationalError:
        for name in ("sin", "cos", "radians"):
            connection.create_function(name, 1, getattr(math, name), deterministic=True)
        connection.create_function("pow", 2, math.pow, deterministic=True)

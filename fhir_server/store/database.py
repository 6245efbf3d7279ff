"""The SQLite database: one writer thread that commits in groups, one reader on the event loop.

Acknowledged means durable: WAL with synchronous=FULL, and a write's future is set after its COMMIT.
Whatever arrives while a commit is under way is committed together with the next one.
"""

import asyncio
import math
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from fhir_server.store.indexing import renew
from fhir_server.store.migrate import migrate

T = TypeVar("T")
Row = tuple[Any, ...]
Job = Callable[[sqlite3.Connection], Any]

_GROUP = 256
"""Most jobs in one commit, so that no job waits for an endless group."""


@dataclass(frozen=True, slots=True)
class _Pending:
    job: Job
    future: Future[Any]


class Database:
    """An open SQLite database; `read` for queries on the loop's thread, `write` for jobs."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        migrate(path)
        self._reader = _connect(path)
        self._reader.execute("PRAGMA query_only = ON")
        self._writer = _connect(path, check_same_thread=False)
        renew(self._writer)
        self._pending: SimpleQueue[_Pending | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="csor-writer", daemon=True)
        self._thread.start()

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one query and return its rows."""
        return self._reader.execute(sql, parameters).fetchall()

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a job in the writer's next commit; returns its result once that is durable.

        An exception of the job undoes that job alone and is raised here.
        """
        future: Future[Any] = Future()
        self._pending.put(_Pending(job, future))
        result: T = await asyncio.wrap_future(future)
        return result

    def close(self) -> None:
        """Finish the writes that are under way and close the files."""
        self._pending.put(None)
        self._thread.join()
        self._writer.close()
        self._reader.close()

    def _run(self) -> None:
        while (first := self._pending.get()) is not None:
            group = [first]
            last = False
            while len(group) < _GROUP and not self._pending.empty():
                following = self._pending.get()
                if following is None:
                    last = True
                    break
                group.append(following)
            self._commit(group)
            if last:
                return

    def _commit(self, group: list[_Pending]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for pending in group:
                if pending.future.set_running_or_notify_cancel():
                    self._attempt(pending, done)
            self._writer.execute("COMMIT")
        except sqlite3.Error as failure:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            for pending in group:
                if not pending.future.done():
                    pending.future.set_exception(failure)
            return
        for future, result in done:
            future.set_result(result)

    def _attempt(self, pending: _Pending, done: list[tuple[Future[Any], Any]]) -> None:
        self._writer.execute("SAVEPOINT job")
        try:
            result = pending.job(self._writer)
        except sqlite3.OperationalError:
            raise
        except Exception as failure:
            self._writer.execute("ROLLBACK TO job")
            self._writer.execute("RELEASE job")
            pending.future.set_exception(failure)
        else:
            self._writer.execute("RELEASE job")
            done.append((pending.future, result))


def _connect(path: Path, *, check_same_thread: bool = True) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=check_same_thread, cached_statements=512
    )
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "busy_timeout = 10000",
        "cache_size = -65536",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
    _ensure_functions(connection)
    return connection


def _ensure_functions(connection: sqlite3.Connection) -> None:
    """Add the functions that `near` needs, where SQLite was built without them."""
    try:
        connection.execute("SELECT asin(sqrt(pow(cos(radians(sin(0))), 2)))")
    except sqlite3.OperationalError:
        for name in ("sqrt", "sin", "cos", "asin", "radians"):
            connection.create_function(name, 1, getattr(math, name), deterministic=True)
        connection.create_function("pow", 2, math.pow, deterministic=True)

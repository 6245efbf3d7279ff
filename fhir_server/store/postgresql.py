"""The PostgreSQL database: connections for reading, and one writer that commits in groups.

Acknowledged means durable: a write is answered after its COMMIT. An advisory lock lets one server at a
time write, so that row ids grow in the order of commits: by them a page is a snapshot.
https://magicstack.github.io/asyncpg/current/
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

from fhir_server.store import objections
from fhir_server.store.apart import ProcessWriter
from fhir_server.store.aside import PLANNED, Aside
from fhir_server.store.budget import took_too_long
from fhir_server.store.connection import AT_PLACE, PLACE, Connection, Row, Rows
from fhir_server.store.driving import Driven, is_driven, wait_for
from fhir_server.store.gathering import Gathering
from fhir_server.store.group import Done, Job, prepare, run
from fhir_server.store.indexing import TABLES
from fhir_server.store.migrate import migrate
from fhir_server.store.renewal import Watch
from fhir_server.store.search.dialect import POSTGRESQL, Dialect, words_of
from fhir_server.store.search.keys import fold
from fhir_server.store.tables import AGAIN, COLUMNS
from fhir_server.store.writer import ThreadWriter, Writer

T = TypeVar("T")

_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]
_AT_PLACES = AT_PLACE.format(among="= ANY(?::bigint[])")
_INVERTED = ("ix_resource_words", "ix_search_text_content", "ix_search_text_narrative")
_TIDIED = 0.1
"""Seconds after a commit until its entries are put in their place in the inverted indexes."""
_READERS = 8
"""Most connections that read at the same time."""
_STATEMENTS = 1000
"""Prepared statements that a connection keeps."""
_LOCK = 4
"""The advisory lock of whoever writes resources: 4 and 1; migrations take 4 and 0."""


_PURGED = (
    "resource", "content", "search_text", *TABLES, "inbox", "audit", "outcome", "objection", "refusal",
)  # fmt: skip
"""The tables from which a purge takes rows."""


class PostgresqlDatabase:
    """An open PostgreSQL database."""

    dialect: Dialect = POSTGRESQL

    def __init__(self, url: str, *, upgraded: bool = True, apart: bool = False) -> None:
        self._url = url
        self.index = Watch()
        self.objections = objections.Watch()
        self._tidier = _Tidier(url)
        self.listeners: list[Callable[[], None]] = [self._tidier.committed]
        self._idle: list[asyncpg.Connection] = []
        self._opened: list[asyncpg.Connection] = []
        self._places = asyncio.Semaphore(_READERS)
        self._gathered: dict[tuple[Any, ...], Gathering] = {}
        self._seconds = 0.0
        self._aside = Aside("csor-aside")
        if upgraded:
            self._aside.wait(_migrated(url))
            self._aside.wait(Driven(self._prepared()))
        self._writer: Writer = (
            ProcessWriter(url, self.listeners)
            if apart
            else ThreadWriter(PostgresqlCommitter(url), self.listeners)
        )

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one query and return its rows; outside of driven work the caller's thread waits."""
        if is_driven():
            return wait_for(self._read(sql, parameters))
        return self._aside.wait(self._read_aside(sql, parameters))

    def read_at(self, place: int) -> list[Row]:
        """Return what stands at a place now, asked with what others ask meanwhile."""
        return self.read_each(_AT_PLACES, ([place],), PLACE)

    def read_each(self, sql: str, parameters: Sequence[Any], column: int) -> list[Row]:
        """Run a statement together with others that are the same but for the keys."""
        if not is_driven():
            return self.read(sql, parameters)
        keys, *others = parameters
        same = (sql, *others)
        if (gathering := self._gathered.get(same)) is None:

            async def read(listed: Sequence[int]) -> list[Row]:
                return await self._read(sql, (listed, *others))

            gathering = self._gathered[same] = Gathering(read, column)
        return wait_for(gathering.of(keys))

    @contextmanager
    def snapshot(self) -> Iterator[Callable[..., list[Row]]]:
        """Read in one transaction; the caller's thread waits."""
        aside = self._aside
        connection = aside.wait(asyncpg.connect(self._url))

        def read(sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
            found: list[Row] = aside.wait(connection.fetch(_numbered(sql), *parameters))
            return found

        try:
            aside.wait(connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            yield read
        finally:
            aside.wait(connection.close())

    def limit(self, seconds: float) -> None:
        """Let no query of driven work take longer, on connections that are opened from now on."""
        self._seconds = seconds

    async def write(self, job: Callable[[Connection], T]) -> T:
        """Run a job in the writer's next commit; returns its result once that is durable."""
        return await self._writer.write(job)

    async def driven(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work in a greenlet, which its reads leave while they wait."""
        return await Driven(work)

    async def overwrite(self) -> None:
        """Take dead rows out of the tables; what the log and the disk still hold is the operator's."""
        connection = await asyncpg.connect(self._url)
        try:
            for table in _PURGED:
                await connection.execute(f"VACUUM {table}")
        finally:
            await connection.close()

    def close(self) -> None:
        """Finish the writes that are under way and close the connections."""
        self._writer.close()
        self._tidier.close()
        for connection in self._opened:
            connection.terminate()
        self._aside.close()

    async def _read(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        async with self._places:
            connection = self._idle.pop() if self._idle else await self._connect()
            if connection.is_closed():
                connection = await self._connect()
            try:
                found: list[Row] = await connection.fetch(_numbered(sql), *parameters)
            except asyncpg.QueryCanceledError:
                raise took_too_long(self._seconds) from None
            finally:
                self._idle.append(connection)
        return found

    async def _read_aside(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        async with self._aside.connection(self._url) as connection:
            found: list[Row] = await connection.fetch(_numbered(sql), *parameters)
        return found

    async def _connect(self) -> asyncpg.Connection:
        limited = {"statement_timeout": f"{self._seconds * 1000:.0f}"}  # milliseconds; 0: no limit
        connection = await _connected(self._url, {**PLANNED, **limited})
        self._opened.append(connection)
        return connection

    async def _prepared(self) -> None:
        async with self._aside.connection(self._url) as connection:
            prepare(PostgresqlConnection(connection))


async def _connected(url: str, settings: Mapping[str, str]) -> asyncpg.Connection:
    return await asyncpg.connect(
        url, statement_cache_size=_STATEMENTS, max_cached_statement_lifetime=0,
        server_settings=dict(settings),
    )  # fmt: skip


class _Tidier:
    """Puts what was just written in its place in the inverted indexes, beside whoever writes.

    PostgreSQL keeps new entries in a list that each search reads through; short, it costs nothing.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._aside = Aside("csor-tidier")
        self._is_due = False

    def committed(self) -> None:
        """Take note of a commit."""
        if not self._is_due:
            self._is_due = True
            self._aside.begin(self._tidy())

    def close(self) -> None:
        """End the connection and the thread."""
        self._aside.close()

    async def _tidy(self) -> None:
        await asyncio.sleep(_TIDIED)
        self._is_due = False
        try:
            async with self._aside.connection(self._url) as connection:
                for index in _INVERTED:
                    await connection.execute(f"SELECT gin_clean_pending_list('{index}')")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return  # the list is put in its place when it is full, or by a vacuum


class PostgresqlCommitter:
    """The connection that writes, and the event loop of its driver."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._connection: asyncpg.Connection | None = None

    def commit(self, jobs: Sequence[Job]) -> list[Done]:
        """Run jobs and commit; returns the result or the failure of each."""
        return self._loop.run_until_complete(self._commit(jobs))

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._loop.run_until_complete(self._connection.close(timeout=1))
        self._loop.close()

    async def _commit(self, jobs: Sequence[Job]) -> list[Done]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await _connected(self._url, {"jit": "off"})
        return await Driven(_run(PostgresqlConnection(self._connection), jobs))


async def _run(connection: "PostgresqlConnection", jobs: Sequence[Job]) -> list[Done]:
    return run(connection, jobs)


async def _migrated(url: str) -> None:
    name = "postgresql+asyncpg://" + url.partition("://")[2]
    await asyncio.to_thread(migrate, name)


class PostgresqlConnection:
    """The writer's connection, inside a transaction; used in driven work alone."""

    dialect: Dialect = POSTGRESQL

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a statement and return its rows."""
        found: list[Row] = wait_for(self._connection.fetch(_numbered(sql), *parameters))
        return found

    def read_each(self, sql: str, parameters: Sequence[Any], column: int, /) -> list[Row]:
        """Run a statement and return its rows: only one writes."""
        del column
        return self.read(sql, parameters)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; returns how many rows it changed."""
        said: str = wait_for(self._connection.execute(_numbered(sql), *parameters))
        many = said.rpartition(" ")[2]
        return int(many) if many.isdecimal() else 0

    def insert(self, rows: Rows) -> None:
        """Store rows of all the tables in one statement, each column as one array."""
        given = {table: listed for table, listed in rows.items() if listed}
        words: dict[int, Sequence[int]] = {row[0]: row[1] for row in given.pop("search_key", ())}
        if "resource" in given:
            given["resource"] = [(*row, _array(words.get(row[0]))) for row in given["resource"]]
        elif words:
            given["search_key"] = [(rid, _array(listed)) for rid, listed in words.items()]
        if "search_text" in given:
            given["search_text"] = [
                (rid, _lexemes(narrative), _lexemes(content))
                for rid, narrative, content in given["search_text"]
            ]
        if given:
            columns = [
                list(column) for listed in given.values() for column in zip(*listed, strict=True)
            ]
            wait_for(self._connection.fetch(_insertion(tuple(given)), *columns))

    def unindex(self, rids: Sequence[int], rows: Rows) -> None:
        """Take versions out of the index."""
        del rows
        for table in (*TABLES, "search_text"):
            self.execute(f"DELETE FROM {table} WHERE rid = ANY(?::bigint[])", (list(rids),))
        self.execute("UPDATE resource SET words = NULL WHERE rid = ANY(?::bigint[])", (list(rids),))

    def supersede(self, versions: Sequence[tuple[int, int]]) -> None:
        """Record which version took the place of which."""
        self.execute(
            "UPDATE resource SET superseded = v.next"
            " FROM unnest(?::bigint[], ?::bigint[]) AS v (rid, next) WHERE resource.rid = v.rid",
            ([rid for rid, _ in versions], [following for _, following in versions]),
        )

    def reserve(self, many: int) -> int:
        """Return the first of so many row ids; what is not used is never used."""
        rows = self.read(
            "SELECT setval('resource_rid', nextval('resource_rid') + ?::bigint - 1)", (many,)
        )
        return int(rows[0][0]) - many + 1

    def begin(self) -> None:
        """Begin a transaction, alone in writing."""
        wait_for(self._connection.execute(f"BEGIN; SELECT pg_advisory_xact_lock({_LOCK}, 1)"))

    def commit(self) -> None:
        """Commit durably."""
        wait_for(self._connection.execute("COMMIT"))

    def rollback(self) -> None:
        """Undo the transaction, if there is one."""
        if not self._connection.is_closed():
            wait_for(self._connection.execute("ROLLBACK"))


def _array(words: Sequence[int] | None) -> str:
    """Write words as the text of an array: an array of arrays would lose where each one ends."""
    return "{" + ",".join(map(str, words or ())) + "}"


def _lexemes(text: str) -> str:
    return " ".join(words_of(fold(text)))


@lru_cache(maxsize=4096)
def _numbered(sql: str) -> str:
    """Write `?` as `$1`, `$2`, …; no text of ours has a question mark of another meaning."""
    first, *others = sql.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(others, 1))


@cache
def _insertion(tables: tuple[str, ...]) -> str:
    """Return the statement that stores rows of tables; its parameters are the columns, as arrays."""
    parts, first = [], 1
    for table in tables:
        columns = _typed(table)
        arrays = ", ".join(f"${first + n}::{kind}[]" for n, (_, kind) in enumerate(columns))
        first += len(columns)
        parts.append(f"t_{table} AS ({_storing(table, [name for name, _ in columns], arrays)})")
    return f"WITH {', '.join(parts)} SELECT"


def _storing(table: str, names: list[str], arrays: str) -> str:
    unnested = f"FROM unnest({arrays}) AS v ({', '.join(names)})"
    if table == "search_key":
        return (
            f"UPDATE resource SET words = v.words::bigint[] {unnested} WHERE resource.rid = v.rid"
        )
    values = {
        "words": "words::bigint[]",
        "narrative": "array_to_tsvector(string_to_array(narrative, ' '))",
        "content": "array_to_tsvector(string_to_array(content, ' '))",
    }
    chosen = ", ".join(values.get(name, name) for name in names)
    again = " ON CONFLICT DO NOTHING" if table in AGAIN else ""
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT {chosen} {unnested}{again}"


def _typed(table: str) -> list[tuple[str, str]]:
    if table == "search_key":
        return [("rid", "bigint"), ("words", "text")]
    if table == "search_text":
        return [("rid", "bigint"), ("narrative", "text"), ("content", "text")]
    columns = SQLModel.metadata.tables[table].columns
    typed = [
        (name, str(columns[name].type.compile(dialect=_POSTGRESQL))) for name in COLUMNS[table]
    ]
    return [*typed, ("words", "text")] if table == "resource" else typed

"""What reads and writes are given, of either database.

SQL is written once for both: `?` marks a parameter; what the two say differently stands in
`store.search.dialect`.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from fhir_server.store.search.dialect import Dialect

T = TypeVar("T")
Row = Sequence[Any]
Rows = Mapping[str, Sequence[Row]]
"""Rows of tables, in the order in which the tables are given; each row has every column of its table."""


AT_PLACE = (
    "SELECT r.rid, r.type, r.id, r.version, r.updated, r.deleted, c.body, r.whose, r.place"
    " FROM resource AS r JOIN content AS c ON c.rid = r.rid"
    " WHERE r.place {among} AND r.superseded IS NULL"
)
"""What stands at a place, or at several: more than one only where two places have the same hash."""
PLACE = 8
"""The column of AT_PLACE that has the place."""


class Connection(Protocol):
    """A connection inside a transaction: what a job of a commit is given."""

    dialect: Dialect

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a statement and return its rows."""
        ...

    def read_each(self, sql: str, parameters: Sequence[Any], column: int, /) -> list[Row]:
        """Run a statement of `dialect` about several keys, which each row has in a column.

        PostgreSQL, whose first parameter they are, is asked once for all who ask at the same time.
        """
        ...

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; returns how many rows it changed."""
        ...

    def insert(self, rows: Rows) -> None:
        """Store rows of the tables of the index and of resources, in few statements."""
        ...

    def unindex(self, rids: Sequence[int], rows: Rows) -> None:
        """Take versions out of the index; `rows` are the very rows with which they are in it.

        SQLite's inverted index holds no words by row: what leaves it has to be named.
        """
        ...

    def supersede(self, versions: Sequence[tuple[int, int]]) -> None:
        """Record of each (rid, next rid) that the second has taken the place of the first."""
        ...

    def reserve(self, many: int, /) -> int:
        """Return the first of so many successive row ids that no version has had."""
        ...


class Index(Protocol):
    """Whether the index may be asked."""

    def refuse(self, database: "Database", /) -> None:
        """Raise FhirError 503 while the index is being made anew."""
        ...


class Objections(Protocol):
    """Whether anybody objects to any use of data."""

    def is_any(self, read: Callable[..., Sequence[Row]], /) -> bool:
        """Tell whether anybody does, or did so a second ago."""
        ...

    def is_any_now(self, read: Callable[..., Sequence[Row]], /) -> bool:
        """Tell whether anybody does."""
        ...

    def is_first(self, read: Callable[..., Sequence[Row]], /) -> bool:
        """Tell whether anybody does and this process did not know of it."""
        ...


class Database(Protocol):
    """An open database: `read` for queries, `write` for jobs of the next commit."""

    dialect: Dialect
    listeners: list[Callable[[], None]]
    """Called after each commit, from any thread; they are quick and raise nothing."""

    @property
    def index(self) -> Index:
        """Say whether the index may be asked."""
        ...

    @property
    def objections(self) -> Objections:
        """Say whether anybody objects to any use of data."""
        ...

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one query and return its rows."""
        ...

    def read_at(self, place: int) -> list[Row]:
        """Return (rid, type, id, version, updated, deleted, body, whose) of what stands at a place now."""
        ...

    def read_each(self, sql: str, parameters: Sequence[Any], column: int, /) -> list[Row]:
        """Run a statement of `dialect` about several keys, which each row has in a column.

        PostgreSQL, whose first parameter they are, is asked once for all who ask at the same time.
        """
        ...

    def snapshot(self) -> AbstractContextManager[Callable[..., list[Row]]]:
        """Return a function that reads, as `read` does, from what is stored at one moment."""
        ...

    async def write(self, job: Callable[[Connection], T]) -> T:
        """Run a job in the next commit; returns its result once that is durable.

        An exception of the job undoes the job alone and is raised here. A job may be run twice, if
        another one of the same commit failed: it changes nothing but the connection's tables.
        """
        ...

    async def driven(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work whose plain functions read: while one of them waits, other work goes on."""
        ...

    async def overwrite(self) -> None:
        """Leave nothing in the files of what has been deleted, as far as the database can tell."""
        ...

    def limit(self, seconds: float) -> None:
        """Let queries of the calling thread, or of driven work, take no longer: FhirError 503."""
        ...

    def close(self) -> None:
        """Finish the writes that are under way and close the database."""
        ...


_ROWS = (128, 64, 32, 16, 8, 4, 2, 1)


def portions(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield rows in their order, as many together as one statement takes: each number is one to prepare.

    Every step of a statement hands the interpreter to another thread and has to get it back.
    """
    start = 0
    for many in _ROWS:
        while len(rows) - start >= many:
            yield rows[start : start + many]
            start += many


async def reading(database: Database, function: Callable[[], T]) -> T:
    """Return what a plain function reads, others being answered meanwhile."""

    async def work() -> T:
        return function()

    return await database.driven(work())

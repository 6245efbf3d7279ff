"""A database as one hospital sees it; whoever is given it can read no more (`store.view`)."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from fhir_server.store.connection import AT_PLACE, PLACE, Connection, Database, Index, Row
from fhir_server.store.group import CarriedOut
from fhir_server.store.search.dialect import Dialect
from fhir_server.store.view import View, narrowed

T = TypeVar("T")


class Seen:
    """A database as hospitals see it; `whole` is that which it is of."""

    def __init__(self, whole: Database, seen: View) -> None:
        self.whole, self.view = whole, seen
        self.dialect: Dialect = whole.dialect.narrowed()
        self.listeners = whole.listeners

    @property
    def index(self) -> Index:
        """Say whether the index may be asked."""
        return self.whole.index

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one query and return its rows."""
        return self.whole.read(self._narrowed(sql), parameters)

    def read_at(self, place: int) -> list[Row]:
        """Return what stands at a place now, and is seen."""
        among = self.dialect.among("", (place,))
        return self.read_each(AT_PLACE.format(among=among.text), among.parameters, PLACE)

    def read_each(self, sql: str, parameters: Sequence[Any], column: int, /) -> list[Row]:
        """Run a statement about several keys and return its rows."""
        return self.whole.read_each(self._narrowed(sql), parameters, column)

    @contextmanager
    def snapshot(self) -> Iterator[Callable[..., list[Row]]]:
        """Read in one transaction."""
        with self.whole.snapshot() as read:
            yield lambda sql, parameters=(): read(self._narrowed(sql), parameters)

    async def write(self, job: Callable[[Connection], T]) -> T:
        """Run a job; a commit is checked to be the hospitals' own."""
        if isinstance(job, CarriedOut):
            own = msgspec.structs.replace(job.commit, view=self.view)
            job = CarriedOut(own)  # type: ignore[assignment]
        return await self.whole.write(job)

    async def driven(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work whose plain functions read."""
        return await self.whole.driven(work)

    async def overwrite(self) -> None:
        """Leave nothing in the files of what has been deleted."""
        await self.whole.overwrite()

    def limit(self, seconds: float) -> None:
        """Let queries take no longer."""
        self.whole.limit(seconds)

    def close(self) -> None:
        """Close the database."""
        self.whole.close()

    def _narrowed(self, sql: str) -> str:
        return narrowed(sql, self.view, self.dialect.versions)


def whole(database: Database) -> Database:
    """Return all of a database, of which a hospital may see a part."""
    return database.whole if isinstance(database, Seen) else database

"""A database as one hospital sees it, as scopes with queries or a use leave it: nobody reads more of it.

What that is, `store.view` says.
"""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from fhir_server.store.connection import (
    AT_PLACE,
    PLACE,
    Connection,
    Database,
    Index,
    Objections,
    Row,
)
from fhir_server.store.group import CarriedOut
from fhir_server.store.search.dialect import Dialect
from fhir_server.store.search.sql import Sql
from fhir_server.store.uses import Use, both
from fhir_server.store.view import View, narrowed

T = TypeVar("T")


class Seen:
    """A database as hospitals see it, or as it is read for a use; `whole` is that which it is of."""

    def __init__(self, whole: Database, seen: View) -> None:
        self.whole, self.view = whole, seen
        dialect = whole.dialect
        self.dialect: Dialect = dialect if seen.is_everything else dialect.narrowed()
        self.listeners = whole.listeners

    @property
    def index(self) -> Index:
        """Say whether the index may be asked."""
        return self.whole.index

    @property
    def objections(self) -> Objections:
        """Say whether anybody objects to any use of data."""
        return self.whole.objections

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one query and return its rows."""
        made = self._narrowed(sql)
        return self.whole.read(made.text, (*made.parameters, *parameters))

    def read_at(self, place: int) -> list[Row]:
        """Return what stands at a place now, and is seen."""
        among = self.dialect.among("", (place,))
        return self.read_each(AT_PLACE.format(among=among.text), among.parameters, PLACE)

    def read_each(self, sql: str, parameters: Sequence[Any], column: int, /) -> list[Row]:
        """Run a statement about several keys and return its rows."""
        made = self._narrowed(sql)
        if made.parameters:  # what is asked together differs by its first parameter alone
            return self.whole.read(made.text, (*made.parameters, *parameters))
        return self.whole.read_each(made.text, parameters, column)

    @contextmanager
    def snapshot(self) -> Iterator[Callable[..., list[Row]]]:
        """Read in one transaction."""
        with self.whole.snapshot() as read:

            def narrowly(sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
                made = self._narrowed(sql)
                return read(made.text, (*made.parameters, *parameters))

            yield narrowly

    async def write(self, job: Callable[[Connection], T]) -> T:
        """Run a job; a commit is checked to be the hospitals' own, and what scopes let be written."""
        if isinstance(job, CarriedOut) and (self.view.hospitals is not None or self.view.scoped):
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

    def _narrowed(self, sql: str) -> Sql:
        return narrowed(sql, self.view, self.dialect.name)


def whole(database: Database) -> Database:
    """Return all of a database, of which a hospital may see a part."""
    return database.whole if isinstance(database, Seen) else database


def used(database: Database, use: Use) -> Database:
    """Return a database as the registry reads it for a use: all of it, where nobody objects to any.

    A hospital's is returned as it is: it holds what may be disclosed to the hospital. One that is read
    for another use holds what is left for both.
    """
    if not isinstance(database, Seen):
        is_any = database.objections.is_any_now(database.read)
        return Seen(database, View(None, use)) if is_any else database
    seen = database.view
    if seen.use is not None:
        return Seen(database.whole, msgspec.structs.replace(seen, use=both(seen.use, use)))
    if seen.is_of_some or not database.objections.is_any_now(database.whole.read):
        return database
    return Seen(database.whole, msgspec.structs.replace(seen, use=use))


def lettered(database: Database, letters: str) -> Database:
    """Return a database as the queries of other letters of the scopes leave it."""
    if not isinstance(database, Seen) or not database.view.scoped:
        return database
    return Seen(database.whole, msgspec.structs.replace(database.view, letters=letters))

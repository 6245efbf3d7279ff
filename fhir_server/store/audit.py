"""The audit: who did what to which resource, one row for each access; no clinical content.

What stores a version is recorded in the transaction that stores it (`store.batch`). Reads and refusals
go through a Trail: each is in a file before its answer leaves (`store.journal`), and in the database at
most a second later, with all that have come meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from fhir_server.store import chain, journal, told, tombstone
from fhir_server.store.audit_row import Agent, row
from fhir_server.store.connection import Database, Row
from fhir_server.store.failure import place
from r4.issue import FhirError, error

logger = logging.getLogger("csor.audit")

DELAY = 0.1
"""Seconds after which what is recorded is being stored, where few accesses come."""
LATEST = 1.0
"""Seconds after which it is being stored however many come.

Each commit costs every reader of SQLite the pages that it holds, whatever the commit has stored.
"""
_FEW = 8
"""Below how many accesses in DELAY they are few."""
_LONGEST = 128
"""Most characters of a type or an id that is recorded: what is longer is none, and was refused."""
_PAGE = 1000


class Trail:
    """Records reads and refusals; one event loop asks it.

    folder: where its journal is, and those that others have left there.
    """

    def __init__(self, database: Database, now: Callable[[], datetime], folder: Path) -> None:
        self._database, self._now = database, now
        self._mark = journal.mark(database)
        self._journal = journal.Journal(folder, self._mark)
        self._ended: journal.File | None = None
        self._has_news = False
        self._storing = asyncio.Lock()
        self._flushing: asyncio.Task[None] | None = None

    def record(  # noqa: PLR0913 - each is a column
        self,
        agent: Agent,
        interaction: str,
        resource_type: str | None = None,
        resource_id: str | None = None,
        status: int | None = None,
        *,
        children: Collection[int] = (),
        query: str | None = None,
    ) -> None:
        """Record one access, durably against the end of any process; in an event loop.

        Raises FhirError 503 where that cannot be done: what is not recorded must not be told.
        """
        moment = int(self._now().timestamp() * 1_000_000)
        what = (interaction, _plain(resource_type), _plain(resource_id))
        made = row(moment, agent, what, (None, status), children, query)
        try:
            self._journal.append(made)
        except OSError as failure:
            logger.error("an access cannot be recorded, and is refused: %s", place(failure))  # noqa: TRY400 - no content
            text = (
                "The registry cannot record this access now, and so cannot answer. Try again later."
            )
            raise FhirError(503, [error("transient", text)]) from None
        told.recorded()
        self._has_news = True
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_soon())

    async def flush(self) -> bool:
        """Store what has been recorded; what cannot be stored waits for the next time. Never raises.

        Returns whether all of it is stored.
        """
        async with self._storing:
            try:
                if self._ended is not None:  # what could not be stored before
                    await self._store(self._ended)
                self._has_news = False
                self._ended = self._journal.cut()
                if self._ended is not None:
                    await self._store(self._ended)
            except Exception as failure:
                logger.error("accesses wait to be stored: %s", place(failure))  # noqa: TRY400 - no content
                return False
        return True

    async def recover(self) -> None:
        """Store what processes that were killed have left in the folder; raises what hinders it."""
        async with self._storing:
            for file in journal.left_behind(self._journal.folder, self._mark):
                try:
                    await self._folded(file)
                    logger.info("accesses that a killed process had recorded are stored")
                finally:
                    file.close()

    async def _store(self, file: journal.File) -> None:
        await self._folded(file)
        file.close()
        self._ended = None

    async def _folded(self, file: journal.File) -> None:
        """Have a file folded, and take it away."""
        damaged, is_left = 0, True
        while is_left:
            done = await self._database.write(partial(journal.fold, file=str(file.path)))
            damaged, is_left = damaged + done.damaged, done.more
        if damaged:
            journal.keep_damaged(file, damaged)
        file.remove()

    async def _flush_soon(self) -> None:
        """Store until nothing is left: accesses are recorded while others are being stored."""
        is_stored = True
        while is_stored and self._has_news:
            await self._pause()
            is_stored = await self.flush()

    async def _pause(self) -> None:
        """Wait until few accesses come, but not for long."""
        for _ in range(round(LATEST / DELAY)):
            before = self._journal.lines
            await asyncio.sleep(DELAY)
            if self._journal.lines - before < _FEW:
                return


def _plain(text: str | None) -> str | None:
    """Return what is said of a place, as any database holds it."""
    return text if text is None else text[:_LONGEST].replace("\0", "\N{REPLACEMENT CHARACTER}")


@dataclass(frozen=True, slots=True)
class Access:
    """One row of the audit; status is None where a version was stored, and version where none was.

    children: of whom was told, by the keys of their places; erased: how many there are not here any more.
    """

    id: int
    moment: int
    agent: Agent
    interaction: str
    type: str | None
    key: str | None
    version: int | None
    status: int | None
    query: str | None
    children: tuple[int, ...]
    erased: int

    @property
    def principal(self) -> str:
        """The name of whoever asked."""
        return self.agent.name


COLUMNS = (
    "a.id, a.moment, a.principal, a.role, a.hospital, a.purpose, a.address, a.interaction, a.type,"
    " a.key, a.version, a.status, a.query, a.children"
)


def access(row: Row) -> Access:
    """Return the access that a row of the columns above is."""
    number, moment, *who, interaction, kind, key, version, status, query, children = row
    named = children.split() if children else []
    told = tuple(int(each) for each in named if not each.startswith(chain.MASKED))
    what = (interaction, kind, key, version, status, query)
    return Access(number, moment, Agent(*who), *what, told, len(named) - len(told))


def accesses(
    database: Database,
    resource: tuple[str, str] | None = None,
    principal: str | None = None,
    since: int | None = None,
) -> Iterator[Access]:
    """Yield the rows about a resource, by a principal, since a moment (microseconds), oldest first.

    A resource that has been purged is found by the hash that its rows have in place of its id.
    """
    where = ["a.id > ?"]
    parameters: list[object] = []
    if resource is not None:
        hidden = chain.blinded(chain.salt(database.read), *resource)
        keys = [resource[1], hidden, *tombstone.hashes(database, resource)]
        where.append(f"a.type = ? AND a.key IN ({', '.join('?' * len(keys))})")
        parameters += [resource[0], *keys]
    if principal is not None:
        where.append("a.principal = ?")
        parameters.append(principal)
    if since is not None:
        where.append("a.moment >= ?")
        parameters.append(since)
    sql = (
        f"SELECT {COLUMNS} FROM audit AS a WHERE {' AND '.join(where)} ORDER BY a.id LIMIT {_PAGE}"
    )
    after = 0
    while page := database.read(sql, [after, *parameters]):
        yield from map(access, page)
        after = page[-1][0]

"""The audit: who did what to which resource, one row for each access; no clinical content.

What stores a version is recorded in the transaction that stores it (`store.batch`). Reads and refusals
go through a Trail: each is in a file before its answer leaves (`store.journal`), and in the database at
most a tenth of a second later, with all that have come meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from fhir_server.store import chain, journal, told, tombstone
from fhir_server.store.connection import Database
from fhir_server.store.failure import place
from r4.issue import FhirError, error

logger = logging.getLogger("csor.audit")

DELAY = 0.1
"""Seconds after which, at the latest, what is recorded is being stored."""
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

    def record(
        self,
        principal: str,
        interaction: str,
        resource_type: str | None = None,
        resource_id: str | None = None,
        status: int | None = None,
    ) -> None:
        """Record one access, durably against the end of any process; in an event loop.

        Raises FhirError 503 where that cannot be done: what is not recorded must not be told.
        """
        moment = int(self._now().timestamp() * 1_000_000)
        kind, key = _plain(resource_type), _plain(resource_id)
        try:
            self._journal.append((moment, principal, interaction, kind, key, None, status))
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
            await asyncio.sleep(DELAY)
            is_stored = await self.flush()


def _plain(text: str | None) -> str | None:
    """Return what is said of a place, as any database holds it."""
    return text if text is None else text[:_LONGEST].replace("\0", "\N{REPLACEMENT CHARACTER}")


@dataclass(frozen=True, slots=True)
class Access:
    """One row of the audit; status is None where a version was stored, and version where none was."""

    id: int
    moment: int
    principal: str
    interaction: str
    type: str | None
    key: str | None
    version: int | None
    status: int | None


def accesses(
    database: Database,
    resource: tuple[str, str] | None = None,
    principal: str | None = None,
    since: int | None = None,
) -> Iterator[Access]:
    """Yield the rows about a resource, by a principal, since a moment (microseconds), oldest first.

    A resource that has been purged is found by the hash that its rows have in place of its id.
    """
    where = ["id > ?"]
    parameters: list[object] = []
    if resource is not None:
        hidden = chain.blinded(chain.salt(database.read), *resource)
        keys = [resource[1], hidden, *tombstone.hashes(database, resource)]
        where.append(f"type = ? AND key IN ({', '.join('?' * len(keys))})")
        parameters += [resource[0], *keys]
    if principal is not None:
        where.append("principal = ?")
        parameters.append(principal)
    if since is not None:
        where.append("moment >= ?")
        parameters.append(since)
    sql = (
        "SELECT id, moment, principal, interaction, type, key, version, status FROM audit"
        f" WHERE {' AND '.join(where)} ORDER BY id LIMIT {_PAGE}"
    )
    after = 0
    while page := database.read(sql, [after, *parameters]):
        yield from (Access(*row) for row in page)
        after = page[-1][0]

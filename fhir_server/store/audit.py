"""The audit: who did what to which resource, one row for each access; no clinical content.

What stores a version is recorded in the transaction that stores it (`store.batch`). Reads and refusals
go through a Trail, which writes them together, at most a tenth of a second later.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from fhir_server.store import chain, tombstone
from fhir_server.store.connection import Connection, Database, Row

logger = logging.getLogger("csor.audit")

DELAY = 0.1
"""Seconds after which, at the latest, what is recorded is being written."""
_MOST = 200_000
"""Most rows that wait while the database cannot be written."""
_PAGE = 1000


class Trail:
    """Records reads and refusals, off the path of whoever is answered."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database, self._now = database, now
        self._rows: list[Row] = []
        self._flushing: asyncio.Task[None] | None = None

    def record(
        self,
        principal: str,
        interaction: str,
        resource_type: str | None = None,
        resource_id: str | None = None,
        status: int | None = None,
    ) -> None:
        """Record one access; in an event loop. Never raises."""
        try:
            moment = int(self._now().timestamp() * 1_000_000)
            row = (moment, principal, interaction, resource_type, resource_id, None, status)
            self._rows.append(row)
            if self._flushing is None or self._flushing.done():
                self._flushing = asyncio.create_task(self._flush_soon())
        except Exception as failure:
            logger.error("an access is not recorded: %s", type(failure).__name__)  # noqa: TRY400 - no content

    async def flush(self) -> bool:
        """Write what has been recorded; what cannot be written waits for the next time. Never raises.

        Returns whether all of it is written.
        """
        rows, self._rows = self._rows, []
        if not rows:
            return True
        try:
            await self._database.write(partial(_insert, rows=rows))
        except Exception as failure:
            logger.error("%d accesses wait: %s", len(rows), type(failure).__name__)  # noqa: TRY400 - no content
            self._rows = [*rows, *self._rows][-_MOST:]
            return False
        return True

    async def _flush_soon(self) -> None:
        """Write until nothing is left: accesses are recorded while others are being written."""
        is_written = True
        while is_written and self._rows:
            await asyncio.sleep(DELAY)
            is_written = await self.flush()


def _insert(connection: Connection, rows: Sequence[Row]) -> None:
    connection.insert({"audit": rows})


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

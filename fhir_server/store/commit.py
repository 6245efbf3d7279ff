"""The one commit: resources, their index rows and the inbox's answer, all of them or none.

What was read to plan a write may have changed by the time it is committed. Each write therefore
names the version it follows, each guard the matches its plan relied on; a Conflict undoes the commit
and the caller plans anew.
"""

import sqlite3
from collections.abc import Sequence

from fhir_server.store import inbox
from fhir_server.store.database import Database
from fhir_server.store.indexing import add
from fhir_server.store.search import plan
from fhir_server.store.search.keys import place
from fhir_server.store.write import Guard, Write


class ConflictError(Exception):
    """What a plan relied on has changed: plan again."""


async def commit(
    database: Database,
    writes: Sequence[Write],
    guards: Sequence[Guard] = (),
    settlement: inbox.Settlement | None = None,
) -> None:
    """Store the writes durably; raises ConflictError, and stores nothing, if the plan is stale."""

    def job(connection: sqlite3.Connection) -> None:
        for guard in guards:
            _hold(connection, guard)
        for write in writes:
            _store(connection, write)
        if settlement is not None:
            inbox.settle(connection, settlement)

    await database.write(job)


def _hold(connection: sqlite3.Connection, guard: Guard) -> None:
    sql = plan.select(guard.query, "r.id")
    found = tuple(row[0] for row in connection.execute(sql.text, sql.parameters))
    if sorted(found) != sorted(guard.ids):
        raise ConflictError


def _store(connection: sqlite3.Connection, write: Write) -> None:
    previous = connection.execute(
        "SELECT rid, version FROM resource WHERE type = ? AND id = ? ORDER BY version DESC LIMIT 1",
        (write.type, write.id),
    ).fetchone()
    if (previous[1] if previous else 0) != write.version - 1:
        raise ConflictError
    rid = connection.execute(
        "INSERT INTO resource (type, id, version, updated, deleted, place)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (write.type, write.id, write.version, write.updated, write.deleted,
         place(write.type, write.id)),
    ).lastrowid  # fmt: skip
    connection.execute("INSERT INTO content (rid, body) VALUES (?, ?)", (rid, write.body))
    if previous:
        connection.execute("UPDATE resource SET superseded = ? WHERE rid = ?", (rid, previous[0]))
    add(connection, rid or 0, write.rows)

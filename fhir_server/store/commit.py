"""The one commit: resources, their index rows and the inbox's answer, all of them or none.

What was read to plan a write may have changed by the time it is committed. Each write therefore
names the version it follows, each guard the matches its plan relied on; a Conflict undoes the commit
and the caller plans anew.
"""

import sqlite3
from collections.abc import Sequence

from fhir_server.store import inbox
from fhir_server.store.database import Database
from fhir_server.store.index import Rows, pack, unpack
from fhir_server.store.search import plan
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
        "SELECT rid, version, rows FROM resource WHERE type = ? AND id = ? AND superseded IS NULL",
        (write.type, write.id),
    ).fetchone()
    if (previous[1] if previous else 0) != write.version - 1:
        raise ConflictError
    if previous:
        connection.execute("UPDATE resource SET superseded = 0 WHERE rid = ?", (previous[0],))
    rid = connection.execute(
        "INSERT INTO resource (type, id, version, updated, deleted, body, rows)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (write.type, write.id, write.version, write.updated, write.deleted, write.body,
         pack(write.rows)),
    ).lastrowid  # fmt: skip
    if previous:
        connection.execute("UPDATE resource SET superseded = ? WHERE rid = ?", (rid, previous[0]))
        _remove(connection, previous[0], unpack(previous[2]))
    _add(connection, rid or 0, write.rows)


def _add(connection: sqlite3.Connection, rid: int, rows: Rows) -> None:
    connection.executemany("INSERT INTO search_key VALUES (?, ?)", [(k, rid) for k in rows.keys])
    connection.executemany(
        "INSERT INTO search_date VALUES (?, ?, ?, ?)", [(*row, rid) for row in rows.dates]
    )
    connection.executemany(
        "INSERT INTO search_string VALUES (?, ?, ?)", [(*row, rid) for row in rows.strings]
    )


def _remove(connection: sqlite3.Connection, rid: int, rows: Rows) -> None:
    connection.executemany(
        "DELETE FROM search_key WHERE key = ? AND rid = ?", [(k, rid) for k in rows.keys]
    )
    connection.executemany(
        "DELETE FROM search_date WHERE param = ? AND low = ? AND high = ? AND rid = ?",
        [(*row, rid) for row in rows.dates],
    )
    connection.executemany(
        "DELETE FROM search_string WHERE param = ? AND value = ? AND rid = ?",
        [(*row, rid) for row in rows.strings],
    )

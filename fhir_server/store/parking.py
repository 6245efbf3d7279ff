"""Messages that wait for an earlier one of their child, which failed.

A message that holds up later ones has a number in `waits_for`: its own where it failed, that of the one
that failed where it waits itself. Which are one child's is not written anywhere: their bytes say.
"""

from functools import partial
from typing import NamedTuple

from fhir_server.store.connection import Connection, Database
from fhir_server.store.inbox import Settlement, Status, settle


class Held(NamedTuple):
    """A message that holds up later ones of its child: it failed, or waits for one that did."""

    id: int
    status: Status
    waits_for: int
    sha256: str
    sender: str
    control_id: str


def held(database: Database) -> list[Held]:
    """List the messages that hold up others, oldest first."""
    rows = database.read(
        "SELECT id, status, waits_for, sha256, sender, control_id FROM inbox"
        " WHERE waits_for IS NOT NULL ORDER BY id"
    )
    return [Held(*row) for row in rows]


async def park(database: Database, settlement: Settlement) -> bool:
    """Let a message wait for another one; returns False where that holds up nothing any more."""
    return bool(await database.write(partial(_park, settlement=settlement)))


def _park(connection: Connection, settlement: Settlement) -> bool:
    if not connection.read(
        "SELECT 1 FROM inbox WHERE id = ? AND waits_for IS NOT NULL", (settlement.waits_for,)
    ):
        return False
    settle(connection, settlement)
    return True


async def repoint(database: Database, number: int, waits_for: int, reason: str) -> None:
    """Let a parked message wait for another one than before."""
    await database.write(partial(_repoint, number=number, waits_for=waits_for, reason=reason))


def _repoint(connection: Connection, number: int, waits_for: int, reason: str) -> None:
    connection.execute(
        "UPDATE inbox SET waits_for = ?, reason = ? WHERE id = ? AND status = 'parked'",
        (waits_for, reason, number),
    )

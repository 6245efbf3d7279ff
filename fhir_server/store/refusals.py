"""Why writes of hospitals' clients were refused: the inbox, which others' are kept in, has none of them.

The words are those that the sender was told, and may quote what was sent: a purge empties the table.
"""

from dataclasses import dataclass
from functools import partial

from fhir_server.store.connection import Connection, Database

MOST = 100
"""How many are kept of one client: the newest."""
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused write: when (microseconds), whose, what, on which type (None: of a Bundle), and why."""

    moment: int
    principal: str
    interaction: str
    type: str | None
    reason: str


async def note(database: Database, refusal: Refusal) -> None:
    """Keep a refusal, and of its client's no more than the newest."""
    await database.write(partial(_note, refusal=refusal))


def _note(connection: Connection, refusal: Refusal) -> None:
    connection.execute(
        "INSERT INTO refusal (moment, principal, interaction, type, reason) VALUES (?, ?, ?, ?, ?)",
        (refusal.moment, refusal.principal, refusal.interaction, refusal.type,
         refusal.reason[:_LONGEST]),
    )  # fmt: skip
    connection.execute(
        "DELETE FROM refusal WHERE principal = ? AND id <= (SELECT id FROM refusal"
        " WHERE principal = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (refusal.principal, refusal.principal, MOST),
    )


def of(database: Database, principal: str) -> list[Refusal]:
    """List what is kept of a client, the newest first."""
    rows = database.read(
        "SELECT moment, principal, interaction, type, reason FROM refusal"
        " WHERE principal = ? ORDER BY id DESC",
        (principal,),
    )
    return [Refusal(*row) for row in rows]


def forget(connection: Connection) -> None:
    """Delete all of them, in the transaction of the caller: they may quote whom a purge erases."""
    connection.execute("DELETE FROM refusal")

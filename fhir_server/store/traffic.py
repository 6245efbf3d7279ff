"""What one client has asked and stored, and what it has sent: of the audit and the inbox, the newest.

Neither table is indexed by client, so that no write pays for it: the newest rows alone are looked
through, and of those that are alike the newest few are returned.
"""

from collections.abc import Collection
from dataclasses import dataclass

from fhir_server.store import read, refusals
from fhir_server.store.connection import Connection, Database
from fhir_server.store.read import Stored
from fhir_server.store.refusals import Refusal

WINDOW = 500_000
"""How many rows of the audit, and of the inbox, are looked through: the newest."""
_ALIKE = 50
"""How many rows that are alike are returned: the newest."""
ANYBODY = "local"
"""The connection of whoever sends from this machine where no sender is registered."""


@dataclass(frozen=True, slots=True)
class Access:
    """One row of the audit: version where something was stored, status where nothing was."""

    id: int
    moment: int
    interaction: str
    type: str | None
    key: str | None
    version: int | None
    status: int | None


@dataclass(frozen=True, slots=True)
class Sent:
    """One HL7 v2 message of the inbox, without its bytes; repeated: when it came again."""

    id: int
    received: int
    control_id: str
    kind: str | None
    status: str
    target: str
    reason: str | None
    repeated: int | None


async def written(database: Database) -> None:
    """Wait until all that is being written at this moment is there: commits come in their order."""
    await database.write(_nothing)


def _nothing(_: Connection) -> None:
    """Change nothing."""


def accesses(database: Database, names: Collection[str]) -> list[Access]:
    """List the accesses of a client, which the audit has by several names, the newest first."""
    rows = database.read(
        "SELECT id, moment, interaction, type, key, version, status FROM ("
        " SELECT id, moment, interaction, type, key, version, status, row_number() OVER ("
        "  PARTITION BY interaction, type, version IS NULL, status ORDER BY id DESC) AS alike"
        " FROM audit WHERE id > (SELECT coalesce(max(id), 0) FROM audit) - ?"
        f" AND principal IN ({_marks(names)})) AS mine"
        " WHERE alike <= ? ORDER BY id DESC",
        (WINDOW, *names, _ALIKE),
    )
    return [Access(*row) for row in rows]


def sent(database: Database, connections: Collection[str], application: str | None) -> list[Sent]:
    """List the HL7 v2 messages of a client's connections, the newest first.

    application: MSH-3, by which a client is told on the connection that is `ANYBODY`'s; None: not at all.
    """
    mine = [f"connection IN ({_marks(connections)})"] if connections else []
    given: list[object] = list(connections)
    if application is not None:
        mine.append("(connection = ? AND substr(sender, 1, ?) = ?)")
        given += [ANYBODY, len(application) + 1, f"{application}|"]
    if not mine:
        return []
    rows = database.read(
        "SELECT id, received, control_id, kind, status, target, reason, repeated FROM ("
        " SELECT id, received, control_id, kind, status, target, reason, repeated, row_number() OVER ("
        "  PARTITION BY kind, status, repeated IS NULL ORDER BY id DESC) AS alike"
        " FROM inbox WHERE id > (SELECT coalesce(max(id), 0) FROM inbox) - ?"
        f" AND ({' OR '.join(mine)})) AS mine"
        " WHERE alike <= ? ORDER BY id DESC",
        (WINDOW, *given, _ALIKE),
    )
    return [Sent(*row) for row in rows]


def refused(database: Database, name: str) -> list[Refusal]:
    """List the refused writes of a client of no hospital, which the inbox keeps, the newest first."""
    rows = database.read(
        "SELECT settled, target, reason FROM inbox"
        " WHERE sender = ? AND door = 'http' AND status = 'refused' ORDER BY id DESC LIMIT ?",
        (name, refusals.MOST),
    )
    return [
        Refusal(moment, name, *_written(target), reason or "") for moment, target, reason in rows
    ]


def _written(target: str) -> tuple[str, str | None]:
    """Return the interaction and the type of a write by its target, as `POST /fhir/Patient`."""
    method, _, rest = target.removeprefix("oversize ").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0].removeprefix("/fhir").strip("/")
    kind = path.partition("/")[0] or None
    code = {"PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method, "create")
    return (code, kind) if kind else ("transaction", None)


def stored(database: Database, access: Access) -> Stored | None:
    """Return the version that an access has stored; None where it has been purged since."""
    if access.type is None or access.key is None or access.version is None:
        return None
    return read.version(database, access.type, access.key, access.version)


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))

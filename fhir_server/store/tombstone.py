"""What remains of a purge: a tombstone, and keyed hashes in place of ids.

The hash is HMAC-SHA256 with a key of the tombstone's own. An id that is a random UUID cannot be had
back from it; whoever holds the database and guesses an id can confirm the guess, which is its purpose.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fhir_server.store import chain
from fhir_server.store.connection import Connection, Database
from fhir_server.store.search.keys import place
from r4.json import decode, encode

Named = tuple[str, str]
_MANY = 100


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One purge: when (microseconds), by whom, why, and how many resources of each type."""

    id: int
    moment: int
    principal: str
    reason: str
    counts: dict[str, int]


def hashed(salt: str, named: Named) -> str:
    """Return the keyed hash of a resource's place."""
    return hmac.new(salt.encode(), "/".join(named).encode(), hashlib.sha256).hexdigest()


def bury(
    connection: Connection,
    stone: Tombstone,
    salt: str,
    places: Iterable[Named],
) -> None:
    """Store a tombstone, and put hashes in place of the ids that the audit names, as its chain does."""
    connection.execute(
        "INSERT INTO tombstone (id, moment, principal, reason, counts, salt)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            stone.id,
            stone.moment,
            stone.principal,
            stone.reason,
            encode(stone.counts).decode(),
            salt,
        ),
    )
    known = chain.salt(connection.read)
    rows = [(*each, hashed(salt, each), chain.blinded(known, *each)) for each in places]
    for start in range(0, len(rows), _MANY):
        some = rows[start : start + _MANY]
        _values(
            connection,
            "INSERT INTO tombstone_place (tombstone, hash) VALUES ",
            "(?, ?)",
            [(stone.id, row[2]) for row in some],
        )
        _rename(connection, [(kind, key, hidden) for kind, key, _, hidden in some])
    for kind, key, *_ in rows:
        if kind == "Patient":
            _hide(connection, known, place(kind, key))


def _rename(connection: Connection, rows: Sequence[tuple[str, str, str]]) -> None:
    marks = ", ".join(["(?, ?, ?)"] * len(rows))
    connection.execute(
        f"WITH v (type, key, hash) AS (VALUES {marks}) UPDATE audit SET key = v.hash FROM v"
        " WHERE audit.type = v.type AND audit.key = v.key",
        [value for row in rows for value in row],
    )


def _hide(connection: Connection, salt: str, child: int) -> None:
    """Put a hash in the place of a child in the rows that told of the child."""
    hidden = chain.hidden(salt, child)
    after = 0
    while rows := connection.read(
        "SELECT a.id, a.children FROM audit_child AS c JOIN audit AS a ON a.id = c.audit"
        " WHERE c.child = ? AND a.id > ? ORDER BY a.id LIMIT ?",
        (child, after, _MANY),
    ):
        for number, children in rows:
            named = [hidden if each == str(child) else each for each in children.split()]
            said = (" ".join(named), number)
            connection.execute("UPDATE audit SET children = ? WHERE id = ?", said)
        after = rows[-1][0]
    number = chain.number(hidden)
    connection.execute("UPDATE audit_child SET child = ? WHERE child = ?", (number, child))


def _values(connection: Connection, sql: str, row: str, rows: Sequence[Sequence[object]]) -> None:
    connection.execute(
        sql + ", ".join([row] * len(rows)), [value for each in rows for value in each]
    )


def next_id(connection: Connection) -> int:
    """Return the number of the next tombstone."""
    found: int = connection.read("SELECT coalesce(max(id), 0) + 1 FROM tombstone")[0][0]
    return found


def of(database: Database, named: Named) -> list[Tombstone]:
    """Return the tombstones of a resource that has been purged, oldest first."""
    stones = database.read(
        "SELECT id, moment, principal, reason, counts, salt FROM tombstone ORDER BY id"
    )
    found = []
    for number, moment, principal, reason, counts, salt in stones:
        if database.read(
            "SELECT 1 FROM tombstone_place WHERE tombstone = ? AND hash = ?",
            (number, hashed(salt, named)),
        ):
            found.append(Tombstone(number, moment, principal, reason, decode(counts)))
    return found


def hashes(database: Database, named: Named) -> list[str]:
    """Return the hashes that stand for a resource, in the audit, in purges before its rows were linked."""
    return [hashed(salt, named) for (salt,) in database.read("SELECT salt FROM tombstone")]

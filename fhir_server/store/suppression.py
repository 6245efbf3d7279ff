"""The suppression list: keyed hashes of the identifiers of children who were erased.

There are few enough NHS numbers to try them all. The key is therefore no part of the database: whoever
has a copy of that alone cannot tell who is on the list. By a hash of its own the key is known again.
"""

import hmac
from collections.abc import Callable, Iterable, Sequence

from fhir_server.store.connection import Connection, Row

Identifier = tuple[str, str]
Read = Callable[..., Sequence[Row]]
_THE_KEY = ("", "the key of this list")
_NOBODY = 0


def hashed(key: bytes, identifier: Identifier) -> str:
    """Return what stands for an identifier (system, value)."""
    system, value = identifier
    return hmac.digest(key, f"{system}|{value}".encode(), "sha256").hex()


def is_any(read: Read) -> bool:
    """Tell whether anybody is on the list, or has been."""
    return bool(read("SELECT 1 FROM suppressed LIMIT 1"))


def is_key(read: Read, key: bytes) -> bool:
    """Tell whether this is the key that the list was made with; any is, where nothing is on it."""
    found = read("SELECT hash FROM suppressed WHERE tombstone = ?", (_NOBODY,))
    return not found or hmac.compare_digest(found[0][0], hashed(key, _THE_KEY))


def tombstone_of(read: Read, key: bytes, identifiers: Iterable[Identifier]) -> int | None:
    """Return the number of the purge of whoever had one of some identifiers, None where nobody had."""
    for each in identifiers:
        found = read("SELECT tombstone FROM suppressed WHERE hash = ?", (hashed(key, each),))
        if found:
            return int(found[0][0])
    return None


def suppress(
    connection: Connection, key: bytes, tombstone: int, identifiers: Iterable[Identifier]
) -> None:
    """Put the identifiers of whoever is purged on the list, in the transaction of the purge."""
    rows = [(hashed(key, each), tombstone) for each in identifiers]
    for hash_, number in [(hashed(key, _THE_KEY), _NOBODY), *rows]:
        connection.execute(
            "INSERT INTO suppressed (hash, tombstone) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (hash_, number),
        )


def lift(connection: Connection, tombstone: int) -> int:
    """Take whoever was erased by a purge off the list; returns how many identifiers that were."""
    if tombstone == _NOBODY:
        return 0
    return connection.execute("DELETE FROM suppressed WHERE tombstone = ?", (tombstone,))

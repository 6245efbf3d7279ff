"""The jobs of a load: each stores a slice of a release and how far the load has come, in one commit.

A slice says where it goes on; where the load is elsewhere (another one runs), nothing is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fhir_server.store.concepts import first, text_row
from fhir_server.store.connection import Connection, Row
from fhir_server.store.search.dialect import words_of
from fhir_server.store.search.keys import fold

COUNTS = ("concepts", "active", "names", "edges", "members", "replacements", "left_out")
_REMOVED = 5000
"""Rows of a table that one commit removes."""
_TABLES = (
    "concept_name", "concept_edge", "concept_member", "concept_replacement", "concept_image",
    "concept", "concept_load",
)  # fmt: skip


class OvertakenError(ValueError):
    """Another load of the same release goes on: this one ends."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The id of a release, its state, and how many rows of each part are stored; `True`: all."""

    system: int
    state: str
    parts: tuple[tuple[int, bool], ...]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of a part, by table, from one position to another; counts: what they add."""

    system: int
    part: int
    start: int
    end: int
    is_last: bool
    counts: dict[str, int]
    rows: dict[str, list[Row]] = field(default_factory=dict)
    texts: list[tuple[int, str]] = field(default_factory=list)


def begin(
    connection: Connection, release: tuple[str, str, str, bool], parts: Sequence[str]
) -> Begun:
    """Take up the load of a release (url, version, digest, is_complete), or begin it.

    An unfinished load of other files of the same code system is given up.
    """
    url, version, digest, is_complete = release
    found = connection.read(
        f"SELECT id, state, {', '.join(COUNTS)} FROM code_system"
        " WHERE url = ? AND version = ? AND digest = ? AND state <> 'removing'",
        (url, version, digest),
    )
    if found:
        system, state, *counts = found[0]
        rows = connection.read(
            "SELECT done, is_done FROM concept_load WHERE id >= ? AND id < ? ORDER BY id",
            (first(system), first(system + 1)),
        )
        begun = tuple((done, bool(is_done)) for done, is_done in rows)
        return Begun(system, state, begun, dict(zip(COUNTS, counts, strict=True)))
    connection.execute(
        "UPDATE code_system SET state = 'removing' WHERE url = ? AND state = 'loading'", (url,)
    )
    ((system,),) = connection.read("SELECT coalesce(max(id), 0) + 1 FROM code_system")
    connection.execute(
        f"INSERT INTO code_system (id, url, version, digest, state, is_complete, {', '.join(COUNTS)})"
        " VALUES (?, ?, ?, ?, 'loading', ?, 0, 0, 0, 0, 0, 0, 0)",
        (system, url, version, digest, is_complete),
    )
    connection.insert(
        {"concept_load": [(first(system) + n, name, 0, False) for n, name in enumerate(parts)]}
    )
    return Begun(system, "loading", tuple((0, False) for _ in parts), dict.fromkeys(COUNTS, 0))


def store(connection: Connection, stored: Slice) -> None:
    """Store a slice; raises OvertakenError where the load is not where the slice begins."""
    changed = connection.execute(
        "UPDATE concept_load SET done = ?, is_done = ? WHERE id = ? AND done = ? AND is_done = ?",
        (stored.end, stored.is_last, first(stored.system) + stored.part, stored.start, False),
    )
    if not changed:
        raise OvertakenError("another load of this release goes on at the same time; this one ends")
    added = ", ".join(f"{name} = {name} + ?" for name in COUNTS)
    connection.execute(
        f"UPDATE code_system SET {added} WHERE id = ?",
        (*(stored.counts[name] for name in COUNTS), stored.system),
    )
    connection.insert({table: rows for table, rows in stored.rows.items() if rows})
    texts = sorted(stored.texts)  # out of their order SQLite writes its index for each row
    if texts and connection.dialect.name == "sqlite":
        connection.insert({"concept_text": texts})
    elif texts:
        connection.execute(
            "INSERT INTO concept_text SELECT id, array_to_tsvector(string_to_array(words, ' '))"
            " FROM unnest(?::bigint[], ?::text[]) AS v (id, words)",
            ([row for row, _ in texts], [words for _, words in texts]),
        )


def put(connection: Connection, system: int, place: int, piece: tuple[str, bytes]) -> None:
    """Store a piece of an image in its place; raises OvertakenError where the release is given up."""
    _ensure_kept(connection, system)
    row = first(system) + place
    connection.execute("DELETE FROM concept_image WHERE id = ?", (row,))
    connection.insert({"concept_image": [(row, *piece)]})


def count_words(connection: Connection) -> None:
    """Have PostgreSQL count how common words are: by that it chooses how to find them."""
    if connection.dialect.name == "postgresql":
        connection.execute("ANALYZE concept_text")


def switch(connection: Connection, system: int) -> None:
    """Put a release that is complete in use, in the place of the one that was.

    That one stays, and is found by its version, unless it has the same version. Raises OvertakenError
    where the release was given up meanwhile.
    """
    url, version = _ensure_kept(connection, system)
    connection.execute(
        "UPDATE code_system SET state = 'ready' WHERE url = ? AND state = 'current'", (url,)
    )
    connection.execute(
        "UPDATE code_system SET state = 'removing' WHERE url = ? AND version = ? AND id <> ?",
        (url, version, system),
    )
    connection.execute("UPDATE code_system SET state = 'current' WHERE id = ?", (system,))


def withdraw(connection: Connection, url: str, version: str) -> str | None:
    """Have a release removed; returns the version in use now, None where there is none.

    Where it was in use, what was loaded last before it takes its place. Raises ValueError where there
    is no such release.
    """
    changed = connection.execute(
        "UPDATE code_system SET state = 'removing'"
        " WHERE url = ? AND version = ? AND state <> 'removing'",
        (url, version),
    )
    if not changed:
        raise ValueError(f"{url} has no release {version}")
    found = connection.read(
        "SELECT version, id FROM code_system WHERE url = ? AND state IN ('current', 'ready')"
        " ORDER BY state, id DESC LIMIT 1",
        (url,),
    )
    if not found:
        return None
    in_use: str = found[0][0]
    connection.execute("UPDATE code_system SET state = 'current' WHERE id = ?", (found[0][1],))
    return in_use


def _ensure_kept(connection: Connection, system: int) -> tuple[str, str]:
    rows = connection.read(
        "SELECT url, version FROM code_system WHERE id = ? AND state <> 'removing'", (system,)
    )
    if not rows:
        raise OvertakenError("another release of this code system was loaded meanwhile")
    url, version = rows[0]
    return url, version


def discard(connection: Connection, url: str) -> None:
    """Have the releases of a code system that are not in use removed."""
    connection.execute(
        "UPDATE code_system SET state = 'removing' WHERE url = ? AND state = 'ready'", (url,)
    )


def remove(connection: Connection) -> bool:
    """Remove some rows of a release that is to be removed; returns whether there is more to do."""
    found = connection.read(
        "SELECT id FROM code_system WHERE state = 'removing' ORDER BY id LIMIT 1"
    )
    if not found:
        return False
    ((system,),) = found
    for table in _TABLES:
        rows = connection.read(
            f"SELECT id FROM {table} WHERE id >= ? AND id < ? ORDER BY id LIMIT {_REMOVED}",
            (first(system), first(system + 1)),
        )
        if rows:
            _remove(connection, table, rows[0][0], rows[-1][0])
            return True
    connection.execute("DELETE FROM code_system WHERE id = ?", (system,))
    return True


def _remove(connection: Connection, table: str, start: int, end: int) -> None:
    if table == "concept_name":
        _remove_words(connection, start, end)
    connection.execute(f"DELETE FROM {table} WHERE id BETWEEN ? AND ?", (start, end))


def _remove_words(connection: Connection, start: int, end: int) -> None:
    names = connection.read(
        "SELECT id, term FROM concept_name WHERE id BETWEEN ? AND ?", (start, end)
    )
    if connection.dialect.name == "sqlite":
        for name, term in names:
            connection.execute(
                "INSERT INTO concept_text (concept_text, rowid, words) VALUES ('delete', ?, ?)",
                (text_row(name, term), words(term)),
            )
        return
    among = connection.dialect.among("id", [text_row(name, term) for name, term in names])
    connection.execute(f"DELETE FROM concept_text WHERE {among.text}", among.parameters)


def words(term: str) -> str:
    """Return the words of a term as the index has them."""
    return " ".join(words_of(fold(term)))

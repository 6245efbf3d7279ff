"""A load's own SQLite file: rows in the order that its rules ask for, and how far reading them is.

The file holds patients' data that are not the registry's, so it is deleted when its load ends (ADR
0021). Rows and how far reading is are in one commit: a reader that was killed goes on where it was.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_CACHE = -64_000
"""Pages in memory, as SQLite's cache_size: 64 MB."""
_TABLES = """
CREATE TABLE IF NOT EXISTS known (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS staged (
  grp TEXT, place TEXT, body BLOB NOT NULL, PRIMARY KEY (grp, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (number INTEGER PRIMARY KEY, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS reading (one INTEGER PRIMARY KEY CHECK (one = 1), state BLOB NOT NULL);
"""


Refused = tuple[int, str]
"""The number of a row, and why it is refused."""


class Row(NamedTuple):
    """A row: a key that comes once, its group, its place within that (as text sorts), its content."""

    key: str
    group: str
    place: str
    body: bytes


class Staging:
    """The staging file of one load, readable for the owner of the process alone."""

    def __init__(self, file: Path) -> None:
        self._file = file
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(f"PRAGMA cache_size = {_CACHE}")
        self._connection.executescript(_TABLES)

    def state(self) -> bytes | None:
        """Return how far reading is, as it was last said; None at the beginning."""
        row = self._connection.execute("SELECT state FROM reading").fetchone()
        return None if row is None else bytes(row[0])

    def new(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows whose key has not come, the first of each key."""
        listed = {row.key: row for row in reversed(list(rows))}
        return [row for row in reversed(listed.values()) if not self._is_known(row.key)]

    def add(self, rows: Iterable[Row], refused: Iterable[Refused], state: bytes) -> None:
        """Add rows that are `new`, those refused, and how far reading is with them, in one commit."""
        listed = list(rows)
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany("INSERT INTO known VALUES (?)", [(row.key,) for row in listed])
            connection.executemany(
                "INSERT INTO staged VALUES (?, ?, ?)", [row[1:] for row in listed]
            )
            connection.executemany("INSERT INTO refused VALUES (?, ?)", refused)
            connection.execute("INSERT OR REPLACE INTO reading VALUES (1, ?)", (state,))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def refused(self) -> Iterator[Refused]:
        """Yield what was refused, in order."""
        yield from self._connection.execute("SELECT number, reason FROM refused ORDER BY number")

    def every(self, after: str = "") -> Iterator[tuple[str, list[bytes]]]:
        """Yield each group after one, in order, with the content of its rows in order."""
        ask = "SELECT min(grp) FROM staged WHERE grp > ?"
        while (group := self._connection.execute(ask, (after,)).fetchone()[0]) is not None:
            yield group, self._bodies(group)
            after = group

    def _bodies(self, group: str) -> list[bytes]:
        found = self._connection.execute(
            "SELECT body FROM staged WHERE grp = ? ORDER BY place", (group,)
        )
        return [bytes(row[0]) for row in found]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def delete(self) -> None:
        """Close the file and delete it, with what SQLite keeps beside it."""
        self.close()
        for ending in ("", "-wal", "-shm"):
            Path(f"{self._file}{ending}").unlink(missing_ok=True)

    def _is_known(self, key: str) -> bool:
        found = self._connection.execute("SELECT 1 FROM known WHERE key = ?", (key,))
        return found.fetchone() is not None

"""Putting index rows into the tables, and making the whole index anew when what it holds changes.

Index rows are never removed by an update: they tell what a superseded version was, for the pages of a
search that began before it. https://www.sqlite.org/fts5.html#contentless_tables
"""

import hashlib
import sqlite3

from fhir_server.store.index import Rows, rows
from fhir_server.store.search.keys import place, texts
from r4 import artefacts
from r4.json import decode, encode

_FORM = "2"
"""Raised whenever the same resource would get other rows."""

_TABLES = ("search_date", "search_number", "search_string", "search_reference")


def add(connection: sqlite3.Connection, rid: int, found: Rows) -> None:
    """Store the index rows of one version."""
    if found.words:
        connection.execute(
            "INSERT INTO search_key (rowid, words) VALUES (?, ?)", (rid, texts(found.words))
        )
    if found.content:
        connection.execute(
            "INSERT INTO search_text (rowid, narrative, content) VALUES (?, ?, ?)",
            (rid, found.narrative, found.content),
        )
    if found.dates:
        connection.executemany(
            "INSERT INTO search_date VALUES (?, ?, ?, ?)", [(rid, *row) for row in found.dates]
        )
    if found.numbers:
        connection.executemany(
            "INSERT INTO search_number VALUES (?, ?, ?, ?, ?)",
            [(rid, *row) for row in found.numbers],
        )
    if found.strings:
        connection.executemany(
            "INSERT INTO search_string VALUES (?, ?, ?)", [(rid, *row) for row in found.strings]
        )
    if found.references:
        connection.executemany(
            "INSERT INTO search_reference VALUES (?, ?, ?)",
            [(rid, *row) for row in found.references],
        )


def renew(connection: sqlite3.Connection) -> int:
    """Make the index anew if it was made by another definition; returns how many versions it took."""
    wanted = _definition()
    known = connection.execute("SELECT value FROM search_index WHERE name = 'made by'").fetchone()
    if known and known[0] == wanted:
        return 0
    connection.execute("BEGIN IMMEDIATE")
    try:
        taken = rebuild(connection)
        connection.execute("INSERT OR REPLACE INTO search_index VALUES ('made by', ?)", (wanted,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return taken


def rebuild(connection: sqlite3.Connection) -> int:
    """Empty the index and fill it from the bodies, in the transaction of the caller."""
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table}")
    for words in ("search_key", "search_text"):
        connection.execute(f"INSERT INTO {words} ({words}) VALUES ('delete-all')")
    last = taken = 0
    while True:
        versions = connection.execute(
            "SELECT r.rid, r.type, r.id, r.deleted, c.body FROM resource AS r"
            " JOIN content AS c ON c.rid = r.rid WHERE r.rid > ? ORDER BY r.rid LIMIT 1000",
            (last,),
        ).fetchall()
        for rid, kind, resource_id, deleted, body in versions:
            where = (place(kind, resource_id), rid)
            connection.execute("UPDATE resource SET place = ? WHERE rid = ?", where)
            if not deleted:
                add(connection, rid, rows(decode(body)))
        if not versions:
            return taken
        taken += len(versions)
        last = versions[-1][0]


def _definition() -> str:
    """Return what the index is made of: its form, and the search parameters of our own."""
    own = encode(artefacts.by_url("profiles", "SearchParameter"))
    return f"{_FORM} {hashlib.sha256(own).hexdigest()}"

"""Index rows on their way into the tables, and the whole index made anew when what it holds changes.

Index rows are never removed by an update: they tell what a superseded version was, for the pages of a
search that began before it. https://www.sqlite.org/fts5.html#contentless_tables
"""

import hashlib
from collections.abc import Iterable

from fhir_server.store.connection import Connection, Row
from fhir_server.store.index import Rows, rows
from fhir_server.store.search.keys import place
from r4 import artefacts
from r4.json import decode, encode

_FORM = "4"
"""Raised whenever the same resource would get other rows."""

_TABLES = ("search_date", "search_number", "search_string", "search_reference")


def index_rows(found: Iterable[tuple[int, Rows]]) -> dict[str, list[Row]]:
    """Return the rows of each table for the index rows of versions, given with their rids."""
    keys: list[Row] = []
    texts: list[Row] = []
    ordered: dict[str, list[Row]] = {table: [] for table in _TABLES}
    dates, numbers, strings, references = ordered.values()
    for rid, each in found:
        if each.words:
            keys.append((rid, each.words))
        if each.content:
            texts.append((rid, each.narrative, each.content))
        dates.extend((rid, *row) for row in each.dates)
        numbers.extend((rid, *row) for row in each.numbers)
        strings.extend((rid, *row) for row in each.strings)
        references.extend((rid, *row) for row in each.references)
    return {"search_key": keys, "search_text": texts, **ordered}


def renew(connection: Connection) -> int:
    """Make the index anew if it was made by another definition; returns how many versions it took.

    In the transaction of the caller.
    """
    wanted = _definition()
    known = connection.read("SELECT value FROM search_index WHERE name = 'made by'")
    if known and known[0][0] == wanted:
        return 0
    taken = rebuild(connection)
    connection.execute(
        "INSERT INTO search_index (name, value) VALUES ('made by', ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (wanted,),
    )
    return taken


def rebuild(connection: Connection) -> int:
    """Empty the index and fill it from the bodies, in the transaction of the caller."""
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table}")
    for statement in connection.dialect.emptied:
        connection.execute(statement)
    last = taken = 0
    while True:
        versions = connection.read(
            "SELECT r.rid, r.type, r.id, r.deleted, c.body FROM resource AS r"
            " JOIN content AS c ON c.rid = r.rid WHERE r.rid > ? ORDER BY r.rid LIMIT 1000",
            (last,),
        )
        for rid, kind, key, _, _ in versions:
            connection.execute(
                "UPDATE resource SET place = ? WHERE rid = ?", (place(kind, key), rid)
            )
        kept = ((each[0], rows(decode(each[4]))) for each in versions if not each[3])
        connection.insert(index_rows(kept))
        if not versions:
            return taken
        taken += len(versions)
        last = versions[-1][0]


def _definition() -> str:
    """Return what the index is made of: its form, and the search parameters of our own."""
    own = encode(artefacts.by_url("profiles", "SearchParameter"))
    return f"{_FORM} {hashlib.sha256(own).hexdigest()}"

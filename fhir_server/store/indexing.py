"""Index rows on their way into the tables, and the definition by which they are made.

Index rows are never removed by an update: they tell what a superseded version was, for the pages of a
search that began before it. https://www.sqlite.org/fts5.html#contentless_tables
"""

import hashlib
from collections.abc import Iterable

from fhir_server.store.connection import Row
from fhir_server.store.index import Rows
from r4 import artefacts
from r4.json import encode

_FORM = "8"
"""Raised whenever the same resource would get other rows, or more than rows is told of it."""

TABLES = (
    "search_date", "search_number", "search_string", "search_reference", "search_identifier",
)  # fmt: skip


def index_rows(found: Iterable[tuple[int, Rows]]) -> dict[str, list[Row]]:
    """Return the rows of each table for the index rows of versions, given with their rids."""
    keys: list[Row] = []
    texts: list[Row] = []
    ordered: dict[str, list[Row]] = {table: [] for table in TABLES}
    dates, numbers, strings, references, identifiers = ordered.values()
    for rid, each in found:
        if each.words:
            keys.append((rid, each.words))
        if each.content:
            texts.append((rid, each.narrative, each.content))
        dates.extend((rid, *row) for row in each.dates)
        numbers.extend((rid, *row) for row in each.numbers)
        strings.extend((rid, *row) for row in each.strings)
        references.extend((rid, *row) for row in each.references)
        identifiers.extend((rid, word) for word in each.identifiers)
    return {"search_key": keys, "search_text": texts, **ordered}


def definition() -> str:
    """Return what the index is made of: its form, and the search parameters of our own."""
    own = encode(artefacts.by_url("profiles", "SearchParameter"))
    return f"{_FORM} {hashlib.sha256(own).hexdigest()}"

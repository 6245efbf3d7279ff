"""Staged rows as tables of a back end: embedded DuckDB by default, or Spark on any cluster.

Nothing here is imported when the server starts.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import ibis
import pyarrow

from outcome_engine import staging
from outcome_engine.views.view import view

Rows = Iterable[tuple[Any, ...]]
"""Staged rows in the order of `staging.columns`."""

_STORED: Mapping[staging.Kind, pyarrow.DataType] = {
    "text": pyarrow.string(),
    "boolean": pyarrow.bool_(),
    "integer": pyarrow.int64(),
}


def arrow(view_id: str, rows: Rows) -> pyarrow.Table:
    """Put a view's staged rows into columns: 64-bit integers, texts, booleans."""
    columns = staging.columns(view(view_id))
    values: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [[] for _ in columns]
    arrays = [
        pyarrow.array(each, _STORED[column.kind])
        for column, each in zip(columns, values, strict=True)
    ]
    return pyarrow.table(arrays, names=[column.name for column in columns])


def in_duckdb(
    staged: Mapping[str, pyarrow.Table], connection: duckdb.DuckDBPyConnection | None = None
) -> dict[str, Any]:
    """Load staged tables, by view, into DuckDB (a new one in memory, unless given): ibis tables."""
    database = connection or duckdb.connect()
    for view_id, table in staged.items():
        database.from_arrow(table).create(name(view_id))
    backend = ibis.duckdb.from_connection(database)
    return {view_id: backend.table(name(view_id)) for view_id in staged}


def in_spark(staged: Mapping[str, pyarrow.Table], session: Any) -> dict[str, Any]:
    """Hand staged tables, by view, to a Spark session (a cluster's, or a local one): ibis tables."""
    for view_id, table in staged.items():
        session.createDataFrame(table).createOrReplaceTempView(name(view_id))
    return of_spark(session, staged)


def of_spark(session: Any, views: Iterable[str]) -> dict[str, Any]:
    """Return the tables that a Spark session knows already by `name`, as ibis tables."""
    backend = ibis.pyspark.connect(session)
    return {view_id: backend.table(name(view_id)) for view_id in views}


def name(view_id: str) -> str:
    """Name the table of a view's staged rows."""
    return f"staged_{view_id.replace('-', '_')}"

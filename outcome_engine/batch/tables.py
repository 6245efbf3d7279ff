"""Staged rows as tables of a back end: embedded DuckDB by default, or Spark on any cluster.

Nothing here is imported when the server starts.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import ibis
import pyarrow


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

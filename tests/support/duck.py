"""Views run as DuckDB runs them: the query over a table of resources, its rows by name."""

from collections.abc import Iterable
from typing import Any

import duckdb

from outcome_engine.views.duckdb import sql
from outcome_engine.views.view import View
from r4.issue import FhirError, error
from r4.json import Resource, encode


def duck_rows(definition: Resource | View, resources: Iterable[Resource]) -> list[dict[str, Any]]:
    """List the rows of a view; what DuckDB refuses while it runs is a FhirError 422, as in Python."""
    query = sql(definition, "resources")
    texts = [encode(resource).decode() for resource in resources]
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE resources (resource JSON)")
        connection.execute("INSERT INTO resources SELECT unnest($1)", [texts])
        try:
            found = connection.execute(query)
        except duckdb.InvalidInputException as refused:
            raise FhirError(422, [error("processing", str(refused))]) from refused
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

"""The order of an answer: by the rows of dates, numbers and strings, then by the order of storing.

Ascending goes by a resource's least value, descending by its greatest; without one it comes last.
https://hl7.org/fhir/R4/search.html#sort
"""

from fhir_server.store.search.keys import key
from fhir_server.store.search.query import Query, Sort
from fhir_server.store.search.sql import Sql, marks

_TABLES = {
    "date": ("search_date", "low", "high"),
    "number": ("search_number", "low", "high"),
    "quantity": ("search_number", "low", "high"),
    "string": ("search_string", "value", "value"),
}
_OWN = {"_id": "id", "_lastUpdated": "rid"}


def in_tables(query: Query) -> bool:
    """Tell whether the tables hold every key of the order; bodies are read where they do not."""
    return all(each.parameter is None or each.parameter.type in _TABLES for each in query.sort)


def by_rid(query: Query) -> bool:
    """Tell whether the order is that of storing, one way or the other."""
    return not query.sort or query.sort[0].name == "_lastUpdated"


def order(query: Query, at: str, rid: str) -> Sql:
    """Return what stands behind ORDER BY; rid is the column that yields rows in their order."""
    if by_rid(query):
        newest_first = query.newest_first is (query.before is None)
        return Sql(f"{rid} {'DESC' if newest_first else 'ASC'}", ())
    keys = [_key(each, query, at) for each in query.sort] if in_tables(query) else []
    text = ", ".join([*(each.text for each in keys), f"{at}.rid DESC"])
    return Sql(text, tuple(value for each in keys for value in each.parameters))


def _key(sort: Sort, query: Query, at: str) -> Sql:
    direction = "DESC" if sort.descending else "ASC"
    if sort.parameter is None:
        return Sql(f"{at}.{_OWN[sort.name]} {direction}", ())
    table, low, high = _TABLES[sort.parameter.type]
    codes = sort.parameter.parts or (sort.parameter.code,)
    params = tuple(key(kind, code) for kind in query.of_types for code in codes)
    value = f"max({high})" if sort.descending else f"min({low})"
    text = (
        f"(SELECT {value} FROM {table} WHERE rid = {at}.rid AND param IN ({marks(params)}))"
        f" {direction} NULLS LAST"
    )
    return Sql(text, params)

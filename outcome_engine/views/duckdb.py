"""ViewDefinitions as DuckDB queries over a relation with one column of JSON.

The rows are those of `rows`: tested by the same suite, and on the registry's own views by comparison.
"""

from dataclasses import dataclass
from functools import reduce

from outcome_engine.views.sql import (
    DECIMAL,
    NOTHING,
    STORED,
    Sql,
    listed,
    mapped,
    name,
    quoted,
)
from outcome_engine.views.sql_path import Around, condition, expression
from outcome_engine.views.view import Column, Select, View, read
from r4.fhirpath.types import of_resource
from r4.issue import FhirError, error
from r4.json import Resource

DEEPEST = 8
"""How deep a `repeat` descends; a resource nested more deeply makes the query fail, saying so."""

_TOKENS = quoted(r'("(?:[^"\\]|\\.)*")|(-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)')
_MARK = "chr(1)"


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows as SQL: one row of these fields, or where base is given a list of structs with them."""

    fields: dict[str, str]
    base: str = ""

    @property
    def text(self) -> str:
        """Write them as a list."""
        return self.base or f"[{_struct(self.fields)}]"


def sql(definition: Resource | View, source: str, column: str = "resource") -> str:
    """Write a view as a query over source, a table, view or table function in SQL.

    Each column has the type that docs/views.md names: dates are text as recorded, decimals
    DECIMAL(38, 18). Raises FhirError 422 for a path that is not written as SQL.
    """
    view = definition if isinstance(definition, View) else read(definition)
    resource = name("r")
    around = Around(
        Sql(resource, "json", of_resource(view.resource)), "0", view.constants, "ViewDefinition"
    )
    rows = _product([_rows_of(select, around.resource, around) for select in view.selects])
    kinds = [f"json_extract_string({resource}, '$.resourceType') = {quoted(view.resource)}"]
    where = " AND ".join([*kinds, *(_filter(path, around) for path in view.where)])
    # Names and literals are quoted, and the source is the caller's own SQL.
    given = f"(SELECT {_exact(view, column)} AS {resource} FROM {source})"  # noqa: S608
    if not rows.base:
        columns = ", ".join(f"{text} AS {_name(key)}" for key, text in rows.fields.items())
        return f"SELECT {columns} FROM {given} WHERE {where}"  # noqa: S608
    columns = ", ".join(f"row.{_name(key)} AS {_name(key)}" for key in rows.fields)
    unnested = f"SELECT unnest({rows.base}) AS row FROM {given} WHERE {where}"  # noqa: S608
    return f"SELECT {columns} FROM ({unnested})"  # noqa: S608


def _exact(view: View, column: str) -> str:
    """Write the resource with its numbers as strings, where decimals matter: JSON gives doubles."""
    given = f"CAST({_name(column)} AS VARCHAR)"
    if not any(each.type.rpartition("/")[2].endswith("decimal") for each in view.columns):
        return f"CAST({given} AS JSON)"
    marked = f"regexp_replace({given}, {_TOKENS}, '\\1' || {_MARK} || '\\2' || {_MARK}, 'g')"
    strings = f"replace({marked}, {_MARK} || {_MARK}, '')"
    return f"CAST(replace({strings}, {_MARK}, '\"') AS JSON)"


def _filter(path: str, around: Around) -> str:
    found = expression(path, around.resource, around)
    if found.kind not in ("boolean", "nothing"):
        message = f"A filter of a view gives a boolean; `{path}` gives something else."
        raise FhirError(422, [error("processing", message, "ViewDefinition.where")])
    return f"coalesce({condition(found, 'A filter')}, false)"


def _rows_of(select: Select, focus: Sql, around: Around) -> _Rows:
    if not select.iteration:
        return _rows_of_one(select, focus, around)
    found = _found(select, focus, around)
    item, at = name("f"), name("i")
    index = f"({at} - 1)"
    one = Sql(item, found.kind, found.type)
    each = Around(around.resource, index, around.constants, around.element)
    rows = _rows_of_one(select, one, each)
    items = listed(found)
    if select.iteration == "forEachOrNull":
        given, null = name("l"), f"CAST(NULL AS {STORED[found.kind]})"
        orelse = f"CASE WHEN len({given}) = 0 THEN [{null}] ELSE {given} END"
        items = f"list_transform([{items}], lambda {given}: {orelse})[1]"
    if not rows.base:
        struct = _struct(rows.fields)
        return _Rows(rows.fields, f"list_transform({items}, lambda {item}, {at}: {struct})")
    nested = f"list_transform({items}, lambda {item}, {at}: {rows.base})"
    return _Rows(rows.fields, f"flatten({nested})")


def _found(select: Select, focus: Sql, around: Around) -> Sql:
    at = Around(around.resource, around.index, around.constants, select.element)
    if select.iteration != "repeat":
        found = expression(select.paths[0], focus, at)
        return Sql("CAST([] AS JSON[])", "json", listed=True) if found is NOTHING else found
    return _descended(select, focus, at, DEEPEST)


def _descended(select: Select, focus: Sql, around: Around, depth: int) -> Sql:
    """Write what repeated descent finds: each child, followed by what is below it."""
    children = [expression(path, focus, around) for path in select.paths]
    children = [child for child in children if child.kind != "nothing"]
    if not children:
        return Sql("CAST([] AS JSON[])", "json", listed=True)
    type_ = children[0].type
    if any(child.type.path != type_.path or child.kind != "json" for child in children):
        message = "The paths of a repeat that is written as SQL lead to elements of one type."
        raise FhirError(422, [error("not-supported", message, f"{select.element}.repeat")])
    items = f"list_concat({', '.join(listed(child) for child in children)})"
    if depth == 0:
        message = quoted(f"A repeat descends {DEEPEST} levels at most.")
        item = name()
        deep = f"CASE WHEN len({item}) > 0 THEN error({message}) ELSE {item} END"
        return Sql(f"list_transform([{items}], lambda {item}: {deep})[1]", "json", listed=True)

    def with_below(item: str) -> str:
        below = _descended(select, Sql(item, "json", type_), around, depth - 1)
        return f"list_concat([{item}], {below.text})"

    return Sql(f"flatten({mapped(items, with_below)})", "json", type_, listed=True)


def _rows_of_one(select: Select, focus: Sql, around: Around) -> _Rows:
    own = {column.name: _value(column, focus, around) for column in select.columns}
    parts = [_Rows(own), *(_rows_of(nested, focus, around) for nested in select.selects)]
    if select.unions:
        united = [_rows_of(nested, focus, around) for nested in select.unions]
        texts = ", ".join(each.text for each in united)
        parts.append(_Rows(united[0].fields, f"list_concat({texts})"))
    return _product([part for part in parts if part.fields])


def _product(parts: list[_Rows]) -> _Rows:
    return reduce(_joined, parts)


def _joined(left: _Rows, right: _Rows) -> _Rows:
    fields = left.fields | right.fields
    if not left.base and not right.base:
        return _Rows(fields)
    one, other = name("a"), name("b")
    taken = {
        key: f"{side}.{_name(key)}" if rows.base else text
        for side, rows in ((one, left), (other, right))
        for key, text in rows.fields.items()
    }
    struct = _struct(taken)
    if not left.base or not right.base:
        side, rows = (other, right) if right.base else (one, left)
        return _Rows(fields, f"list_transform({rows.base}, lambda {side}: {struct})")
    inner = f"list_transform({right.base}, lambda {other}: {struct})"
    return _Rows(fields, f"flatten(list_transform({left.base}, lambda {one}: {inner}))")


def _struct(fields: dict[str, str]) -> str:
    return "{" + ", ".join(f"{quoted(key)}: {text}" for key, text in fields.items()) + "}"


def _value(column: Column, focus: Sql, around: Around) -> str:
    at = Around(around.resource, around.index, around.constants, f"{column.element}.path")
    found = expression(column.path, focus, at)
    stored = _stored(column, found)
    if found.kind == "choice":
        message = f"Column `{column.name}` names the type of its choice: add ofType()."
        raise FhirError(422, [error("not-supported", message, f"{column.element}.path")])
    if column.collection:
        return f"CAST({listed(found)} AS {stored}[])"
    if not found.many:
        return f"CAST({found.text} AS {stored})"
    values = name()
    message = quoted(f"Column `{column.name}` finds several values in one row.")
    one = f"CASE WHEN len({values}) > 1 THEN error({message}) ELSE {values}[1] END"
    return f"CAST(list_transform([{found.text}], lambda {values}: {one})[1] AS {stored})"


def _stored(column: Column, found: Sql) -> str:
    if found.kind == "integer" and column.type.rpartition("/")[2].endswith("decimal"):
        return DECIMAL
    return STORED[found.kind] if found.kind != "choice" else "JSON"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'

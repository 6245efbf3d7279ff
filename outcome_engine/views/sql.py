"""DuckDB expressions: what a FHIRPath collection is in SQL, and how JSON becomes one.

Read with https://duckdb.org/docs/stable/data/json/json_functions
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

from outcome_engine.views.elements import repeats
from r4.fhirpath.types import UNKNOWN, Field, Type

Kind = Literal["json", "text", "boolean", "integer", "decimal", "date", "time", "choice", "nothing"]

DECIMAL = "DECIMAL(38, 18)"
"""Eighteen digits behind the point and twenty before it, exactly; a larger number fails the query."""

STORED: Mapping[Kind, str] = {
    "json": "JSON", "text": "VARCHAR", "boolean": "BOOLEAN", "integer": "BIGINT",
    "decimal": DECIMAL, "date": "VARCHAR", "time": "VARCHAR", "nothing": "VARCHAR",
}  # fmt: skip
"""The type of a column of each kind: dates stay the text that was recorded."""

_KINDS: Mapping[str, Kind] = {
    "Boolean": "boolean", "String": "text", "Integer": "integer", "Decimal": "decimal",
    "Date": "date", "DateTime": "date", "Time": "time",
}  # fmt: skip
_fresh = count()


@dataclass(frozen=True, slots=True)
class Sql:
    """A collection as SQL: base, or what lies at a JSON path below it (below each, of a list).

    listed: base is a list; many: there may be several values, so that `text` is a list; otherwise it
    is one value or NULL. fields: of a choice type not yet chosen, the keys that may hold it.
    """

    base: str
    kind: Kind
    type: Type = UNKNOWN
    listed: bool = False
    path: str = ""
    fields: tuple[Field, ...] = ()

    @property
    def many(self) -> bool:
        """Tell whether there may be more than one value."""
        return self.listed or "[*]" in self.path

    @property
    def text(self) -> str:
        """Write the expression: a list without NULL where there may be many values."""
        if not self.path:
            return self.base
        if not self.listed:
            return _found(self.base, self.path, self.kind)
        if "[*]" in self.path:
            inner = self.path
            return f"flatten({mapped(self.base, lambda x: _found(x, inner, self.kind))})"
        return filtered(mapped(self.base, lambda x: _found(x, self.path, self.kind)), _is_not_null)


NOTHING = Sql("NULL", "nothing")


def name(prefix: str = "x") -> str:
    """Return a name that no other lambda of this process has."""
    return f"{prefix}{next(_fresh)}"


def kind_of(type_: Type) -> Kind:
    """Return the kind of a FHIR type's values."""
    return _KINDS.get(type_.system, "json") if type_.is_primitive else "json"


def quoted(text: str) -> str:
    """Write a string literal."""
    return "'" + text.replace("'", "''") + "'"


def mapped(items: str, each: Callable[[str], str]) -> str:
    """Write a list of what each item of a list becomes."""
    item = name()
    return f"list_transform({items}, lambda {item}: {each(item)})"


def filtered(items: str, holds: Callable[[str], str]) -> str:
    """Write a list of the items of which a condition is true; not known is not true."""
    item = name()
    return f"list_filter({items}, lambda {item}: coalesce({holds(item)}, false))"


def applied(source: Sql, each: Callable[[str], str], kind: Kind) -> Sql:
    """Apply a function of one value to each; where it gives NULL there is no value."""
    if not source.many:
        return Sql(each(source.text), kind)
    return Sql(filtered(mapped(source.text, each), _is_not_null), kind, listed=True)


def listed(source: Sql) -> str:
    """Write a collection as a list, of one value or none as well."""
    if source.many:
        return source.text
    return filtered(f"[{source.text}]", _is_not_null)


def single(source: Sql, what: str) -> str:
    """Write the one value or NULL; the query fails, saying what needs it, where there are several."""
    if not source.many:
        return source.text
    item = name()
    message = quoted(f"{what} needs a single value, and found several.")
    one = f"CASE WHEN len({item}) > 1 THEN error({message}) ELSE {item}[1] END"
    return f"list_transform([{source.text}], lambda {item}: {one})[1]"


def step(source: Sql, field: Field, owner: Type) -> Sql:
    """Descend to an element that stands under one key."""
    if field.type is UNKNOWN or field.type.is_resource:
        return NOTHING
    many = "[*]" if repeats(owner.path, field.key) else ""
    path = f"{source.path}.{field.key}{many}"
    return replace(source, path=path, type=field.type, kind=kind_of(field.type), fields=())


def exists(source: Sql) -> str:
    """Write whether there is a value."""
    if source.kind == "nothing":
        return "false"
    if source.kind == "choice":
        owner = replace(source, kind="json", fields=())
        return f"({' OR '.join(exists(step(owner, f, source.type)) for f in source.fields)})"
    return f"(len({source.text}) > 0)" if source.many else f"({source.text} IS NOT NULL)"


def _found(base: str, path: str, kind: Kind) -> str:
    if kind == "json":
        found = f"json_extract({base}, {quoted('$' + path)})"
        return f"coalesce({found}, [])" if "[*]" in path else found
    found = f"json_extract_string({base}, {quoted('$' + path)})"
    stored = STORED[kind]
    if "[*]" not in path:
        return found if stored == "VARCHAR" else f"CAST({found} AS {stored})"
    values = filtered(f"coalesce({found}, [])", _is_not_null)
    return values if stored == "VARCHAR" else f"CAST({values} AS {stored}[])"


def _is_not_null(item: str) -> str:
    return f"{item} IS NOT NULL"

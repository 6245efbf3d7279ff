"""The reference page of the registry's views, written from their definitions."""

from collections.abc import Iterator

from outcome_engine.views.sql import STORED, kind_of
from outcome_engine.views.view import Column, View, views
from r4.fhirpath.types import named
from r4.json import Resource


def page() -> str:
    """Write every view with its columns: FHIR type, the type in DuckDB, and what each is."""
    found = sorted(views().values(), key=lambda view: view.id)
    return "# Views\n\n" + "\n".join(_section(view) for view in found)


def _section(view: View) -> str:
    descriptions = dict(_described(view.definition["select"]))
    rows = (
        f"| `{column.name}` | {column.type} | {_stored(column)} | {descriptions[column.name]} |"
        for column in view.columns
    )
    return (
        f"## {view.id}: {view.definition['title']}\n\n`{view.url}`, of {view.resource}; the table "
        f"`{view.name}`. {view.definition['description']}\n\n"
        "| column | type | in DuckDB | what it is |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _described(selects: list[Resource]) -> Iterator[tuple[str, str]]:
    for select in selects:
        for column in select.get("column", []):
            yield column["name"], column["description"]
        yield from _described(select.get("select", []))


def _stored(column: Column) -> str:
    type_ = named(column.type)
    return STORED["json" if type_ is None else kind_of(type_)]

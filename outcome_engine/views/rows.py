"""Rows of a view from resources: exactly what SQL on FHIR says, evaluated by FHIRPath.

https://sql-on-fhir.org/ig/latest/StructureDefinition-ViewDefinition.html
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, product
from typing import Any

from outcome_engine.views.generated import Odd, generated
from outcome_engine.views.paths import ROW_INDEX
from outcome_engine.views.plain import NotPlain
from outcome_engine.views.view import Column, Select, View, read
from r4 import fhirpath
from r4.fhirpath.types import Type
from r4.issue import FhirError, error
from r4.json import Resource

Row = tuple[Any, ...]
_This = fhirpath.compile("$this")


def rows(definition: Resource | View, resources: Iterable[Resource]) -> list[dict[str, Any]]:
    """List the rows of a view, as columns by name: JSON values, None where there is none.

    Resources of other types are passed over. A collection is a list. Raises FhirError 422 where the
    definition is not valid, where a column finds several values, or a filter no boolean.
    """
    view = definition if isinstance(definition, View) else read(definition)
    names = [column.name for column in view.columns]
    flatten = evaluated(view)
    return [
        dict(zip(names, row, strict=True)) for resource in resources for row in flatten(resource)
    ]


def evaluated(view: View) -> Callable[[Resource], list[Row]]:
    """Return what flattens one resource to tuples in the order of view.columns, by FHIRPath."""
    constants = _constants(view)
    parts = [_rows_of(select) for select in view.selects]
    filters = [fhirpath.compile(path) for path in view.where]

    def flatten(resource: Resource) -> list[Row]:
        if resource.get("resourceType") != view.resource:
            return []
        around = _Around(resource, constants)
        if not all(_holds(each, around) for each in filters):
            return []
        return _joined([part(resource, around, 0) for part in parts])

    return flatten


class _Around:
    """What surrounds the evaluation of a resource's paths: the resource itself and the constants."""

    def __init__(self, resource: Resource, constants: dict[str, list[Any]]) -> None:
        self.resource = resource
        self._constants = constants

    def at(self, index: int) -> fhirpath.Environment:
        """Return the environment of the row of an index."""
        variables = {**self._constants, ROW_INDEX: index}
        return fhirpath.Environment(variables=variables, resource=self.resource, joins_nothing=True)


_Rows = Callable[[Any, _Around, int], list[Row]]
"""From an element (None for none), its surroundings and the index of its row, to rows."""


def _rows_of(select: Select) -> _Rows:
    one = _rows_of_one(select)
    if not select.iteration:
        return one
    paths = [fhirpath.compile(path) for path in select.paths]

    def rows_of_each(focus: Any, around: _Around, index: int) -> list[Row]:
        if select.iteration == "repeat":
            found: list[Any] = list(_repeated(paths, focus, around.at(index)))
        else:
            found = paths[0].items(focus, around.at(index))
        if not found and select.iteration == "forEachOrNull":
            return one(None, around, 0)
        return list(chain.from_iterable(one(each, around, at) for at, each in enumerate(found)))

    return rows_of_each


def _rows_of_one(select: Select) -> _Rows:
    columns = [(column, fhirpath.compile(column.path)) for column in select.columns]
    selects = [_rows_of(nested) for nested in select.selects]
    unions = [_rows_of(nested) for nested in select.unions]

    def rows_of_one(focus: Any, around: _Around, index: int) -> list[Row]:
        environment = around.at(index)
        own = tuple(_value(column, path(focus, environment)) for column, path in columns)
        parts = [[own], *(nested(focus, around, index) for nested in selects)]
        if unions:
            parts.append([row for united in unions for row in united(focus, around, index)])
        return _joined(parts)

    return rows_of_one


def _joined(parts: list[list[Row]]) -> list[Row]:
    return [tuple(chain.from_iterable(each)) for each in product(*parts)]


def _repeated(
    paths: list[fhirpath.Compiled], focus: Any, environment: fhirpath.Environment
) -> Iterator[Any]:
    for path in paths:
        for each in path.items(focus, environment):
            yield each
            yield from _repeated(paths, each, environment)


def _value(column: Column, found: list[Any]) -> Any:
    if column.collection:
        return found
    if len(found) > 1:
        raise several(column)
    return found[0] if found else None


def several(column: Column) -> FhirError:
    """Return the error of a column that finds more than one value in a row."""
    message = (
        f"Column `{column.name}` finds several values in one row: take one (`.first()`), iterate "
        "with forEach, or set `collection` to true."
    )
    return FhirError(422, [error("processing", message, f"{column.element}.path")])


def _holds(path: fhirpath.Compiled, around: _Around) -> bool:
    found = path(around.resource, around.at(0))
    if not found:
        return False
    if len(found) > 1 or not isinstance(found[0], bool):
        message = f"A filter of a view gives a boolean; `{path.expression}` gives something else."
        raise FhirError(422, [error("processing", message, "ViewDefinition.where")])
    return found[0]


def compiled(view: View) -> Callable[[Resource], list[Row]]:
    """Return what flattens one resource to the same tuples, by code generated for plain paths.

    What is not plain, in a view or in a resource, is evaluated.
    """
    evaluate = evaluated(view)
    try:
        fast = generated(view, partial(_evaluated_column, _constants(view)))
    except NotPlain:
        return evaluate

    def flatten(resource: Resource) -> list[Row]:
        if resource.get("resourceType") != view.resource:
            return []
        try:
            return fast(resource)
        except (Odd, AttributeError, TypeError):
            return evaluate(resource)

    return flatten


def _evaluated_column(
    constants: dict[str, list[Any]], column: Column, kind: Type
) -> Callable[[Resource, Any], Any]:
    if f"%{ROW_INDEX}" in column.path:
        raise NotPlain
    path = fhirpath.compile(column.path)

    def evaluate(resource: Resource, focus: Any) -> Any:
        return _value(column, path(focus, _Around(resource, constants).at(0), kind.path))

    return evaluate


def _constants(view: View) -> dict[str, list[Any]]:
    return {
        name: _This.items(constant.value, type=constant.type)
        for name, constant in view.constants.items()
    }

"""ViewDefinitions read and checked: columns, nested selects, filters and constants as values.

https://sql-on-fhir.org/ig/latest/StructureDefinition-ViewDefinition.html
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from outcome_engine.views.paths import checked_path
from r4 import artefacts, definitions
from r4.issue import FhirError, error
from r4.json import Resource

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
"""What columns, constants and views may be called: names that every database takes unquoted."""

_METADATA = frozenset(
    {
        "resourceType", "id", "meta", "implicitRules", "language", "text", "contained",
        "extension", "modifierExtension", "url", "identifier", "version",
        "versionAlgorithmString", "versionAlgorithmCoding", "name", "title", "status",
        "experimental", "date", "publisher", "contact", "description", "useContext",
        "jurisdiction", "purpose", "copyright", "copyrightLabel", "profile", "fhirVersion",
    }
)  # fmt: skip
_VIEW = _METADATA | {"resource", "constant", "select", "where"}
_SELECT = {"column", "select", "forEach", "forEachOrNull", "repeat", "unionAll"}
_COLUMN = {"name", "path", "description", "collection", "type", "tag"}
_WHERE = {"path", "description"}
_ELEMENT = {"id", "extension", "modifierExtension"}
_ITERATIONS = ("forEach", "forEachOrNull", "repeat")
CONSTANT_TYPES = (
    "base64Binary", "boolean", "canonical", "code", "date", "dateTime", "decimal", "id", "instant",
    "integer", "integer64", "oid", "positiveInt", "string", "time", "unsignedInt", "uri", "url",
    "uuid",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column: type is a FHIR type's code or url, "" where none is given; path is FHIRPath."""

    name: str
    type: str
    collection: bool
    path: str
    element: str


@dataclass(frozen=True, slots=True)
class Select:
    """One select: iteration is "forEach", "forEachOrNull", "repeat" or "", over its paths.

    Its rows are the product of its columns, its selects and the concatenation of its unions.
    """

    iteration: str
    paths: tuple[str, ...]
    columns: tuple[Column, ...]
    selects: tuple["Select", ...]
    unions: tuple["Select", ...]
    element: str

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """List the columns of its rows, in their order."""
        nested = (column for select in self.selects for column in select.all_columns)
        united = self.unions[0].all_columns if self.unions else ()
        return (*self.columns, *nested, *united)


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant: its value as JSON and the FHIR type that it was given as."""

    value: Any
    type: str


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A ViewDefinition that has been checked; id, url and name are "" where it has none."""

    id: str
    url: str
    name: str
    resource: str
    columns: tuple[Column, ...]
    selects: tuple[Select, ...]
    where: tuple[str, ...]
    constants: Mapping[str, Constant]
    definition: Resource


@cache
def views() -> Mapping[str, View]:
    """Map id to View, for every view that the engine carries."""
    found = artefacts.by_url("outcome_engine", "ViewDefinition").values()
    return MappingProxyType({each["id"]: read(each) for each in found})


def view(view_id: str) -> View:
    """Return a view that the engine carries, by its id; raises FhirError 404."""
    found = views().get(view_id)
    if found is None:
        message = f"There is no view `{view_id}`; there are: {', '.join(sorted(views()))}."
        raise FhirError(404, [error("not-found", message)])
    return found


def read(definition: Resource) -> View:
    """Read a ViewDefinition.

    Raises FhirError 422 that names the element of what is invalid or not supported.
    """
    _known(definition, _VIEW, "ViewDefinition")
    constants = dict(_constants(definition))
    names = frozenset(constants)
    selects = tuple(
        _select(each, at, names) for each, at in _objects(definition, "select", "ViewDefinition")
    )
    if not selects:
        raise _invalid("A view selects something: give `select`.", "ViewDefinition.select")
    columns = tuple(column for select in selects for column in select.all_columns)
    _unique(columns)
    name = definition.get("name", "")
    if name:
        _named(name, "ViewDefinition.name")
    return View(
        id=definition.get("id", ""),
        url=definition.get("url", ""),
        name=name,
        resource=_resource(definition),
        columns=columns,
        selects=selects,
        where=tuple(_where(definition, names)),
        constants=MappingProxyType(constants),
        definition=definition,
    )


def _resource(definition: Resource) -> str:
    resource = definition.get("resource")
    if resource not in definitions.resource_types():
        message = f"`{resource}` is not a resource type of FHIR R4: a view is of one resource type."
        raise _invalid(message, "ViewDefinition.resource")
    return str(resource)


def _constants(definition: Resource) -> Iterator[tuple[str, Constant]]:
    met: set[str] = set()
    for each, at in _objects(definition, "constant", "ViewDefinition"):
        keys = {f"value{type_[0].upper()}{type_[1:]}": type_ for type_ in CONSTANT_TYPES}
        _known(each, {"name", *keys}, at)
        name = _named(each.get("name"), f"{at}.name")
        given = [key for key in each if key in keys]
        if len(given) != 1:
            raise _invalid(f"Constant `{name}` has one value[x], of a primitive type.", at)
        if name in met:
            raise _invalid(f"There are two constants named `{name}`.", f"{at}.name")
        met.add(name)
        yield name, Constant(each[given[0]], keys[given[0]])


def _where(definition: Resource, constants: frozenset[str]) -> Iterator[str]:
    for each, at in _objects(definition, "where", "ViewDefinition"):
        _known(each, _WHERE, at)
        yield checked_path(each.get("path"), f"{at}.path", constants)


def _select(given: Resource, at: str, constants: frozenset[str]) -> Select:
    _known(given, _SELECT, at)
    iteration, paths = _iteration(given, at, constants)
    select = Select(
        iteration,
        paths,
        tuple(_column(each, where, constants) for each, where in _objects(given, "column", at)),
        tuple(_select(each, where, constants) for each, where in _objects(given, "select", at)),
        tuple(_select(each, where, constants) for each, where in _objects(given, "unionAll", at)),
        at,
    )
    _united(select)
    if not select.all_columns:
        raise _invalid("A select has columns, of its own or of the selects within it.", at)
    return select


def _iteration(given: Resource, at: str, constants: frozenset[str]) -> tuple[str, tuple[str, ...]]:
    found = [name for name in _ITERATIONS if name in given]
    if len(found) > 1:
        message = f"A select has one of forEach, forEachOrNull and repeat, not {len(found)}."
        raise _invalid(message, at)
    if not found:
        return "", ()
    name = found[0]
    paths = given[name]
    if name != "repeat":
        return name, (checked_path(paths, f"{at}.{name}", constants),)
    if not isinstance(paths, list) or not paths:
        raise _invalid("repeat lists at least one path.", f"{at}.repeat")
    return name, tuple(
        checked_path(path, f"{at}.repeat[{index}]", constants) for index, path in enumerate(paths)
    )


def _column(given: Resource, at: str, constants: frozenset[str]) -> Column:
    _known(given, _COLUMN, at)
    collection = given.get("collection", False)
    if not isinstance(collection, bool):
        raise _invalid("collection is true or false.", f"{at}.collection")
    type_ = given.get("type", "")
    if not isinstance(type_, str):
        raise _invalid("type is the code or the url of a FHIR type.", f"{at}.type")
    return Column(
        _named(given.get("name"), f"{at}.name"),
        type_,
        collection,
        checked_path(given.get("path"), f"{at}.path", constants),
        at,
    )


def _united(select: Select) -> None:
    shapes = [[(c.name, c.type, c.collection) for c in one.all_columns] for one in select.unions]
    for index, shape in enumerate(shapes):
        if shape != shapes[0]:
            message = (
                "The parts of a unionAll have the same columns in the same order: "
                f"{_names(shapes[0])}, but here {_names(shape)}."
            )
            raise _invalid(message, f"{select.element}.unionAll[{index}]")


def _names(shape: list[tuple[str, str, bool]]) -> str:
    return ", ".join(f"{name} ({type_ or 'no type'})" for name, type_, _ in shape)


def _unique(columns: tuple[Column, ...]) -> None:
    met: set[str] = set()
    for column in columns:
        if column.name in met:
            message = f"Two columns are named `{column.name}`: give each a name of its own."
            raise _invalid(message, f"{column.element}.name")
        met.add(column.name)


def _named(name: Any, at: str) -> str:
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        message = f"`{name}` is no name: a letter, then letters, digits and underscores."
        raise _invalid(message, at)
    return name


def _objects(given: Resource, key: str, at: str) -> Iterator[tuple[Resource, str]]:
    found = given.get(key, [])
    if not isinstance(found, list):
        raise _invalid(f"`{key}` is a list.", f"{at}.{key}")
    for index, each in enumerate(found):
        place = f"{at}.{key}[{index}]"
        if not isinstance(each, dict):
            raise _invalid(f"An entry of `{key}` is an object.", place)
        yield each, place


def _known(given: Resource, names: set[str] | frozenset[str], at: str) -> None:
    for key in given:
        if key not in names and key not in _ELEMENT and not key.startswith("_"):
            message = f"`{key}` is not an element of SQL on FHIR v2 at this place."
            raise _invalid(message, f"{at}.{key}")


def _invalid(message: str, at: str) -> FhirError:
    return FhirError(422, [error("invalid", message, at, rule="view-definition")])

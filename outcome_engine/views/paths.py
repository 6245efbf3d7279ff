"""The FHIRPath of views: parsed and checked before any resource is read."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from r4 import fhirpath
from r4.fhirpath import syntax
from r4.fhirpath.parse import parse
from r4.issue import FhirError, error

ROW_INDEX = "rowIndex"
_VARIABLES = frozenset({ROW_INDEX, "context", "resource", "rootResource", "ucum", "sct", "loinc"})


def checked_path(path: Any, element: str, constants: frozenset[str]) -> str:
    """Return a path that compiles and names no variable but the constants and SQL on FHIR's own.

    Raises FhirError 422 that names the element of the view which holds it.
    """
    if not isinstance(path, str) or not path.strip():
        raise _invalid("A path is a FHIRPath expression, as a string.", element)
    try:
        fhirpath.compile(path)
    except FhirError as refused:
        raise _invalid(refused.issues[0].diagnostics, element) from refused
    for name in _variables(parse(path)):
        if name not in constants and name not in _VARIABLES:
            message = f"`%{name}` is not a constant of this view: add it to `constant`."
            raise _invalid(message, element)
    return path


def _variables(tree: Any) -> Iterator[str]:
    if isinstance(tree, syntax.Variable):
        yield tree.name
    elif isinstance(tree, tuple):
        for each in tree:
            yield from _variables(each)
    elif is_dataclass(tree):
        for field in fields(tree):
            yield from _variables(getattr(tree, field.name))


def _invalid(message: str, element: str) -> FhirError:
    return FhirError(422, [error("invalid", message, element, rule="view-definition")])

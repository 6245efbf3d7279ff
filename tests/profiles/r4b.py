"""What of R4's types `fhir.resources`, which has R4B, lacks: found by comparing each element.

R4B changed and removed some resources, and added elements to others, which do no harm here:
https://hl7.org/fhir/R4B/r4-changes.html
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from fhir.resources.R4B import get_fhir_model_class

from r4 import definitions
from r4.json import Resource
from tests.profiles.outlines import children, is_primitive, named

OWN_OBJECT = "an object of its own"
_BY_PYTHON = {"bool": "boolean", "UUID": "uuid"}
"""Types of the library that do not carry the name of FHIR's."""


@cache
def model(type_name: str) -> Any:
    """Return the library's class of a type; None where R4B has no such type."""
    try:
        return get_fhir_model_class(type_name)
    except ValueError:
        return None


def lost(type_name: str) -> set[str]:
    """List what a type, with all that it is made of, has in R4 and has not, or otherwise, in R4B."""
    found: set[str] = set()
    _compare(model(type_name), type_name, type_name, found, set())
    return found


def _compare(theirs: Any, type_name: str, path: str, found: set[str], seen: set[str]) -> None:
    if path in seen:
        return
    seen.add(path)
    if theirs is None:
        found.add(path)
        return
    fields = {field.alias: field for field in theirs.model_fields.values()}
    for element in children(type_name, path):
        for name, code in named(element):
            field = fields.get(name)
            if field is None or _ours(element, code) != _theirs(field):
                found.add(f"{path}.{name}")
            elif "." in code:
                _compare(_class_of(field), type_name, code, found, seen)
            elif not is_primitive(code) and code != "Resource":
                _compare(model(code), code, code, found, seen)


def _ours(element: Resource, code: str) -> tuple[str, bool, bool]:
    kind = OWN_OBJECT if "." in code else code
    return kind, element["max"] != "1", element["min"] > 0


def _theirs(field: Any) -> tuple[str, bool, bool]:
    extra = field.json_schema_extra or {}
    is_required = field.is_required() or any(
        extra.get(name, False) for name in ("element_required", "one_of_many_required")
    )
    return _type_of(field), "List" in str(field.annotation), is_required


def _type_of(field: Any) -> str:
    if (found := _class_of(field)) is not None:
        name = found.__resource_type__
        return name if definitions.structure(name) else OWN_OBJECT
    parts = list(_parts(field.annotation))
    stated = [part.__visit_name__ for part in parts if hasattr(part, "__visit_name__")]
    by_python = [_BY_PYTHON.get(getattr(part, "__name__", "")) for part in parts]
    return next((str(name) for name in (*stated, *by_python) if name), "unknown")


def _class_of(field: Any) -> Any:
    parts = _parts(field.annotation)
    return next((each.get_model_klass() for each in parts if hasattr(each, "_model_klass")), None)


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for each in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield from _parts(each)

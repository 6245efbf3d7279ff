"""`is`, `as` and `ofType`: the types of items, FHIR's and System's.

https://hl7.org/fhirpath/N1/#types-and-reflection
"""

from collections.abc import Callable
from typing import Any

from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.scope import Scope, Step
from r4.fhirpath.types import named
from r4.fhirpath.values import EMPTY, FALSE, TRUE, Node, type_name

_SYSTEM = ("Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity", "Any")


def is_known(qualified: str) -> bool:
    """Tell whether a type name, qualified or not, is one of FHIR's or System's."""
    namespace, _, name = qualified.rpartition(".")
    in_fhir = namespace in ("", "FHIR") and named(name) is not None
    return in_fhir or (namespace in ("", "System") and name in _SYSTEM)


def tests(qualified: str) -> Step:
    """Compile `is`: true for the type itself and those that specialise it."""
    is_of = _matcher(qualified, exact=False)

    def step(_: Scope, items: list[Any]) -> list[Any]:
        if not items:
            return EMPTY
        if len(items) > 1:
            raise EvaluationError(f"`is` needs a single item, got {len(items)}")
        return TRUE if is_of(items[0]) else FALSE

    return step


def casts(qualified: str, *, many: bool) -> Step:
    """Compile `as` and `ofType`: keep the items of the type.

    A primitive must be of the very type (a code is no string here). The specification lets `as`
    take one item only, but R4's own invariants and search parameters apply it to many: several
    items are refused only by strict, and only for the function.
    """
    is_of = _matcher(qualified, exact=True)

    def step(scope: Scope, items: list[Any]) -> list[Any]:
        if scope.strict and not many and len(items) > 1:
            raise EvaluationError(f"`as` needs a single item, got {len(items)}")
        return [item for item in items if is_of(item)]

    return step


def _matcher(qualified: str, *, exact: bool) -> Callable[[Any], bool]:
    namespace, _, name = qualified.rpartition(".")

    def matches(item: Any) -> bool:
        if item.__class__ is Node:
            kind = item.type
            if namespace == "System":
                return False
            return kind.name == name or (
                name in kind.ancestors and not (exact and kind.is_primitive)
            )
        return namespace != "FHIR" and name in (type_name(item)[1], "Any")

    return matches

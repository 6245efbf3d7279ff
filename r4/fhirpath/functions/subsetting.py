"""Subsetting: first, last, skip, take, intersect, exclude.

https://hl7.org/fhirpath/N1/#subsetting
"""

from typing import Any

from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.function import Function, of_collection, with_collection
from r4.fhirpath.operators import contains, distinct
from r4.fhirpath.scope import Code, Scope, Step
from r4.fhirpath.values import singleton


def _single(items: list[Any]) -> list[Any]:
    if len(items) > 1:
        raise EvaluationError(f"single() found {len(items)} items")
    return items


def _skip(count: Code) -> Step:
    return lambda scope, items: items[_number(scope, count) :]


def _take(count: Code) -> Step:
    return lambda scope, items: items[: _number(scope, count)]


def _number(scope: Scope, count: Code) -> int:
    value = singleton(count.evaluate(scope), "a count")
    if value.__class__ is not int:
        raise EvaluationError("skip() and take() need an integer")
    return max(0, int(value))


FUNCTIONS = {
    "single": of_collection(_single),
    "first": of_collection(lambda items: items[:1]),
    "last": of_collection(lambda items: items[-1:]),
    "tail": of_collection(lambda items: items[1:]),
    "skip": Function(_skip, 1, 1),
    "take": Function(_take, 1, 1),
    "intersect": with_collection(
        lambda items, others: distinct([item for item in items if contains(others, item)])
    ),
    "exclude": with_collection(
        lambda items, others: [item for item in items if not contains(others, item)]
    ),
}

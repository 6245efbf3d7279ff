"""Existence: exists, all, count, distinct and the like.

https://hl7.org/fhirpath/N1/#existence
"""

from typing import Any

from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.function import Function, of_collection, with_collection
from r4.fhirpath.operators import contains, distinct
from r4.fhirpath.scope import Code, Scope, Step
from r4.fhirpath.values import EMPTY, FALSE, TRUE, system, truth


def _bool(answer: bool) -> list[Any]:
    return TRUE if answer else FALSE


def _exists(criterion: Code | None = None) -> Step:
    if criterion is None:
        return lambda _, items: TRUE if items else FALSE
    test = criterion.test

    def step(scope: Scope, items: list[Any]) -> list[Any]:
        outer, index = scope.this, scope.index
        found = FALSE
        for scope.index, item in enumerate(items):
            scope.this = [item]
            if test(scope):
                found = TRUE
                break
        scope.this, scope.index = outer, index
        return found

    return step


def _all(criterion: Code) -> Step:
    test = criterion.test

    def step(scope: Scope, items: list[Any]) -> list[Any]:
        outer, index = scope.this, scope.index
        answer = TRUE
        for scope.index, item in enumerate(items):
            scope.this = [item]
            if not test(scope):
                answer = FALSE
                break
        scope.this, scope.index = outer, index
        return answer

    return step


def _booleans(items: list[Any]) -> list[bool]:
    values = [system(item) for item in items]
    if not all(isinstance(value, bool) for value in values):
        raise EvaluationError("allTrue(), anyTrue(), allFalse() and anyFalse() need booleans")
    return values


def _not(items: list[Any]) -> list[Any]:
    answer = truth(items)
    return EMPTY if answer is None else _bool(not answer)


def _within(items: list[Any], others: list[Any]) -> bool:
    return all(contains(others, item) for item in items)


FUNCTIONS = {
    "empty": of_collection(lambda items: FALSE if items else TRUE),
    "exists": Function(_exists, 0, 1),
    "all": Function(_all, 1, 1),
    "allTrue": of_collection(lambda items: _bool(all(_booleans(items)))),
    "anyTrue": of_collection(lambda items: _bool(any(_booleans(items)))),
    "allFalse": of_collection(lambda items: _bool(not any(_booleans(items)))),
    "anyFalse": of_collection(lambda items: _bool(not all(_booleans(items)))),
    "subsetOf": with_collection(lambda items, others: _bool(_within(items, others))),
    "supersetOf": with_collection(lambda items, others: _bool(_within(others, items))),
    "count": of_collection(lambda items: [len(items)]),
    "distinct": of_collection(distinct),
    "isDistinct": of_collection(lambda items: _bool(len(distinct(items)) == len(items))),
    "not": of_collection(_not),
}

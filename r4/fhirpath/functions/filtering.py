"""Filtering and projection: where, select, repeat, sort, aggregate.

https://hl7.org/fhirpath/N1/#filtering-and-projection
"""

from functools import cmp_to_key
from typing import Any

from r4.fhirpath.function import Function
from r4.fhirpath.operators import distinct, order_values
from r4.fhirpath.scope import Code, Evaluate, Scope, Step
from r4.fhirpath.values import singleton


def _where(criterion: Code) -> Step:
    test = criterion.test

    def step(scope: Scope, items: list[Any]) -> list[Any]:
        outer, index = scope.this, scope.index
        kept: list[Any] = []
        for scope.index, item in enumerate(items):
            scope.this = [item]
            if test(scope):
                kept.append(item)
        scope.this, scope.index = outer, index
        return kept

    return step


def _select(projection: Code) -> Step:
    evaluate = projection.evaluate

    def step(scope: Scope, items: list[Any]) -> list[Any]:
        outer, index = scope.this, scope.index
        found: list[Any] = []
        for scope.index, item in enumerate(items):
            scope.this = [item]
            found.extend(evaluate(scope))
        scope.this, scope.index = outer, index
        return found

    return step


def _repeat(projection: Code) -> Step:
    select = _select(projection)

    def step(scope: Scope, items: list[Any]) -> list[Any]:
        found: list[Any] = []
        fresh = items
        while fresh:
            known = len(found)
            found = distinct(found + select(scope, fresh))
            fresh = found[known:]
        return found

    return step


def _aggregate(aggregator: Code, start: Code | None = None) -> Step:
    def step(scope: Scope, items: list[Any]) -> list[Any]:
        outer, index, total = scope.this, scope.index, scope.total
        result = start.evaluate(scope) if start else []
        for scope.index, item in enumerate(items):
            scope.this, scope.total = [item], result
            result = aggregator.evaluate(scope)
        scope.this, scope.index, scope.total = outer, index, total
        return result

    return step


def sort(keys: list[tuple[Evaluate, bool]]) -> Step:
    """Compile `sort()`: by each key in turn, True for descending; without keys by the items.

    Items without a key come first. Raises EvaluationError where two keys have no order.
    """
    criteria: list[tuple[Evaluate, bool]] = keys or [(lambda scope: scope.this, False)]

    def key_of(scope: Scope, item: Any) -> list[Any]:
        scope.this = [item]
        return [singleton(evaluate(scope), "a sort key") for evaluate, _ in criteria]

    def compare(one: tuple[list[Any], Any], other: tuple[list[Any], Any]) -> int:
        for left, right, (_, descending) in zip(one[0], other[0], criteria, strict=True):
            if left is None or right is None:
                order = (left is not None) - (right is not None)
            else:
                order = (order_values(left, right, "sort()") or 0) * (-1 if descending else 1)
            if order:
                return order
        return 0

    def step(scope: Scope, items: list[Any]) -> list[Any]:
        outer = scope.this
        keyed = [(key_of(scope, item), item) for item in items]
        scope.this = outer
        return [item for _, item in sorted(keyed, key=cmp_to_key(compare))]

    return step


FUNCTIONS = {
    "where": Function(_where, 1, 1),
    "select": Function(_select, 1, 1),
    "repeat": Function(_repeat, 1, 1),
    "aggregate": Function(_aggregate, 1, 2),
}

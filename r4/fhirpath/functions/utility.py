"""Utility: trace, iif, type, and the clock that the caller gives.

https://hl7.org/fhirpath/N1/#utility-functions
"""

from typing import Any

from r4.fhirpath import temporal
from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.function import Function, of_collection
from r4.fhirpath.scope import Code, Scope, Step
from r4.fhirpath.temporal import Temporal
from r4.fhirpath.types import UNKNOWN
from r4.fhirpath.values import EMPTY, Node, plain, singleton, type_name

_DATE_PARTS = 3


def _trace(name: Code, projection: Code | None = None) -> Step:
    def step(scope: Scope, items: list[Any]) -> list[Any]:
        write = scope.environment.trace
        if write is not None:
            shown = items if projection is None else _projected(projection, scope, items)
            label = singleton(name.evaluate(scope), "the name of a trace")
            write(str(label), [plain(item) for item in shown])
        return items

    return step


def _projected(projection: Code, scope: Scope, items: list[Any]) -> list[Any]:
    outer = scope.this
    shown: list[Any] = []
    for item in items:
        scope.this = [item]
        shown.extend(projection.evaluate(scope))
    scope.this = outer
    return shown


def _iif(criterion: Code, then: Code, otherwise: Code | None = None) -> Step:
    def step(scope: Scope, items: list[Any]) -> list[Any]:
        if len(items) > 1:
            raise EvaluationError(f"iif() needs a single item, got {len(items)}")
        outer = scope.this
        scope.this = items
        if scope.strict and not _is_condition(criterion.evaluate(scope)):
            raise EvaluationError("iif() needs a boolean criterion")
        chosen = then if criterion.test(scope) else otherwise
        result = EMPTY if chosen is None else chosen.evaluate(scope)
        scope.this = outer
        return result

    return step


def _is_condition(items: list[Any]) -> bool:
    return not items or type_name(items[0])[1].lower() == "boolean"


def _type(items: list[Any]) -> list[Any]:
    names = (type_name(item) for item in items)
    return [Node({"namespace": space, "name": name}, UNKNOWN) for space, name in names]


def _now(scope: Scope, _: list[Any]) -> list[Any]:
    return [_clock(scope)]


def _today(scope: Scope, _: list[Any]) -> list[Any]:
    return [Temporal("Date", _clock(scope).fields[:_DATE_PARTS])]


def _time_of_day(scope: Scope, _: list[Any]) -> list[Any]:
    now = _clock(scope)
    return [Temporal("Time", now.fields[_DATE_PARTS:], now.digits)]


def _clock(scope: Scope) -> Temporal:
    text = scope.environment.now
    if text is None:
        raise EvaluationError("now(), today() and timeOfDay() need Environment.now")
    now = temporal.read_date_time(text)
    if now is None or len(now.fields) <= _DATE_PARTS:
        raise EvaluationError(f"Environment.now is `{text}`, which is no instant")
    return now


FUNCTIONS = {
    "trace": Function(_trace, 1, 2),
    "iif": Function(_iif, 2, 3),
    "type": of_collection(_type),
    "now": Function(lambda: _now),
    "today": Function(lambda: _today),
    "timeOfDay": Function(lambda: _time_of_day),
}

"""Typed expressions as Ibis columns: the same values as the closures of `expressions.python`.

Only 64-bit integers, texts, booleans and arrays of them are used, and only what every back end does
alike.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import Any

import ibis

from outcome_engine import civil
from outcome_engine.expressions.python import staged
from outcome_engine.expressions.syntax import (
    MILLION,
    Column,
    Constant,
    Fact,
    Member,
    Node,
    Operation,
    Type,
    is_partial,
)

Value = Any
"""An Ibis value: a column or a literal."""

Codes = Mapping[str | None, frozenset[str]]
"""Codes by their system."""

_SECONDS = 86400
_ZONES = 300_000
_BEFORE = 1_000_000
_EPOCH = ibis.literal(date(1970, 1, 1))
_STORED: Mapping[Type, str] = {"boolean": "boolean", "text": "string"}
_COMPARED = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Membership:
    """Which of the codes that occur are in a value set, and of which that cannot be told."""

    members: Codes
    unknown: Codes


@dataclass(frozen=True, slots=True)
class Scope:
    """What a node reads: the rows at hand (or None), facts by name, memberships by value set."""

    rows: Any
    facts: Mapping[str, Value]
    memberships: Mapping[str, Membership]


def compiled(node: Node, scope: Scope) -> Value:
    """Compile a node to an Ibis value."""
    if isinstance(node, Constant):
        return literal(node.value, node.type)
    if isinstance(node, Fact):
        return scope.facts[node.name]
    if isinstance(node, Column):
        return scope.rows[staged(node)]
    if isinstance(node, Member):
        return _member(node, scope)
    return _operation(node, scope)


def literal(value: bool | int | str | None, type: Type) -> Value:
    """Return a value of a type as every back end stores it."""
    return ibis.literal(value, type=_STORED.get(type, "int64"))


def nothing(type: Type) -> Value:
    """Return the absent value of a type."""
    return literal(None, type)


def iso(day: Value) -> Value:
    """Write a day of the years 1000 to 9999 as a FHIR date."""
    return _date(day).cast("string").left(len("2018-01-31"))


def index_key(day: Value, moment: Value) -> Value:
    """Make one number of a day and its moment: the least has the earliest day and its last moment.

    A moment lies within a day and a time zone of the day as written; a row without one comes last.
    """
    since = (moment - day * _SECONDS + _ZONES).fill_null(0)
    return (day + _BEFORE) * MILLION + (MILLION - 1 - since)


def index_day(key: Value) -> Value:
    """Return the day of such a number."""
    return key // MILLION - _BEFORE


def index_end(key: Value) -> Value:
    """Return the moment of such a number, or nothing where it has none."""
    since = MILLION - 1 - key % MILLION
    return ibis.ifelse(since > 0, index_day(key) * _SECONDS + since - _ZONES, nothing("moment"))


def _date(day: Value) -> Value:
    return (_EPOCH + day.as_interval("D")).cast("date")


def _add_months(day: Value, months: int) -> Value:
    """Add months; back ends go to the last of a shorter month, the registry to the first of the next."""
    found = _date(day)
    later = (found + ibis.interval(months=months)).cast("date")
    lacking = (later.day() < found.day()).cast("int64")
    return _in_calendar(later.delta(_EPOCH, unit="day") + lacking)


def _in_calendar(day: Value) -> Value:
    return ibis.ifelse(day.between(civil.FIRST, civil.LAST), day, nothing("date"))


def _operation(node: Operation, scope: Scope) -> Value:
    if node.operator in _COMPARED and any(is_partial(each) for each in node.operands):
        return _spans(node, scope)
    if node.operator in ("exists", "empty"):
        (operand,) = node.operands
        value = _span(operand, scope)[1]
        return value.notnull() if node.operator == "exists" else value.isnull()
    if node.operator == "add-months":
        day, months = node.operands
        return _add_months(compiled(day, scope), _number(months))
    operands = [compiled(each, scope) for each in node.operands]
    if node.operator in _COMPARED:
        return _COMPARED[node.operator](*operands)
    if node.operator == "iif":
        return ibis.ifelse(*operands)
    return _DO[node.operator](*operands)


def _number(node: Node) -> int:
    if not isinstance(node, Constant) or not isinstance(node.value, int):
        raise TypeError(node)
    return node.value


def _div(dividend: Value, divisor: Value) -> Value:
    """Divide whole numbers that are not negative; exact below 10**15, also where doubles divide."""
    return ((dividend - dividend % divisor) / divisor).round().cast("int64")


def _within(value: Value, those: Value) -> Value:
    found = ibis.coalesce(those.contains(value), False)
    return ibis.cases((value.notnull(), found), else_=nothing("boolean"))


_DO: Mapping[str, Callable[..., Value]] = {
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.ne,
    "implies": lambda left, right: ~left | right,
    "not": operator.invert,
    "in": lambda value, *those: value.isin(list(those)),
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "div": _div,
    "mod": operator.mod,
    "millionths": lambda value: value,
    "add-days": lambda day, days: _in_calendar(day + days),
    "starts-with": lambda text, start: text.startswith(start),
    "micro": lambda value: value * MILLION,
    "within": _within,
}


def _spans(node: Operation, scope: Scope) -> Value:
    (a, b), (c, d) = (_span(each, scope) for each in node.operands)
    yes, no = {
        "<": (b < c, a >= d),
        "<=": (b <= c, a > d),
        ">": (a > d, b <= c),
        ">=": (a >= d, b < c),
        "=": ((a == d) & (b == c), (b < c) | (a > d)),
        "!=": ((b < c) | (a > d), (a == d) & (b == c)),
    }[node.operator]
    return ibis.cases((yes, True), (no, False), else_=nothing("boolean"))


def _span(node: Node, scope: Scope) -> tuple[Value, Value]:
    """Compile the first and the last value that a node may have."""
    if isinstance(node, Column) and is_partial(node):
        return scope.rows[f"{node.name}__from"], scope.rows[f"{node.name}__to"]
    value = compiled(node, scope)
    return value, value


def _member(node: Member, scope: Scope) -> Value:
    system, code = scope.rows[f"{node.column}_system"], scope.rows[f"{node.column}_code"]
    found = scope.memberships[node.value_set]
    return ibis.cases(
        (code.isnull(), nothing("boolean")),
        (_listed(found.members, system, code), True),
        (_listed(found.unknown, system, code), nothing("boolean")),
        else_=False,
    )


def _listed(codes: Codes, system: Value, code: Value) -> Value:
    parts: Iterable[Value] = [
        (system.isnull() if each is None else system == each) & code.isin(sorted(those))
        for each, those in sorted(codes.items(), key=lambda pair: pair[0] or "")
        if those
    ]
    return reduce(operator.or_, parts, ibis.literal(False))

"""Typed expressions as Python closures over one row and the facts of one child.

True, false or nothing, as FHIRPath and SQL have it: https://hl7.org/fhirpath/N1/#boolean-logic
"""

import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from outcome_engine import civil
from outcome_engine.expressions.syntax import (
    MILLION,
    Column,
    Constant,
    Fact,
    Member,
    Node,
    Operation,
    is_partial,
)

Row = tuple[Any, ...]
Membership = Callable[[str, str | None, str], bool | None]


class Facts(dict[str, Any]):
    """A child's facts by name, with what tells whether a value set has a system's code."""

    __slots__ = ("member",)

    def __init__(self, values: Mapping[str, Any], member: Membership) -> None:
        super().__init__(values)
        self.member = member


Evaluate = Callable[[Row, Facts], Any]

_SPANS: Mapping[str, Callable[[Any, Any, Any, Any], bool | None]] = {
    "<": lambda a, b, c, d: True if b < c else False if a >= d else None,
    "<=": lambda a, b, c, d: True if b <= c else False if a > d else None,
    ">": lambda a, b, c, d: True if a > d else False if b <= c else None,
    ">=": lambda a, b, c, d: True if a >= d else False if b < c else None,
    "=": lambda a, b, c, d: False if b < c or a > d else True if a == d and b == c else None,
    "!=": lambda a, b, c, d: True if b < c or a > d else False if a == d and b == c else None,
}
"""Comparisons of days known to lie in [a, b] and in [c, d]."""

_PLAIN: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq,
    "!=": operator.ne, "+": operator.add, "-": operator.sub, "*": operator.mul,
    "div": operator.floordiv, "mod": operator.mod, "xor": operator.ne,
    "add-months": civil.add_months, "add-days": civil.add_days, "starts-with": str.startswith,
    "within": lambda value, those: value in those,
}  # fmt: skip


def compiled(node: Node, layout: Mapping[str, int]) -> Evaluate:
    """Compile a node; layout maps staged columns to places in the row."""
    if isinstance(node, Constant):
        value = node.value
        return lambda _row, _facts: value
    if isinstance(node, Fact):
        name = node.name
        return lambda _row, facts: facts[name]
    if isinstance(node, Column):
        place = layout[staged(node)]
        return lambda row, _facts: row[place]
    if isinstance(node, Member):
        return _member(node, layout)
    return _operation(node, layout)


def staged(column: Column) -> str:
    """Name the staged column that holds a column's value; of a date, where it is a full one."""
    return column.name + {"date": "__day", "moment": "__at"}.get(column.type, "")


def _operation(node: Operation, layout: Mapping[str, int]) -> Evaluate:
    if node.operator in _SPANS and any(is_partial(each) for each in node.operands):
        return _spans(node, layout)
    if node.operator in ("exists", "empty"):
        low, _ = _span(node.operands[0], layout)
        absent = node.operator == "empty"
        return lambda row, facts: (low(row, facts) is None) is absent
    if node.operator == "in":
        those = frozenset(each.value for each in node.operands if isinstance(each, Constant))
        return _in(compiled(node.operands[0], layout), those)
    operands = tuple(compiled(each, layout) for each in node.operands)
    if node.operator in _PLAIN:
        return _both(_PLAIN[node.operator], *operands)
    return _SPECIAL[node.operator](*operands)


def _member(node: Member, layout: Mapping[str, int]) -> Evaluate:
    system, code = layout[f"{node.column}_system"], layout[f"{node.column}_code"]
    url = node.value_set

    def found(row: Row, facts: Facts) -> bool | None:
        return None if row[code] is None else facts.member(url, row[system], row[code])

    return found


def _span(node: Node, layout: Mapping[str, int]) -> tuple[Evaluate, Evaluate]:
    """Compile the first and the last value that a node may have."""
    if isinstance(node, Column) and is_partial(node):
        first, last = layout[f"{node.name}__from"], layout[f"{node.name}__to"]
        return (lambda row, _facts: row[first]), (lambda row, _facts: row[last])
    value = compiled(node, layout)
    return value, value


def _spans(node: Operation, layout: Mapping[str, int]) -> Evaluate:
    (first, last), (lower, upper) = (_span(each, layout) for each in node.operands)
    compare = _SPANS[node.operator]

    def compared(row: Row, facts: Facts) -> bool | None:
        a, c = first(row, facts), lower(row, facts)
        if a is None or c is None:
            return None
        return compare(a, last(row, facts), c, upper(row, facts))

    return compared


def _both(function: Callable[[Any, Any], Any], left: Evaluate, right: Evaluate) -> Evaluate:
    def applied(row: Row, facts: Facts) -> Any:
        a = left(row, facts)
        if a is None:
            return None
        b = right(row, facts)
        return None if b is None else function(a, b)

    return applied


def _decided_by(decisive: bool, left: Evaluate, right: Evaluate) -> Evaluate:
    """Join what one side decides, whatever the other is: `and` by false, `or` by true."""

    def joined(row: Row, facts: Facts) -> bool | None:
        a: bool | None = left(row, facts)
        if a is decisive:
            return a
        b: bool | None = right(row, facts)
        return b if b is decisive or a is not None else None

    return joined


def _not(operand: Evaluate) -> Evaluate:
    def negated(row: Row, facts: Facts) -> bool | None:
        value = operand(row, facts)
        return None if value is None else not value

    return negated


def _iif(condition: Evaluate, yes: Evaluate, no: Evaluate) -> Evaluate:
    return lambda row, facts: yes(row, facts) if condition(row, facts) else no(row, facts)


def _in(value: Evaluate, those: frozenset[Any]) -> Evaluate:
    def listed(row: Row, facts: Facts) -> bool | None:
        found = value(row, facts)
        return None if found is None else found in those

    return listed


def _micro(operand: Evaluate) -> Evaluate:
    def scaled(row: Row, facts: Facts) -> int | None:
        value = operand(row, facts)
        return None if value is None else value * MILLION

    return scaled


_SPECIAL: Mapping[str, Callable[..., Evaluate]] = {
    "and": partial(_decided_by, False),
    "or": partial(_decided_by, True),
    "implies": lambda left, right: _decided_by(True, _not(left), right),
    "not": _not,
    "iif": _iif,
    "micro": _micro,
    "millionths": lambda operand: operand,
}

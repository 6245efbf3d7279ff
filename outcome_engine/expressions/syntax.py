"""Typed expressions of outcome definitions, as frozen values: what both back ends compile.

A value is an integer, a text, a boolean or nothing. Dates are days since 1970-01-01, moments
seconds since then, decimals millionths; `days` is a set of dates, `texts` one of texts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

Type = Literal["boolean", "integer", "decimal", "text", "date", "moment", "days", "texts"]

MILLION = 1_000_000
"""How many units a decimal's 1 has."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that stands in the text; None is what `iif` gives without its third argument."""

    value: bool | int | str | None
    type: Type


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the row at hand; of type date it is three staged columns (see `is_partial`)."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact of the child, `%name`."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Member:
    """Whether the coding in `<column>_system` and `<column>_code` is in a value set."""

    column: str
    value_set: str
    type: Type = "boolean"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator on operands whose types were checked.

    and or xor implies not = != < <= > >= in exists empty iif + - starts-with add-months add-days micro
    (an integer as decimal) millionths (a decimal as integer: the same number) within (a value in a
    set fact) * div mod (of integers; the divisor is a positive constant, the dividend not negative).
    """

    operator: str
    operands: "tuple[Node, ...]"
    type: Type
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # What was compiled of a node is looked up for every child: its whole tree is hashed once.
        object.__setattr__(self, "_hash", hash((self.operator, self.operands, self.type)))

    def __hash__(self) -> int:
        return self._hash


Node = Constant | Column | Fact | Member | Operation


def is_partial(node: Node) -> bool:
    """Tell whether a node may be a date of which only month or year is known: `<c>__from`, `__to`."""
    return isinstance(node, Column) and node.type == "date"


@cache
def facts_of(node: Node) -> frozenset[str]:
    """Name the facts that a node reads."""
    if isinstance(node, Fact):
        return frozenset({node.name})
    if isinstance(node, Operation):
        return frozenset().union(*(facts_of(each) for each in node.operands))
    return frozenset()


def members_of(node: Node) -> frozenset[Member]:
    """List the memberships that a node asks for."""
    if isinstance(node, Member):
        return frozenset({node})
    if isinstance(node, Operation):
        return frozenset().union(*(members_of(each) for each in node.operands))
    return frozenset()


def conjuncts(node: Node) -> tuple[Node, ...]:
    """List the parts that are all true where a node is true."""
    if isinstance(node, Operation) and node.operator == "and":
        return tuple(part for each in node.operands for part in conjuncts(each))
    return (node,)


def reads_rows(node: Node) -> bool:
    """Tell whether a node reads the row at hand, not facts alone."""
    if isinstance(node, Operation):
        return any(reads_rows(each) for each in node.operands)
    return isinstance(node, Column | Member)


def hoisted(node: Node, name: Callable[[Node], str]) -> Node:
    """Put a fact of a name in the place of whatever is computed of facts alone."""
    if not isinstance(node, Operation):
        return node
    if not reads_rows(node) and facts_of(node):
        return Fact(name(node), node.type)
    return Operation(node.operator, tuple(hoisted(each, name) for each in node.operands), node.type)

"""Expressions of outcome definitions: a closed subset of FHIRPath, typed when a definition is read.

Names are columns of a view, `%name` is a fact of the child. What is not in the subset, or names
something that does not exist, is refused with the reason. See docs/outcome-definitions.md and
https://hl7.org/fhirpath/N1/.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from outcome_engine import civil
from outcome_engine.expressions import codes
from outcome_engine.expressions.syntax import (
    MILLION,
    Column,
    Constant,
    Fact,
    Member,
    Node,
    Operation,
    Type,
)
from r4.fhirpath import parse, syntax
from r4.fhirpath.quantities import Quantity
from r4.fhirpath.temporal import Temporal
from r4.issue import FhirError, error

_COMPARED = {"=", "!=", "<", "<=", ">", ">="}
_LOGIC = {"and", "or", "xor", "implies"}
_MONTHS = {"month": 1, "year": 12}
_DAYS = {"day": 1, "week": 7}
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_PRODUCTS = {"*", "div", "mod"}
_FULL = 3
_SETS: Mapping[Type, Type] = {"date": "days", "text": "texts"}
_KNOWN = (
    "and, or, xor, implies, not(), =, !=, <, <=, >, >=, in, +, -, *, div, mod, exists(), empty(), "
    "iif(), toDate(), memberOf(), startsWith(), truncate()"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may name: columns with the FHIR types of their view, facts, constants.

    where says which artefact the expression stands in, for a refusal.
    """

    where: str
    columns: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Type] = field(default_factory=dict)
    constants: Mapping[str, Constant] = field(default_factory=dict)


class _SubsetError(Exception):
    """Why an expression is not one of the subset."""


def read(text: str, scope: Scope) -> Node:
    """Read and type an expression; raises FhirError 422 with the expression and the reason."""
    try:
        node = _Reader(scope).node(parse.parse(text))
        codes.check(node)
    except (FhirError, _SubsetError, codes.UnknownCodeError) as reason:
        message = f"{scope.where}: the expression `{text}` is refused: {reason}"
        raise FhirError(422, [error("business-rule", message, "Library.extension")]) from reason
    return node


def criteria(text: str, scope: Scope) -> Node:
    """Read an expression that is true or false; raises FhirError 422 like `read`."""
    node = read(text, scope)
    if node.type != "boolean":
        reason = f"it is of type {node.type}, not boolean."
        message = f"{scope.where}: the expression `{text}` is refused: {reason}"
        raise FhirError(422, [error("business-rule", message, "Library.extension")])
    return node


class _Reader:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def node(self, tree: syntax.Ast) -> Node:
        """Type one part of the expression and all below it."""
        if isinstance(tree, syntax.Literal):
            return _constant(tree.value)
        if isinstance(tree, syntax.Variable):
            return self._variable(tree.name)
        if isinstance(tree, syntax.Member):
            return self._column(tree.name)
        if isinstance(tree, syntax.Binary):
            return self._binary(tree)
        if isinstance(tree, syntax.Unary):
            return self._signed(tree)
        if isinstance(tree, syntax.Path) and isinstance(tree.step, syntax.Call):
            return self._method(tree.source, tree.step)
        if isinstance(tree, syntax.Call):
            return self._function(tree)
        raise _SubsetError(f"{_shown(tree)} is not in the subset ({_KNOWN}).")

    def _variable(self, name: str) -> Node:
        if name in self._scope.constants:
            return self._scope.constants[name]
        if name not in self._scope.facts:
            known = ", ".join(f"%{each}" for each in sorted(self._names()))
            raise _SubsetError(f"there is no fact `%{name}` at this point; there are: {known}.")
        return Fact(name, self._scope.facts[name])

    def _names(self) -> set[str]:
        return {*self._scope.facts, *self._scope.constants}

    def _column(self, name: str) -> Node:
        kind = column_type(self._fhir_type(name))
        return Column(name, kind)

    def _fhir_type(self, name: str) -> str:
        if name not in self._scope.columns:
            known = ", ".join(sorted(self._scope.columns)) or "none, it is not about rows"
            raise _SubsetError(f"the view has no column `{name}`; its columns are: {known}.")
        return self._scope.columns[name]

    def _binary(self, tree: syntax.Binary) -> Node:
        if tree.operator in _LOGIC:
            pair = (self._boolean(tree.left), self._boolean(tree.right))
            return Operation(tree.operator, pair, "boolean")
        if tree.operator in _COMPARED:
            return _compared(tree.operator, self.node(tree.left), self.node(tree.right))
        if tree.operator == "in":
            return self._in(tree)
        if tree.operator in ("+", "-"):
            return self._sum(tree)
        if tree.operator in _PRODUCTS:
            return self._product(tree)
        raise _SubsetError(f"the operator `{tree.operator}` is not in the subset ({_KNOWN}).")

    def _product(self, tree: syntax.Binary) -> Node:
        pair = (self.node(tree.left), self.node(tree.right))
        if any(each.type != "integer" for each in pair):
            types = " and ".join(each.type for each in pair)
            raise _SubsetError(f"`{tree.operator}` joins integers, not {types}.")
        if tree.operator != "*" and not _is_positive(pair[1]):
            raise _SubsetError(f"`{tree.operator}` is by a literal greater than 0.")
        return Operation(tree.operator, pair, "integer")

    def _boolean(self, tree: syntax.Ast) -> Node:
        node = self.node(tree)
        if node.type != "boolean":
            raise _SubsetError(f"{_shown(tree)} is of type {node.type}, where boolean is needed.")
        return node

    def _in(self, tree: syntax.Binary) -> Node:
        left = self.node(tree.left)
        if isinstance(tree.right, syntax.Variable):
            right = self.node(tree.right)
            if _SETS.get(left.type) == right.type:
                return Operation("within", (left, right), "boolean")
            if not isinstance(right, Constant):
                raise _SubsetError(
                    f"type {left.type} cannot be `in` the {right.type} `%{tree.right.name}`."
                )
        values = [self.node(each) for each in _alternatives(tree.right)]
        for each in values:
            if not isinstance(each, Constant) or each.type != left.type:
                raise _SubsetError(f"`in` needs literals of type {left.type}: `in ('a' | 'b')`.")
        return Operation("in", (left, *values), "boolean")

    def _sum(self, tree: syntax.Binary) -> Node:
        left = self.node(tree.left)
        duration = tree.right.value if isinstance(tree.right, syntax.Literal) else None
        if isinstance(duration, Quantity):
            return _later(left, duration, -1 if tree.operator == "-" else 1)
        right = self.node(tree.right)
        if left.type == right.type and left.type in ("date", "moment") and tree.operator == "-":
            return Operation("-", (left, right), "integer")
        left, right = _alike(left, right)
        if left.type != right.type or left.type not in ("integer", "decimal"):
            raise _SubsetError(f"`{tree.operator}` does not join {left.type} and {right.type}.")
        return Operation(tree.operator, (left, right), left.type)

    def _signed(self, tree: syntax.Unary) -> Node:
        node = self.node(tree.operand)
        if not isinstance(node, Constant) or node.type not in ("integer", "decimal"):
            raise _SubsetError("a sign stands only before a number.")
        value = int(node.value or 0)
        return Constant(-value if tree.operator == "-" else value, node.type)

    def _method(self, source: syntax.Ast, call: syntax.Call) -> Node:
        known: dict[str, tuple[int, Callable[[syntax.Ast, syntax.Call], Node]]] = {
            "not": (0, lambda tree, _: Operation("not", (self._boolean(tree),), "boolean")),
            "exists": (0, self._presence),
            "empty": (0, self._presence),
            "toDate": (0, self._to_date),
            "truncate": (0, self._truncated),
            "memberOf": (1, self._member),
            "startsWith": (1, self._starts_with),
        }
        if call.name not in known:
            raise _SubsetError(f"the function `{call.name}()` is not in the subset ({_KNOWN}).")
        count, build = known[call.name]
        if len(call.arguments) != count:
            raise _SubsetError(f"`{call.name}()` takes {count} argument(s) in this subset.")
        return build(source, call)

    def _presence(self, source: syntax.Ast, call: syntax.Call) -> Node:
        if isinstance(source, syntax.Member) and _is_dated(self._fhir_type(source.name)):
            return Operation(call.name, (Column(source.name, "text"),), "boolean")
        return Operation(call.name, (self.node(source),), "boolean")

    def _to_date(self, source: syntax.Ast, _: syntax.Call) -> Node:
        if isinstance(source, syntax.Member) and _is_dated(self._fhir_type(source.name)):
            return Column(source.name, "date")
        raise _SubsetError(
            "`toDate()` is the day of a column that is a date, a dateTime or an instant."
        )

    def _truncated(self, source: syntax.Ast, _: syntax.Call) -> Node:
        """Type `(%x * 1000000).truncate()`: a decimal is kept as just that integer."""
        if isinstance(source, syntax.Binary) and source.operator == "*":
            node, times = self.node(source.left), self.node(source.right)
            if node.type == "decimal" and times == Constant(MILLION, "integer"):
                return Operation("millionths", (node,), "integer")
        raise _SubsetError("`truncate()` is of millionths: `(%x * 1000000).truncate()`.")

    def _member(self, source: syntax.Ast, call: syntax.Call) -> Node:
        if not isinstance(source, syntax.Member):
            raise _SubsetError("`memberOf()` follows the name of a coding: `code.memberOf('...')`.")
        for part in ("system", "code"):
            self._fhir_type(f"{source.name}_{part}")
        (url,) = call.arguments
        value = self.node(url)
        if not isinstance(value, Constant) or value.type != "text":
            raise _SubsetError("`memberOf()` takes the url of a value set as a literal.")
        codes.known_value_set(str(value.value))
        return Member(source.name, str(value.value))

    def _starts_with(self, source: syntax.Ast, call: syntax.Call) -> Node:
        node, start = self.node(source), self.node(call.arguments[0])
        if node.type != "text" or not isinstance(start, Constant) or start.type != "text":
            raise _SubsetError("`startsWith()` asks a text for a literal text.")
        return Operation("starts-with", (node, start), "boolean")

    def _function(self, tree: syntax.Call) -> Node:
        if tree.name != "iif" or len(tree.arguments) not in (2, 3):
            raise _SubsetError(f"the function `{tree.name}()` is not in the subset ({_KNOWN}).")
        condition, yes, *others = tree.arguments
        left = self.node(yes)
        right = self.node(others[0]) if others else Constant(None, left.type)
        left, right = _alike(left, right)
        if left.type != right.type:
            raise _SubsetError(
                f"both results of `iif()` are of one type, not {left.type} and {right.type}."
            )
        return Operation("iif", (self._boolean(condition), left, right), left.type)


def column_type(fhir_type: str) -> Type:
    """Return the type of a view's column of a FHIR type; of a dateTime, the moment."""
    if fhir_type in ("dateTime", "instant"):
        return "moment"
    if fhir_type == "date":
        return "date"
    if fhir_type in ("integer", "positiveInt", "unsignedInt", "integer64"):
        return "integer"
    if fhir_type == "boolean":
        return "boolean"
    return "decimal" if fhir_type == "decimal" else "text"


def _is_positive(node: Node) -> bool:
    return isinstance(node, Constant) and isinstance(node.value, int) and node.value > 0


def _is_dated(fhir_type: str) -> bool:
    return fhir_type in ("date", "dateTime", "instant")


def _constant(value: object) -> Constant:
    if isinstance(value, bool):
        return Constant(value, "boolean")
    if isinstance(value, int):
        return Constant(value, "integer")
    if isinstance(value, Decimal):
        scaled = value * MILLION
        if scaled != scaled.to_integral_value():
            raise _SubsetError(f"the number {value} has more than six decimals.")
        return Constant(int(scaled), "decimal")
    if isinstance(value, Temporal) and value.kind == "Date" and len(value.fields) == _FULL:
        return Constant(civil.day_of(str(value)), "date")
    if isinstance(value, str):
        return Constant(value, "text")
    raise _SubsetError(
        f"the literal `{value}` is not in the subset: dates are full, `@2024-01-31`."
    )


def _compared(operator: str, left: Node, right: Node) -> Node:
    left, right = _alike(left, right)
    if left.type != right.type or left.type in ("days", "texts"):
        hint = (
            " (`.toDate()` gives the day of a date column)"
            if "moment" in (left.type, right.type)
            else ""
        )
        raise _SubsetError(f"type {left.type} is not compared with type {right.type}{hint}.")
    if left.type in ("text", "boolean") and operator not in ("=", "!="):
        raise _SubsetError(f"type {left.type} has no order: `{operator}` is not in the subset.")
    return Operation(operator, (left, right), "boolean")


def _alike(left: Node, right: Node) -> tuple[Node, Node]:
    """Turn the integer of an integer and a decimal into a decimal."""
    types = (left.type, right.type)
    if types == ("integer", "decimal"):
        return _decimal(left), right
    return (left, _decimal(right)) if types == ("decimal", "integer") else (left, right)


def _decimal(node: Node) -> Node:
    if isinstance(node, Constant):
        return Constant(int(node.value or 0) * MILLION, "decimal")
    return Operation("micro", (node,), "decimal")


def _later(node: Node, duration: Quantity, sign: int) -> Node:
    if duration.value != duration.value.to_integral_value():
        raise _SubsetError("a duration is a whole number of units.")
    count = sign * int(duration.value)
    if node.type == "date" and duration.unit in _MONTHS:
        months = Constant(count * _MONTHS[duration.unit], "integer")
        return Operation("add-months", (node, months), "date")
    if node.type == "date" and duration.unit in _DAYS:
        days = Constant(count * _DAYS[duration.unit], "integer")
        return Operation("add-days", (node, days), "date")
    if node.type == "moment" and duration.unit in _SECONDS:
        seconds = Constant(count * _SECONDS[duration.unit], "integer")
        return Operation("+", (node, seconds), "moment")
    raise _SubsetError(f"`{duration}` is not added to type {node.type}.")


def _alternatives(tree: syntax.Ast) -> list[syntax.Ast]:
    if isinstance(tree, syntax.Binary) and tree.operator == "|":
        return [*_alternatives(tree.left), *_alternatives(tree.right)]
    return [tree]


def _shown(tree: syntax.Ast) -> str:
    if isinstance(tree, syntax.Path) and isinstance(tree.step, syntax.Member):
        return f"the path to `{tree.step.name}`"
    return f"`{type(tree).__name__}`"

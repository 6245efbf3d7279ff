"""Abstract syntax to Python closures: each node of the tree becomes a Code, once.

A condition (`=`, `and`, `exists()` under `where`) is compiled to a Test, so that no collection is
made to hold its answer.
"""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from r4.fhirpath import functions, operators, path, syntax, variables
from r4.fhirpath.errors import EvaluationError, syntax_error
from r4.fhirpath.functions.fhir import reference_key
from r4.fhirpath.functions.filtering import sort
from r4.fhirpath.quantities import Quantity
from r4.fhirpath.scope import Code, Evaluate, Scope, Step, Test
from r4.fhirpath.syntax import Ast
from r4.fhirpath.typetests import casts, is_known, tests
from r4.fhirpath.values import EMPTY, FALSE, TRUE, Node, singleton, truth

_TYPE_FUNCTIONS = ("is", "as", "ofType")
_TO_TREE = (*_TYPE_FUNCTIONS, "sort")


def compile_tree(tree: Ast, text: str) -> Code:
    """Compile a tree; raises FhirError (400) for an unknown function, type or wrong arguments."""
    return _Compiler(text).code(tree)


def listed(test: Test) -> Evaluate:
    """Give a condition as a collection of its answer."""

    def evaluate(scope: Scope) -> list[Any]:
        answer = test(scope)
        return EMPTY if answer is None else TRUE if answer else FALSE

    return evaluate


def tested(evaluate: Evaluate) -> Test:
    """Read a collection as a condition."""

    def test(scope: Scope) -> bool | None:
        items = evaluate(scope)
        return items[0] if items is TRUE or items is FALSE else truth(items)

    return test


class _Compiler:
    def __init__(self, text: str) -> None:
        self._text = text

    def code(self, tree: Ast) -> Code:
        match tree:
            case syntax.Binary("|"):
                return self._union(tree)
            case syntax.Binary(operator, left, right):
                return self._binary(operator, left, right)
            case syntax.Member(name):
                return _from_head((name,))
            case syntax.Path(_, syntax.Member()):
                return self._path(tree)
            case syntax.Path(source, step):
                return _applied(self.code(source).evaluate, self._step(step))
            case syntax.Call():
                return self._head_call(tree)
            case syntax.TypeOperation(operator, operand, name, at):
                type_step = self._type_step(operator, name, at, many=True)
                return _applied(self.code(operand).evaluate, type_step)
            case _:
                evaluate = self._simple(tree)
                return Code(evaluate, tested(evaluate))

    def _simple(self, tree: Ast) -> Evaluate:
        match tree:
            case syntax.Literal(value):
                constant = [value]
                return lambda _: constant
            case syntax.Special(name):
                return _SPECIALS[name]
            case syntax.Variable(name):
                return variables.reader(name)
            case syntax.Unary(operator, operand):
                return _signed(operator, self.code(operand).evaluate)
            case syntax.Index(source, index):
                return _indexed(self.code(source).evaluate, self.code(index).evaluate)
            case _:
                return lambda _: EMPTY

    def _path(self, tree: Ast) -> Code:
        """Compile the names that follow one another as one step."""
        names: list[str] = []
        while isinstance(tree, syntax.Path) and isinstance(tree.step, syntax.Member):
            names.append(tree.step.name)
            tree = tree.source
        if isinstance(tree, syntax.Member):
            return _from_head((tree.name, *reversed(names)))
        return _applied(self.code(tree).evaluate, path.steps(tuple(reversed(names))))

    def _step(self, tree: syntax.Member | syntax.Call | syntax.Special) -> Step:
        match tree:
            case syntax.Member(name):
                return path.steps((name,))
            case syntax.Special(name):
                special = _SPECIALS[name]
                return lambda scope, _: special(scope)
            case syntax.Call():
                return self._call(tree)

    def _head_call(self, call: syntax.Call) -> Code:
        step = self._call(call)

        def evaluate(scope: Scope) -> list[Any]:
            return step(scope, scope.this)

        return Code(evaluate, tested(evaluate))

    def _call(self, call: syntax.Call) -> Step:
        if call.name in _TYPE_FUNCTIONS and len(call.arguments) == 1:
            name = self._type_argument(call)
            return self._type_step(call.name, name, call.position, many=call.name == "ofType")
        if call.name == "getReferenceKey" and call.arguments:
            return reference_key(self._type_argument(call))
        if call.name == "sort":
            return sort([self._sort_key(argument) for argument in call.arguments])
        function = functions.FUNCTIONS.get(call.name)
        if function is None:
            near = get_close_matches(call.name, [*functions.FUNCTIONS, *_TO_TREE], 1)
            hint = f" (did you mean `{near[0]}`?)" if near else ""
            raise syntax_error(self._text, call.position, f"a known function{hint}")
        if not function.minimum <= len(call.arguments) <= function.maximum:
            bounds = f"{function.minimum} to {function.maximum} arguments of {call.name}()"
            raise syntax_error(self._text, call.position, bounds)
        return function.build(*(self.code(argument) for argument in call.arguments))

    def _sort_key(self, tree: Ast) -> tuple[Evaluate, bool]:
        # A minus before a key means descending, for strings and dates too.
        if isinstance(tree, syntax.Unary) and tree.operator == "-":
            return self.code(tree.operand).evaluate, True
        return self.code(tree).evaluate, False

    def _type_argument(self, call: syntax.Call) -> str:
        match call.arguments[0]:
            case syntax.Member(name):
                return name
            case syntax.Path(syntax.Member(namespace), syntax.Member(name)):
                return f"{namespace}.{name}"
            case _:
                raise syntax_error(
                    self._text, call.position, f"the name of a type in {call.name}()"
                )

    def _type_step(self, operator: str, name: str, at: int, *, many: bool) -> Step:
        if operator == "is":
            return tests(name)
        if not is_known(name):
            raise syntax_error(self._text, at, f"a type of FHIR or System instead of `{name}`")
        return casts(name, many=many)

    def _union(self, tree: Ast) -> Code:
        """Compile the alternatives of a union together: duplicates are looked for once."""
        parts: list[Code] = []
        while isinstance(tree, syntax.Binary) and tree.operator == "|":
            parts.append(self.code(tree.right))
            tree = tree.left
        parts.append(self.code(tree))
        return _united(tuple(reversed(parts)))

    def _binary(self, operator: str, left: Ast, right: Ast) -> Code:
        one, other = self.code(left), self.code(right)
        if operator in _LOGIC:
            test = _LOGIC[operator](one.test, other.test)
            return Code(listed(test), test)
        if operator == "=" and isinstance(right, syntax.Literal) and isinstance(right.value, str):
            test = _equals_text(one.evaluate, right.value)
            return Code(listed(test), test)
        if operator in _COMPARISONS:
            test = _compared(_COMPARISONS[operator], one.evaluate, other.evaluate)
            return Code(listed(test), test)
        evaluate = _joined(operator, one.evaluate, other.evaluate)
        return Code(evaluate, tested(evaluate))


def _applied(source: Evaluate, step: Step) -> Code:
    def evaluate(scope: Scope) -> list[Any]:
        return step(scope, source(scope))

    return Code(evaluate, tested(evaluate))


def _index_of(scope: Scope) -> list[Any]:
    return [scope.index]


_SPECIALS: dict[str, Evaluate] = {
    "$this": lambda scope: scope.this,
    "$index": _index_of,
    "$total": lambda scope: scope.total,
}


def _indexed(source: Evaluate, index: Evaluate) -> Evaluate:
    def evaluate(scope: Scope) -> list[Any]:
        items, at = source(scope), singleton(index(scope), "an index")
        if at is None:
            return EMPTY
        if at.__class__ is not int:
            raise EvaluationError("an index is an integer")
        return items[at : at + 1] if at >= 0 else EMPTY

    return evaluate


def _signed(operator: str, operand: Evaluate) -> Evaluate:
    def evaluate(scope: Scope) -> list[Any]:
        value = singleton(operand(scope), f"`{operator}`")
        if value is None:
            return EMPTY
        if isinstance(value, Quantity):
            return [Quantity(-value.value, value.unit)] if operator == "-" else [value]
        if isinstance(value, str | bool) or not hasattr(value, "__neg__"):
            raise EvaluationError(f"`{operator}` needs a number")
        return [-value if operator == "-" else value]

    return evaluate


def _and(left: Test, right: Test) -> Test:
    def test(scope: Scope) -> bool | None:
        one = left(scope)
        if one is False:
            return False
        other = right(scope)
        return False if other is False else one and other

    return test


def _or(left: Test, right: Test) -> Test:
    def test(scope: Scope) -> bool | None:
        one = left(scope)
        if one:
            return True
        other = right(scope)
        return True if other else None if one is None else other

    return test


def _xor(left: Test, right: Test) -> Test:
    def test(scope: Scope) -> bool | None:
        one, other = left(scope), right(scope)
        return None if one is None or other is None else one is not other

    return test


def _implies(left: Test, right: Test) -> Test:
    def test(scope: Scope) -> bool | None:
        one = left(scope)
        if one is False:
            return True
        other = right(scope)
        return True if other else None if one is None else other

    return test


_LOGIC: dict[str, Callable[[Test, Test], Test]] = {
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
}


def _equals_text(source: Evaluate, text: str) -> Test:
    constant = [text]

    def test(scope: Scope) -> bool | None:
        items = source(scope)
        if len(items) == 1:
            item = items[0]
            if item.__class__ is Node and item.type.system == "String" and item.value is not None:
                return bool(item.value == text)
        return operators.equal(items, constant)

    return test


def _compared(compare: Callable[..., bool | None], left: Evaluate, right: Evaluate) -> Test:
    return lambda scope: compare(left(scope), right(scope))


def _not(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def _ordered(operator: str, accepted: tuple[int, ...]) -> Callable[..., bool | None]:
    def compare(left: list[Any], right: list[Any]) -> bool | None:
        order = operators.order(left, right, operator)
        return None if order is None else order in accepted

    return compare


def _contains(items: list[Any], wanted: list[Any]) -> bool | None:
    if not wanted:
        return None
    if len(wanted) > 1:
        raise EvaluationError("`in` and `contains` need a single item to look for")
    return operators.contains(items, wanted[0])


_COMPARISONS: dict[str, Callable[..., bool | None]] = {
    "=": operators.equal,
    "!=": lambda left, right: _not(operators.equal(left, right)),
    "~": operators.equivalent,
    "!~": lambda left, right: not operators.equivalent(left, right),
    "<": _ordered("<", (-1,)),
    "<=": _ordered("<=", (-1, 0)),
    ">": _ordered(">", (1,)),
    ">=": _ordered(">=", (1, 0)),
    "in": lambda left, right: _contains(right, left),
    "contains": _contains,
}


def _from_head(names: tuple[str, ...]) -> Code:
    evaluate = path.from_head(names)
    return Code(evaluate, tested(evaluate), path.values_from_head(names))


def _united(parts: tuple[Code, ...]) -> Code:
    each = tuple(part.evaluate for part in parts)
    read = tuple(part.values for part in parts if part.values is not None)

    def evaluate(scope: Scope) -> list[Any]:
        found: list[Any] = []
        for part in each:
            found += part(scope)
        return operators.distinct(found)

    def values(resource: dict[str, Any]) -> list[Any] | None:
        found: list[Any] = []
        for part in read:
            some = part(resource)
            if some is None:
                return None
            found += some
        # Which of several are equal depends on their types.
        return found if len(found) <= 1 else None

    return Code(evaluate, tested(evaluate), values if len(read) == len(each) else None)


def _joined(operator: str, left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda scope: operators.arithmetic(operator, left(scope), right(scope))

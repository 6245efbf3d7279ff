"""SNOMED CT's Expression Constraint Language, as far as value sets in use need it.

Descendants `<` `<<` `<!`, ancestors `>` `>>` `>!`, reference sets `^`, `*`, OR, AND, MINUS, brackets,
`|terms|`, and the long form of each; refinements and filters are refused by name.
http://snomed.org/ecl
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from terminology import rules
from terminology.loaded import LoadedSystem
from terminology.rules import Rule

LONGEST = 100_000
"""Most characters of an expression."""
_DEEPEST = 30
_TOKEN = re.compile(
    r"\s+|/\*.*?\*/|\|[^|]*\||(?P<token><<!|>>!|<<|>>|<!|>!|[<>^*(),:.\[\]{}=!]|[A-Za-z]+|\d+)",
    re.DOTALL,
)
_SHORT = {
    "descendantof": "<",
    "descendantorselfof": "<<",
    "childof": "<!",
    "ancestorof": ">",
    "ancestororselfof": ">>",
    "parentof": ">!",
    "memberof": "^",
    "any": "*",
    ",": "and",
}
_UNSUPPORTED = {
    ":": "a refinement (:)",
    ".": "a dotted attribute (.)",
    "{": "a filter ({)",
    "[": "a cardinality ([)",
    "=": "an attribute's value (=)",
    "<<!": "childOrSelfOf (<<!)",
    ">>!": "parentOrSelfOf (>>!)",
}
_HIERARCHY: dict[str, Callable[[LoadedSystem, str], Rule]] = {
    "<": rules.below,
    ">": rules.above,
    "<!": rules.children,
    ">!": rules.parents,
}
_ORS_SELF = {"<<": "<", ">>": ">"}
_JOINS = ("or", "and", "minus")


class EclError(ValueError):
    """The expression is not one that is understood here; the message says which part of it."""


def rule(system: LoadedSystem, expression: str) -> Rule:
    """Return the codes of a system that an expression constraint takes; raises EclError."""
    if len(expression) > LONGEST:
        raise EclError(f"An expression has at most {LONGEST} characters.")
    parser = _Parser(system, list(_tokens(expression)))
    found = parser.expression(0)
    if parser.tokens:
        raise EclError(f"There is {parser.tokens[-1]!r} after the end of the expression.")
    return found


def _tokens(expression: str) -> Iterator[str]:
    at = 0
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        if found is None:
            raise EclError(f"{expression[at]!r} is not understood here.")
        at = found.end()
        if (token := found["token"]) is not None:
            short = _SHORT.get(token.lower(), token.lower())
            if short in _UNSUPPORTED:
                raise EclError(f"The expression has {_UNSUPPORTED[short]}: that is not supported.")
            yield short


@dataclass(slots=True)
class _Parser:
    """The tokens that are left, the next one last."""

    system: LoadedSystem
    tokens: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tokens.reverse()

    def expression(self, depth: int) -> Rule:
        """Read operands and what joins them; OR, AND and MINUS are mixed only with brackets."""
        operands = [self.operand(depth)]
        join = self._peek()
        if join not in _JOINS:
            return operands[0]
        while self._peek() in _JOINS:
            if self.tokens.pop() != join:
                raise EclError("OR, AND and MINUS are mixed without brackets.")
            operands.append(self.operand(depth))
        return self._joined(join, operands)

    def _joined(self, join: str, operands: list[Rule]) -> Rule:
        if join == "or":
            return rules.either(operands)
        first, *others = operands
        if join == "minus" and len(others) > 1:
            raise EclError("Several MINUS are taken one after another only with brackets.")
        for other in others:
            first = rules.both(first, other) if join == "and" else rules.without(first, other.holds)
        return first

    def operand(self, depth: int) -> Rule:
        """Read a focus, with the operator before it."""
        if depth > _DEEPEST:
            raise EclError(f"Brackets and operators are inside one another {_DEEPEST} times.")
        symbol = self._next()
        if symbol == "^":
            return rules.members(self.system, self._concept())
        if symbol in _HIERARCHY or symbol in _ORS_SELF:
            return self._around(symbol, depth)
        if symbol == "(":
            found = self.expression(depth + 1)
            if self._next() != ")":
                raise EclError("A bracket is not closed.")
            return found
        if symbol == "*":
            return rules.every(self.system)
        return rules.some(self.system, [_identifier(symbol)])

    def _around(self, operator: str, depth: int) -> Rule:
        step = _HIERARCHY[_ORS_SELF.get(operator, operator)]
        if self._peek().isdigit():
            code = self._concept()
            found, focus = step(self.system, code), rules.some(self.system, [code])
        else:
            focus = self.operand(depth + 1)
            found = _of_several(self.system, step, focus)
        return rules.either([focus, found]) if operator in _ORS_SELF else found

    def _concept(self) -> str:
        return _identifier(self._next())

    def _peek(self) -> str:
        return self.tokens[-1] if self.tokens else ""

    def _next(self) -> str:
        if not self.tokens:
            raise EclError("The expression ends too early.")
        return self.tokens.pop()


def _of_several(
    system: LoadedSystem, step: Callable[[LoadedSystem, str], Rule], focus: Rule
) -> Rule:
    """Return what a step leads to from any of some codes."""

    def listed() -> dict[str, None]:
        return dict.fromkeys(
            each for code in list(focus.codes()) for each in step(system, code).codes()
        )

    found: list[dict[str, None]] = []

    def holds(code: str) -> bool:
        if not found:  # listed once, when it is first asked for
            found.append(listed())
        return code in found[0]

    return Rule(system, holds, listed, is_listed=focus.is_listed)


def _identifier(token: str) -> str:
    if not token.isdigit():
        raise EclError(f"A concept's identifier is expected, not {token!r}.")
    return token

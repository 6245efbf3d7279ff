"""FHIRPath tokens to abstract syntax, by operator precedence.

https://hl7.org/fhirpath/N1/#operator-precedence
"""

from decimal import Decimal

from r4.fhirpath.errors import syntax_error
from r4.fhirpath.quantities import CALENDAR_UNITS, Quantity
from r4.fhirpath.syntax import (
    Ast,
    Binary,
    Call,
    Empty,
    Index,
    Literal,
    Member,
    Path,
    Special,
    TypeOperation,
    Unary,
    Variable,
)
from r4.fhirpath.temporal import read
from r4.fhirpath.tokens import Token, tokenize

_PRECEDENCE = {
    "implies": 1,
    "or": 2, "xor": 2,
    "and": 3,
    "in": 4, "contains": 4,
    "=": 5, "~": 5, "!=": 5, "!~": 5,
    "<": 6, ">": 6, "<=": 6, ">=": 6,
    "|": 7,
    "is": 8, "as": 8,
    "+": 9, "-": 9, "&": 9,
    "*": 10, "/": 10, "div": 10, "mod": 10,
}  # fmt: skip
_POLARITY = 11


def parse(expression: str) -> Ast:
    """Read a whole expression; raises FhirError (400) saying where and what was expected."""
    parser = _Parser(expression)
    tree = parser.expression(0)
    parser.expect("end", "", "an operator or the end of the expression")
    return tree


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._at = 0

    def expression(self, minimum: int) -> Ast:
        """Read operands joined by operators that bind at least as tightly as minimum."""
        left = self._operand()
        while True:
            operator = self._peek().text if self._peek().kind in ("name", "symbol") else ""
            precedence = _PRECEDENCE.get(operator, -1)
            if precedence <= minimum:
                return left
            self._next()
            if operator in ("is", "as"):
                position = self._peek().position
                left = TypeOperation(operator, left, self._type_name(), position)
            else:
                left = Binary(operator, left, self.expression(precedence))

    def expect(self, kind: str, text: str, expected: str) -> Token:
        """Take the next token, which must be of this kind and text."""
        token = self._peek()
        if token.kind != kind or (text and token.text != text):
            raise self._error(expected)
        return self._next()

    def _operand(self) -> Ast:
        token = self._peek()
        if token.kind == "symbol" and token.text in "+-":
            self._next()
            return Unary(token.text, self.expression(_POLARITY))
        tree = self._term()
        while True:
            if self._accept("."):
                tree = Path(tree, self._invocation())
            elif self._accept("["):
                tree = Index(tree, self.expression(0))
                self.expect("symbol", "]", "`]`")
            else:
                return tree

    def _term(self) -> Ast:
        token = self._peek()
        if token.kind == "symbol":
            return self._symbol_term()
        if token.kind == "string":
            return Literal(self._next().text)
        if token.kind == "number":
            return self._number()
        if token.kind == "moment":
            return self._moment()
        if token.kind == "name" and token.text in ("true", "false"):
            return Literal(self._next().text == "true")
        return self._invocation()

    def _symbol_term(self) -> Ast:
        if self._accept("("):
            tree = self.expression(0)
            self.expect("symbol", ")", "`)`")
            return tree
        if self._accept("{"):
            self.expect("symbol", "}", "`}`")
            return Empty()
        if self._accept("%"):
            if self._peek().kind not in ("name", "quoted", "string"):
                raise self._error("the name of a variable")
            return Variable(self._next().text)
        raise self._error("a value, a path or `(`")

    def _invocation(self) -> Member | Call | Special:
        token = self._peek()
        if token.kind == "special":
            return Special(self._next().text)
        if token.kind not in ("name", "quoted"):
            raise self._error("the name of an element or function")
        self._next()
        if token.kind == "name" and self._accept("("):
            return Call(token.text, self._arguments(), token.position)
        return Member(token.text)

    def _arguments(self) -> tuple[Ast, ...]:
        arguments: list[Ast] = []
        if self._accept(")"):
            return ()
        while True:
            arguments.append(self.expression(0))
            if self._accept(")"):
                return tuple(arguments)
            self.expect("symbol", ",", "`,` or `)`")

    def _number(self) -> Literal:
        token = self._next()
        unit = self._peek()
        if unit.kind == "string":
            self._next()
            return Literal(Quantity(Decimal(token.text), unit.text))
        if unit.kind == "name" and unit.text in CALENDAR_UNITS:
            self._next()
            return Literal(Quantity(Decimal(token.text), CALENDAR_UNITS[unit.text]))
        return Literal(Decimal(token.text) if "." in token.text else int(token.text))

    def _moment(self) -> Literal:
        token = self._next()
        value = read(token.text[1:])
        if value is None:
            raise syntax_error(self._text, token.position, "a date or time of the calendar")
        return Literal(value)

    def _type_name(self) -> str:
        first = self._name()
        return f"{first}.{self._name()}" if self._accept(".") else first

    def _name(self) -> str:
        if self._peek().kind not in ("name", "quoted"):
            raise self._error("the name of a type")
        return self._next().text

    def _accept(self, symbol: str) -> bool:
        token = self._peek()
        if token.kind == "symbol" and token.text == symbol:
            self._at += 1
            return True
        return False

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _error(self, expected: str) -> Exception:
        return syntax_error(self._text, self._peek().position, expected)

"""What callers use: `compile` an expression, then call it on resources or elements."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from r4.fhirpath import types
from r4.fhirpath.compile import compile_tree
from r4.fhirpath.errors import EvaluationError, evaluation_error, syntax_error
from r4.fhirpath.parse import parse
from r4.fhirpath.scope import Environment, Scope
from r4.fhirpath.values import Node, fhir_type_name, plain, root
from r4.issue import FhirError, error

_NOTHING_AROUND = Environment()

Result = TypeVar("Result")


class Compiled:
    """An expression ready to be evaluated, any number of times, by any number of callers.

    Calls take a resource, an element with its type ("HumanName", "Patient.contact"), or an item that
    `items` gave. They raise FhirError (422, `processing`) when the expression does not fit the data.
    """

    __slots__ = ("_code", "expression")

    def __init__(self, expression: str) -> None:
        self.expression = expression
        try:
            self._code = compile_tree(parse(expression), expression)
        except RecursionError:
            raise syntax_error(expression, 0, "an expression less deeply nested") from None

    def __call__(
        self, resource: Any, environment: Environment | None = None, type: str | None = None
    ) -> list[Any]:
        """Return the values as JSON: dict, str, bool, int, Decimal; dates and times as text.

        A primitive that has only extensions has no value, and is left out.
        """
        items = self.items(resource, environment, type)
        values = [item.value if item.__class__ is Node else plain(item) for item in items]
        return [value for value in values if value is not None] if None in values else values

    def typed(
        self, resource: Any, environment: Environment | None = None, type: str | None = None
    ) -> list[tuple[Any, str]]:
        """Return each value with the name of its FHIR type ("CodeableConcept", "dateTime").

        An element inside a type is a "BackboneElement" or "Element". "" where nothing is known.
        """
        items = self.items(resource, environment, type)
        values = ((plain(item), fhir_type_name(item)) for item in items)
        return [(value, name) for value, name in values if value is not None]

    def is_true(
        self, resource: Any, environment: Environment | None = None, type: str | None = None
    ) -> bool:
        """Read the result as a condition: empty is false, a single non-boolean value is true."""
        return self._run(self._code.test, self._scope(resource, environment, type)) is True

    def items(
        self, resource: Any, environment: Environment | None = None, type: str | None = None
    ) -> list[Any]:
        """Return the items themselves, which know their types and extensions.

        They are for Environment.variables and as input of further calls; never change them.
        """
        return self._run(self._code.evaluate, self._scope(resource, environment, type))

    def _run(self, code: Callable[[Scope], Result], scope: Scope) -> Result:
        try:
            return code(scope)
        except EvaluationError as problem:
            raise evaluation_error(self.expression, problem) from problem
        except ArithmeticError:
            raise evaluation_error(
                self.expression, EvaluationError("a number out of range")
            ) from None
        except RecursionError:
            raise evaluation_error(self.expression, EvaluationError("too deeply nested")) from None

    def _scope(self, resource: Any, environment: Environment | None, type: str | None) -> Scope:
        if resource is None:
            return Scope([], environment or _NOTHING_AROUND)
        if resource.__class__ is Node:
            return Scope([resource], environment or _NOTHING_AROUND)
        try:
            kind = types.of(resource, type)
        except KeyError:
            problem = f"FHIRPath: `{type}` is not a type of FHIR R4"
            raise FhirError(422, [error("processing", problem, self.expression)]) from None
        return Scope([root(resource, kind)], environment or _NOTHING_AROUND)


@lru_cache(maxsize=8192)
def compile(expression: str) -> Compiled:
    """Compile an expression, once for each text.

    Raises FhirError (400, `invalid`) naming the position and what was expected there.
    """
    return Compiled(expression)


def evaluate(
    expression: str, resource: Any, environment: Environment | None = None, type: str | None = None
) -> list[Any]:
    """Compile and evaluate; see `compile` and `Compiled`."""
    return compile(expression)(resource, environment, type)


def is_true(
    expression: str, resource: Any, environment: Environment | None = None, type: str | None = None
) -> bool:
    """Compile and read the result as a condition; see `Compiled.is_true`."""
    return compile(expression).is_true(resource, environment, type)

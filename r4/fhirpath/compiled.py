"""What callers use: `compile` an expression, then call it on resources or elements."""

from functools import lru_cache
from typing import Any

from r4.fhirpath import types
from r4.fhirpath.compile import compile_tree
from r4.fhirpath.errors import EvaluationError, evaluation_error, syntax_error
from r4.fhirpath.parse import parse
from r4.fhirpath.scope import Environment, Scope
from r4.fhirpath.values import Node, fhir_type_name, plain, root
from r4.issue import FhirError, error

_NOTHING_AROUND = Environment()

# What data can make an evaluation raise; a caller is told of it as a FhirError.
_MET = (EvaluationError, ArithmeticError, RecursionError)


class Compiled:
    """An expression ready to be evaluated, any number of times, by any number of callers.

    Calls take a resource, an element with its type ("HumanName", "Patient.contact"), or an item that
    `items` gave. They raise FhirError (422, `processing`) when the expression does not fit the data.
    """

    __slots__ = ("_code", "_evaluate", "expression")

    def __init__(self, expression: str) -> None:
        self.expression = expression
        try:
            self._code = compile_tree(parse(expression), expression)
        except RecursionError:
            raise syntax_error(expression, 0, "an expression less deeply nested") from None
        self._evaluate = self._code.evaluate

    def __call__(
        self, resource: Any, environment: Environment | None = None, type: str | None = None
    ) -> list[Any]:
        """Return the values as JSON: dict, str, bool, int, Decimal; dates and times as text.

        A primitive that has only extensions has no value, and is left out.
        """
        if environment is None and resource.__class__ is dict and self._code.values is not None:
            read = self._code.values(resource)
            if read is not None:
                return read
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
        scope = self._scope(resource, environment, type)
        try:
            return self._code.test(scope) is True
        except _MET as problem:
            raise self._refused(problem) from problem

    def items(
        self, resource: Any, environment: Environment | None = None, type: str | None = None
    ) -> list[Any]:
        """Return the items themselves, which know their types and extensions.

        They are for Environment.variables and as input of further calls; never change them.
        """
        scope = self._scope(resource, environment, type)
        try:
            return self._evaluate(scope)
        except _MET as problem:
            raise self._refused(problem) from problem

    def _refused(self, problem: Exception) -> FhirError:
        """Return the error that a caller is given for one met in an evaluation."""
        said = problem if isinstance(problem, EvaluationError) else None
        if isinstance(problem, RecursionError):
            said = EvaluationError("too deeply nested")
        number = EvaluationError("a number out of range")
        return evaluation_error(self.expression, said or number)

    def _scope(self, resource: Any, environment: Environment | None, type: str | None) -> Scope:
        around = environment or _NOTHING_AROUND
        items: list[Any] = []
        if resource.__class__ is Node:
            items = [resource]
        elif resource is not None:
            try:
                items = [root(resource, types.of(resource, type))]
            except KeyError:
                problem = f"FHIRPath: `{type}` is not a type of FHIR R4"
                raise FhirError(422, [error("processing", problem, self.expression)]) from None
        return Scope(items, around, items, around.strict)


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

"""How a FHIRPath function is declared, and the shapes that most of them have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.scope import Code, Scope, Step
from r4.fhirpath.values import EMPTY, Node, singleton


@dataclass(frozen=True, slots=True)
class Function:
    """A function: how many arguments it takes, and what builds its Step from their Code."""

    build: Callable[..., Step]
    minimum: int = 0
    maximum: int = 0


def of_collection(apply: Callable[[list[Any]], list[Any]]) -> Function:
    """Declare a function without arguments that looks at its whole input."""
    return Function(lambda: lambda _, items: apply(items))


def with_collection(apply: Callable[[list[Any], list[Any]], list[Any]]) -> Function:
    """Declare a function of its input and one other collection."""

    def build(other: Code) -> Step:
        return lambda scope, items: apply(items, other.evaluate(scope))

    return Function(build, 1, 1)


def of_value(apply: Callable[..., Any], *kinds: type, minimum: int | None = None) -> Function:
    """Declare a function of one System value and single arguments of these Python types.

    Empty input or an empty argument gives empty; so does None. A list is a collection.
    """
    return _of(lambda items: singleton(items, "the function"), apply, kinds, minimum)


def of_text(apply: Callable[..., Any], *kinds: type, minimum: int | None = None) -> Function:
    """Declare a function of one string like `of_value`; FHIR dates are taken as written."""
    return _of(_text, apply, kinds, minimum)


def _of(
    read: Callable[[list[Any]], Any],
    apply: Callable[..., Any],
    kinds: tuple[type, ...],
    minimum: int | None,
) -> Function:
    def build(*arguments: Code) -> Step:
        def step(scope: Scope, items: list[Any]) -> list[Any]:
            value = read(items)
            if value is None:
                return EMPTY
            given = [_argument(scope, *pair) for pair in zip(arguments, kinds, strict=False)]
            return EMPTY if None in given else _collected(apply(value, *given))

        return step

    return Function(build, len(kinds) if minimum is None else minimum, len(kinds))


def _argument(scope: Scope, argument: Code, kind: type) -> Any:
    value = singleton(argument.evaluate(scope), "an argument")
    fits = isinstance(value, kind) and (kind is object or not isinstance(value, bool))
    if value is not None and not fits:
        raise EvaluationError(f"an argument is a {kind.__name__} here, not `{value}`")
    return value


def _text(items: list[Any]) -> str | None:
    if len(items) == 1 and items[0].__class__ is Node and isinstance(items[0].value, str):
        return str(items[0].value)
    value = singleton(items, "a string function")
    if value is None or isinstance(value, str):
        return value
    raise EvaluationError("a string function needs a string")


def _collected(value: Any) -> list[Any]:
    if value is None:
        return EMPTY
    return value if isinstance(value, list) else [value]

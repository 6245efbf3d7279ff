"""FHIRPath as forms use it: an expression, its context, and the variables in scope.

`%resource` is the response, `%questionnaire` the form; variables and allocated ids have names.
https://hl7.org/fhir/uv/sdc/expressions.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from questionnaires.elements import CORE, Item, extensions
from r4 import fhirpath
from r4.json import Resource

_UNTYPED = ("", "BackboneElement", "Element")


class Focus(NamedTuple):
    """What an expression starts from: an element and its type, None where its JSON says enough."""

    value: Any
    type: str | None = None


def of_item(item: Item) -> Focus:
    """Return the focus that an item of a response is."""
    return Focus(item, "QuestionnaireResponse.item")


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression can see: the form, the response, and variables by name.

    now: the instant of `now()` and `today()`; resolve: what finds the resource of a reference.
    """

    questionnaire: Resource
    response: Resource
    variables: Mapping[str, Any] = field(default_factory=dict)
    now: str | None = None
    resolve: Callable[[str], Resource | None] | None = None

    def evaluate(self, expression: str, focus: Focus) -> list[Any]:
        """Evaluate an expression; raises FhirError when it is not FHIRPath or fails."""
        compiled = fhirpath.compile(expression)
        return compiled(focus.value, self._environment(focus), focus.type)

    def foci(self, expression: str, focus: Focus) -> list[Focus]:
        """Evaluate an expression whose results are to be the foci of others."""
        compiled = fhirpath.compile(expression)
        found = compiled.typed(focus.value, self._environment(focus), focus.type)
        return [Focus(value, None if type in _UNTYPED else type) for value, type in found]

    def items(self, expression: str, focus: Focus) -> list[Any]:
        """Evaluate an expression whose results are to be a variable's: they keep their types."""
        compiled = fhirpath.compile(expression)
        return compiled.items(focus.value, self._environment(focus), focus.type)

    def holds(self, expression: str, focus: Focus) -> bool:
        """Evaluate a condition; an empty result is false."""
        compiled = fhirpath.compile(expression)
        return compiled.is_true(focus.value, self._environment(focus), focus.type)

    def having(self, **variables: Any) -> "Scope":
        """Return the scope with further variables."""
        return replace(self, variables={**self.variables, **variables})

    def within(self, element: Resource | Item, focus: Focus) -> "Scope":
        """Return the scope with the FHIRPath variables that a form or one of its items declares."""
        scope = self
        for held in extensions(element, CORE + "variable"):
            declared = held["valueExpression"]
            if declared["language"] != "text/fhirpath":
                continue
            value = scope.evaluate(declared["expression"], focus)
            scope = scope.having(**{declared["name"]: value})
        return scope

    def _environment(self, focus: Focus) -> fhirpath.Environment:
        named = {"questionnaire": self.questionnaire, "context": focus.value}
        return fhirpath.Environment(
            variables={**named, **self.variables},
            resource=self.response,
            now=self.now,
            resolve=self.resolve,
        )

"""A form's own conditions in FHIRPath: targetConstraint, and SDC 3.0's questionnaire-constraint.

A condition on an item is evaluated on the response's item, one on the form on the response.
https://hl7.org/fhir/extensions/StructureDefinition-targetConstraint.html
"""

from collections.abc import Iterator

from questionnaires.elements import CORE, expression_of, extension_value, extensions
from questionnaires.expressions import Focus, Scope
from r4.issue import FhirError, Issue, Severity
from r4.json import Resource

_URLS = (CORE + "targetConstraint", CORE + "questionnaire-constraint")


def broken(definition: Resource, focus: Focus, scope: Scope, path: str) -> Iterator[Issue]:
    """Yield an issue for each condition that does not hold; a warning where it cannot be read."""
    for held in extensions(definition, *_URLS):
        key = extension_value(held, "key")
        human = extension_value(held, "human")
        expression = expression_of(held, "expression") or ""
        try:
            holds = scope.holds(expression, focus)
        except FhirError as refused:
            text = f"The condition {human!r} cannot be evaluated: {refused}"
            yield Issue("warning", "invariant", text, path, "invariantExecution")
            continue
        if not holds:
            is_warning = extension_value(held, "severity") == "warning"
            severity: Severity = "warning" if is_warning else "error"
            yield Issue(severity, "invariant", str(human), path, key)

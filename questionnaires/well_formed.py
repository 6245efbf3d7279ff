"""Whether the extensions by which a form fills itself in have the values that SDC gives them.

What is amiss is the form's fault, not an answer's: such a form is refused, and is not half believed.
https://hl7.org/fhir/uv/sdc/StructureDefinition-sdc-questionnaire-pop-exp.html
"""

from collections.abc import Callable, Iterator
from typing import Any

from questionnaires.elements import CORE, SDC, Item, extension_value, extensions
from r4.issue import FhirError, Issue, error
from r4.json import Resource


def require_well_formed(questionnaire: Resource) -> None:
    """Raise FhirError (422) with every extension that says nothing that can be gone by."""
    if found := list(_all(questionnaire, "Questionnaire")):
        raise FhirError(422, found)


def _all(element: Resource | Item, place: str) -> Iterator[Issue]:
    for index, held in enumerate(element.get("extension", ())):
        check = _CHECKS.get(held.get("url", ""))
        if check is not None and not check(held):
            text = f"{held['url']} has no value that it can be gone by: see its definition in SDC."
            yield error("structure", text, f"{place}.extension[{index}]", "populate")
    for index, item in enumerate(element.get("item", ())):
        yield from _all(item, f"{place}.item[{index}]")


def _texts(value: Any, *names: str) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in names)


def _expression(held: dict[str, Any]) -> bool:
    return _texts(held.get("valueExpression"), "language", "expression")


def _variable(held: dict[str, Any]) -> bool:
    return _expression(held) and _texts(held["valueExpression"], "name")


def _condition(held: dict[str, Any]) -> bool:
    return "valueString" in held or _texts(held.get("valueExpression"), "expression")


def _period(held: dict[str, Any]) -> bool:
    value = held.get("valueDuration", {})
    return _texts(value, "code") and "value" in value


def _launch(held: dict[str, Any]) -> bool:
    name = extension_value(held, "name")
    types = [each.get("valueCode") for each in extensions(held, "type")]
    is_named = isinstance(name, str) or _texts(name, "code")
    return is_named and all(isinstance(each, str) for each in types)


_CHECKS: dict[str, Callable[[dict[str, Any]], bool]] = {
    CORE + "variable": _variable,
    CORE + "questionnaire-unit": lambda held: _texts(held.get("valueCoding"), "code"),
    SDC + "initialExpression": _expression,
    SDC + "calculatedExpression": _expression,
    SDC + "itemPopulationContext": _expression,
    SDC + "candidateExpression": _expression,
    SDC + "contextExpression": _expression,
    SDC + "enableWhenExpression": _condition,
    SDC + "observationLinkPeriod": _period,
    SDC + "sourceQueries": lambda held: _texts(held.get("valueReference"), "reference"),
    SDC + "launchContext": _launch,
}

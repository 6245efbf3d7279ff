"""Answer what a form can calculate from other answers: calculatedExpression.

https://hl7.org/fhir/uv/sdc/StructureDefinition-sdc-questionnaire-calculatedExpression.html
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from questionnaires.coercion import coerced
from questionnaires.elements import CORE, SDC, Item, answers, extension_value, extensions
from questionnaires.expressions import Focus, Scope, of_item
from questionnaires.filling import Filling, Place, Tell
from questionnaires.well_formed import require_well_formed
from r4.issue import FhirError, error
from r4.json import Resource

CALCULATED = SDC + "calculatedExpression"
_LONGEST_CHAIN = 20
"""Answers that are calculated one of another; what changes after that many rounds is in a circle."""

_FHIRPATH = "text/fhirpath"


def calculated(questionnaire: Resource, response: Resource) -> Resource:
    """Return a response with its empty calculated questions answered, as far as that can be done.

    What is answered stays as it is, whatever an expression says, and so does all else. A question
    that is disabled, or whose expression fails, draws on a query or finds what the question cannot
    hold, stays empty: `check` says what is then missing. Raises FhirError (422) for a form whose own
    extensions are malformed.
    """
    require_well_formed(questionnaire)
    filled = deepcopy(response)
    scope = Scope(questionnaire, filled)
    filling = Filling(declared, _silent)
    Calculation(_silent).settle(filling, scope)
    filling.tidy(scope)
    return filled


@dataclass(slots=True)
class Calculation:
    """The questions that were found empty, and whose answers therefore are the form's to give."""

    tell: Tell
    _ours: dict[int, Item] = field(default_factory=dict)

    def settle(self, filling: Filling, scope: Scope) -> None:
        """Answer the calculated questions of a response anew until no answer changes any more.

        Only what was empty when first met is answered. What never settles is emptied, and told of.
        """
        restless: dict[int, Place] = {}
        for turn in range(2 * _LONGEST_CHAIN):
            changed = [place for place in filling.places(scope) if self._is_changed(place)]
            if not changed:
                return
            if turn >= _LONGEST_CHAIN:
                restless |= {id(place.item): place for place in changed}
        for place in restless.values():
            put(place.item, [])
            text = "Calculated again and again, its answer is never the same twice"
            self.tell(place.definition, FhirError(422, [error("processing", text)]))

    def _is_changed(self, place: Place) -> bool:
        """Calculate a question; tells whether its answer is another one than before."""
        held = extension_value(place.definition, CALCULATED)
        if held is None or (answers(place.item) and id(place.item) not in self._ours):
            return False
        self._ours[id(place.item)] = place.item
        found = self._answers(place, held)
        is_changed: bool = found != place.item.get("answer", [])
        put(place.item, found)
        return is_changed

    def _answers(self, place: Place, held: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            found = place.scope.foci(fhirpath(held), of_item(place.item))
            return coerced(place.definition, found, place.scope.questionnaire)
        except FhirError as failed:
            self.tell(place.definition, failed)
            return []


def fhirpath(held: dict[str, Any]) -> str:
    """Return the expression of an Expression; raises FhirError (422) where it is no FHIRPath."""
    if held.get("language") != _FHIRPATH:
        text = f"An expression in {held.get('language')} is not evaluated here"
        raise FhirError(422, [error("not-supported", text)])
    expression: str = held["expression"]
    return expression


def put(item: Item, found: list[dict[str, Any]]) -> None:
    """Let an item have these answers, or none."""
    item.pop("answer", None)
    if found:
        item["answer"] = found


def declared(element: Resource | Item, focus: Focus, scope: Scope) -> Scope:
    """Return the scope with an element's variables; one that fails is not defined."""
    for held in extensions(element, CORE + "variable"):
        scope = _having(scope, held["valueExpression"], focus)
    return scope


def _having(scope: Scope, declared: dict[str, Any], focus: Focus) -> Scope:
    try:
        return scope.having(**{declared["name"]: scope.items(fhirpath(declared), focus)})
    except FhirError:
        return scope


def _silent(*_: Any) -> None:
    """Leave it to the check of a completed response to say what is missing."""

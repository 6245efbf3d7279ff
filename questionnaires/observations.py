"""Observation-based extraction of SDC 4.0: one Observation for each answer of a marked item.

The mark (observationExtract) is inherited; `component` and `member` relate an item to the marked
item above it. https://hl7.org/fhir/uv/sdc/extraction.html#observation-based-extraction
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from questionnaires.allocation import Allocation
from questionnaires.elements import (
    CORE,
    SDC,
    Item,
    answers,
    below,
    extension_value,
    extensions,
    pairs,
    value_of,
)
from questionnaires.entries import Named, entry
from questionnaires.expressions import Scope, of_item
from r4.issue import FhirError, error
from r4.json import Resource

_EXTRACT = SDC + "observationExtract"
_ENTRY = SDC + "observationExtractEntry"
_CATEGORY = SDC + "observation-extract-category"
_IS_SUBJECT = SDC + "isSubject"
_UNIT = CORE + "questionnaire-unit"

_AS_IT_IS = {
    "Boolean": "valueBoolean",
    "Integer": "valueInteger",
    "String": "valueString",
    "DateTime": "valueDateTime",
    "Date": "valueDateTime",
    "Time": "valueTime",
    "Quantity": "valueQuantity",
    "Uri": "valueString",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """What is inherited at an item, the scope of its expressions, and the Observation above it."""

    scope: Scope
    subject: Resource | None = None
    mark: Any = None
    categories: tuple[Any, ...] = ()
    parent: Resource | None = None

    def at(self, element: Resource | Item, scope: Scope) -> "_Place":
        """Return the place that an element is: its own mark and categories before those above."""
        mark = extension_value(element, _EXTRACT)
        own = tuple(held["valueCodeableConcept"] for held in extensions(element, _CATEGORY))
        return replace(
            self,
            scope=scope,
            mark=self.mark if mark is None else mark,
            categories=own or self.categories,
        )


def observation_entries(scope: Scope, allocation: Allocation) -> list[Named]:
    """Return the entries of the Observations that a response yields by the marks of its form.

    A group that asks for its subject (isSubject) is about that one. Raises FhirError (422) for an
    answer of a type that no Observation can hold.
    """
    form, response = scope.questionnaire, scope.response
    top = _Place(scope, response.get("subject")).at(form, scope)
    walk = _Walk(allocation)
    entries: list[Named] = []
    for definition, item in pairs(form.get("item", []), response.get("item", [])):
        entries += walk.entries(definition, item, top)
    return entries


@dataclass(frozen=True, slots=True)
class _Walk:
    allocation: Allocation

    def entries(self, definition: Item, item: Item, above: _Place) -> list[Named]:
        """Return an item's entries and those below it; relates them to the Observation above."""
        scope = self.allocation.within(definition, item, above.scope)
        place = replace(above.at(definition, scope), subject=_subject(definition, item, above))
        coding = _codes(definition) if place.mark else []
        parent = place.parent
        if not coding:
            return self._below(definition, item, place)
        if parent is not None and place.mark == "component":
            components = parent.setdefault("component", [])
            components += [
                {"code": {"coding": coding}, **value} for value in _values(definition, item)
            ]
            return self._below(definition, item, place)
        made = [_observation(coding, place, value) for value in _values(definition, item)]
        is_panel = not made and definition["type"] == "group"
        if is_panel:
            made = [_observation(coding, place, {})]
        inside = replace(place, parent=made[0] if made else parent)
        lower = self._below(definition, item, inside)
        if is_panel and not ({"component", "hasMember"} & made[0].keys()):
            return lower
        own = [self._entry(definition, item, place, observation) for observation in made]
        if parent is not None and place.mark == "member":
            members = parent.setdefault("hasMember", [])
            members += [{"reference": each["fullUrl"]} for _, each in own]
        return own + lower

    def _below(self, definition: Item, item: Item, place: _Place) -> list[Named]:
        found: list[Named] = []
        for child, child_item in below(definition, item):
            found += self.entries(child, child_item, place)
        return found

    def _entry(self, definition: Item, item: Item, place: _Place, observation: Resource) -> Named:
        details = next(extensions(definition, _ENTRY), {})
        new_id = self.allocation.new_id
        return definition["linkId"], entry(observation, details, of_item(item), place.scope, new_id)


def _observation(coding: list[Any], place: _Place, value: dict[str, Any]) -> Resource:
    response = place.scope.response
    authored = response.get("authored")
    made: Resource = {
        "resourceType": "Observation",
        "basedOn": response.get("basedOn"),
        "partOf": response.get("partOf"),
        "status": "final",
        "category": list(place.categories),
        "code": {"coding": coding},
        "subject": place.subject,
        "encounter": response.get("encounter"),
        "effectiveDateTime": authored,
        "issued": authored,
        "performer": [response["author"]] if "author" in response else None,
        **value,
    }
    if "id" in response:
        made["derivedFrom"] = [{"reference": f"QuestionnaireResponse/{response['id']}"}]
    return {key: held for key, held in made.items() if held not in (None, [])}


def _subject(definition: Item, item: Item, above: _Place) -> Resource | None:
    """Return whom an item is about: the answer of its question for that, else as above it."""
    for child, answered in below(definition, item):
        if extension_value(child, _IS_SUBJECT) is True:
            for answer in answers(answered):
                found: Resource | None = answer.get("valueReference")
                return found
    return above.subject


def _codes(definition: Item) -> list[dict[str, Any]]:
    marked = [code for code in definition.get("code", ()) if extension_value(code, _EXTRACT)]
    chosen = marked or definition.get("code", [])
    return [{key: held for key, held in code.items() if key != "extension"} for code in chosen]


def _values(definition: Item, item: Item) -> Iterator[dict[str, Any]]:
    unit = unit_of(definition)
    for answer in answers(item):
        if (found := value_of(answer)) is not None:
            yield _value(*found, unit)


def _value(kind: str, value: Any, unit: dict[str, Any]) -> dict[str, Any]:
    if kind == "Coding":
        return {"valueCodeableConcept": {"coding": [value]}}
    if kind == "Decimal" or (kind == "Integer" and unit):
        return {"valueQuantity": {"value": value, **unit}}
    if kind not in _AS_IT_IS:
        text = f"Extraction: no Observation holds a value of type {kind}"
        raise FhirError(422, [error("not-supported", text, rule="observation-extract")])
    return {_AS_IT_IS[kind]: value}


def unit_of(definition: Item) -> dict[str, Any]:
    """Return what a question says of the unit of its numbers, as the parts of a Quantity."""
    unit = extension_value(definition, _UNIT)
    if unit is None:
        return {}
    named = {"unit": unit.get("display") or unit.get("code")}
    return named | {key: unit[key] for key in ("system", "code") if key in unit}

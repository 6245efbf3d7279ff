"""Observation-based extraction of SDC 4.0: one Observation for each answer of a marked item.

The mark (observationExtract) is inherited; `component` and `member` relate an item to the marked
item above it. https://hl7.org/fhir/uv/sdc/extraction.html#observation-based-extraction
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

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
from questionnaires.entries import Entry, entry
from questionnaires.expressions import Scope, of_item
from r4.issue import FhirError, error
from r4.json import Resource

_EXTRACT = SDC + "observationExtract"
_ENTRY = SDC + "observationExtractEntry"
_CATEGORY = SDC + "observation-extract-category"
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
class _Inherited:
    mark: Any = None
    categories: tuple[Any, ...] = ()

    def over(self, element: Resource | Item) -> "_Inherited":
        """Return what an element passes down: its own mark and categories before those above."""
        mark = extension_value(element, _EXTRACT)
        own = tuple(held["valueCodeableConcept"] for held in extensions(element, _CATEGORY))
        return _Inherited(self.mark if mark is None else mark, own or self.categories)


def observation_entries(scope: Scope, new_id: Callable[[], str]) -> list[Entry]:
    """Return the entries of the Observations that a response yields by the marks of its form.

    Raises FhirError (422) for an answer of a type that no Observation can hold.
    """
    form, response = scope.questionnaire, scope.response
    top = _Inherited().over(form)
    walk = _Walk(scope, new_id)
    entries: list[Entry] = []
    for definition, item in pairs(form.get("item", []), response.get("item", [])):
        entries += walk.entries(definition, item, top, None)
    return entries


@dataclass(frozen=True, slots=True)
class _Walk:
    scope: Scope
    new_id: Callable[[], str]

    def entries(
        self, definition: Item, item: Item, above: _Inherited, parent: Resource | None
    ) -> list[Entry]:
        """Return an item's entries and those below it; relates them to the parent Observation."""
        inherited = above.over(definition)
        coding = _codes(definition) if inherited.mark else []
        if not coding:
            return self._below(definition, item, inherited, parent)
        if parent is not None and inherited.mark == "component":
            components = parent.setdefault("component", [])
            components += [
                {"code": {"coding": coding}, **value} for value in _values(definition, item)
            ]
            return self._below(definition, item, inherited, parent)
        made = [self._observation(coding, inherited, value) for value in _values(definition, item)]
        is_panel = not made and definition["type"] == "group"
        if is_panel:
            made = [self._observation(coding, inherited, {})]
        lower = self._below(definition, item, inherited, made[0] if made else parent)
        if is_panel and not ({"component", "hasMember"} & made[0].keys()):
            return lower
        own = [self._entry(definition, item, observation) for observation in made]
        if parent is not None and inherited.mark == "member":
            members = parent.setdefault("hasMember", [])
            members += [{"reference": each["fullUrl"]} for each in own]
        return own + lower

    def _below(
        self, definition: Item, item: Item, above: _Inherited, parent: Resource | None
    ) -> list[Entry]:
        found: list[Entry] = []
        for child, child_item in below(definition, item):
            found += self.entries(child, child_item, above, parent)
        return found

    def _observation(
        self, coding: list[Any], inherited: _Inherited, value: dict[str, Any]
    ) -> Resource:
        response = self.scope.response
        authored = response.get("authored")
        made: Resource = {
            "resourceType": "Observation",
            "basedOn": response.get("basedOn"),
            "partOf": response.get("partOf"),
            "status": "final",
            "category": list(inherited.categories),
            "code": {"coding": coding},
            "subject": response.get("subject"),
            "encounter": response.get("encounter"),
            "effectiveDateTime": authored,
            "issued": authored,
            "performer": [response["author"]] if "author" in response else None,
            **value,
        }
        if "id" in response:
            made["derivedFrom"] = [{"reference": f"QuestionnaireResponse/{response['id']}"}]
        return {key: held for key, held in made.items() if held not in (None, [])}

    def _entry(self, definition: Item, item: Item, observation: Resource) -> Entry:
        details = next(extensions(definition, _ENTRY), {})
        return entry(observation, details, of_item(item), self.scope, self.new_id)


def _codes(definition: Item) -> list[dict[str, Any]]:
    marked = [code for code in definition.get("code", ()) if extension_value(code, _EXTRACT)]
    chosen = marked or definition.get("code", [])
    return [{key: held for key, held in code.items() if key != "extension"} for code in chosen]


def _values(definition: Item, item: Item) -> Iterator[dict[str, Any]]:
    unit = extension_value(definition, _UNIT)
    for answer in answers(item):
        if (found := value_of(answer)) is not None:
            yield _value(*found, unit)


def _value(kind: str, value: Any, unit: dict[str, Any] | None) -> dict[str, Any]:
    if kind == "Coding":
        return {"valueCodeableConcept": {"coding": [value]}}
    if kind == "Decimal" or (kind == "Integer" and unit is not None):
        return {"valueQuantity": {"value": value, **_unit(unit)}}
    if kind not in _AS_IT_IS:
        text = f"Extraction: no Observation holds a value of type {kind}"
        raise FhirError(422, [error("not-supported", text, rule="observation-extract")])
    return {_AS_IT_IS[kind]: value}


def _unit(unit: dict[str, Any] | None) -> dict[str, Any]:
    if unit is None:
        return {}
    named = {"unit": unit.get("display") or unit.get("code")}
    return named | {key: unit[key] for key in ("system", "code") if key in unit}

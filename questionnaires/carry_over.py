"""Carry over how a surgeon did the same operation before: technique, and nothing else.

https://csor.example/fhir/StructureDefinition/item-role
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from questionnaires.calculation import declared
from questionnaires.carried import Mark, carried, marked
from questionnaires.elements import Item, answers, extension_value, pairs, require_form
from questionnaires.expressions import Scope
from questionnaires.filling import Filling, Place
from r4.json import Resource
from terminology.systems import CSOR

ROLE = f"{CSOR}/StructureDefinition/item-role"


def carry_over(questionnaire: Resource, draft: Resource, earlier: Resource) -> Resource:
    """Return a draft whose empty questions about technique are answered as in an earlier note.

    earlier: another response to the form, as it is stored. Each answer that is carried over is
    marked at the root of the draft, with where it comes from. A question that is disabled, that
    repeats with its group, or whose role is any other stays as it is; so does what is answered.
    Raises FhirError (422) where either is no response to the form.
    """
    require_form(draft, questionnaire)
    require_form(earlier, questionnaire)
    given = dict(_single(questionnaire.get("item", []), earlier.get("item", [])))
    filled = deepcopy(draft)
    scope = Scope(questionnaire, filled)
    filling = Filling(declared, _silent)
    taken: dict[int, str] = {}
    for place in filling.places(scope):
        link_id = place.definition["linkId"]
        if link_id in given and _is_asked(place):
            place.item["answer"] = [_answer(each) for each in given[link_id]]
            taken[id(place.item)] = link_id
    filling.tidy(scope)
    there = set(_identities(filled))
    kept = [link_id for key, link_id in taken.items() if key in there]
    source = {"reference": f"QuestionnaireResponse/{earlier['id']}"}
    marks = [each for each in carried(draft) if each.link_id not in kept]
    return marked(filled, [*marks, *(Mark(link_id, source) for link_id in kept)])


def _is_asked(place: Place) -> bool:
    """Tell whether a question is about technique, is empty, and stands once in a note."""
    repeats = any(definition.get("repeats") for definition, _ in place.above)
    role = extension_value(place.definition, ROLE)
    return role == "technique" and not repeats and not answers(place.item)


def _single(definitions: list[Item], items: list[Item]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the answers of each question of an earlier note that stands there once."""
    for definition, item in pairs(definitions, items):
        if definition["type"] != "group":
            if found := answers(item):
                yield definition["linkId"], found
        elif definition.get("repeats"):
            continue
        for holder in (item, *item.get("answer", ())):
            yield from _single(definition.get("item", []), holder.get("item", []))


def _answer(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without the questions below it: each has a role of its own."""
    return {key: deepcopy(value) for key, value in answer.items() if key != "item"}


def _identities(container: dict[str, Any]) -> Iterator[int]:
    for item in container.get("item", ()):
        yield id(item)
        for holder in (item, *item.get("answer", ())):
            yield from _identities(holder)


def _silent(*_: Any) -> None:
    """Leave out what an expression that fails does not enable."""

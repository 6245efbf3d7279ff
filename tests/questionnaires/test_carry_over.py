"""Carry-over: the technique of the last note and nothing else of it, marked until it is confirmed."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from questionnaires import carry_over, forms
from questionnaires.carried import Mark, carried, marked
from questionnaires.elements import extension_value
from r4.issue import FhirError
from r4.json import Resource
from tests.questionnaires.support import NOTE, SURVEY, answered, example, find, form, without

ROLE = "https://csor.example/fhir/StructureDefinition/item-role"
NOTES = sorted(url.rpartition("/")[2] for url, each in forms().items() if each.get("code"))
SOURCE = {"reference": "QuestionnaireResponse/earlier"}


def earlier(case: str = "soave-laparoscopic", form_id: str = NOTE) -> Resource:
    return {**example(form_id, case), "id": "earlier", "status": "completed"}


def empty(form_id: str = NOTE) -> Resource:
    """A draft with nothing answered."""
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": f"{form(form_id)['url']}|{form(form_id)['version']}",
        "status": "in-progress",
        "subject": {"reference": "Patient/another"},
    }


def questions(definitions: list[Any], *, repeats: bool = False) -> Iterator[tuple[Any, bool]]:
    for each in definitions:
        yield each, repeats
        yield from questions(each.get("item", []), repeats=repeats or bool(each.get("repeats")))


def link_ids(response: Resource) -> set[str]:
    """The questions of a response that are answered."""
    found: set[str] = set()

    def walk(items: list[Any]) -> None:
        for item in items:
            if item.get("answer"):
                found.add(item["linkId"])
            for holder in (item, *item.get("answer", ())):
                walk(holder.get("item", []))

    walk(response.get("item", []))
    return found


@pytest.mark.parametrize("form_id", NOTES)
def test_only_technique_is_carried_over_of_any_note(form_id: str) -> None:
    by_id = {each["linkId"]: each for each, _ in questions(form(form_id)["item"])}
    found = carry_over(form(form_id), empty(form_id), earlier("typical", form_id))
    taken = link_ids(found)
    assert taken, "a note has a technique"
    assert {extension_value(by_id[each], ROLE) for each in taken} == {"technique"}
    assert {mark.link_id for mark in carried(found)} == taken


def test_each_answer_says_which_note_it_comes_from() -> None:
    found = carry_over(form(NOTE), empty(), earlier())
    assert {tuple(mark.source.items()) for mark in carried(found)} == {tuple(SOURCE.items())}
    assert find(found, "approach")["answer"] == find(earlier(), "approach")["answer"]


def test_what_is_answered_already_stays_and_is_not_marked() -> None:
    chosen = {
        "valueCoding": {**find(earlier(), "approach")["answer"][0]["valueCoding"], "code": "open"}
    }
    draft = answered(earlier(), "approach", chosen)
    found = carry_over(form(NOTE), without(draft, "anaesthesia-type"), earlier())
    assert find(found, "approach")["answer"] == [chosen]
    assert [mark.link_id for mark in carried(found)] == ["anaesthesia-type"]


def test_a_question_that_is_not_asked_is_not_answered() -> None:
    system = find(earlier(), "approach")["answer"][0]["valueCoding"]["system"]
    other = {"valueCoding": {"system": system, "code": "not-measured"}}
    draft = answered(without(earlier(), "dissection-start-cm"), "dissection-start", other)
    found = carry_over(form(NOTE), draft, earlier())
    assert find(earlier(), "dissection-start-cm")["answer"]
    assert find(found, "dissection-start-cm") == {}


def test_carried_over_twice_it_is_the_same() -> None:
    once = carry_over(form(NOTE), empty(), earlier())
    assert carry_over(form(NOTE), once, earlier()) == once


def test_marks_stand_beside_other_extensions_and_are_taken_away_alone() -> None:
    other = {"url": "https://example.org/other", "valueString": "x"}
    response = {**empty(), "extension": [other]}
    held = marked(response, [Mark("approach", SOURCE)])
    assert carried(held) == [Mark("approach", SOURCE)]
    assert marked(held, []) == response
    assert "extension" not in marked(marked(empty(), [Mark("approach", SOURCE)]), [])


def test_nothing_given_is_changed() -> None:
    draft, note = empty(), earlier()
    before = deepcopy((draft, note))
    carry_over(form(NOTE), draft, note)
    assert (draft, note) == before


def test_a_note_on_another_form_is_refused() -> None:
    survey = {**example(SURVEY, "stoma"), "id": "earlier"}
    for draft, note in ((empty(), survey), (survey, earlier())):
        with pytest.raises(FhirError) as refused:
            carry_over(form(NOTE), draft, note)
        assert refused.value.status == 422

"""What a form calculates of the answers: only where nobody has answered, and only what it can."""

from copy import deepcopy
from typing import Any

import pytest

from questionnaires.calculation import calculated
from r4.json import Resource
from tests.questionnaires.support import NOTE, SURVEY, example, form

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
VARIABLE = "http://hl7.org/fhir/StructureDefinition/variable"


def question(link_id: str, calculation: str | None = None, **more: Any) -> Resource:
    value = {"language": "text/fhirpath", "expression": calculation}
    held = [{"url": SDC + "calculatedExpression", "valueExpression": value}]
    extension = {} if calculation is None else {"extension": held}
    return {"linkId": link_id, "type": "integer", **extension, **more}


def variable(name: str, link_id: str) -> Resource:
    path = f"%resource.descendants().where(linkId='{link_id}').answer.value"
    value = {"name": name, "language": "text/fhirpath", "expression": path}
    return {"url": VARIABLE, "valueExpression": value}


A, B, C = (variable(name, name) for name in "abc")


def made(*items: Resource) -> Resource:
    url = "https://example.org/form"
    return {
        "resourceType": "Questionnaire",
        "url": url,
        "extension": [A, B, C],
        "item": list(items),
    }


def given(**answers: int) -> Resource:
    items = [{"linkId": name, "answer": [{"valueInteger": of}]} for name, of in answers.items()]
    return {"resourceType": "QuestionnaireResponse", "status": "in-progress", "item": items}


def found(response: Resource) -> dict[str, int]:
    return {item["linkId"]: item["answer"][0]["valueInteger"] for item in response.get("item", ())}


def test_an_empty_question_is_calculated_in_its_place_in_the_form() -> None:
    questionnaire = made(question("b", "%a + 1"), question("a"))
    assert list(found(calculated(questionnaire, given(a=1))).items()) == [("b", 2), ("a", 1)]


def test_a_chain_is_calculated_to_its_end_whatever_the_order() -> None:
    questionnaire = made(
        question("c", "iif(%b.exists(), %b * 10, 0)"), question("b", "%a + 1"), question("a")
    )
    assert found(calculated(questionnaire, given(a=1))) == {"c": 20, "b": 2, "a": 1}


def test_an_answer_that_was_given_stays_and_the_response_handed_in_is_not_changed() -> None:
    questionnaire = made(question("a"), question("b", "%a + 1"))
    response = given(a=1, b=99)
    before = deepcopy(response)
    assert calculated(questionnaire, response) == before
    assert response == before


@pytest.mark.parametrize(
    "calculation", ["%nobody", "a..b", "'text'", "%a | (%a + 1)", "{}", "%a / 0"]
)
def test_what_cannot_be_calculated_stays_empty(calculation: str) -> None:
    questionnaire = made(question("a"), question("b", calculation))
    assert found(calculated(questionnaire, given(a=1))) == {"a": 1}


def test_two_that_calculate_each_other_anew_for_ever_both_stay_empty() -> None:
    questionnaire = made(
        question("a"), question("b", "iif(%c.exists(), %c + 1, 0)"), question("c", "%b + 1")
    )
    assert found(calculated(questionnaire, given(a=1))) == {"a": 1}


def test_a_disabled_question_is_not_calculated() -> None:
    when = {"question": "a", "operator": ">"}
    questionnaire = made(
        question("a"),
        question("b", "%a + 1", enableWhen=[{**when, "answerInteger": 5}]),
        question("c", "%a + 1", enableWhen=[{**when, "answerInteger": 0}]),
    )
    assert found(calculated(questionnaire, given(a=1))) == {"a": 1, "c": 2}


def test_each_repetition_of_a_group_is_calculated_by_itself() -> None:
    inner = {"url": VARIABLE, "valueExpression": {
        "name": "own", "language": "text/fhirpath", "expression": "item.where(linkId='x').answer.value"
    }}  # fmt: skip
    group = {
        "linkId": "g", "type": "group", "repeats": True, "extension": [inner],
        "item": [question("x"), question("y", "%own * 2")],
    }  # fmt: skip
    response = {
        "resourceType": "QuestionnaireResponse",
        "item": [
            {"linkId": "g", "item": [{"linkId": "x", "answer": [{"valueInteger": number}]}]}
            for number in (1, 2)
        ],
    }
    answers = [found(group) for group in calculated(made(group), response)["item"]]
    assert answers == [{"x": 1, "y": 2}, {"x": 2, "y": 4}]
    assert "item" not in calculated(made(group), {"resourceType": "QuestionnaireResponse"})


@pytest.mark.parametrize(
    ("form_id", "case"), [(NOTE, "soave-laparoscopic"), (SURVEY, "continent-child")]
)
def test_a_complete_response_is_returned_as_it_is(form_id: str, case: str) -> None:
    assert calculated(form(form_id), example(form_id, case)) == example(form_id, case)

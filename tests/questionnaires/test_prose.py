"""A response as people read it."""

from decimal import Decimal
from typing import Any

import pytest

from questionnaires import narrative
from tests.questionnaires.support import NOTE, example, form


def shown(question: dict[str, Any], **answer: Any) -> str:
    questionnaire = {"resourceType": "Questionnaire", "item": [
        {"linkId": "q", "text": "Question", **question}]}  # fmt: skip
    response = {"resourceType": "QuestionnaireResponse", "item": [
        {"linkId": "q", "answer": [answer]}]}  # fmt: skip
    text = narrative(questionnaire, response)
    start, end = "<th>Question</th><td>", "</td>"
    assert start in text
    return text.partition(start)[2].partition(end)[0]


UNIT = {"url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unit",
        "valueCoding": {"code": "mL"}}  # fmt: skip


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ({"type": "boolean"}, {"valueBoolean": False}, "No"),
        ({"type": "date"}, {"valueDate": "2026-11"}, "Nov 2026"),
        ({"type": "dateTime"}, {"valueDateTime": "2026-03-04T09:05:00Z"}, "4 Mar 2026, 09:05 UTC"),
        (
            {"type": "dateTime"},
            {"valueDateTime": "2026-07-04T09:05:00+01:00"},
            "4 Jul 2026, 09:05 UTC+1",
        ),
        (
            {"type": "dateTime"},
            {"valueDateTime": "2026-07-04T09:05:00-03:30"},
            "4 Jul 2026, 09:05 UTC-3:30",
        ),
        ({"type": "decimal"}, {"valueDecimal": Decimal("1.50")}, "1.50"),
        ({"type": "integer", "extension": [UNIT]}, {"valueInteger": 0}, "0 mL"),
        ({"type": "quantity"}, {"valueQuantity": {"value": 2, "unit": "kg"}}, "2 kg"),
        ({"type": "choice"}, {"valueCoding": {"code": "a", "display": "A & B"}}, "A &amp; B"),
        ({"type": "text"}, {"valueString": "<b>\nx"}, "&lt;b&gt;<br/>x"),
        ({"type": "reference"}, {"valueReference": {"display": "Demo"}}, "Demo"),
    ],
)
def test_each_kind_of_answer(
    question: dict[str, Any], answer: dict[str, Any], expected: str
) -> None:
    assert shown(question, **answer) == expected


def test_an_options_text_is_the_forms_and_not_the_responses() -> None:
    option = {"valueCoding": {"system": "s", "code": "none", "display": "None"}}
    answer = {"system": "s", "code": "none", "display": "Severe bleeding"}
    assert shown({"type": "choice", "answerOption": [option]}, valueCoding=answer) == "None"


def test_questions_without_an_answer_are_left_out() -> None:
    text = narrative(form(NOTE), example(NOTE, "soave-laparoscopic"))
    assert "Antibiotic prophylaxis" in text
    assert "CHI number" not in text
    assert text.count("<h4>Frozen section</h4>") == 2


def test_a_response_without_answers_says_so() -> None:
    text = narrative(form(NOTE), {"resourceType": "QuestionnaireResponse"})
    assert text == '<div xmlns="http://www.w3.org/1999/xhtml"><p>No answers.</p></div>'

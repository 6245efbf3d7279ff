"""What a response may be: as a draft, and when it is completed."""

from typing import Any

import pytest

from questionnaires import check
from r4.issue import Issue
from r4.json import Resource
from terminology import Terminology
from tests.questionnaires.support import NOTE, SURVEY, answered, example, find, form, without

TERMINOLOGY = Terminology.of([])
ENABLE_WHEN = (
    "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression"
)


def issues(response: Resource, form_id: str = NOTE, *, strict: bool = True) -> list[Issue]:
    """Check against a form, without the warning that the form is a draft."""
    found = check(form(form_id), response, TERMINOLOGY, strict=strict)
    return [issue for issue in found if issue.rule != "questionnaireDraft"]


def rules(found: list[Issue]) -> list[str | None]:
    return [issue.rule for issue in found]


def made(*items: dict[str, Any], **of_the_form: Any) -> Resource:
    """Return a small form of the given items."""
    return {"resourceType": "Questionnaire", "url": "https://example.org/form",
            "status": "active", "item": list(items), **of_the_form}  # fmt: skip


def given(*items: dict[str, Any]) -> Resource:
    """Return a response to the small form."""
    return {"resourceType": "QuestionnaireResponse", "questionnaire": "https://example.org/form",
            "status": "completed", "item": list(items)}  # fmt: skip


def question(link_id: str, type: str = "string", **more: Any) -> dict[str, Any]:
    return {"linkId": link_id, "type": type, **more}


def answer(link_id: str, **values: Any) -> dict[str, Any]:
    return {"linkId": link_id, "answer": [{key: value} for key, value in values.items()]}


@pytest.mark.parametrize("case", ["soave-laparoscopic", "duhamel-open-complication"])
def test_the_example_notes_are_complete(case: str) -> None:
    assert issues(example(NOTE, case)) == []


@pytest.mark.parametrize("case", ["continent-child", "soiling-every-day", "stoma", "not-known"])
def test_the_example_surveys_are_complete(case: str) -> None:
    assert issues(example(SURVEY, case), SURVEY) == []


@pytest.mark.parametrize(
    ("start", "end", "rule"),
    [
        ("2026-07-09T09:12:00+01:00", "2026-07-09T09:00:00Z", []),
        ("2026-07-09T09:12:00Z", "2026-07-09T09:30:00+01:00", ["ends-after-start"]),
        ("2026-07-09T09:12:00Z", "2026-07-09", []),
    ],
)
def test_an_operation_does_not_end_before_it_starts(start: str, end: str, rule: list[str]) -> None:
    note = answered(
        example(NOTE, "soave-laparoscopic"), "operation-start", {"valueDateTime": start}
    )
    note = answered(note, "operation-end", {"valueDateTime": end})
    assert rules(issues(note)) == rule


def test_a_survey_of_a_younger_child_ends_after_the_first_question() -> None:
    survey = example(SURVEY, "stoma")
    about = find(survey, "about")
    system = find(about, "child-age")["answer"][0]["valueCoding"]["system"]
    younger = answered(survey, "child-age", {"valueCoding": {"system": system, "code": "no"}})
    assert set(rules(issues(younger, SURVEY))) == {"disabled"}
    assert issues({**younger, "item": younger["item"][:1]}, SURVEY) == []


def test_a_completed_note_without_blood_loss_is_refused_and_a_draft_is_not() -> None:
    note = without(example(NOTE, "soave-laparoscopic"), "blood-loss-ml")
    assert set(rules(issues(note))) == {"required"}
    assert issues(note, strict=False) == []


def test_a_question_that_other_answers_rule_out_must_not_be_answered() -> None:
    note = example(NOTE, "soave-laparoscopic")
    operation = find(note, "operation")
    operation["item"].append(answer("opcs-code-other", valueString="H33.4"))
    assert rules(issues(note)) == ["disabled"]
    assert [issue.severity for issue in issues(note, strict=False)] == ["warning"]


def test_none_excludes_other_complications() -> None:
    note = example(NOTE, "soave-laparoscopic")
    none = find(note, "complications")["answer"][0]
    system = none["valueCoding"]["system"]
    bleeding = {"valueCoding": {"system": system, "code": "bleeding"}}
    assert rules(issues(answered(note, "complications", none, bleeding)))[0] == (
        "exclusiveAnswerOption"
    )


def test_the_nhs_number_is_checked_by_the_form_itself() -> None:
    note = {**example(NOTE, "soave-laparoscopic"), "subject": {"reference": "Patient/demo-child"}}
    [found] = issues(answered(note, "nhs-number", {"valueString": "9990000019"}))
    assert (found.rule, found.severity) == ("nhs-number-check", "error")
    assert found.expression == "QuestionnaireResponse.item[0].item[0]"


def test_a_child_without_any_number_is_refused() -> None:
    note = without(example(NOTE, "duhamel-open-complication"), "hospital-number")
    assert rules(issues(note)) == ["patient-identified"]


@pytest.mark.parametrize("number", ["9990000026", None])
def test_the_number_given_is_that_of_the_child_whom_the_note_is_about(number: str | None) -> None:
    note = example(NOTE, "soave-laparoscopic")
    if number is None:
        note = without(note, "nhs-number")
    else:
        note = answered(note, "nhs-number", {"valueString": number})
    assert rules(issues(note)) == ["same-nhs-number"]


@pytest.mark.parametrize("character", ["\x07", "\x0b", "\ufffe"])
def test_an_answer_that_the_document_could_not_hold_is_named(character: str) -> None:
    note = example(NOTE, "soave-laparoscopic")
    note = answered(note, "findings", {"valueString": f"Good{character}perfusion"})
    [found] = issues(note)
    assert (found.rule, found.code) == ("character", "value")
    assert f"findings: the character U+{ord(character):04X}" in found.diagnostics
    fine = answered(note, "findings", {"valueString": "Tab\tline\nŴyn 😀"})
    assert issues(fine) == []


def test_a_response_to_another_form_is_not_checked_item_by_item() -> None:
    note = example(NOTE, "soave-laparoscopic")
    [found] = check(form(SURVEY), note, TERMINOLOGY, strict=True)
    assert (found.rule, found.code) == ("questionnaireNotFound", "not-found")


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "enabled"),
    [
        ("=", {"answerInteger": 5}, {"valueInteger": 5}, True),
        ("=", {"answerInteger": 5}, {"valueInteger": 6}, False),
        ("!=", {"answerInteger": 5}, {"valueInteger": 6}, True),
        ("!=", {"answerInteger": 5}, None, False),
        (">", {"answerInteger": 5}, {"valueInteger": 6}, True),
        (">", {"answerInteger": 5}, {"valueInteger": 5}, False),
        (">=", {"answerInteger": 5}, {"valueInteger": 5}, True),
        ("<", {"answerDate": "2026-01-01"}, {"valueDate": "2025-12"}, True),
        ("<=", {"answerDate": "2026-01-01"}, {"valueDate": "2026-01-01"}, True),
        ("<=", {"answerDate": "2026-01-01"}, {"valueDate": "2026-01-02"}, False),
        ("exists", {"answerBoolean": True}, {"valueInteger": 1}, True),
        ("exists", {"answerBoolean": False}, {"valueInteger": 1}, False),
        ("exists", {"answerBoolean": False}, None, True),
        ("=", {"answerCoding": {"system": "s", "code": "a"}},
         {"valueCoding": {"system": "s", "code": "a", "display": "A"}}, True),
        ("=", {"answerQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "m"}},
         {"valueQuantity": {"value": 100, "system": "http://unitsofmeasure.org", "code": "cm"}},
         True),
    ],
)  # fmt: skip
def test_each_operator_of_enable_when(
    operator: str, wanted: dict[str, Any], value: dict[str, Any] | None, enabled: bool
) -> None:
    (kind,) = (wanted if value is None else value).keys()
    type = {"Integer": "integer", "Date": "date", "Coding": "choice", "Quantity": "quantity"}[
        kind.removeprefix("value").removeprefix("answer") if value else "Integer"
    ]
    condition = {"question": "first", "operator": operator, **wanted}
    questionnaire = made(
        question("first", type), question("second", required=True, enableWhen=[condition])
    )
    response = given() if value is None else given({"linkId": "first", "answer": [value]})
    found = check(questionnaire, response, TERMINOLOGY, strict=True)
    assert rules(found) == (["required"] if enabled else [])


@pytest.mark.parametrize(("behaviour", "enabled"), [("all", False), ("any", True)])
def test_conditions_are_joined_as_the_form_says(behaviour: str, enabled: bool) -> None:
    conditions = [
        {"question": "first", "operator": "=", "answerBoolean": value} for value in (True, False)
    ]
    questionnaire = made(
        question("first", "boolean"),
        question("second", required=True, enableWhen=conditions, enableBehavior=behaviour),
    )
    found = check(
        questionnaire, given(answer("first", valueBoolean=True)), TERMINOLOGY, strict=True
    )
    assert rules(found) == (["required"] if enabled else [])


def test_each_repetition_of_a_group_is_asked_by_its_own_answers() -> None:
    condition = {"question": "used", "operator": "=", "answerBoolean": True}
    questionnaire = made(
        question("implant", "group", repeats=True, item=[
            question("used", "boolean"),
            question("serial", required=True, enableWhen=[condition]),
        ])
    )  # fmt: skip
    groups = [
        {"linkId": "implant", "item": [answer("used", valueBoolean=used)]} for used in (False, True)
    ]
    [found] = check(questionnaire, given(*groups), TERMINOLOGY, strict=True)
    assert (found.rule, found.expression) == ("required", "QuestionnaireResponse.item[1]")


def test_an_expression_can_enable_an_item_and_see_the_forms_variables() -> None:
    variable = {
        "url": "http://hl7.org/fhir/StructureDefinition/variable",
        "valueExpression": {"name": "loss", "language": "text/fhirpath",
                            "expression": "item.where(linkId='ml').answer.value"},
    }  # fmt: skip
    enabled = {
        "url": ENABLE_WHEN,
        "valueExpression": {"language": "text/fhirpath", "expression": "%loss > 100"},
    }
    questionnaire = made(
        question("ml", "integer"),
        question("why", required=True, extension=[enabled]),
        extension=[variable],
    )
    for loss, expected in ((50, []), (150, ["required"])):
        response = given(answer("ml", valueInteger=loss))
        assert rules(check(questionnaire, response, TERMINOLOGY, strict=True)) == expected


def test_items_inside_answers_have_their_place_named() -> None:
    questionnaire = made(question("a", item=[question("b", maxLength=2)]))
    nested = {"valueString": "x", "item": [answer("b", valueString="long")]}
    [found] = check(
        questionnaire, given({"linkId": "a", "answer": [nested]}), TERMINOLOGY, strict=True
    )
    assert found.rule == "maxLength"
    assert found.expression == "QuestionnaireResponse.item[0].answer[0].item[0].answer[0]"


def test_an_answer_is_looked_for_in_a_contained_value_set() -> None:
    value_set = {"resourceType": "ValueSet", "id": "sides", "status": "active", "compose": {
        "include": [{"system": "https://example.org/s", "concept": [{"code": "left"}]}]}}  # fmt: skip
    questionnaire = made(question("side", "choice", answerValueSet="#sides"), contained=[value_set])
    for code, expected in (("left", []), ("up", ["invalidCoding"])):
        response = given(
            answer("side", valueCoding={"system": "https://example.org/s", "code": code})
        )
        assert rules(check(questionnaire, response, TERMINOLOGY, strict=True)) == expected


def test_an_item_that_the_question_holds_outside_its_answer_is_refused_even_in_a_draft() -> None:
    questionnaire = made(question("a", item=[question("b")]))
    response = given({"linkId": "a", "item": [answer("b", valueString="x")]})
    [found] = check(questionnaire, response, TERMINOLOGY, strict=False)
    assert (found.rule, found.severity) == ("questionShouldNotHaveItems", "fatal")


def test_a_form_whose_expression_cannot_be_read_says_so_instead_of_raising() -> None:
    enabled = {"url": ENABLE_WHEN, "valueExpression": {
        "language": "text/fhirpath", "expression": "item.where("}}  # fmt: skip
    questionnaire = made(question("a", extension=[enabled]))
    [found] = check(questionnaire, given(answer("a", valueString="x")), TERMINOLOGY, strict=True)
    assert (found.severity, found.code) == ("error", "invalid")


def test_a_pattern_that_cannot_be_read_is_a_warning() -> None:
    pattern = {"url": "http://hl7.org/fhir/StructureDefinition/regex", "valueString": "("}
    questionnaire = made(question("a", extension=[pattern]))
    [found] = check(questionnaire, given(answer("a", valueString="x")), TERMINOLOGY, strict=True)
    assert (found.severity, found.rule) == ("warning", "invariantExecution")

"""Forms are filled from their own definition: what is asked is answered, nothing else is."""

import json
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from fhir_server.simulate import tables
from fhir_server.simulate.events import LONDON, Event
from fhir_server.simulate.forms import Form, codings, fill, value_set_urls
from fhir_server.simulate.responses import NOTE, SURVEY, signing, survey
from questionnaires import check
from terminology import Terminology
from tests.simulate.conftest import Stories

RTH = next(each for each in tables.hospitals() if each.ods == "RTH")
GLASGOW = next(each for each in tables.hospitals() if each.ods == "G513H")


def fixed() -> Random:
    return Random("any")  # noqa: S311 - answers are drawn, secrets are not


def form(*items: dict[str, Any]) -> Form:
    return Form({"id": "any", "url": "https://example.org/any", "item": list(items)})


def filled(*items: dict[str, Any]) -> dict[str, Any]:
    return answered(fill(form(*items), {}, fixed()))


def answered(items: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        for answer in item.get("answer", []):
            found[item["linkId"]] = next(iter(answer.values()))
            found |= answered(answer.get("item", []))
        found |= answered(item.get("item", []))
    return found


def choice(link: str, *codes: str, **more: Any) -> dict[str, Any]:
    options = [{"valueCoding": {"system": "s", "code": code}} for code in codes]
    return {"linkId": link, "type": "choice", "required": True, "answerOption": options, **more}


@pytest.mark.parametrize(
    ("operator", "expected", "asked"),
    [
        ("=", {"answerCoding": {"system": "s", "code": "yes"}}, True),
        ("=", {"answerCoding": {"system": "s", "code": "no"}}, False),
        ("!=", {"answerCoding": {"system": "s", "code": "no"}}, True),
        ("exists", {"answerBoolean": True}, True),
        ("exists", {"answerBoolean": False}, False),
    ],
)
def test_a_question_is_asked_when_its_condition_holds(
    operator: str, expected: dict[str, Any], asked: bool
) -> None:
    condition = {"question": "first", "operator": operator, **expected}
    found = filled(choice("first", "yes"), choice("second", "a", enableWhen=[condition]))
    assert ("second" in found) == asked


@pytest.mark.parametrize(
    ("operator", "asked"), [(">", False), (">=", True), ("<", False), ("<=", True)]
)
def test_numbers_are_compared(operator: str, asked: bool) -> None:
    first = {"linkId": "first", "type": "integer", "initial": [{"valueInteger": 5}]}
    condition = {"question": "first", "operator": operator, "answerInteger": 5}
    assert ("second" in filled(first, choice("second", "a", enableWhen=[condition]))) == asked


@pytest.mark.parametrize(("behaviour", "asked"), [("any", True), ("all", False)])
def test_conditions_are_joined_as_the_form_says(behaviour: str, asked: bool) -> None:
    conditions = [
        {"question": "first", "operator": "=", "answerCoding": {"system": "s", "code": code}}
        for code in ("yes", "no")
    ]
    second = choice("second", "a", enableWhen=conditions, enableBehavior=behaviour)
    assert ("second" in filled(choice("first", "yes"), second)) == asked


def test_an_unanswered_question_enables_nothing_but_its_absence() -> None:
    first = {"linkId": "first", "type": "string"}
    equal = {"question": "first", "operator": "!=", "answerString": "a"}
    absent = {"question": "first", "operator": "exists", "answerBoolean": False}
    found = filled(
        first, choice("equal", "a", enableWhen=[equal]), choice("absent", "a", enableWhen=[absent])
    )
    assert set(found) == {"absent"}


def test_every_required_type_gets_an_answer_of_its_type() -> None:
    kinds = ("boolean", "decimal", "integer", "string", "text", "quantity")
    unit = {
        "url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unit",
        "valueCoding": {"system": "http://unitsofmeasure.org", "code": "cm"},
    }
    items = [
        {"linkId": kind, "type": kind, "required": True, "extension": [unit]} for kind in kinds
    ]
    found = filled(*items)
    assert isinstance(found["decimal"], Decimal)
    assert isinstance(found["boolean"], bool)
    assert found["quantity"]["code"] == "cm"
    assert set(found) == set(kinds)


def test_value_sets_are_found_and_read() -> None:
    inner = {"linkId": "b", "type": "choice", "answerValueSet": "#local"}
    questionnaire = {"item": [{"linkId": "a", "type": "group", "item": [inner]}]}
    assert value_set_urls(questionnaire) == {"#local"}
    composed = {"compose": {"include": [{"system": "s", "concept": [{"code": "x"}]}]}}
    expanded = {"expansion": {"contains": [{"system": "s", "code": "x", "display": "X"}]}}
    assert codings(composed) == [{"system": "s", "code": "x"}]
    assert codings(expanded) == [{"system": "s", "code": "x", "display": "X"}]
    listed = {**inner, "required": True}
    filled_in = fill(
        Form({"id": "any", "item": [listed]}, {"#local": codings(composed)}), {}, fixed()
    )
    assert answered(filled_in) == {"b": {"system": "s", "code": "x"}}


def events(stories: Stories, kind: str) -> list[Event]:
    found = (event for told in stories.values() for event in told if event.kind == kind)
    return [event for event, _ in zip(found, range(150), strict=False)]


def test_a_note_tells_the_childs_story(stories: Stories, forms: dict[str, Form]) -> None:
    for event in events(stories, "note"):
        parameters = signing(RTH, event, forms[NOTE])["parameter"]
        response = parameters[0]["resource"]
        found = answered(response["item"])
        assert found["nhs-number"] == event.person.number
        assert found["opcs-code"]["code"] == event.operations[0].code.code
        assert found["operation-start"] == event.operations[0].at.isoformat()
        assert (found["stage"]["code"] == "staged") == (found["previous-stoma"]["code"] != "none")
        assert ("previous-stoma-closed" in found) == (found["stage"]["code"] == "staged")
        assert ("complications-detail" in found) == (found["complications"]["code"] != "none")
        assert parameters[1]["valueReference"]["reference"].endswith(f"|{event.surgeon.gmc}")
        assert parameters[2]["valueReference"]["reference"].endswith("|RTH")


def test_in_glasgow_a_note_carries_the_chi_number(stories: Stories, forms: dict[str, Form]) -> None:
    response = survey(GLASGOW, events(stories, "note")[0], forms[NOTE])
    assert "chi-number|999" in response["subject"]["reference"]
    found = answered(response["item"])
    assert "nhs-number" not in found
    assert found["chi-number"].startswith("999")


def test_a_survey_tells_what_is_true_at_five(stories: Stories, forms: dict[str, Form]) -> None:
    words = {"none": "soiling-none", "grade-1": "soiling-weekly"}
    unknown = ("dont-know", "prefer-not-to-say")
    for event in events(stories, "survey"):
        found = answered(survey(RTH, event, forms[SURVEY])["item"])
        stoma = found["stoma-now"]["code"]
        if stoma not in unknown:
            assert (stoma == "yes") == event.facts["permanent-stoma"]
            assert ("soiling" in found) == (stoma == "no")
        grade = event.facts["faecal-incontinence"]
        if grade in words and found["soiling"]["code"] not in unknown:
            assert found["soiling"]["code"] == words[grade]


def test_responses_pass_the_registrys_own_check(stories: Stories, forms: dict[str, Form]) -> None:
    terminology = Terminology.load()
    for kind, name in (("note", NOTE), ("survey", SURVEY)):
        for event in events(stories, kind):
            response = survey(RTH, event, forms[name])
            issues = check(forms[name].questionnaire, response, terminology, strict=True)
            assert [issue for issue in issues if issue.is_error] == []


def test_every_rule_names_a_question_of_its_form(forms: dict[str, Form]) -> None:
    for row in tables.rows("answers.csv"):
        assert f'"linkId": "{row["item"]}"' in json.dumps(forms[row["form"]].questionnaire)


def test_a_date_question_is_answered_with_the_day_of_a_moment() -> None:
    at = datetime(2018, 3, 6, 10, 28, tzinfo=LONDON)
    questionnaire = json.loads(
        json.dumps(
            {"id": NOTE, "url": "u", "item": [{"linkId": "operation-start", "type": "date"}]}
        )
    )
    found = answered(fill(Form(questionnaire), {"operation-start": at}, fixed()))
    assert found == {"operation-start": "2018-03-06"}

"""Whether an answer is one of those that a form offers: right, wrong, or not to be told here."""

from typing import Any

import pytest

from questionnaires import check
from r4.issue import Issue
from r4.json import Resource
from terminology import Terminology
from terminology.systems import OPCS_4, SNOMED_CT, UCUM
from tests.terminology.fictitious import TREE, including, loaded_service, service, value_set

ALIAS = "http://fhir.hl7.org.uk/CodeSystem/OPCS-4"
LEFT = value_set("left", including(SNOMED_CT, ("concept", "is-a", "10")))
EVERY = value_set("every", {"system": SNOMED_CT})
UNITS = value_set("units", {"system": UCUM})
LOADED, UNLOADED = loaded_service(LEFT, EVERY, UNITS), service(LEFT, EVERY, UNITS)
RIGHT: list[Any] = []
UNTOLD, WRONG = [("warning", "tsError")], [("error", "invalidCoding")]


def answered(value: Resource, terminology: Terminology, **item: Any) -> list[Issue]:
    """Check one answer, a value[x], to a question."""
    form = {
        "resourceType": "Questionnaire",
        "url": "https://example.org/form",
        "status": "active",
        "contained": item.pop("contained", []),
        "item": [{"linkId": "a", "type": "choice", **item}],
    }
    response = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": form["url"],
        "status": "completed",
        "item": [{"linkId": "a", "answer": [value]}],
    }
    return check(form, response, terminology, strict=True)


def found(issues: list[Issue]) -> list[tuple[str, str | None]]:
    return [(issue.severity, issue.rule) for issue in issues]


def coding(code: str, system: str = SNOMED_CT, **more: str) -> Resource:
    return {"valueCoding": {"system": system, "code": code, **more}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (coding("100"), RIGHT),
        (coding("100", display="left small thing"), RIGHT),
        (coding("100", display="Right small thing"), WRONG),
        (coding("110"), WRONG),
        (coding("555"), WRONG),
        ({"valueCoding": {"display": "Left small thing"}}, WRONG),
    ],
)
def test_an_answer_is_held_to_a_value_set_over_a_loaded_system(
    value: Resource, expected: list[Any]
) -> None:
    assert found(answered(value, LOADED, answerValueSet=LEFT["url"])) == expected


def test_what_cannot_be_told_is_a_warning_that_names_what_to_load() -> None:
    for code in ("100", "110"):
        [issue] = answered(coding(code), UNLOADED, answerValueSet=LEFT["url"])
        assert found([issue]) == UNTOLD
        assert "load-terminology snomed" in issue.diagnostics
        assert issue.expression == "QuestionnaireResponse.item[0].answer[0]"
    [issue] = answered(coding("100"), LOADED, answerValueSet="https://example.org/none")
    assert found([issue]) == UNTOLD
    assert "https://example.org/none" in issue.diagnostics


def test_a_code_that_is_no_longer_active_is_a_warning() -> None:
    [issue] = answered(coding("999"), LOADED, answerValueSet=EVERY["url"])
    assert found([issue]) == [("warning", "code-inactive")]


@pytest.mark.parametrize(
    ("include", "terminology", "expected"),
    [
        ({"system": SNOMED_CT, "concept": [{"code": "100"}]}, UNLOADED, RIGHT),
        ({"system": SNOMED_CT, "concept": [{"code": "110"}]}, UNLOADED, WRONG),
        (including(SNOMED_CT, ("concept", "is-a", "10")), LOADED, RIGHT),
        (including(SNOMED_CT, ("concept", "is-a", "10")), UNLOADED, UNTOLD),
        (including(SNOMED_CT, ("concept", "is-a", "11")), LOADED, WRONG),
        ({"system": TREE["url"]}, LOADED, WRONG),
    ],
)
def test_a_contained_value_set_is_one_like_any_other(
    include: Resource, terminology: Terminology, expected: list[Any]
) -> None:
    contained = {**value_set("contained", include), "id": "v"}
    given = answered(coding("100"), terminology, contained=[contained], answerValueSet="#v")
    assert found(given) == expected
    assert found(answered(coding("100"), terminology, answerValueSet="#v")) == UNTOLD


def test_an_option_is_the_same_under_another_spelling_of_its_system() -> None:
    for offered, sent in ((OPCS_4, ALIAS), (ALIAS, OPCS_4)):
        options = [{"valueCoding": {"system": offered, "code": "A01.1"}}]
        assert answered(coding("A01.1", sent), UNLOADED, answerOption=options) == []
        wrong = answered(coding("A01.2", sent), UNLOADED, answerOption=options)
        assert found(wrong) == [("error", "invalidAnswerOption")]


@pytest.mark.parametrize(("code", "rules"), [("kg", []), ("kilogram", ["invalidUnitValueSet"])])
def test_a_unit_is_one_of_the_units_of_measure(code: str, rules: list[str]) -> None:
    url = "http://hl7.org/fhir/StructureDefinition/questionnaire-unitValueSet"
    extension = [{"url": url, "valueCanonical": UNITS["url"]}]
    value = {"valueQuantity": {"value": 1, "system": UCUM, "code": code, "unit": "Kilo"}}
    issues = answered(value, UNLOADED, type="quantity", extension=extension)
    assert [issue.rule for issue in issues] == rules

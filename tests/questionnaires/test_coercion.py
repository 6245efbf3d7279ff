"""Which values of an expression answer a question of each type, and which are refused."""

from decimal import Decimal
from typing import Any

import pytest

from questionnaires.coercion import coerced
from questionnaires.expressions import Focus
from r4.issue import FhirError
from r4.json import Resource

UCUM = "http://unitsofmeasure.org"
UNIT = {
    "url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unit",
    "valueCoding": {"system": UCUM, "code": "mL", "display": "ml"},
}
LEFT = {"system": "https://example.org/s", "code": "l", "display": "Left"}
RIGHT = {"system": "https://example.org/s", "code": "r", "display": "Right"}
SIDES = [{"valueCoding": LEFT}, {"valueCoding": RIGHT}]
PDF = {"contentType": "application/pdf", "data": "AA=="}
LITRE = {"value": Decimal("0.5"), "system": UCUM, "code": "L"}


def answers(type: str, *found: Any, **more: Any) -> list[Resource]:
    definition = {"linkId": "q", "type": type, **more}
    return coerced(definition, [Focus(value) for value in found], {"resourceType": "Questionnaire"})


@pytest.mark.parametrize(
    ("type", "value", "expected"),
    [
        ("boolean", False, {"valueBoolean": False}),
        ("decimal", Decimal("1.50"), {"valueDecimal": Decimal("1.50")}),
        ("integer", Decimal("2.0"), {"valueInteger": 2}),
        ("date", "2026-11-23T23:30:00+00:00", {"valueDate": "2026-11-23"}),
        ("date", "2026-11", {"valueDate": "2026-11"}),
        ("dateTime", "2026-11-23", {"valueDateTime": "2026-11-23"}),
        ("time", "10:00:00", {"valueTime": "10:00:00"}),
        ("string", " a ", {"valueString": "a"}),
        ("url", "urn:x:y", {"valueUri": "urn:x:y"}),
        ("reference", {"resourceType": "Device", "id": "d"}, {"valueReference": {"reference": "Device/d"}}),
        ("reference", {"reference": "Device/d"}, {"valueReference": {"reference": "Device/d"}}),
        ("attachment", {"resourceType": "Binary", "id": "b", **PDF}, {"valueAttachment": PDF}),
        (
            "attachment",
            {"resourceType": "DocumentReference", "content": [{"attachment": PDF}]},
            {"valueAttachment": PDF},
        ),
        ("choice", LEFT, {"valueCoding": LEFT}),
        ("open-choice", {"coding": [LEFT]}, {"valueCoding": LEFT}),
        ("open-choice", "own words", {"valueString": "own words"}),
    ],
)  # fmt: skip
def test_a_value_of_the_type_answers(type: str, value: Any, expected: Resource) -> None:
    assert answers(type, value) == [expected]


@pytest.mark.parametrize(
    ("type", "value"),
    [
        ("boolean", "true"), ("decimal", True), ("decimal", "1"), ("decimal", LITRE),
        ("integer", Decimal("1.5")), ("date", "yesterday"), ("dateTime", "2026-02-30"),
        ("time", "25:00:00"), ("string", 1), ("string", LEFT), ("url", LEFT),
        ("reference", {"resourceType": "Device"}), ("reference", "Device/d"),
        ("attachment", {"resourceType": "Binary", "id": "b"}), ("quantity", 3), ("choice", "l"),
        ("choice", True), ("question", "a"),
    ],
)  # fmt: skip
def test_any_other_value_is_refused(type: str, value: Any) -> None:
    with pytest.raises(FhirError):
        answers(type, value)


def test_a_measurement_is_a_number_in_the_unit_of_the_question() -> None:
    held = {"extension": [UNIT]}
    assert answers("integer", LITRE, **held) == [{"valueInteger": 500}]
    assert answers("decimal", LITRE, **held) == [{"valueDecimal": Decimal(500)}]
    assert answers("quantity", 3, **held) == [
        {"valueQuantity": {"value": 3, "unit": "ml", "system": UCUM, "code": "mL"}}
    ]
    for refused in ({**LITRE, "comparator": ">"}, {**LITRE, "code": "kg"}):
        with pytest.raises(FhirError):
            answers("decimal", refused, **held)


def test_an_option_answers_in_the_words_of_the_form() -> None:
    without_display = {"system": LEFT["system"], "code": "l"}
    local = {"system": "https://example.org/local", "code": "77"}
    for value in (without_display, "l", {"coding": [local, without_display]}):
        assert answers("choice", value, answerOption=SIDES) == [{"valueCoding": LEFT}]
    for refused in ({**LEFT, "code": "x"}, "x", {"coding": [local]}, {"coding": [LEFT, RIGHT]}):
        with pytest.raises(FhirError):
            answers("choice", refused, answerOption=SIDES)
    assert answers("choice", 2, answerOption=[{"valueInteger": 2}]) == [{"valueInteger": 2}]


def test_a_concept_that_is_not_offered_is_its_text_where_own_words_are_allowed() -> None:
    concept = {"coding": [{"system": "https://example.org/local", "code": "77"}], "text": "askew"}
    assert answers("open-choice", concept, answerOption=SIDES) == [{"valueString": "askew"}]


def test_several_values_answer_only_what_repeats_and_equal_ones_are_one() -> None:
    assert answers("string", "a", "b", "a", repeats=True) == [
        {"valueString": "a"},
        {"valueString": "b"},
    ]
    assert answers("string", "a", "a", "") == [{"valueString": "a"}]
    with pytest.raises(FhirError, match="2 values"):
        answers("string", "a", "b")

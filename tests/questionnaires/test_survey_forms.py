"""The parent surveys ask the same topics in the same words, and let every parent pass every question."""

from collections.abc import Iterator
from typing import Any

import pytest

from questionnaires import check, forms, forms_with, module, submit
from questionnaires.calculation import calculated
from questionnaires.reference import ITEM_SOURCE
from r4.issue import FhirError
from r4.json import Resource
from terminology import Terminology
from terminology.systems import CSOR
from tests.questionnaires.support import find, ids, items, questions

CODES = f"{CSOR}/CodeSystem/parent-survey"
SLOT = f"{CSOR}/Questionnaire/survey-quality-of-life"
TOPICS = {
    url.rpartition("parent-survey-")[2]: form
    for url, form in forms().items()
    if "/parent-survey-" in url and not url.endswith("-5-years")
}
WITH_STOMA = {"hirschsprung", "gastroschisis", "necrotising-enterocolitis"}
each_survey = pytest.mark.parametrize("survey", TOPICS.values(), ids=TOPICS)


def answered(survey: Resource, chosen: dict[str, Any]) -> Resource:
    """Return a response: what is chosen by linkId, else the last option offered."""

    def item(asked: dict[str, Any]) -> dict[str, Any] | None:
        if asked["type"] == "display" or asked.get("readOnly"):
            return None
        if asked["type"] == "group":
            inner = [each for each in map(item, asked["item"]) if each]
            return {"linkId": asked["linkId"], "item": inner} if inner else None
        value = chosen.get(asked["linkId"], default(asked, chosen))
        if value is None:
            return None
        listed = value if isinstance(value, list) else [value]
        return {"linkId": asked["linkId"], "answer": [*map(as_answer, listed)]}

    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": f"{survey['url']}|{survey['version']}",
        "status": "completed",
        "subject": {"reference": "Patient/1"},
        "author": {"reference": "RelatedPerson/1"},
        "authored": "2026-11-23T20:15:00Z",
        "item": [each for each in map(item, survey["item"]) if each],
    }


def default(asked: dict[str, Any], chosen: dict[str, Any]) -> str | None:
    conditions = asked.get("enableWhen", ())
    opened = all(chosen.get(c["question"]) == c["answerCoding"]["code"] for c in conditions)
    if asked["type"] != "choice" or not opened:
        return None
    return str(asked["answerOption"][-1]["valueCoding"]["code"])


def as_answer(value: Any) -> dict[str, Any]:
    if isinstance(value, int):
        return {"valueInteger": value}
    if value in {each["code"] for each in codes()}:
        return {"valueCoding": {"system": CODES, "code": value}}
    return {"valueString": value}


def codes() -> Iterator[dict[str, Any]]:
    for survey in forms().values():
        for item in items(survey):
            for option in item.get("answerOption", ()):
                if option["valueCoding"]["system"] == CODES:
                    yield option["valueCoding"]


def wrong(survey: Resource, response: Resource) -> list[str]:
    found = check(survey, response, Terminology.load(), strict=True)
    return [each.diagnostics for each in found if each.is_error]


MOST: dict[str, Any] = {
    "child-status": "go-on", "symptoms-now": ["tummy-pain", "something-else"],
    "symptoms-words": "He is tired.", "feeding-drip": "yes", "stoma-now": "yes",
    "hospital-nights": "yes", "hospital-stays": 2, "infection-in-hospital": "yes",
    "infection-times": 1, "infection-related": "yes", "operation-elsewhere": "yes",
    "operation-elsewhere-words": "In another town.", "comments": "Thank you.",
}  # fmt: skip


def test_there_is_a_survey_for_each_of_the_six_conditions() -> None:
    assert len(TOPICS) == 6
    asks = {name for name, form in TOPICS.items() if "stoma" in [i["linkId"] for i in form["item"]]}
    assert asks == WITH_STOMA


@each_survey
def test_a_screen_is_one_topic(survey: Resource) -> None:
    for page in survey["item"]:
        controls = [e["valueCodeableConcept"] for e in page["extension"] if "Control" in e["url"]]
        assert [each["coding"][0]["code"] for each in controls] == ["page"]
        assert len([each for each in page["item"] if each["type"] != "display"]) <= 5


@each_survey
def test_whoever_has_nothing_to_say_can_hand_it_in(survey: Resource) -> None:
    skipped = answered(survey, {"child-status": "go-on"})
    assert {a["valueCoding"]["code"] for i in items(skipped) for a in i.get("answer", ())} == {
        "go-on", "prefer-not-to-say",
    }  # fmt: skip
    assert wrong(survey, skipped) == []


@each_survey
def test_everything_that_is_asked_can_be_answered(survey: Resource) -> None:
    response = answered(survey, MOST)
    asked = {i["linkId"] for i in questions(survey) if not i.get("readOnly")}
    assert {i["linkId"] for i in items(response) if "answer" in i} == asked
    assert wrong(survey, response) == []


@each_survey
@pytest.mark.parametrize("status", ["child-died", "not-now"])
def test_one_answer_ends_the_survey(survey: Resource, status: str) -> None:
    first = survey["item"][0]
    assert first["item"][1]["linkId"] == "child-status"
    alone = answered(survey, {"child-status": status})
    alone["item"] = alone["item"][:1]
    assert wrong(survey, alone) == []
    assert wrong(survey, answered(survey, {**MOST, "child-status": status}))


@each_survey
def test_what_is_left_out_or_contradicts_itself_is_said(survey: Resource) -> None:
    whole = answered(survey, MOST)
    assert wrong(survey, {**whole, "item": whole["item"][:2]})
    assert wrong(survey, answered(survey, {**MOST, "symptoms-now": ["none", "something-else"]}))
    assert wrong(survey, answered(survey, {**MOST, "hospital-stays": 0}))


@each_survey
def test_nothing_is_concluded_from_the_answers(survey: Resource) -> None:
    bundle = submit(survey, answered(survey, MOST), now="2026-11-23T20:15:00Z", new_id=ids())
    kinds = [each["resource"]["resourceType"] for each in bundle["entry"]]
    assert kinds == ["QuestionnaireResponse", "Provenance"]


@each_survey
def test_no_question_claims_to_be_reviewed(survey: Resource) -> None:
    for item in questions(survey):
        source = next(e for e in item["extension"] if e["url"] == ITEM_SOURCE)
        said = {part["url"]: part.get("valueCode") for part in source["extension"]}
        assert said["status"] == "to-be-reviewed", item["linkId"]


class TestSlot:
    survey = TOPICS["gastroschisis"]

    def test_the_placeholder_says_in_every_text_that_it_is_one(self) -> None:
        page = find(self.survey, "quality")
        assert "placeholder" in page["text"]
        assert all(each["text"].startswith("Placeholder") for each in page["item"])

    @pytest.mark.parametrize(
        ("given", "score"),
        [
            (("never", "sometimes", "often", "always"), [{"valueInteger": 6}]),
            (("always", "always", "always", "always"), [{"valueInteger": 12}]),
            (("always", "always", "always", "prefer-not-to-say"), None),
        ],
    )
    def test_it_is_scored_by_the_form_itself(self, given: tuple[str, ...], score: Any) -> None:
        chosen = {f"quality-{number}": code for number, code in enumerate(given, 1)}
        response = answered(self.survey, {**MOST, **chosen})
        found = [
            i for i in items(calculated(self.survey, response)) if i["linkId"] == "quality-score"
        ]
        assert [each["answer"] for each in found] == ([score] if score else [])

    def test_the_operators_module_takes_its_place_everywhere(self) -> None:
        ours = module(SLOT)
        assert ours is not None
        asked = {"linkId": "licensed-1", "text": "Licensed question", "type": "boolean"}
        theirs = {**ours, "version": "7.0.0", "item": [{**ours["item"][0], "item": [asked]}]}
        found = forms_with(theirs)
        assert found.keys() == forms().keys()
        for name in TOPICS:
            survey = found[f"{CSOR}/Questionnaire/parent-survey-{name}"]
            texts = [item.get("text", "") for item in items(survey)]
            assert "Licensed question" in texts
            assert not [text for text in texts if text.startswith("Placeholder")]
        notes = {url: form for url, form in forms().items() if "operative-note" in url}
        assert {url: found[url] for url in notes} == notes

    def test_one_whose_questions_clash_with_ours_does_not_fit(self) -> None:
        ours = module(SLOT)
        assert ours is not None
        clashing = {"linkId": "feeding", "text": "Again", "type": "boolean"}
        with pytest.raises(FhirError, match="feeding"):
            forms_with({**ours, "item": [clashing]})

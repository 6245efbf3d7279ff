"""A translation swaps what people read and nothing else, lacks nothing, and says who has reviewed it."""

from collections.abc import Iterator
from typing import Any

import pytest

from questionnaires import forms
from questionnaires.letters import KINDS, letter
from questionnaires.translation import in_language, languages, note, translated, translation
from tests.questionnaires.support import items

SURVEYS = {
    url.rpartition("/")[2]: form for url, form in forms().items() if "/parent-survey-" in url
}
OTHERS = [each for each in languages() if each != "en"]
DRAFTED = {"cy"}
"""Languages that a machine has drafted and nobody has reviewed."""


def texts(node: Any) -> Iterator[str]:
    """Yield what people read of a survey."""
    yield node["title"]
    for item in items(node):
        if "text" in item:
            yield item["text"]
        for option in item.get("answerOption", ()):
            yield option["valueCoding"]["display"]


def unread(node: Any) -> Any:
    """Return a form without the texts that people read."""
    if isinstance(node, list):
        return [unread(each) for each in node]
    if not isinstance(node, dict):
        return node
    left = ("text", "display", "title", "language")
    return {name: unread(value) for name, value in node.items() if name not in left}


def test_english_and_welsh_are_there() -> None:
    assert languages() == ("en", "cy")
    assert set(OTHERS) == DRAFTED


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_has_a_translation_and_every_translation_a_text(language: str) -> None:
    asked = {text for survey in SURVEYS.values() for text in texts(survey)}
    known = translation(language)
    assert asked - known.keys() == set()
    assert known.keys() - asked == set()
    assert all(text.strip() for text in known.values())


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("survey", SURVEYS.values(), ids=SURVEYS)
def test_only_what_people_read_is_swapped(survey: dict[str, Any], language: str) -> None:
    made = translated(survey, translation(language), language)
    assert made["language"] == language
    assert made != survey
    assert unread(made) == unread(survey)
    same = set(texts(made)) & set(texts(survey))
    assert same <= {"Stoma"}  # the same word in both


def test_expressions_and_codes_are_kept_even_where_they_look_like_a_text() -> None:
    form = {
        "resourceType": "Questionnaire",
        "item": [
            {
                "linkId": "Yes",
                "text": "Yes",
                "enableWhen": [
                    {"question": "Yes", "answerCoding": {"code": "Yes", "display": "Yes"}}
                ],
                "extension": [{"url": "Yes", "valueExpression": {"expression": "Yes"}}],
                "answerOption": [{"valueCoding": {"code": "Yes", "display": "Yes"}}],
            }
        ],
    }
    [made] = translated(form, {"Yes": "Ydy"}, "cy")["item"]
    assert made == {
        **form["item"][0],  # type: ignore[index]
        "text": "Ydy",
        "answerOption": [{"valueCoding": {"code": "Yes", "display": "Ydy"}}],
    }


@pytest.mark.parametrize("language", sorted(DRAFTED))
def test_a_draft_says_that_it_is_one_wherever_it_is_read(language: str) -> None:
    said = note(language)
    assert said is not None
    assert "not reviewed" in said
    for survey in SURVEYS.values():
        assert in_language(survey, language)["item"][0]["text"].startswith(said)
    for kind in KINDS:
        made = letter(kind, language, "2026-12-31").text
        assert said in made
        assert made.count("{link}") == 1
        assert "31/12/2026" in made


@pytest.mark.parametrize("language", ["en", "fr", "letters.cy", "../cy", ""])
def test_what_there_is_not_is_english(language: str) -> None:
    for survey in SURVEYS.values():
        assert in_language(survey, language) == survey

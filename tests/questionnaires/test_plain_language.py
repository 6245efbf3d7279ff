"""What a parent reads is plain: a formula holds each text to a reading age; only parents can judge it.

Flesch and Kincaid's grade (Naval Technical Training Command, 1975): 0.39 words a sentence, plus 11.8
syllables a word, less 15.59. A child of nine is in the American grade 4. Syllables are counted by groups of
vowels, which is an indication. All questions of a survey count together (answers are single words, which
would hide them), and no sentence is long.
"""

import re
from functools import cache

import pytest

from questionnaires import forms
from questionnaires.letters import KINDS, letter
from r4.json import Resource
from tests.questionnaires.support import items

GRADE = 4.9
LONGEST = 25
"""Words of a sentence."""
EXCEPTED = {
    "hirschsprung", "gastroschisis", "necrotising", "enterocolitis", "oesophageal", "atresia", "congenital",
    "diaphragmatic", "hernia", "posterior", "urethral", "valves", "placeholder",
}  # fmt: skip
"""Names of conditions, and a word that no parent is to read: they count as words of one syllable."""
HARD = {"hospital", "operation", "catheter", "stoma", "enema", "enemas", "washouts", "infection"}
"""Words that a family meets every day, as words of two syllables."""
SURVEYS = {
    url.rpartition("/")[2]: form for url, form in forms().items() if "/parent-survey-" in url
}


def shown(survey: Resource) -> list[str]:
    """Return the questions that a parent reads, and what is said beside them."""
    return [item["text"] for item in items(survey) if item["type"] != "group"]


def answers(survey: Resource) -> list[str]:
    options = (option for item in items(survey) for option in item.get("answerOption", ()))
    return [option["valueCoding"]["display"] for option in options]


def letters() -> list[str]:
    return [letter(kind, "en", "2026-12-31").text.replace("{link}", "") for kind in KINDS]


def sentences(texts: list[str]) -> list[list[str]]:
    found = (part for text in texts for part in re.split(r"[.!?:]+(?:\s|$)|\n\n", text))
    words = (re.findall(r"[a-z]+(?:['’][a-z]+)?", part.lower()) for part in found)
    return [each for each in words if each]


@cache
def syllables(word: str) -> int:
    if word in EXCEPTED:
        return 1
    if word in HARD:
        return 2
    word = re.sub(r"(?<=[^aeiouyl])e(?:s|d)?$|(?<=[^td])ed$|['’]s$", "", word)
    return max(1, len(re.findall(r"[aeiouy]+", word)))


def grade(texts: list[str]) -> float:
    found = sentences(texts)
    words = [word for sentence in found for word in sentence]
    spoken = sum(map(syllables, words))
    return 0.39 * len(words) / len(found) + 11.8 * spoken / len(words) - 15.59


@pytest.mark.parametrize("survey", SURVEYS.values(), ids=SURVEYS)
def test_a_survey_reads_as_for_a_child_of_nine(survey: Resource) -> None:
    assert grade(shown(survey)) <= GRADE


def test_the_letters_read_as_for_a_child_of_nine() -> None:
    assert grade(letters()) <= GRADE


@pytest.mark.parametrize("survey", SURVEYS.values(), ids=SURVEYS)
def test_no_sentence_is_long(survey: Resource) -> None:
    assert [
        each
        for each in sentences(shown(survey) + answers(survey) + letters())
        if len(each) > LONGEST
    ] == []


def test_the_formula_tells_plain_from_hard() -> None:
    plain = ["The cat sat on the mat.", "We went to the park and then came home."]
    hard = [
        "Subsequent hospitalisation necessitated parenteral administration of antimicrobial agents "
        "notwithstanding considerable deterioration."
    ]
    assert grade(plain) < 2
    assert grade(hard) > 15

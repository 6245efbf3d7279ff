"""What holds for every form that the registry carries, and what the operative note must ask for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from profiles.validate import validate
from questionnaires import forms
from questionnaires.reference import ITEM_SOURCE, page
from r4.json import Resource
from terminology import Terminology
from terminology.systems import LOINC
from tests.profiles.unloaded import beyond
from tests.questionnaires.support import NOTE, form

FORMS = [pytest.param(questionnaire, id=url.rpartition("/")[2])
         for url, questionnaire in forms().items()]  # fmt: skip

# RCS England, Good Surgical Practice (2014) 1.3, as quoted in published audits; the signature is the
# attester of the signed Composition (test_signing).
RCS_ENGLAND = {
    "date and time",
    "elective or emergency",
    "operating surgeon",
    "assistant",
    "theatre anaesthetist",
    "procedure",
    "incision",
    "operative diagnosis",
    "operative findings",
    "problems and complications",
    "extra procedures and why",
    "tissue removed, added or altered",
    "prosthesis or implant with serial number",
    "closure technique",
    "anticipated blood loss",
    "antibiotic prophylaxis",
    "DVT prophylaxis",
    "detailed post-operative instructions",
}

# C-CDA Operative Note (HL7/CDA-ccda): its required sections.
C_CDA_REQUIRED = {
    "59774-0",
    "55109-3",
    "10219-4",
    "59770-8",
    "59776-5",
    "59773-2",
    "29554-3",
    "10218-6",
}


def items(container: Resource) -> Iterator[dict[str, Any]]:
    for item in container.get("item", ()):
        yield item
        yield from items(item)


def questions(questionnaire: Resource) -> list[dict[str, Any]]:
    return [item for item in items(questionnaire) if item["type"] not in ("group", "display")]


def source_of(item: dict[str, Any]) -> dict[str, Any]:
    for extension in item.get("extension", ()):
        if extension["url"] == ITEM_SOURCE:
            return {part["url"]: part.get("valueString") or part["valueCode"]
                    for part in extension["extension"]}  # fmt: skip
    return {}


@pytest.mark.parametrize("questionnaire", FORMS)
def test_a_form_is_valid_fhir(questionnaire: Resource) -> None:
    assert beyond(validate(questionnaire, Terminology.load())) == []


@pytest.mark.parametrize("questionnaire", FORMS)
def test_link_ids_are_unique_and_conditions_name_existing_questions(
    questionnaire: Resource,
) -> None:
    link_ids = [item["linkId"] for item in items(questionnaire)]
    assert len(link_ids) == len(set(link_ids))
    asked = {
        condition["question"]
        for item in items(questionnaire)
        for condition in item.get("enableWhen", ())
    }
    assert asked <= set(link_ids)


@pytest.mark.parametrize("questionnaire", FORMS)
def test_every_question_names_its_source_and_whether_it_was_verified(
    questionnaire: Resource,
) -> None:
    for item in questions(questionnaire):
        assert source_of(item)["status"] in ("verified", "to-be-reviewed"), item["linkId"]
        assert source_of(item)["source"], item["linkId"]


@pytest.mark.parametrize("questionnaire", FORMS)
def test_every_answer_offered_is_a_code_of_its_system(questionnaire: Resource) -> None:
    terminology = Terminology.load()
    for item in questions(questionnaire):
        for option in item.get("answerOption", ()):
            coding = option["valueCoding"]
            held = terminology.validate_in_system(coding["system"], coding["code"])
            # OPCS-4 and SNOMED CT are not held here; what is held must know the code.
            assert held is not False, coding


@pytest.mark.parametrize("questionnaire", FORMS)
def test_no_answer_is_filled_in_beforehand(questionnaire: Resource) -> None:
    for item in questions(questionnaire):
        assert "initial" not in item, item["linkId"]
        assert not any(option.get("initialSelected") for option in item.get("answerOption", ()))


def test_the_note_covers_what_rcs_england_asks_for_and_requires_it() -> None:
    required = {
        source_of(item).get("requirement")
        for item in questions(form(NOTE))
        if item.get("required") and "enableWhen" not in item
    }
    assert required >= RCS_ENGLAND


def test_the_notes_sections_have_the_codes_of_the_c_cda_operative_note() -> None:
    codes = {
        code["code"]
        for group in form(NOTE)["item"]
        for code in group.get("code", ())
        if code["system"] == LOINC
    }
    assert codes >= C_CDA_REQUIRED


@pytest.mark.parametrize(
    "link_id", ["complications", "implants", "tissue", "extra-procedures", "covering-stoma"]
)
def test_nothing_done_is_an_answer_of_its_own(link_id: str) -> None:
    item = next(item for item in items(form(NOTE)) if item["linkId"] == link_id)
    assert "none" in [option["valueCoding"]["code"] for option in item["answerOption"]]
    assert item["required"]


def test_a_parent_can_decline_or_not_know_every_outcome() -> None:
    survey = form("parent-survey-hirschsprung-5-years")
    outcomes = [item for item in questions(survey)
                if item["type"] == "choice" and item["linkId"] != "child-age"]  # fmt: skip
    assert len(outcomes) == 5
    for item in outcomes:
        codes = {option["valueCoding"]["code"] for option in item["answerOption"]}
        assert codes >= {"dont-know", "prefer-not-to-say"}, item["linkId"]


def test_the_reference_page_is_current() -> None:
    written = Path(__file__).parents[2] / "docs" / "operative-note.md"
    assert written.read_text(encoding="utf-8") == page(form(NOTE)), (
        "run `python -m questionnaires.reference > docs/operative-note.md`"
    )

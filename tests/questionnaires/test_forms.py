"""What holds for every form that the registry carries, and what the operative note must ask for."""

from pathlib import Path
from typing import Any

import pytest

from profiles.validate import validate
from questionnaires import forms
from questionnaires.reference import ITEM_ROLE, ITEM_SOURCE, notes, pages
from r4.json import Resource
from terminology import Terminology
from terminology.systems import LOINC
from tests.profiles.unloaded import beyond
from tests.questionnaires.support import find, form, items, questions

FORMS = [pytest.param(questionnaire, id=url.rpartition("/")[2])
         for url, questionnaire in forms().items()]  # fmt: skip
NOTES = [pytest.param(questionnaire, id=id) for id, questionnaire in notes().items()]
each_note = pytest.mark.parametrize("note", NOTES)

ROLES = {"technique", "finding", "complication", "count", "implant", "blood-loss", "other"}
ROLE_OF = {
    "counts": "count",
    "counts-detail": "count",
    "complications": "complication",
    "complications-detail": "complication",
    "blood-loss-ml": "blood-loss",
    "implants": "implant",
    "findings": "finding",
    "operative-diagnosis": "finding",
}
"""What is never offered as already answered, in every note."""

NOTHING_DONE = {
    "assistant": "none",
    "antibiotic-prophylaxis": "not-indicated",
    "vte-prophylaxis": "not-indicated",
    "extra-procedures": "none",
    "complications": "none",
    "tissue": "none",
    "implants": "none",
    "closure": "no-wound",
}
"""The answer that says so where a requirement is met by nothing done."""

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


def role_of(item: dict[str, Any]) -> str | None:
    found = [each["valueCode"] for each in item.get("extension", ()) if each["url"] == ITEM_ROLE]
    return found[0] if len(found) == 1 else None


@pytest.mark.parametrize("questionnaire", FORMS)
def test_only_a_technique_has_a_default(questionnaire: Resource) -> None:
    for item in questions(questionnaire):
        selected = any(option.get("initialSelected") for option in item.get("answerOption", ()))
        if "initial" in item or selected:
            assert role_of(item) == "technique", item["linkId"]


def test_a_default_is_what_a_published_consensus_names() -> None:
    defaults = {
        item["linkId"]: (option["valueCoding"]["code"], source_of(item)["status"])
        for item in questions(form("operative-note-oesophageal-atresia"))
        for option in item.get("answerOption", ())
        if option.get("initialSelected")
    }
    assert defaults == {
        "fistula-closure": ("transfixing-suture", "verified"),
        "anastomosis-sutures": ("interrupted", "verified"),
    }


@each_note
def test_every_question_of_a_note_has_a_role(note: Resource) -> None:
    roles = {item["linkId"]: role_of(item) for item in questions(note)}
    assert set(roles.values()) <= ROLES
    assert {link_id: roles[link_id] for link_id in ROLE_OF} == ROLE_OF


@each_note
def test_no_technique_names_a_side_for_a_side_is_the_childs(note: Resource) -> None:
    for item in questions(note):
        if role_of(item) == "technique":
            parts = [set(option["valueCoding"]["code"].split("-"))
                     for option in item.get("answerOption", ())]  # fmt: skip
            assert not set().union(*parts) & {"left", "right", "bilateral"}, item["linkId"]


@each_note
def test_a_note_covers_what_rcs_england_asks_for_and_requires_it(note: Resource) -> None:
    required = {
        source_of(item).get("requirement")
        for item in questions(note)
        if item.get("required") and "enableWhen" not in item
    }
    assert required >= RCS_ENGLAND


@each_note
def test_a_notes_sections_have_the_codes_of_the_c_cda_operative_note(note: Resource) -> None:
    codes = {
        code["code"]
        for group in note["item"]
        for code in group.get("code", ())
        if code["system"] == LOINC
    }
    assert codes >= C_CDA_REQUIRED


@each_note
@pytest.mark.parametrize(("link_id", "code"), NOTHING_DONE.items())
def test_nothing_done_is_an_answer_of_its_own(note: Resource, link_id: str, code: str) -> None:
    item = find(note, link_id)
    assert code in [option["valueCoding"]["code"] for option in item["answerOption"]]
    assert item["required"]


def test_a_parent_can_decline_or_not_know_every_outcome() -> None:
    survey = form("parent-survey-hirschsprung-5-years")
    outcomes = [item for item in questions(survey)
                if item["type"] == "choice" and item["linkId"] != "child-age"]  # fmt: skip
    assert len(outcomes) == 5
    for item in outcomes:
        codes = {option["valueCoding"]["code"] for option in item["answerOption"]}
        assert codes >= {"dont-know", "prefer-not-to-say"}, item["linkId"]


def test_the_reference_pages_are_current() -> None:
    folder = Path(__file__).parents[2] / "docs" / "operative-notes"
    written = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert written == dict(pages()), "run `python -m questionnaires.reference docs/operative-notes`"

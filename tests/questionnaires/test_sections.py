"""The sections that the operative notes share, and what the first note asked before it was cut."""

import pytest

from questionnaires.catalogue import artefacts, forms
from questionnaires.reference import ITEM_ROLE, ITEM_SOURCE, notes
from r4.artefacts import load
from r4.json import Resource
from terminology.systems import CSOR
from tests.questionnaires.support import NOTE, SDC, form, items, questions

FIRST_NOTE = {
    "": """
        patient:group operation:group anaesthesia:group preop-diagnosis-section:group
        safety:group findings-section:group operative-diagnosis-section:group description:group
        complications-section:group blood-loss-section:group specimens-section:group
        implants-section:group plan:group""",
    "patient": """
        nhs-number:string chi-number:string hospital-number:string hospital-ods-code:string""",
    "operation": """
        operation-start:dateTime operation-end:dateTime urgency surgeon:string
        surgeon-gmc-number:string assistant:open-choice pull-through-type
        pull-through-type-other:string opcs-code opcs-code-other:string approach stage
        previous-stoma previous-stoma-closed""",
    "anaesthesia": """
        anaesthetist:string anaesthesia-type anaesthesia-type-other:string asa""",
    "preop-diagnosis-section": """
        preop-diagnosis preop-diagnosis-other:string""",
    "safety": """
        consent consent-other:string who-checklist counts counts-detail:text
        antibiotic-prophylaxis antibiotic-detail:string vte-prophylaxis""",
    "findings-section": """
        findings:text frozen-section frozen-section-result:group""",
    "frozen-section-result": """
        frozen-section-site:string frozen-section-finding""",
    "operative-diagnosis-section": """
        operative-diagnosis operative-diagnosis-other:string extent:group""",
    "extent": """
        aganglionosis-level transition-zone""",
    "description": """
        incision incision-other:string dissection-start dissection-start-cm:decimal muscle-cuff
        cuff-split splenic-flexure length-resected-cm:decimal doughnut anastomosis
        anastomosis-height-cm:decimal covering-stoma extra-procedures
        extra-procedures-detail:text extra-procedures-reason:text closure closure-other:string
        narrative:text""",
    "complications-section": """
        complications complications-detail:text""",
    "blood-loss-section": """
        blood-loss-ml:integer""",
    "specimens-section": """
        tissue tissue-detail:text""",
    "implants-section": """
        implants implant:group""",
    "implant": """
        implant-description:string implant-serial-number:string""",
    "plan": """
        postop-instructions:text""",
}
"""By parent: the linkIds of the Hirschsprung note in its first, undivided form, with their types
where it is not choice. Answers are stored under them, so none may change."""

SECTIONS = [each for each in artefacts() if each["id"].startswith("section-")]
each_section = pytest.mark.parametrize("section", SECTIONS, ids=lambda each: each["id"])


def below(questionnaire: Resource) -> dict[str, list[str]]:
    """Return the linkIds below each parent, with the type of what is no choice."""
    found: dict[str, list[str]] = {}
    for parent in [{"linkId": "", **questionnaire}, *items(questionnaire)]:
        for item in parent.get("item", ()):
            kind = item["type"]
            name = item["linkId"] if kind == "choice" else f"{item['linkId']}:{kind}"
            found.setdefault(parent["linkId"], []).append(name)
    return found


def test_the_first_note_asks_what_it_asked_before_it_was_cut_and_nothing_new_that_is_required() -> (
    None
):
    asked = below(form(NOTE))
    first = {parent: names.split() for parent, names in FIRST_NOTE.items()}
    assert asked.keys() == first.keys()
    for parent, names in first.items():
        assert [name for name in asked[parent] if name in names] == names
    before = {name.partition(":")[0] for names in first.values() for name in names}
    added = [item for item in questions(form(NOTE)) if item["linkId"] not in before]
    assert [item["linkId"] for item in added if item.get("required")] == []


@each_section
def test_a_section_is_put_in_place_by_some_note_and_is_no_form(section: Resource) -> None:
    named = {
        extension["valueCanonical"]
        for root in load("questionnaires")
        for item in items(root)
        for extension in item.get("extension", ())
        if extension["url"] == SDC + "subQuestionnaire"
    }
    assert f"{section['url']}|{section['version']}" in named
    assert section["url"] not in forms()


@each_section
def test_every_question_of_a_section_has_a_source_and_a_role(section: Resource) -> None:
    for item in questions(section):
        urls = [extension["url"] for extension in item["extension"]]
        assert (urls.count(ITEM_SOURCE), urls.count(ITEM_ROLE)) == (1, 1), item["linkId"]


@each_section
def test_a_section_asks_the_same_in_every_note_that_uses_it(section: Resource) -> None:
    for note in notes().values():
        held = {item["linkId"]: item for item in items(note)}
        link_ids = [item["linkId"] for item in items(section)]
        if link_ids[0] in held and f"{section['url']}|0.1.0" in assembled_from(note):
            assert all(held[item["linkId"]] == item for item in items(section))


def assembled_from(note: Resource) -> list[str]:
    url = SDC + "assembledFrom"
    return [each["valueCanonical"] for each in note["extension"] if each["url"] == url]


def test_every_note_is_assembled_from_sections() -> None:
    for note in notes().values():
        sections = [
            each
            for each in assembled_from(note)
            if each.startswith(f"{CSOR}/Questionnaire/section-")
        ]
        assert len(sections) > 10, note["id"]

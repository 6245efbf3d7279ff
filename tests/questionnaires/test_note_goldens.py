"""The examples of every operative note: complete, extracted as written down, every branch taken."""

from pathlib import Path
from typing import Any

import pytest

from profiles.validate import validate
from questionnaires import check
from questionnaires.enablement import is_enabled
from questionnaires.expressions import Scope
from questionnaires.reference import notes
from r4.json import decode
from terminology import Terminology
from terminology.systems import CSOR
from tests.profiles.unloaded import beyond
from tests.questionnaires.goldens import extraction, golden, responses
from tests.questionnaires.support import EXAMPLES, by_type, example, find

TERMINOLOGY = Terminology.load()
OPCS_4, SNOMED_CT = "https://fhir.hl7.org.uk/CodeSystem/OPCS-4", "http://snomed.info/sct"
DIAGNOSES = f"{CSOR}/ValueSet/registry-diagnosis"
OPERATIONS = {
    "operative-note-appendicectomy": "appendicectomy-operation",
    "operative-note-diaphragmatic-hernia": "diaphragmatic-hernia-operation",
    "operative-note-gastroschisis": "gastroschisis-operation",
    "operative-note-hirschsprung": "hirschsprung-pull-through",
    "operative-note-necrotising-enterocolitis": "necrotising-enterocolitis-operation",
    "operative-note-oesophageal-atresia": "oesophageal-atresia-operation",
    "operative-note-orchidopexy": "orchidopexy-operation",
    "operative-note-posterior-urethral-valves": "urethral-valve-operation",
    "operative-note-testicular-torsion": "testicular-torsion-operation",
}
"""The value set that the codes of each note's operations are in."""

each_example = pytest.mark.parametrize(
    "path", list(responses()), ids=lambda path: f"{path.parent.name}-{path.stem.split('.')[0]}"
)
each_note = pytest.mark.parametrize("id", notes())


@each_note
def test_a_note_has_an_example_with_little_a_usual_one_and_one_of_the_branches(id: str) -> None:
    cases = {path.name.split(".")[0] for path in (EXAMPLES / id).glob("*.response.json")}
    assert {"minimal", "typical", "branches"} <= cases


@each_example
def test_an_example_can_be_signed(path: Path) -> None:
    response = decode(path.read_bytes())
    form = notes()[path.parent.name]
    found = check(form, response, TERMINOLOGY, strict=True)
    assert [issue for issue in found if issue.severity in ("error", "fatal")] == []


@each_example
def test_an_example_yields_its_golden_extraction_which_is_valid(path: Path) -> None:
    made = extraction(decode(path.read_bytes()))
    assert made == decode(golden(path).read_bytes()), "run `python -m tests.questionnaires.goldens`"
    assert [issue for issue in beyond(validate(made, TERMINOLOGY)) if issue.is_error] == []
    assert len(by_type(made, "Procedure")) == 1


@each_example
def test_every_code_that_an_example_yields_is_one_that_its_note_may_give(path: Path) -> None:
    response = decode(path.read_bytes())
    typed = {answer["valueString"] for link_id in ("opcs-code-other", "opcs-code")
             for answer in find(response, link_id).get("answer", ())
             if "valueString" in answer}  # fmt: skip
    operations = OPERATIONS.get(path.parent.name)
    made = extraction(response)
    for coding in codings(made):
        assert TERMINOLOGY.validate_in_system(coding["system"], coding["code"]) is not False, coding
    for coding in codings([each["code"] for each in by_type(made, "Procedure")]):
        if operations and coding["system"] in (OPCS_4, SNOMED_CT) and coding["code"] not in typed:
            assert TERMINOLOGY.check(f"{CSOR}/ValueSet/{operations}", coding).result, coding
    for coding in codings([each["code"] for each in by_type(made, "Condition")]):
        assert TERMINOLOGY.check(DIAGNOSES, coding).result, coding


@each_note
def test_every_branch_is_taken_and_not_taken(id: str) -> None:
    form = notes()[id]
    seen: dict[str, set[bool]] = {}
    for path in (EXAMPLES / id).glob("*.response.json"):
        response = decode(path.read_bytes())
        _branches(form["item"], (response,), Scope(form, response), seen)
    assert {link_id: taken for link_id, taken in seen.items() if taken != {True, False}} == {}
    assert len(seen) > 5


def _branches(
    definitions: list[dict[str, Any]],
    containers: tuple[dict[str, Any], ...],
    scope: Scope,
    seen: dict[str, set[bool]],
) -> None:
    for definition in definitions:
        link_id = definition["linkId"]
        if "enableWhen" in definition:
            seen.setdefault(link_id, set()).add(is_enabled(definition, containers, scope))
        held = [each for each in containers[-1].get("item", ()) if each["linkId"] == link_id]
        for item in held or [{"linkId": link_id}]:
            _branches(definition.get("item", []), (*containers, item), scope, seen)


def codings(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [coding for each in node for coding in codings(each)]
    if not isinstance(node, dict):
        return []
    own = [each for each in node.get("coding", ()) if isinstance(each, dict)]
    return own + [coding for value in node.values() for coding in codings(value)]


def test_a_fistula_without_atresia_and_a_single_perforation_open_no_case() -> None:
    atresia = example("operative-note-oesophageal-atresia", "branches")
    perforation = example("operative-note-necrotising-enterocolitis", "minimal")
    for response in (atresia, perforation):
        assert by_type(extraction(response), "EpisodeOfCare") == []


@pytest.mark.parametrize(
    ("case", "opened"), [("minimal", []), ("typical", ["gastroschisis"]),
                         ("branches", ["oesophageal-atresia"])],
)  # fmt: skip
def test_the_note_of_any_other_operation_opens_the_case_that_the_surgeon_names(
    case: str, opened: list[str]
) -> None:
    made = extraction(example("operative-note-generic", case))
    cases = by_type(made, "EpisodeOfCare")
    assert [coding["code"] for each in cases for coding in codings(each["type"])] == opened
    asked = [entry["request"].get("ifNoneExist", "").rpartition(".")[2] for entry in made["entry"]
             if entry["resource"]["resourceType"] in ("EpisodeOfCare", "Condition")]  # fmt: skip
    assert asked == opened * 2


@pytest.mark.parametrize(
    ("note", "case", "opened"),
    [
        ("testicular-torsion", "typical", ["suspected-torsion"]),
        ("orchidopexy", "bilateral-first-stage", ["undescended-testis"]),
        ("appendicectomy", "typical", ["suspected-appendicitis"]),
        ("appendicectomy", "abscess-drained", []),
    ],
)
def test_a_note_of_general_surgery_opens_a_case_where_its_condition_was_operated_on(
    note: str, case: str, opened: list[str]
) -> None:
    made = extraction(example(f"operative-note-{note}", case))
    cases = by_type(made, "EpisodeOfCare")
    assert [coding["code"] for each in cases for coding in codings(each["type"])] == opened
    assert by_type(made, "Condition") == [], "a suspicion is no diagnosis"


def test_the_note_of_a_torsion_dates_each_moment_from_which_a_clock_may_run() -> None:
    response = example("operative-note-testicular-torsion", "typical")
    asked = {
        id: find(response, id)["answer"][0]["valueDateTime"]
        for id in ("pain-onset", "first-arrival", "arrival-here", "decision-to-operate")
    }
    told = {
        each["code"]["coding"][0]["code"]: (each["effectiveDateTime"], each["valueDateTime"])
        for each in by_type(extraction(response), "Observation")
        if "valueDateTime" in each
    }
    assert told == {id: (moment, moment) for id, moment in asked.items()}


def test_the_note_of_an_orchidopexy_tells_of_each_testis_where_it_came_from() -> None:
    made = extraction(example("operative-note-orchidopexy", "bilateral-first-stage"))
    told = [
        (codings(each["component"])[1]["code"], codings(each["valueCodeableConcept"])[0]["code"])
        for each in by_type(made, "Observation")
        if codings(each["code"])[0]["code"] == "testis-origin"
    ]
    assert told == [("left", "congenital"), ("right", "congenital")]

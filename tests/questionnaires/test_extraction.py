"""What a response yields: by templates, and by marked items."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from questionnaires import extract
from r4.issue import FhirError
from r4.json import Resource, decode
from r4.reference import walk
from tests.questionnaires.support import (
    NOTE,
    SURVEY,
    answered,
    by_type,
    example,
    find,
    form,
    ids,
    of_the_guide,
    without,
)

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
CORE = "http://hl7.org/fhir/StructureDefinition/"


def extracted(response: Resource, form_id: str) -> Resource:
    return extract(form(form_id), response, new_id=ids())


def outcomes(response: Resource) -> dict[str, Any]:
    """Return the value of each outcome that a survey yields, by its code."""
    found = {}
    for observation in by_type(extracted(response, SURVEY), "Observation"):
        [value] = [value for key, value in observation.items() if key.startswith("value")]
        graded = value["coding"][0]["code"] if isinstance(value, dict) else value
        found[observation["code"]["coding"][0]["code"]] = graded
    return found


def codes(procedure: Resource) -> set[str]:
    return {coding["code"] for coding in procedure["code"]["coding"]}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("soave-laparoscopic", {"H41.4", "275014009", "soave"}),
        ("duhamel-open-complication", {"H33.4", "235366001", "duhamel"}),
    ],
)
def test_the_procedure_has_the_codes_that_the_surgeon_chose(case: str, expected: set[str]) -> None:
    [procedure] = by_type(extracted(example(NOTE, case), NOTE), "Procedure")
    assert codes(procedure) == expected


def test_a_technique_without_a_verified_snomed_code_has_its_opcs_code_and_its_name() -> None:
    note = example(NOTE, "soave-laparoscopic")
    system = find(note, "pull-through-type")["answer"][0]["valueCoding"]["system"]
    swenson = {"valueCoding": {"system": system, "code": "swenson", "display": "Swenson"}}
    [procedure] = by_type(
        extracted(answered(note, "pull-through-type", swenson), NOTE), "Procedure"
    )
    assert codes(procedure) == {"H41.4", "swenson"}


def test_the_note_opens_the_case_once_for_the_child() -> None:
    bundle = extracted(example(NOTE, "soave-laparoscopic"), NOTE)
    [case] = by_type(bundle, "EpisodeOfCare")
    asked = [entry["request"].get("ifNoneExist") for entry in bundle["entry"]
             if entry["resource"]["resourceType"] in ("EpisodeOfCare", "Condition")]  # fmt: skip
    system = "https://csor.example/fhir/sid/case"
    assert case["identifier"] == [{"system": system, "value": "9990000018.hirschsprung"}]
    assert asked == [f"identifier={system}|9990000018.hirschsprung"] * 2
    assert case["period"]["start"] == "2026-03-09T09:12:00+00:00"


def test_without_an_nhs_or_chi_number_the_case_is_known_by_hospital_and_number() -> None:
    bundle = extracted(example(NOTE, "duhamel-open-complication"), NOTE)
    [case] = by_type(bundle, "EpisodeOfCare")
    assert case["identifier"][0]["value"] == "RBS:B200871.hirschsprung"


def test_another_diagnosis_opens_no_case() -> None:
    note = example(NOTE, "soave-laparoscopic")
    system = find(note, "operative-diagnosis")["answer"][0]["valueCoding"]["system"]
    other = {"valueCoding": {"system": system, "code": "other"}}
    note = without(answered(note, "operative-diagnosis", other), "extent")
    find(note, "operative-diagnosis-section")["item"].append(
        {"linkId": "operative-diagnosis-other", "answer": [{"valueString": "Something else"}]}
    )
    bundle = extracted(note, NOTE)
    assert by_type(bundle, "EpisodeOfCare") == by_type(bundle, "Condition") == []
    [procedure] = by_type(bundle, "Procedure")
    assert procedure["reasonCode"] == [{"text": "Something else"}]


def test_complications_are_named_and_none_is_said() -> None:
    [without_any] = by_type(extracted(example(NOTE, "soave-laparoscopic"), NOTE), "Procedure")
    assert without_any["outcome"]["text"] == "No intra-operative complication"
    assert "complication" not in without_any
    [with_some] = by_type(extracted(example(NOTE, "duhamel-open-complication"), NOTE), "Procedure")
    named = [each["coding"][0]["code"] for each in with_some["complication"]]
    assert named == ["bleeding", "other"]


def test_measurements_keep_their_digits_and_belong_to_the_procedure() -> None:
    bundle = extracted(example(NOTE, "soave-laparoscopic"), NOTE)
    [procedure] = [entry["fullUrl"] for entry in bundle["entry"]
                   if entry["resource"]["resourceType"] == "Procedure"]  # fmt: skip
    observations = by_type(bundle, "Observation")
    values = {each["code"]["coding"][0]["code"]: each.get("valueQuantity", {}).get("value")
              for each in observations}  # fmt: skip
    assert values == {
        "302132005": None,
        "dissection-start": Decimal("1.0"),
        "length-resected": Decimal("18.5"),
        "estimated-blood-loss": 10,
    }
    assert str(values["dissection-start"]) == "1.0"
    assert all(each["partOf"] == [{"reference": procedure}] for each in observations)


def test_every_urn_of_an_extraction_is_one_of_its_entries() -> None:
    bundle = extracted(example(NOTE, "duhamel-open-complication"), NOTE)
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(urls) == len(set(urls))
    urns = {each["reference"] for each in walk(bundle) if each["reference"].startswith("urn:")}
    assert urns <= set(urls)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("continent-child", {
            "faecal-incontinence": "none", "voluntary-bowel-movements": True,
            "urinary-incontinence": "none", "permanent-stoma": False}),
        ("soiling-every-day", {
            "faecal-incontinence": "grade-2", "voluntary-bowel-movements": False,
            "urinary-incontinence": "socially-problematic", "permanent-stoma": False}),
        ("stoma", {"permanent-stoma": True, "urinary-incontinence": "catheter"}),
        ("not-known", {}),
    ],
)  # fmt: skip
def test_a_survey_yields_the_outcomes_that_the_parent_knows(
    case: str, expected: dict[str, Any]
) -> None:
    assert outcomes(example(SURVEY, case)) == expected


@pytest.mark.parametrize(
    ("answer", "grade"),
    [("soiling-none", "none"), ("soiling-weekly", "grade-1"), ("soiling-daily", "grade-2"),
     ("soiling-constant", "grade-3"), ("none-of-these", None), ("dont-know", None)],
)  # fmt: skip
def test_each_answer_on_soiling_has_its_published_grade(answer: str, grade: str | None) -> None:
    survey = example(SURVEY, "continent-child")
    system = find(survey, "soiling")["answer"][0]["valueCoding"]["system"]
    survey = answered(survey, "soiling", {"valueCoding": {"system": system, "code": answer}})
    assert outcomes(survey).get("faecal-incontinence") == grade


def test_an_outcome_points_back_to_the_response_it_is_derived_from() -> None:
    survey = {"id": "abc", **example(SURVEY, "continent-child")}
    for observation in by_type(extracted(survey, SURVEY), "Observation"):
        assert observation["derivedFrom"] == [{"reference": "QuestionnaireResponse/abc"}]
        assert observation["effectiveDateTime"] == survey["authored"]
        assert observation["performer"] == [survey["author"]]


def test_a_response_to_another_form_is_refused() -> None:
    with pytest.raises(FhirError) as refused:
        extracted(example(NOTE, "soave-laparoscopic"), SURVEY)
    assert refused.value.status == 422


@pytest.mark.parametrize("name", ["extract-complex-template", "extract-complex-template2"])
def test_the_guides_own_template_examples(library: Path, name: str) -> None:
    questionnaire = decode((library / "sdc" / "hl7-sdc-examples" / f"{name}.json").read_bytes())
    response = of_the_guide(questionnaire)
    bundle = extract(questionnaire, response, new_id=ids())
    [patient] = by_type(bundle, "Patient")
    assert [each.get("given") for each in patient["name"]] == [["Anna", "Marie"], None]
    assert patient["name"][0]["text"] == "Anna Marie Example"
    assert (patient["gender"], "identifier" in patient, "telecom" in patient) == (
        "female", False, False)  # fmt: skip
    relations = by_type(bundle, "RelatedPerson")
    assert [each["name"][0]["text"] for each in relations] == ["Eddie Example"] * 2
    [height] = by_type(bundle, "Observation")
    assert height["valueQuantity"]["value"] == 163
    [url] = [each["fullUrl"] for each in bundle["entry"] if each["resource"] is patient]
    assert all(each["patient"] == {"reference": url} for each in relations)


def made(*items: dict[str, Any], **more: Any) -> Resource:
    return {"resourceType": "Questionnaire", "url": "https://example.org/form",
            "status": "active", "item": list(items), **more}  # fmt: skip


def given(*items: dict[str, Any]) -> Resource:
    return {"resourceType": "QuestionnaireResponse", "id": "r1", "status": "completed",
            "questionnaire": "https://example.org/form", "authored": "2026-11-22T10:00:00Z",
            "subject": {"reference": "Patient/1"}, "author": {"reference": "Practitioner/2"},
            "item": list(items)}  # fmt: skip


def code(value: str) -> list[dict[str, Any]]:
    return [{"system": "https://example.org/codes", "code": value}]


def mark(value: bool | str) -> dict[str, Any]:
    key = "valueBoolean" if isinstance(value, bool) else "valueCode"
    return {"url": SDC + "observationExtract", key: value}


CATEGORY = {"coding": [{"system": "https://example.org/codes", "code": "survey"}]}


def test_a_marked_form_yields_an_observation_for_each_answer_of_a_coded_item() -> None:
    category = {"url": SDC + "observation-extract-category", "valueCodeableConcept": CATEGORY}
    unit = {"url": CORE + "questionnaire-unit",
            "valueCoding": {"system": "http://unitsofmeasure.org", "code": "kg"}}  # fmt: skip
    questionnaire = made(
        {"linkId": "weight", "type": "decimal", "code": code("weight"), "extension": [unit]},
        {"linkId": "allergies", "type": "choice", "repeats": True, "code": code("allergy")},
        {"linkId": "uncoded", "type": "string"},
        {"linkId": "unmarked", "type": "string", "code": code("x"), "extension": [mark(False)]},
        extension=[mark(True), category],
    )
    milk, egg = {"code": "milk"}, {"code": "egg"}
    response = given(
        {"linkId": "weight", "answer": [{"valueDecimal": Decimal("3.20")}]},
        {"linkId": "allergies", "answer": [{"valueCoding": milk}, {"valueCoding": egg}]},
        {"linkId": "uncoded", "answer": [{"valueString": "a"}]},
        {"linkId": "unmarked", "answer": [{"valueString": "b"}]},
    )
    weight, *allergies = by_type(extract(questionnaire, response, new_id=ids()), "Observation")
    assert weight == {
        "resourceType": "Observation",
        "status": "final",
        "category": [CATEGORY],
        "code": {"coding": code("weight")},
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2026-11-22T10:00:00Z",
        "issued": "2026-11-22T10:00:00Z",
        "performer": [{"reference": "Practitioner/2"}],
        "valueQuantity": {"value": Decimal("3.20"), "unit": "kg",
                          "system": "http://unitsofmeasure.org", "code": "kg"},
        "derivedFrom": [{"reference": "QuestionnaireResponse/r1"}],
    }  # fmt: skip
    assert [each["valueCodeableConcept"]["coding"] for each in allergies] == [[milk], [egg]]


def test_components_and_members_belong_to_the_observation_above_them() -> None:
    questionnaire = made(
        {"linkId": "bp", "type": "group", "code": code("bp"), "extension": [mark(True)], "item": [
            {"linkId": "sys", "type": "integer", "code": code("sys"),
             "extension": [mark("component")]},
            {"linkId": "cuff", "type": "string", "code": code("cuff"),
             "extension": [mark("member")]}]},
    )  # fmt: skip
    response = given({"linkId": "bp", "item": [
        {"linkId": "sys", "answer": [{"valueInteger": 90}]},
        {"linkId": "cuff", "answer": [{"valueString": "small"}]}]})  # fmt: skip
    bundle = extract(questionnaire, response, new_id=ids())
    panel, cuff = bundle["entry"]
    assert panel["resource"]["component"] == [{"code": {"coding": code("sys")}, "valueInteger": 90}]
    assert panel["resource"]["hasMember"] == [{"reference": cuff["fullUrl"]}]
    assert cuff["resource"]["valueString"] == "small"


def test_only_the_marked_codes_of_an_item_are_used_when_some_are_marked() -> None:
    both = [*code("weight"), {**code("naked")[0], "extension": [mark(True)]}]
    questionnaire = made(
        {"linkId": "w", "type": "integer", "code": both, "extension": [mark(True)]}
    )
    response = given({"linkId": "w", "answer": [{"valueInteger": 1}]})
    [observation] = by_type(extract(questionnaire, response, new_id=ids()), "Observation")
    assert observation["code"]["coding"] == code("naked")


def test_an_entry_can_be_named_and_made_conditional() -> None:
    details = {"url": SDC + "observationExtractEntry", "extension": [
        {"url": "fullUrl", "valueString": "%weightId"},
        {"url": "ifNoneExist", "valueString": "'code=weight&value=' & answer.value.toString()"}]}  # fmt: skip
    questionnaire = made(
        {"linkId": "w", "type": "integer", "code": code("weight"),
         "extension": [mark(True), details]},
        extension=[{"url": SDC + "extractAllocateId", "valueString": "weightId"}],
    )  # fmt: skip
    response = given({"linkId": "w", "answer": [{"valueInteger": 7}]})
    [entry] = extract(questionnaire, response, new_id=ids())["entry"]
    assert entry["fullUrl"] == "urn:uuid:00000000-0000-4000-8000-000000000001"
    assert entry["request"] == {
        "method": "POST", "url": "Observation", "ifNoneExist": "code=weight&value=7"}  # fmt: skip


def test_a_template_with_an_id_for_its_resource_is_an_update() -> None:
    template = {"resourceType": "Patient", "id": "t", "active": True}
    details = {"url": SDC + "templateExtract", "extension": [
        {"url": "template", "valueReference": {"reference": "#t"}},
        {"url": "resourceId", "valueString": "item.answer.value"}]}  # fmt: skip
    questionnaire = made(
        {"linkId": "id", "type": "string"}, contained=[template], extension=[details]
    )
    response = given({"linkId": "id", "answer": [{"valueString": "p7"}]})
    [entry] = extract(questionnaire, response, new_id=ids())["entry"]
    assert entry["resource"] == {"resourceType": "Patient", "id": "p7", "active": True}
    assert entry["request"] == {"method": "PUT", "url": "Patient/p7"}


def test_a_repeated_group_allocates_an_id_for_each_repetition() -> None:
    template = {"resourceType": "Device", "id": "d", "_lotNumber": {"extension": [
        {"url": SDC + "templateExtractValue", "valueString": "item.answer.value"}]}}  # fmt: skip
    details = {"url": SDC + "templateExtract", "extension": [
        {"url": "template", "valueReference": {"reference": "#d"}},
        {"url": "fullUrl", "valueString": "%deviceId"}]}  # fmt: skip
    allocate = {"url": SDC + "extractAllocateId", "valueString": "deviceId"}
    group = {"linkId": "g", "type": "group", "repeats": True, "extension": [allocate, details],
             "item": [{"linkId": "lot", "type": "string"}]}  # fmt: skip
    response = given(*({"linkId": "g", "item": [{"linkId": "lot", "answer": [{"valueString": lot}]}]}
                       for lot in ("A", "B")))  # fmt: skip
    entries = extract(made(group, contained=[template]), response, new_id=ids())["entry"]
    assert [entry["resource"]["lotNumber"] for entry in entries] == ["A", "B"]
    assert len({entry["fullUrl"] for entry in entries}) == 2


@pytest.mark.parametrize(
    "expression", ["item.answer.value |", "item.answer.value + 1", "%unknown", "item"]
)
def test_an_expression_that_fails_refuses_the_extraction(expression: str) -> None:
    template = {"resourceType": "Patient", "id": "t", "_birthDate": {"extension": [
        {"url": SDC + "templateExtractValue", "valueString": expression}]}}  # fmt: skip
    details = {"url": SDC + "templateExtract",
               "extension": [{"url": "template", "valueReference": {"reference": "#t"}}]}  # fmt: skip
    questionnaire = made(
        {"linkId": "b", "type": "string"}, contained=[template], extension=[details]
    )
    response = given({"linkId": "b", "answer": [{"valueString": "x"}]})
    with pytest.raises(FhirError):
        extract(questionnaire, response, new_id=ids())

"""What a response yields has keys by which a correction finds it again, and ids that all share."""

from typing import Any

from questionnaires import extract, extracted
from r4.json import Resource
from tests.questionnaires.support import NOTE, example, form, ids, without

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"


def keys(response: Resource) -> dict[str, str]:
    """Map each key of an operative note's entries to its resource's type."""
    found = extracted(form(NOTE), response, new_id=ids())
    return {each.key: each.entry["resource"]["resourceType"] for each in found}


def test_keys_name_the_template_and_are_the_entries_of_the_bundle_in_order() -> None:
    note = example(NOTE, "soave-laparoscopic")
    found = extracted(form(NOTE), note, new_id=ids())
    assert [each.entry for each in found] == extract(form(NOTE), note, new_id=ids())["entry"]
    assert keys(note) == {
        "procedure.1": "Procedure",
        "condition.1": "Condition",
        "case.1": "EpisodeOfCare",
        "blood-loss.1": "Observation",
        "length-resected.1": "Observation",
        "dissection-start.1": "Observation",
        "asa-class.1": "Observation",
    }


def test_a_key_stays_when_another_answer_goes() -> None:
    note = example(NOTE, "soave-laparoscopic")
    assert keys(without(note, "length-resected-cm")) == {
        key: kind for key, kind in keys(note).items() if key != "length-resected.1"
    }


def observed(link_id: str, kind: str = "integer", *extensions: Any, **more: Any) -> dict[str, Any]:
    mark = {"url": SDC + "observationExtract", "valueBoolean": True}
    code = [{"system": "urn:codes", "code": link_id}]
    return {"linkId": link_id, "type": kind, "code": code, "extension": [mark, *extensions], **more}


def response(*items: dict[str, Any]) -> Resource:
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": "urn:form",
        "status": "completed",
        "subject": {"reference": "Patient/mother"},
        "item": list(items),
    }


def number(link_id: str, *values: int) -> dict[str, Any]:
    return {"linkId": link_id, "answer": [{"valueInteger": value} for value in values]}


def test_what_repeats_is_counted_in_the_order_of_the_answers_and_of_the_form() -> None:
    template = {"resourceType": "Basic", "id": "weight", "code": {"text": "x"}}
    made = {"url": SDC + "templateExtract", "extension": [
        {"url": "template", "valueReference": {"reference": "#weight"}}]}  # fmt: skip
    questionnaire = {
        "resourceType": "Questionnaire", "url": "urn:form", "status": "active",
        "contained": [template], "extension": [made], "item": [observed("weight"), observed("height")],
    }  # fmt: skip
    answered = response(number("height", 7), number("weight", 1, 2))
    found = extracted(questionnaire, answered, new_id=ids())
    assert [(each.key, each.entry["resource"].get("valueInteger")) for each in found] == [
        ("weight.1", None), ("weight.2", 1), ("weight.3", 2), ("height.1", 7)
    ]  # fmt: skip


def test_an_observation_uses_the_ids_of_its_own_repetition_and_its_groups_subject() -> None:
    allocated = {"url": SDC + "extractAllocateId", "valueString": "heightId"}
    named = {"url": SDC + "observationExtractEntry", "extension": [
        {"url": "fullUrl", "valueString": "%heightId"}]}  # fmt: skip
    subject = {"linkId": "who", "type": "reference",
               "extension": [{"url": SDC + "isSubject", "valueBoolean": True}]}  # fmt: skip
    questionnaire = {
        "resourceType": "Questionnaire", "url": "urn:form", "status": "active", "item": [
            {"linkId": "child", "type": "group", "repeats": True,
             "item": [subject, observed("height", "integer", allocated, named)]},
            observed("weight"),
        ],
    }  # fmt: skip
    groups = [
        {"linkId": "child", "item": [
            {"linkId": "who", "answer": [{"valueReference": {"reference": f"Patient/{name}"}}]},
            number("height", at)]}
        for at, name in enumerate(("a", "b"), 1)
    ]  # fmt: skip
    entries = [each.entry for each in extracted(
        questionnaire, response(*groups, number("weight", 9)), new_id=ids())]  # fmt: skip
    assert [each["resource"]["subject"]["reference"] for each in entries] == [
        "Patient/a", "Patient/b", "Patient/mother"
    ]  # fmt: skip
    assert len({each["fullUrl"] for each in entries}) == 3

"""What a note is filled in from, and how much of a usual one is then left to the surgeon."""

from collections.abc import Iterator
from typing import Any

import pytest

from questionnaires.calculation import calculated
from questionnaires.elements import SDC, extensions
from questionnaires.population import populate
from questionnaires.reference import ITEM_ROLE, notes
from r4.json import Resource
from terminology.systems import CSOR
from tests.questionnaires.support import NOTE, NOW, example, find, form, items, without

ROLE = f"{CSOR}/CodeSystem/operative-note"
SNOMED_CT, ICD_10 = "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10"
CHILD = {"reference": "Patient/1"}
ICD_10_OF = {
    "operative-note-diaphragmatic-hernia": "Q79.0",
    "operative-note-gastroschisis": "Q79.3",
    "operative-note-hirschsprung": "Q43.1",
    "operative-note-necrotising-enterocolitis": "P77",
    "operative-note-oesophageal-atresia": "Q39.1",
    "operative-note-posterior-urethral-valves": "Q64.2",
}
FROM_THE_EPR = {
    "nhs-number": "9990000018",
    "hospital-number": "A100234",
    "hospital-ods-code": "RTH",
    "operation-start": "2026-11-22T09:12:00+00:00",
    "urgency": "elective",
    "surgeon": "Ms Demo Surgeon",
    "surgeon-gmc-number": "0000000",
    "assistant": "Demo Assistant",
    "anaesthetist": "Demo Anaesthetist",
    "asa": "413496000",
}
CONFIRM_AND_SIGN = 2


def part(role: str, name: str) -> dict[str, Any]:
    return {"type": [{"coding": [{"system": ROLE, "code": role}]}], "individual": {"display": name}}


PATIENT = {
    "resourceType": "Patient",
    "id": "1",
    "identifier": [
        {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000018"},
        {
            "type": {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}
                ]
            },
            "value": "A100234",
        },
    ],
}
SURGEON = {
    "resourceType": "Practitioner",
    "identifier": [{"system": "https://fhir.hl7.org.uk/Id/gmc-number", "value": "0000000"}],
    "name": [{"prefix": ["Ms"], "given": ["Demo"], "family": "Surgeon"}],
}
STAY = {
    "resourceType": "Encounter",
    "participant": [
        part("assistant", "Demo Assistant"),
        part("anaesthetist", "Demo Anaesthetist"),
    ],
    "serviceProvider": {
        "identifier": {"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": "RTH"}
    },
}
ORDER = {
    "resourceType": "ServiceRequest",
    "status": "active",
    "category": [{"coding": [{"system": SNOMED_CT, "code": "387713003"}]}],
    "priority": "routine",
    "occurrenceDateTime": "2026-11-22T09:12:00+00:00",
}
BLOOD_TEST = {
    "resourceType": "ServiceRequest",
    "status": "active",
    "category": [{"coding": [{"system": SNOMED_CT, "code": "108252007"}]}],
    "priority": "stat",
    "occurrenceDateTime": "2026-11-21T02:00:00+00:00",
}
ASA_2 = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": SNOMED_CT, "code": "302132005"}]},
    "subject": CHILD,
    "effectiveDateTime": "2026-11-21T16:00:00+00:00",
    "valueCodeableConcept": {"coding": [{"system": SNOMED_CT, "code": "413496000"}]},
}


def condition(code: str, status: str) -> Resource:
    state = {"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": status}
    return {
        "resourceType": "Condition",
        "verificationStatus": {"coding": [state]},
        "code": {"coding": [{"system": ICD_10, "code": code}]},
    }


def populated(note: Resource, *held: Resource) -> dict[str, Any]:
    """Return the first value of each question that is answered, a coding by its code."""
    made = populate(
        note,
        subject=CHILD,
        contexts={"patient": [PATIENT], "user": [SURGEON], "encounter": [STAY]},
        find=lambda query: [each for each in held if each["resourceType"] == query.split("?")[0]],
        now=NOW,
    )
    assert made.issues == []
    return dict(values(made.response))


def values(response: Resource) -> Iterator[tuple[str, Any]]:
    for item in items(response):
        for answer in item.get("answer", ())[:1]:
            [value] = answer.values()
            yield item["linkId"], value["code"] if isinstance(value, dict) else value


@pytest.mark.parametrize("id", ICD_10_OF)
def test_a_note_is_filled_in_with_what_the_epr_knows(id: str) -> None:
    known = (ORDER, BLOOD_TEST, ASA_2, condition(ICD_10_OF[id], "confirmed"))
    found = populated(notes()[id], *known)
    diagnosis = found.pop("preop-diagnosis")
    assert found == FROM_THE_EPR
    assert diagnosis == {NOTE: "hirschsprung-proven"}.get(id, id.removeprefix("operative-note-"))


def test_the_note_of_any_other_operation_is_too_but_for_the_diagnosis() -> None:
    known = (ORDER, ASA_2, condition("Q79.3", "confirmed"))
    assert populated(form("operative-note-generic"), *known) == FROM_THE_EPR


@pytest.mark.parametrize(
    ("status", "expected"),
    [("confirmed", "hirschsprung-proven"), ("provisional", "hirschsprung-suspected"),
     ("refuted", None), ("entered-in-error", None)],
)  # fmt: skip
def test_a_diagnosis_is_taken_over_as_far_as_it_is_held_to_be_true(
    status: str, expected: str | None
) -> None:
    assert populated(form(NOTE), condition("Q43.1", status)).get("preop-diagnosis") == expected


@pytest.mark.parametrize(
    "orders", [(), (BLOOD_TEST,), (ORDER, ORDER), ({**ORDER, "status": "completed"},)],
    ids=["none", "no-operation", "two", "done"],
)  # fmt: skip
def test_a_time_is_taken_from_an_order_only_where_one_operation_is_ordered(
    orders: tuple[Resource, ...],
) -> None:
    found = populated(form(NOTE), *orders)
    assert "operation-start" not in found
    assert "urgency" not in found


@pytest.mark.parametrize("id", notes())
def test_no_finding_complication_count_implant_or_blood_loss_is_ever_filled_in(id: str) -> None:
    for item in items(notes()[id]):
        roles = [each["valueCode"] for each in extensions(item, ITEM_ROLE)]
        if set(roles) & {"finding", "complication", "count", "implant", "blood-loss"}:
            assert not is_known(item), item["linkId"]


def is_known(item: dict[str, Any]) -> bool:
    names = ("initialExpression", "observationLinkPeriod", "calculatedExpression")
    return any(extensions(item, *(SDC + name for name in names)))


def test_a_usual_hirschsprung_note_leaves_25_interactions_to_the_surgeon() -> None:
    note, response = form(NOTE), example(NOTE, "typical")
    definitions = {item["linkId"]: item for item in items(note)}
    left = [
        item["linkId"]
        for item in items(response)
        if "answer" in item and not is_known(definitions[item["linkId"]])
        and "technique" not in [each["valueCode"] for each in
                                extensions(definitions[item["linkId"]], ITEM_ROLE)]
    ]  # fmt: skip
    # The end of the operation is not required; each of the others is one answer.
    left.remove("operation-end")
    assert len(left) + CONFIRM_AND_SIGN == 25


def test_what_follows_from_the_answers_is_calculated() -> None:
    response = example(NOTE, "typical")
    emptied = response
    for link_id in ("previous-stoma", "tissue", "tissue-detail"):
        emptied = without(emptied, link_id)
    made = calculated(form(NOTE), emptied)
    for link_id in ("previous-stoma", "tissue", "tissue-detail"):
        assert find(made, link_id)["answer"] == find(response, link_id)["answer"]

"""What a search finds among the resources that a caller sent along, and what it says it could not tell."""

from typing import Any

import pytest

from fhir_server.operations.sent_data import Sent
from r4.json import Resource

SNOMED_CT = "http://snomed.info/sct"


def condition(id: str, code: str, **more: Any) -> Resource:
    coded = {"coding": [{"system": SNOMED_CT, "code": code}], "text": f"Text of {id}"}
    child = {"reference": "Patient/epr-1"}
    return {"resourceType": "Condition", "id": id, "subject": child, "code": coded, **more}


def sent(*resources: Resource) -> Sent:
    return Sent(tuple((f"urn:uuid:{each.get('id')}", each) for each in resources))


CONDITIONS = sent(
    {"resourceType": "Patient", "id": "epr-1"},
    condition("a", "1", onsetDateTime="2026-01-10", recordedDate="2026-01-11"),
    condition("b", "2", onsetDateTime="2026-02", clinicalStatus={"coding": [{"code": "active"}]}),
    condition("c", "2", encounter={"reference": "https://epr.example/fhir/Encounter/e1"}),
)


def found(*pairs: tuple[str, str], among: Sent = CONDITIONS) -> list[str]:
    resources, issues = among.search("Condition", pairs)
    assert issues == []
    return [each["id"] for each in resources]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], "abc"),
        ([("code", "2")], "bc"),
        ([("code", f"{SNOMED_CT}|1")], "a"),
        ([("code", "http://other|1")], ""),
        ([("code", "1,2")], "abc"),
        ([("code", f"{SNOMED_CT}|")], "abc"),
        ([("code", "2"), ("clinical-status", "active")], "b"),
        ([("_id", "a,c")], "ac"),
        ([("encounter", "Encounter/e1")], "c"),
        ([("encounter", "e1")], "c"),
        ([("encounter", "1")], ""),
        ([("onset-date", "ge2026-02-01")], "b"),
        ([("onset-date", "lt2026-02")], "a"),
        ([("onset-date", "2026")], "ab"),
        ([("onset-date", "2026-02-03")], ""),
        ([("onset-date", "gt2026-02")], ""),
        ([("onset-date", "ne2026-01-10")], "b"),
        ([("onset-date", "someday")], ""),
    ],
)  # fmt: skip
def test_tokens_references_and_dates_are_compared(
    pairs: list[tuple[str, str]], expected: str
) -> None:
    assert found(*pairs) == list(expected)


def test_texts_are_compared_from_their_start() -> None:
    people = sent(
        {"resourceType": "Patient", "id": "a", "name": [{"family": "Ŵyn", "given": ["Ann"]}]},
        {"resourceType": "Patient", "id": "b", "name": [{"family": "Own"}], "gender": "female"},
    )
    for pairs, expected in (
        ([("family", "ŵ")], ["a"]),
        ([("name", "an")], ["a"]),
        ([("name", "nn")], []),
        ([("gender", "female")], ["b"]),
    ):
        assert [each["id"] for each in people.search("Patient", pairs)[0]] == expected


def test_the_newest_come_first_where_that_is_asked_and_no_more_than_asked() -> None:
    assert found(("_sort", "-onset-date")) == ["b", "a", "c"]
    assert found(("_sort", "onset-date")) == ["a", "b", "c"]
    assert found(("_sort", "-onset-date"), ("_count", "1")) == ["b"]
    assert found(("_sort", "-recorded-date")) == ["a", "b", "c"]


def test_the_child_of_the_data_is_whoever_is_asked_for_unless_there_are_several() -> None:
    registry = ("patient", "Patient/known-here-by-another-id")
    assert found(registry) == ["a", "b", "c"]
    two = Sent((*CONDITIONS.entries, ("", {"resourceType": "Patient", "id": "epr-2"})))
    assert found(registry, among=two) == []
    assert found(("patient", "Patient/epr-1"), among=two) == ["a", "b", "c"]
    assert found(("patient", "epr-2"), among=two) == []


@pytest.mark.parametrize(
    "pair",
    [
        ("code:in", "http://x"),
        ("subject:Patient.name", "x"),
        ("_include", "*"),
        ("_has:X:y:z", "1"),
        ("stage:text", "x"),
    ],
)
def test_what_cannot_be_told_of_what_was_sent_is_left_out_and_said(pair: tuple[str, str]) -> None:
    resources, [issue] = CONDITIONS.search("Condition", [pair])
    assert [each["id"] for each in resources] == ["a", "b", "c"]
    assert (issue.severity, pair[0] in issue.diagnostics) == ("information", True)


def test_a_reference_is_found_by_its_full_url_or_by_type_and_id() -> None:
    for reference in ("urn:uuid:b", "Condition/b"):
        assert CONDITIONS.read(reference) == CONDITIONS.entries[2][1]
    assert CONDITIONS.read("Condition/x") is None
    assert (CONDITIONS.has("Condition"), CONDITIONS.has("Procedure")) == (True, False)

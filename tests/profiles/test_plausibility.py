"""Dates that cannot be: each field that has one, against now, against birth, and against null dates."""

from typing import Any

import pytest

from profiles.validate import Options, validate
from r4.json import Resource
from terminology import Terminology
from tests.profiles.small import brief, observation, patient

TERMINOLOGY = Terminology.load()
NOW = "2026-11-23T09:00:00Z"
BIRTH = "2026-03-02"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
URN = "urn:uuid:5b0c1a5e-0000-4000-8000-000000000001"
CHILD = {"subject": {"reference": "Patient/1"}}


def procedure(**elements: Any) -> Resource:
    return {"resourceType": "Procedure", "status": "completed", **CHILD, **elements}


def encounter(**elements: Any) -> Resource:
    kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    return {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": kind,
        **CHILD,
        **elements,
    }


def condition(**elements: Any) -> Resource:
    clinical = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    active = {"coding": [{"system": clinical, "code": "active"}]}
    return {"resourceType": "Condition", "clinicalStatus": active, **CHILD, **elements}


def found(resource: Resource) -> list[tuple[str, str | None]]:
    issues = validate(resource, TERMINOLOGY, now=NOW)
    return [(issue.severity, issue.rule) for issue in issues]


@pytest.mark.parametrize(
    ("resource", "rules"),
    [
        (patient(birthDate="2026-11-23"), []),
        (patient(birthDate="2026"), []),
        (patient(birthDate="2026-11-24"), ["csor-birth-in-future"]),
        (patient(birthDate=BIRTH, deceasedDateTime="2026-03-02T01:00:00Z"), []),
        (patient(birthDate=BIRTH, deceasedDateTime="2026-03-01"), ["csor-death-before-birth"]),
        (patient(birthDate=BIRTH, deceasedDateTime="2026-11-24"), ["csor-death-in-future"]),
        (procedure(performedDateTime="2026-11-23"), []),
        (procedure(performedDateTime="2026-11-23T09:00:01Z"), ["csor-performed-in-future"]),
        (procedure(performedPeriod={"end": "2027"}), ["csor-performed-in-future"]),
        (procedure(performedDateTime="2027", status="preparation"), []),
        (encounter(period={"start": "2026-11-23T08:00:00Z", "end": "2026-12-01"}), []),
        (encounter(period={"start": "2026-11-24"}), ["csor-period-in-future"]),
        (encounter(period={"start": "2026-11-24"}, status="planned"), []),
        (
            encounter(period={"start": "2026-11-20", "end": "2026-11-24"}, status="finished"),
            ["csor-period-in-future"],
        ),
        (condition(onsetDateTime="2026-11-23"), []),
        (condition(onsetDateTime="2026-11-24"), ["csor-onset-in-future"]),
        (condition(onsetPeriod={"start": "2026-11-20", "end": "2026-12-24"}), []),
        (condition(onsetPeriod={"start": "2026-12-20"}), ["csor-onset-in-future"]),
        (condition(recordedDate="2027"), ["csor-onset-in-future"]),
        (observation(effectiveDateTime="2026-11-23"), []),
        (observation(effectiveInstant="2026-11-23T09:00:01Z"), ["csor-effective-in-future"]),
        (observation(effectivePeriod={"end": "2026-12"}), ["csor-effective-in-future"]),
        (observation(effectiveDateTime="2026-12-01", status="registered"), []),
    ],
)
def test_what_has_happened_is_not_in_the_future(resource: Resource, rules: list[str]) -> None:
    assert found(resource) == [("warning", rule) for rule in rules]


@pytest.mark.parametrize(
    "resource",
    [
        patient(birthDate="1801-01-01"),
        procedure(performedDateTime="1800-01-01"),
        encounter(period={"start": "1582-10-15"}),
        condition(onsetDateTime="1600-01-01T00:00:00Z"),
        observation(effectiveDateTime="1801-01-01"),
    ],
)
def test_the_null_dates_of_national_data_are_no_dates(resource: Resource) -> None:
    assert found(resource) == [("warning", "csor-date-unknown")]


def test_without_a_present_nothing_is_in_the_future() -> None:
    assert validate(patient(birthDate="2090-01-01"), TERMINOLOGY) == []


def test_a_write_does_not_look_for_them() -> None:
    future = procedure(performedDateTime="2090")
    assert validate(future, TERMINOLOGY, now=NOW, options=Options(warnings=False)) == []


DATED = [
    (procedure, "performedDateTime", "2026-03-01", BIRTH, "csor-performed-before-birth"),
    (procedure, "performedPeriod", {"start": "2026-03-01"}, {"start": BIRTH},
     "csor-performed-before-birth"),
    (encounter, "period", {"start": "2026-03-01"}, {"start": BIRTH}, "csor-period-before-birth"),
    (condition, "onsetDateTime", "2025-03-01", "2025-11-01", "csor-onset-before-birth"),
    (observation, "effectiveDateTime", "1926-03-09", "2025-11-01", "csor-effective-before-birth"),
]  # fmt: skip
each_dated = pytest.mark.parametrize(("make", "name", "wrong", "right", "rule"), DATED)


@each_dated
@pytest.mark.parametrize(
    "subject",
    [
        URN,
        "Patient/1",
        f"Patient?identifier={NHS}|9990000018",
        f"Patient?identifier={NHS}%7C9990000018",
    ],
)
def test_in_a_bundle_nothing_is_before_the_birth_of_its_patient(
    make: Any, name: str, wrong: Any, right: Any, rule: str, subject: str
) -> None:
    for value, expected in ((right, []), (wrong, [(rule, "Bundle.entry[1].resource")])):
        happened = make(**{name: value, "subject": {"reference": subject}})
        assert brief(validate(bundle(happened), TERMINOLOGY, now=NOW)) == expected


@each_dated
def test_nor_before_that_of_a_contained_patient(
    make: Any, name: str, wrong: Any, right: Any, rule: str
) -> None:
    held = {"contained": [patient(id="child", birthDate=BIRTH)], "subject": {"reference": "#child"}}
    assert found(make(**{name: right}, **held)) == []
    assert found(make(**{name: wrong}, **held)) == [("warning", rule)]


@each_dated
def test_of_a_patient_that_is_not_at_hand_nothing_is_said(
    make: Any, name: str, wrong: Any, right: Any, rule: str
) -> None:
    assert found(make(**{name: wrong})) == []
    elsewhere = make(**{name: wrong, "subject": {"reference": "Patient/2"}})
    assert brief(validate(bundle(elsewhere), TERMINOLOGY, now=NOW)) == []


def test_a_patient_whose_own_date_is_malformed_is_no_measure() -> None:
    held = patient(id="child", birthDate="yesterday")
    operated = procedure(
        performedDateTime="2026-05-05", contained=[held], subject={"reference": "#child"}
    )
    assert [rule for _, rule in found(operated)] == ["date"]


def bundle(happened: Resource) -> Resource:
    number = {"system": NHS, "value": "9990000018"}
    born = patient(id="1", birthDate=BIRTH, identifier=[number])
    other = "urn:uuid:5b0c1a5e-0000-4000-8000-000000000002"
    entries = [{"fullUrl": URN, "resource": born}, {"fullUrl": other, "resource": happened}]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}

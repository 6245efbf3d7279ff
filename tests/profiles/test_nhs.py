"""The registry's own rules: numbers, codes of organisations, and dates that cannot be."""

from typing import Any

import pytest

from profiles.validate import Options, validate
from r4.json import Resource
from terminology import Terminology, systems
from tests.profiles.small import brief, patient

TERMINOLOGY = Terminology.load()
NOW = "2026-11-23T09:00:00Z"
BIRTH = "2026-03-02"


def found(resource: Resource, options: Options | None = None) -> list[tuple[str, str | None]]:
    issues = validate(resource, TERMINOLOGY, now=NOW, options=options)
    return [(issue.severity, issue.rule) for issue in issues]


def identified(system: str, value: str) -> Resource:
    return patient(identifier=[{"system": system, "value": value}])


def procedure(**elements: Any) -> Resource:
    subject = {"reference": "Patient/1"}
    return {"resourceType": "Procedure", "status": "completed", "subject": subject, **elements}


@pytest.mark.parametrize("severity", ["error", "warning", "information"])
def test_the_severity_of_a_wrong_nhs_number_is_the_operators_to_say(severity):
    wrong = identified(systems.NHS_NUMBER, "9990000019")
    assert found(wrong, Options(nhs_severity=severity)) == [(severity, "csor-nhs-number")]


def test_the_check_of_nhs_numbers_can_be_turned_off():
    assert found(identified(systems.NHS_NUMBER, "9990000019"), Options(nhs_severity=None)) == []


@pytest.mark.parametrize("value", ["RTH", "RQ3", "RTH08", "G405H"])
def test_codes_of_organisations_are_accepted(value):
    assert found(identified(systems.ODS_ORGANIZATION, value)) == []


@pytest.mark.parametrize("value", ["rth", "R TH", "RTH-08"])
@pytest.mark.parametrize(
    "system", [systems.ODS_SITE, "https://fhir.nhs.uk/Id/ods-organisation-code"]
)
def test_what_is_no_code_of_an_organisation_is_a_warning(system, value):
    assert found(identified(system, value)) == [("warning", "csor-ods-code")]


@pytest.mark.parametrize(
    ("elements", "rules"),
    [
        ({"birthDate": "2026-11-23"}, []),
        ({"birthDate": "2026"}, []),
        ({"birthDate": "2026-11-24"}, ["csor-birth-in-future"]),
        ({"birthDate": BIRTH, "deceasedDateTime": "2026-03-02T01:00:00Z"}, []),
        ({"birthDate": BIRTH, "deceasedDateTime": "2026-03-01"}, ["csor-death-before-birth"]),
    ],
)
def test_births_and_deaths(elements, rules):
    assert found(patient(**elements)) == [("warning", rule) for rule in rules]


@pytest.mark.parametrize(
    ("elements", "rules"),
    [
        ({"performedDateTime": "2026-11-23"}, []),
        ({"performedDateTime": "2026-11-23T09:00:01Z"}, ["csor-performed-in-future"]),
        ({"performedPeriod": {"end": "2027"}}, ["csor-performed-in-future"]),
        ({"performedDateTime": "2027", "status": "preparation"}, []),
    ],
)
def test_a_completed_procedure_is_not_in_the_future(elements, rules):
    assert found(procedure(**elements)) == [("warning", rule) for rule in rules]


def test_without_a_present_nothing_is_in_the_future():
    assert validate(patient(birthDate="2090-01-01"), TERMINOLOGY) == []


@pytest.mark.parametrize("subject", ["urn:uuid:5b0c1a5e-0000-4000-8000-000000000001", "Patient/1"])
@pytest.mark.parametrize(("day", "is_right"), [("2026-03-02", True), ("2026-03-01", False)])
def test_in_a_bundle_no_procedure_is_before_the_birth_of_its_patient(subject, day, is_right):
    operated = procedure(performedDateTime=day, subject={"reference": subject})
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {
                "fullUrl": "urn:uuid:5b0c1a5e-0000-4000-8000-000000000001",
                "resource": patient(id="1", birthDate=BIRTH),
            },
            {"fullUrl": "urn:uuid:5b0c1a5e-0000-4000-8000-000000000002", "resource": operated},
        ],
    }
    expected = [] if is_right else [("csor-performed-before-birth", "Bundle")]
    assert brief(validate(bundle, TERMINOLOGY, now=NOW)) == expected

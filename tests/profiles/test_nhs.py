"""The registry's own rules: numbers, codes of organisations, and sides that disagree."""

from typing import Any

import pytest

from profiles.validate import Options, validate
from r4.json import Resource
from terminology import Terminology, systems
from tests.profiles.small import patient

TERMINOLOGY = Terminology.load()
NOW = "2026-11-23T09:00:00Z"


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
    ("asked", "rules"),
    [
        (f"Patient?identifier={systems.NHS_NUMBER}|9990000018", []),
        (f"Patient?identifier={systems.NHS_NUMBER}%7C9990000019", ["csor-nhs-number"]),
        (f"Patient?identifier={systems.CHI_NUMBER}|999", ["csor-nhs-number"]),
        (f"Patient?identifier={systems.local('RTH', 'mrn')}|999", []),
        ("Patient?identifier=999", []),
        ("Patient/999", []),
    ],
)
def test_a_conditional_reference_is_held_to_the_same(asked, rules):
    operated = procedure(performedDateTime="2026-05-05", subject={"reference": asked})
    assert found(operated) == [("warning", rule) for rule in rules]
    assert found(operated, Options(nhs_severity=None)) == []


@pytest.mark.parametrize(("code", "rules"), [("RTH", []), ("rth", ["csor-ods-code"])])
def test_a_conditional_reference_names_an_ods_code_as_it_is(code, rules):
    asked = f"Organization?identifier={systems.ODS_ORGANIZATION}|{code}"
    kept = patient(managingOrganization={"reference": asked})
    assert found(kept) == [("warning", rule) for rule in rules]


BOTH, RIGHT, LEFT, ONE = "Z94.1", "Z94.2", "Z94.3", "Z94.4"


def concept(*codes: str, system: str = systems.OPCS_4) -> Resource:
    return {"coding": [{"system": system, "code": code} for code in codes]}


@pytest.mark.parametrize(
    ("side", "code", "site", "agree"),
    [
        (LEFT, (), (), True),
        (LEFT, ("N09.2", LEFT), (LEFT,), True),
        (LEFT, ("N09.2", ONE), (), True),
        (RIGHT, (), ("Z943",), False),
        (LEFT, ("N09.2",), (RIGHT,), False),
        (BOTH, ("N08.2", LEFT), (), False),
        (BOTH, ("N08.2",), (ONE,), False),
        (None, ("N09.2", LEFT, RIGHT), (), False),
        (None, ("N09.2", BOTH), (BOTH,), True),
    ],
)
def test_what_is_said_of_the_side_agrees(side, code, site, agree):
    operated = procedure(code=concept(*code or ("N09.2",)), bodySite=[concept(*site or ("Z42.2",))])
    if side:
        url = f"{systems.CSOR}/StructureDefinition/procedure-laterality"
        operated["extension"] = [{"url": url, "valueCodeableConcept": concept(side)}]
    expected = [] if agree else [("warning", "csor-laterality")]
    known = [each for each in found(operated) if each[1] == "csor-laterality"]
    assert known == expected


def test_a_side_in_another_spelling_of_the_system_is_read_and_one_of_another_system_is_not():
    left, alias = concept(LEFT), "https://fhir.hl7.org.uk/Id/opcs-4"
    assert found(procedure(code=left, bodySite=[concept(RIGHT, system=alias)])) == [
        ("warning", "csor-laterality")
    ]
    assert found(procedure(code=left, bodySite=[concept(RIGHT, system="urn:another")])) == []

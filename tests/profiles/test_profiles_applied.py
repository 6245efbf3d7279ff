"""What a profile adds is checked where a resource claims it, where it is asked for, or imposed."""

from decimal import Decimal

import pytest

from profiles.shelf import IMPOSE
from profiles.validate import Options, validate
from r4.json import Resource
from tests.profiles.small import (
    HERE,
    TERMINOLOGY,
    brief,
    check,
    element,
    observation,
    patient,
    profile,
)

BODY_WEIGHT = "http://hl7.org/fhir/StructureDefinition/bodyweight"
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
PATIENT_1 = {"reference": "Patient/1"}
GENDERED = profile("gendered", "Patient", element("Patient.gender", min=1))


def weight(**elements) -> Resource:
    return {
        "resourceType": "Observation",
        "meta": {"profile": [BODY_WEIGHT]},
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "vital-signs",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": LOINC, "code": "29463-7"}]},
        "subject": PATIENT_1,
        "effectiveDateTime": "2026-01-05",
        "valueQuantity": {"value": Decimal("3.1"), "unit": "kg", "system": UCUM, "code": "kg"},
        **elements,
    }


def without(resource: Resource, name: str) -> Resource:
    return {key: value for key, value in resource.items() if key != name}


def test_a_resource_that_meets_the_profile_it_claims_has_no_issues():
    assert validate(weight(), TERMINOLOGY) == []


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (without(weight(), "subject"), [("cardinality", "Observation.subject")]),
        (without(weight(), "category"), [
            ("cardinality", "Observation.category"),
            ("slice-cardinality", "Observation.category"),
        ]),
        (weight(code={"text": "weight"}), [("slice-cardinality", "Observation.code.coding")]),
        (weight(subject={"reference": "Group/1"}), [("reference-target", "Observation.subject")]),
        (
            weight(valueQuantity={"value": 3, "unit": "m", "system": UCUM, "code": "m"}),
            [("binding-required", "Observation.value.ofType(Quantity).code")],
        ),
        (without(weight(), "effectiveDateTime"), [("cardinality", "Observation.effective")]),
        (
            without(weight(), "valueQuantity"),
            [("vs-2", "Observation")],
        ),
    ],
)  # fmt: skip
def test_r4s_own_profile_is_applied_where_meta_profile_names_it(resource, expected):
    found = [issue for issue in validate(resource, TERMINOLOGY) if issue.is_error]
    assert set(expected) <= set(brief(found))
    assert {issue.profile for issue in found} == {f"{BODY_WEIGHT}|4.0.1"}


def test_a_claim_is_checked_in_bundles_and_contained_resources_too():
    inner = without(weight(id="w"), "subject")
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": "https://e.org/Observation/1", "resource": inner}],
    }
    holder = patient(
        contained=[inner],
        extension=[
            {
                "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                "valueCode": "unknown",
            }
        ],
    )
    assert brief(validate(bundle, TERMINOLOGY)) == [
        ("cardinality", "Bundle.entry[0].resource.subject")
    ]
    assert ("cardinality", "Patient.contained[0].subject") in brief(validate(holder, TERMINOLOGY))


def test_a_profile_that_is_asked_for_is_checked_and_one_unknown_is_an_error():
    assert brief(check(patient(), GENDERED)) == [("cardinality", "Patient.gender")]
    assert check(patient(gender="male"), GENDERED) == []
    [issue] = validate(patient(), TERMINOLOGY, options=Options(profiles=(f"{HERE}/none",)))
    assert (issue.severity, issue.rule) == ("error", "profile-unknown")


def test_a_profile_both_claimed_and_asked_for_is_checked_once():
    claimed = patient(meta={"profile": [GENDERED["url"]]})
    assert brief(check(claimed, GENDERED)) == [("cardinality", "Patient.gender")]


def test_a_claim_is_for_its_version_alone():
    def claiming(version: str) -> list:
        return check(
            patient(meta={"profile": [f"{GENDERED['url']}|{version}"]}), GENDERED, asked=False
        )

    [issue] = claiming("1.0.0")
    assert (issue.rule, issue.profile) == ("cardinality", f"{GENDERED['url']}|1.0.0")
    [issue] = claiming("2.0.0")
    assert (issue.severity, issue.rule) == ("warning", "profile-unknown")


def test_a_profile_for_another_type_is_said_to_be_one():
    [issue] = check(observation(), GENDERED)
    assert (issue.rule, issue.expression) == ("profile-type", "Observation")
    assert "is for Patient, and this is Observation" in issue.diagnostics


def test_what_imposes_no_canonical_imposes_nothing():
    extension = [{"url": IMPOSE, "valueString": "x"}]
    assert check(patient(), profile("imposing", "Patient", extension=extension)) == []


def test_an_imposed_profile_is_checked_where_it_is_known_and_said_where_it_is_not():
    imposing = profile(
        "imposing",
        "Patient",
        extension=[
            {"url": IMPOSE, "valueCanonical": GENDERED["url"]},
            {"url": IMPOSE, "valueCanonical": f"{HERE}/not-here"},
        ],
    )
    known, unknown = check(patient(), imposing, GENDERED)
    assert (known.rule, known.profile) == ("cardinality", f"{GENDERED['url']}|1.0.0")
    assert (unknown.severity, unknown.rule) == ("warning", "profile-not-loaded")
    assert f"{HERE}/not-here" in unknown.diagnostics


def test_profiles_that_impose_one_another_end():
    def imposing(name: str, other: str) -> Resource:
        extension = [{"url": IMPOSE, "valueCanonical": f"{HERE}/{other}"}]
        return profile(name, "Patient", extension=extension)

    assert check(patient(), imposing("a", "b"), imposing("b", "a")) == []


def test_a_profile_without_what_it_is_derived_from_is_a_warning():
    lost = profile("lost", "Patient", baseDefinition=f"{HERE}/gone")
    [issue] = check(patient(), lost)
    assert (issue.severity, issue.rule) == ("warning", "profile-not-loaded")


def rule(expression: str, key: str = "e-1", severity: str = "error") -> Resource:
    return {"key": key, "severity": severity, "human": "As it says", "expression": expression}


WEIGHT = "Observation.value[x]"


@pytest.mark.parametrize(
    ("elements", "right", "wrong", "expected"),
    [
        (
            [element("Patient.name", min=2)],
            patient(name=[{"text": "a"}, {"text": "b"}]),
            patient(name=[{"text": "a"}]),
            ("cardinality", "Patient.name"),
        ),
        (
            [element("Patient.name", max="1")],
            patient(name=[{"text": "a"}]),
            patient(name=[{"text": "a"}, {"text": "b"}]),
            ("cardinality", "Patient.name"),
        ),
        (
            [element("Patient.photo", max="0")],
            patient(),
            patient(photo=[{"title": "x"}]),
            ("cardinality", "Patient.photo"),
        ),
        (
            [element("Patient.name.family", min=1)],
            patient(name=[{"family": "a"}]),
            patient(name=[{"text": "a"}]),
            ("cardinality", "Patient.name[0].family"),
        ),
        (
            [element("Patient.active", fixedBoolean=True)],
            patient(active=True),
            patient(active=False),
            ("fixed", "Patient.active"),
        ),
        (
            [element("Patient.maritalStatus", patternCodeableConcept={"coding": [{"code": "M"}]})],
            patient(maritalStatus={"coding": [{"code": "x"}, {"code": "M", "display": "m"}]}),
            patient(maritalStatus={"text": "M"}),
            ("pattern", "Patient.maritalStatus"),
        ),
        (
            [element("Patient.maritalStatus", fixedCodeableConcept={"text": "M"})],
            patient(maritalStatus={"text": "M"}),
            patient(maritalStatus={"text": "M", "coding": [{"code": "M"}]}),
            ("fixed", "Patient.maritalStatus"),
        ),
        (
            [element("Patient.birthDate", minValueDate="2000-01-01")],
            patient(birthDate="2000-01"),
            patient(birthDate="1999"),
            ("min-value", "Patient.birthDate"),
        ),
        (
            [element("Patient.multipleBirth[x]", maxValueInteger=8)],
            patient(multipleBirthInteger=8),
            patient(multipleBirthInteger=9),
            ("max-value", "Patient.multipleBirth.ofType(integer)"),
        ),
        (
            [element("Patient.name.family", maxLength=3)],
            patient(name=[{"family": "abc"}]),
            patient(name=[{"family": "abcd"}]),
            ("max-length", "Patient.name[0].family"),
        ),
        (
            [element("Patient.deceased[x]", type=[{"code": "boolean"}])],
            patient(deceasedBoolean=True),
            patient(deceasedDateTime="2026"),
            ("type", "Patient.deceased.ofType(dateTime)"),
        ),
        (
            [
                element(
                    "Patient.maritalStatus",
                    binding={
                        "strength": "required",
                        "valueSet": "http://hl7.org/fhir/ValueSet/administrative-gender",
                    },
                )
            ],
            patient(
                maritalStatus={
                    "coding": [
                        {"system": "http://hl7.org/fhir/administrative-gender", "code": "male"}
                    ]
                }
            ),
            patient(maritalStatus={"coding": [{"system": "https://e.org", "code": "male"}]}),
            ("binding-required", "Patient.maritalStatus"),
        ),
        (
            [element("Patient", constraint=[rule("name.exists() or active.exists()")])],
            patient(active=True),
            patient(gender="male"),
            ("e-1", "Patient"),
        ),
        (
            [element("Patient.contact", constraint=[rule("name.exists()")])],
            patient(contact=[{"name": {"text": "a"}}]),
            patient(contact=[{"telecom": [{"system": "phone", "value": "0"}]}]),
            ("e-1", "Patient.contact[0]"),
        ),
        (
            [
                element(
                    "Patient.generalPractitioner",
                    type=[
                        {
                            "code": "Reference",
                            "targetProfile": [
                                "http://hl7.org/fhir/StructureDefinition/Organization"
                            ],
                        }
                    ],
                )
            ],
            patient(generalPractitioner=[{"reference": "Organization/1"}]),
            patient(generalPractitioner=[{"reference": "Practitioner/1"}]),
            ("reference-target", "Patient.generalPractitioner[0]"),
        ),
    ],
)
def test_each_thing_that_a_profile_adds_is_checked(elements, right, wrong, expected):
    adding = profile("adding", "Patient", *elements)
    assert [issue for issue in check(right, adding) if issue.is_error] == []
    [issue] = [issue for issue in check(wrong, adding) if issue.is_error]
    assert (issue.rule, issue.expression) == expected
    assert issue.profile == f"{HERE}/adding|1.0.0"


def test_a_rule_of_a_profile_may_ask_for_members_and_conformance():
    asking = profile(
        "asking",
        "Patient",
        element(
            "Patient",
            constraint=[
                rule(f"conformsTo('{GENDERED['url']}')", "e-1"),
                rule(
                    "gender.empty() or"
                    " gender.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')",
                    "e-2",
                ),
            ],
        ),
    )
    assert check(patient(gender="male"), asking, GENDERED) == []
    assert brief(check(patient(), asking, GENDERED)) == [("e-1", "Patient")]
    [issue] = check(patient(gender="male"), asking)
    assert (issue.severity, issue.code, issue.rule) == ("warning", "processing", "e-1")


def test_a_rule_that_asks_for_its_own_profile_ends():
    own = profile(
        "own", "Patient", element("Patient", constraint=[rule(f"conformsTo('{HERE}/own')")])
    )
    assert check(patient(gender="male"), own) == []


def test_what_a_profile_says_of_items_holds_for_the_items_in_them():
    short = profile("short", "Questionnaire", element("Questionnaire.item.text", min=1))
    item = {"linkId": "1", "type": "group", "text": "a"}
    inner = {"linkId": "2", "type": "display"}
    form = {"resourceType": "Questionnaire", "status": "draft", "item": [{**item, "item": [inner]}]}
    found = brief(check(form, short))
    assert ("cardinality", "Questionnaire.item[0].item[0].text") in found


def test_without_warnings_only_what_refuses_is_found():
    unknown = patient(
        meta={"profile": [f"{HERE}/none"]}, extension=[{"url": f"{HERE}/x", "valueBoolean": True}]
    )
    assert {issue.severity for issue in validate(unknown, TERMINOLOGY)} == {"warning"}
    options = Options(warnings=False)
    assert validate(unknown, TERMINOLOGY, options=options) == []
    assert brief(validate(patient(gender="M"), TERMINOLOGY, options=options)) == [
        ("binding-required", "Patient.gender")
    ]

"""What the validator says: golden pairs of a resource and its issues, and the finer rules."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles import findings
from profiles.validate import validate
from r4 import definitions, fhirpath
from r4.json import decode
from terminology import Terminology, systems

INVALID = Path(__file__).parents[2] / "profiles" / "examples" / "invalid"
PAIRS = sorted(path for path in INVALID.glob("*.json") if not path.name.endswith(".issues.json"))
TERMINOLOGY = Terminology.load()
BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
ABSENT = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "unknown",
        }
    ]
}


NAMES = st.sampled_from([
    "id", "meta", "text", "contained", "extension", "url", "value", "valueString",
    "_valueString", "valueQuantity", "status", "code", "coding", "system", "identifier",
    "reference", "type", "subject", "name", "given", "_given", "div", "entry", "resource",
    "item", "linkId", "answer", "component", "period", "start", "end", "profile",
    "resourceType",
])  # fmt: skip


def found(resource: dict) -> list[tuple[str, str, str, str]]:
    issues = validate(resource, TERMINOLOGY)
    return [(issue.severity, issue.code, issue.rule, issue.expression) for issue in issues]


def errors(resource: dict) -> list[tuple[str, str]]:
    issues = validate(resource, TERMINOLOGY)
    return [(issue.rule, issue.expression) for issue in issues if issue.is_error]


def patient(**elements) -> dict:
    return {"resourceType": "Patient", **elements}


def observation(**elements) -> dict:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **elements}


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_an_integrators_error_is_reported_exactly(path):
    resource = decode(path.read_bytes())
    issues = validate(resource, TERMINOLOGY)
    expected = decode(path.with_suffix(".issues.json").read_bytes())
    assert [
        {k: v for k, v in asdict(issue).items() if v is not None} for issue in issues
    ] == expected


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_every_expression_is_fhirpath(path):
    resource = decode(path.read_bytes())
    for issue in validate(resource, TERMINOLOGY):
        fhirpath.compile(issue.expression)


def test_there_is_a_pair_for_every_golden_file():
    assert len(PAIRS) >= 12
    assert len(list(INVALID.glob("*.json"))) == 2 * len(PAIRS)


@pytest.mark.parametrize(
    "resource",
    [
        patient(),
        patient(birthDate="2026-01", multipleBirthInteger=2),
        patient(_birthDate={"extension": [{"url": BIRTH_TIME, "valueDateTime": "2026-01-05"}]}),
        patient(name=[{"given": ["Ada", None], "_given": [{"id": "first"}, ABSENT]}]),
        patient(name=[{"_given": [ABSENT]}]),
        patient(identifier=[{"system": systems.NHS_NUMBER, "value": "9990000018"}]),
        patient(identifier=[{"system": systems.NHS_NUMBER}]),
        patient(identifier=[{"system": "https://e.org/mrn", "value": "9990000019"}]),
        patient(managingOrganization={"reference": "https://other.example/fhir/Organization/1"}),
        patient(managingOrganization={"reference": "Organization?identifier=a|b"}),
        patient(
            managingOrganization={"reference": "urn:uuid:5b0c1a5e-0000-4000-8000-000000000001"}
        ),
        patient(
            contained=[{"resourceType": "Organization", "id": "o", "name": "O"}],
            managingOrganization={"reference": "#o"},
        ),
        observation(valueQuantity={"value": Decimal("1.00"), "comparator": "<"}),
        observation(_status=ABSENT),
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "p", "resource": patient(active=True)}],
        },
    ],
)
def test_what_is_right_has_no_issues(resource):
    assert found(resource) == []


def test_a_patient_without_elements_but_an_id_is_still_a_resource():
    assert found(patient(id="1")) == []


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (patient(name=["Ada"]), [("json-object", "Patient.name[0]")]),
        (patient(name=[{}]), [("ele-1", "Patient.name[0]")]),
        (patient(name=[{"id": "n"}]), [("ele-1", "Patient.name[0]")]),
        (patient(id="a_b"), [("id", "Patient.id")]),
        (patient(active=None), [("boolean", "Patient.active")]),
        (patient(active={"value": True}), [("boolean", "Patient.active")]),
        (patient(gender="M"), [("binding-required", "Patient.gender")]),
        (patient(gender=["male"]), [("cardinality", "Patient.gender")]),
        (patient(contact=[{"gender": "male"}]), [("pat-1", "Patient.contact[0]")]),
        (patient(name=[{"given": ["a", None]}]), [("string", "Patient.name[0].given[1]")]),
        (
            patient(name=[{"given": ["a"], "_given": [{"id": "a"}, ABSENT]}]),
            [("json-array", "Patient.name[0].given")],
        ),
        (
            patient(name=[{"given": ["a", None], "_given": [{"id": "a"}, None]}]),
            [("string", "Patient.name[0].given[1]"), ("ele-1", "Patient.name[0].given[1]")],
        ),
        (
            patient(name=[{"given": ["a"], "_given": {"id": "a"}}]),
            [("json-array", "Patient.name[0].given")],
        ),
        (patient(_gender=[{"id": "g"}]), [("cardinality", "Patient.gender")]),
        (patient(_name=[{"id": "g"}]), [("unknown-element", "Patient")]),
        (
            patient(deceasedBoolean=True, _deceasedDateTime=ABSENT),
            [("choice", "Patient.deceased")],
        ),
        (
            patient(extension=[{"url": "https://e.org/x"}]),
            [("ext-1", "Patient.extension[0]")],
        ),
        (
            patient(extension=[{"valueBoolean": True}]),
            [("cardinality", "Patient.extension[0].url")],
        ),
        (
            patient(managingOrganization={"type": "Patient", "display": "x"}),
            [("reference-target", "Patient.managingOrganization")],
        ),
        (
            patient(managingOrganization={"reference": "Patient?identifier=a|b"}),
            [("reference-target", "Patient.managingOrganization")],
        ),
        (
            patient(
                contained=[{"resourceType": "Organization", "id": "o", "name": "O"}],
                generalPractitioner=[{"reference": "#o"}],
                managingOrganization={"reference": "#gone"},
            ),
            [("ref-1", "Patient.managingOrganization")],
        ),
        (
            patient(contained=[{"resourceType": "Organization", "id": "o", "name": "O"}]),
            [("dom-3", "Patient")],
        ),
        (
            patient(
                contained=[{"resourceType": "Organisation", "id": "o"}],
                managingOrganization={"reference": "#o"},
            ),
            [("resource-type", "Patient.contained[0]")],
        ),
        (
            patient(contained=["x"], managingOrganization={"reference": "#o"}),
            [("json-object", "Patient.contained[0]"), ("ref-1", "Patient.managingOrganization")],
        ),
        (
            observation(referenceRange=[{"low": {"value": 1, "comparator": "<"}}]),
            [("cardinality", "Observation.referenceRange[0].low.comparator")],
        ),
        (
            observation(component=[{"code": {"text": "c"}, "referenceRange": [{"age": {}}]}]),
            [("ele-1", "Observation.component[0].referenceRange[0].age")],
        ),
        (
            observation(valueQuantity={"value": "3"}, valueString="3"),
            [
                ("decimal", "Observation.value.ofType(Quantity).value"),
                ("choice", "Observation.value"),
            ],
        ),
        (
            {"resourceType": "Parameters", "parameter": [{"name": "p", "resource": {}}]},
            [("resource-type", "Parameters.parameter[0].resource")],
        ),
        ({}, [("resource-type", "Resource")]),
        (["no", "object"], [("json-object", "Resource")]),
        (
            {"resourceType": "Observation", "valueString": "x", "dataAbsentReason": {"text": "y"}},
            [
                ("cardinality", "Observation.status"),
                ("cardinality", "Observation.code"),
                ("obs-6", "Observation"),
            ],
        ),
        ({"resourceType": 1}, [("resource-type", "Resource")]),
        ({"resourceType": []}, [("resource-type", "Resource")]),
        ({"resourceType": ""}, [("resource-type", "Resource")]),
        ({"resourceType": "of no (type)"}, [("resource-type", "Resource")]),
        (
            patient(managingOrganization={"reference": "organization/1"}),
            [("reference-target", "Patient.managingOrganization")],
        ),
        (
            patient(managingOrganization={"reference": "Organisation?identifier=https://e.org|b"}),
            [("reference-target", "Patient.managingOrganization")],
        ),
        (
            {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [
                    {
                        "fullUrl": "https://e.org/Patient/1",
                        "resource": {
                            "resourceType": "Basic",
                            "code": {"text": "x"},
                            "subject": {"reference": "Pateint/1"},
                        },
                    }
                ],
            },
            [("reference-target", "Bundle.entry[0].resource.subject")],
        ),
    ],
)
def test_what_is_wrong_is_found_where_it_is(resource, expected):
    assert errors(resource) == expected


def test_a_required_concept_needs_one_code_of_the_value_set():
    def condition(**clinical_status) -> dict:
        subject = {"reference": "Patient/1"}
        return {"resourceType": "Condition", "subject": subject, "clinicalStatus": clinical_status}

    right = {
        "system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
        "code": "active",
    }
    assert found(condition(coding=[right])) == []
    assert found(condition(coding=[{"system": "https://e.org", "code": "a"}, right])) == []
    wrong = [("binding-required", "Condition.clinicalStatus")]
    assert errors(condition(text="active")) == wrong
    assert errors(condition(coding=[{"code": "active"}])) == wrong


def test_an_extensible_binding_lets_other_systems_be():
    other = {"coding": [{"system": "https://e.org/marital", "code": "z"}], "text": "z"}
    assert found(patient(maritalStatus=other)) == []


def test_nothing_changes_the_resource():
    resource = decode((INVALID / "bundle-entry-at-fault.json").read_bytes())
    before = decode((INVALID / "bundle-entry-at-fault.json").read_bytes())
    validate(resource, TERMINOLOGY)
    assert resource == before


def test_threads_that_meet_a_type_first_agree():
    terminology = Terminology.load()
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(
                lambda _: validate(observation(note=[{"text": "n"}]), terminology), range(64)
            )
        )
    assert answers == [[]] * 64


def test_a_flood_of_findings_is_cut():
    issues = validate(patient(**{f"x{i}": 1 for i in range(1000)}), TERMINOLOGY)
    assert len(issues) == findings.MOST_FINDINGS


TEXTS = ("", "x", "#x", "Patient/1", "2026-02-30", "http://x", "<div/>", "\x00")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(Decimal("1.50")) | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(definitions.resource_types()), st.dictionaries(NAMES, JSON, max_size=6))
def test_no_json_is_a_crash(resource_type, elements):
    for issue in validate({"resourceType": resource_type, **elements}, TERMINOLOGY):
        assert issue.diagnostics
        assert issue.expression is not None


def test_bottomless_nesting_is_refused_and_not_a_crash():
    item: dict = {"linkId": "0"}
    for depth in range(900):
        item = {"linkId": str(depth), "item": [item]}
    response = {"resourceType": "QuestionnaireResponse", "status": "completed", "item": [item]}
    assert [(issue.code, issue.rule) for issue in validate(response, TERMINOLOGY)] == [
        ("too-costly", "depth")
    ]

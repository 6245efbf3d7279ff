"""Token search: https://hl7.org/fhir/R4/search.html#token."""

import pytest

from r4.issue import FhirError
from tests.search.conftest import Registry

SCT, LOINC = "http://snomed.info/sct", "http://loinc.org"
V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"
STATUS = "http://hl7.org/fhir/ValueSet/condition-clinical"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


@pytest.fixture(scope="module", autouse=True)
def _stored(registry: Registry) -> None:
    registry.put(
        {
            "resourceType": "Patient",
            "id": "heron",
            "active": True,
            "gender": "female",
            "identifier": [
                {
                    "system": "urn:mrn",
                    "value": "A|1,2",
                    "type": {"coding": [{"system": V2, "code": "MR"}]},
                },
                {"value": "bare"},
            ],
            "telecom": [
                {"system": "phone", "value": "0123"},
                {"system": "email", "value": "a@b.c"},
            ],
        },
        {"resourceType": "Patient", "id": "wren", "gender": "male", "deceasedBoolean": False},
        {
            "resourceType": "Patient",
            "id": "dove",
            "deceasedDateTime": "2020-01-01",
            "address": [{"use": "home"}],
        },
        *(
            {
                "resourceType": "Condition",
                "id": code,
                "clinicalStatus": {"coding": [{"system": CLINICAL, "code": code}]},
                "code": {
                    "coding": [
                        {"system": SCT, "code": "204739008", "display": "Hirschsprung's disease"}
                    ],
                    "text": "Aganglionosis",
                },
            }
            for code in ("active", "recurrence", "resolved", "remission")
        ),
    )


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("identifier=urn:mrn|A\\|1\\,2", {"heron"}),
        ("identifier=A\\|1\\,2", {"heron"}),
        ("identifier=urn:mrn|", {"heron"}),
        ("identifier=|bare", {"heron"}),
        ("identifier=|A\\|1\\,2", set()),
        ("identifier=urn:other|bare", set()),
        (
            "identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|A\\|1\\,2",
            {"heron"},
        ),
        ("identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|NH|A\\|1\\,2", set()),
        ("gender=male,female", {"heron", "wren"}),
        ("gender=Male", set()),
        ("gender=http://hl7.org/fhir/administrative-gender|female", {"heron"}),
        ("gender=|female", {"heron"}),
        ("gender=http://hl7.org/fhir/administrative-gender|", {"heron", "wren"}),
        ("gender=http://hl7.org/fhir/address-use|female", set()),
        ("gender:not=http://hl7.org/fhir/administrative-gender|male", {"heron", "dove"}),
        ("gender:in=http://hl7.org/fhir/ValueSet/administrative-gender", {"heron", "wren"}),
        ("address-use=http://hl7.org/fhir/address-use|home", {"dove"}),
        ("gender:not=male", {"heron", "dove"}),
        ("gender:not=male,female", {"dove"}),
        ("gender=female&gender:not=male", {"heron"}),
        ("gender:missing=true", {"dove"}),
        ("gender:missing=false", {"heron", "wren"}),
        ("active=true", {"heron"}),
        ("phone=0123", {"heron"}),
        ("email=0123", set()),
        ("telecom=email|a@b.c", {"heron"}),
        ("deceased=true", {"dove"}),
        ("deceased=false", {"heron", "wren"}),
    ],
)
def test_finds(registry: Registry, query: str, ids: set[str]) -> None:
    assert registry.ids("Patient", query) == ids


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("code:text=hirsch", {"active", "recurrence", "resolved", "remission"}),
        ("code:text=AGANGLIONOSIS", {"active", "recurrence", "resolved", "remission"}),
        ("code:text=disease", set()),
        (f"clinical-status:below={CLINICAL}|active", {"active", "recurrence"}),
        (f"clinical-status:above={CLINICAL}|recurrence", {"active", "recurrence"}),
        (f"clinical-status:above={CLINICAL}|active", {"active"}),
        (f"clinical-status:in={STATUS}", {"active", "recurrence", "resolved", "remission"}),
        (f"clinical-status:not-in={STATUS}", set()),
    ],
)
def test_a_terminology_answers_for_value_sets_and_hierarchies(
    registry: Registry, query: str, ids: set[str]
) -> None:
    assert registry.ids("Condition", query) == ids


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("code:in=http://nowhere.example/ValueSet/none", "none"),
        ("clinical-status:below=active", "with its system"),
        ("identifier:of-type=a|b", "system|code|value"),
        ("identifier:missing=perhaps", "true or false"),
        ("code:exact=x", "not supported on code"),
    ],
)
def test_refuses(registry: Registry, query: str, says: str) -> None:
    with pytest.raises(FhirError, match=says.replace("|", "\\|")) as refusal:
        registry.found("Condition", query)
    assert refusal.value.status == 400


def test_an_alias_of_a_system_finds_the_canonical_one(registry: Registry) -> None:
    opcs = "https://fhir.hl7.org.uk/CodeSystem/OPCS-4"
    coding = {"system": "http://fhir.hl7.org.uk/CodeSystem/OPCS-4", "code": "H41.1"}
    registry.put({"resourceType": "Procedure", "id": "p", "code": {"coding": [coding]}})
    assert registry.ids("Procedure", f"code={opcs}|H41.1") == {"p"}
    assert registry.ids("Procedure", "code=https://fhir.hl7.org.uk/Id/opcs-4|H41.1") == {"p"}


def test_a_code_of_several_systems_implies_none(registry: Registry) -> None:
    registry.put({"resourceType": "Task", "id": "t", "status": "ready", "intent": "order"})
    assert registry.ids("Task", "status=http://hl7.org/fhir/task-status|ready") == {"t"}
    assert registry.ids("Task", "intent=order") == registry.ids("Task", "intent=|order") == {"t"}
    assert registry.ids("Task", "intent=http://hl7.org/fhir/request-intent|order") == set()


def test_a_composite_knows_the_system_that_its_code_implies(registry: Registry) -> None:
    registry.put(
        {
            "resourceType": "DocumentReference",
            "id": "d",
            "status": "current",
            "relatesTo": [{"code": "replaces", "target": {"reference": "DocumentReference/old"}}],
        }
    )
    old = "DocumentReference/old"
    system = "http://hl7.org/fhir/document-relationship-type"
    for code in ("replaces", "|replaces", f"{system}|replaces"):
        assert registry.ids("DocumentReference", f"relationship={code}${old}") == {"d"}
    assert registry.ids("DocumentReference", f"relationship={system}|signs${old}") == set()

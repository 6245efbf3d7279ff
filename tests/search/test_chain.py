"""References, chains and reverse chains: https://hl7.org/fhir/R4/search.html#chaining."""

import pytest

from r4.issue import FhirError
from tests.search.conftest import Registry


@pytest.fixture(scope="module", autouse=True)
def _stored(registry: Registry) -> None:
    registry.put(
        {"resourceType": "Organization", "id": "trust", "name": "Trust"},
        {
            "resourceType": "Organization",
            "id": "ward",
            "name": "Ward",
            "partOf": {"reference": "Organization/trust"},
        },
        {"resourceType": "Practitioner", "id": "surgeon", "name": [{"family": "Testsurgeon"}]},
        {
            "resourceType": "Patient",
            "id": "heron",
            "name": [{"family": "Heron"}],
            "gender": "female",
            "managingOrganization": {"reference": "Organization/ward"},
            "generalPractitioner": [
                {"reference": "Practitioner/surgeon"},
                {"reference": "Organization/trust"},
            ],
        },
        {"resourceType": "Patient", "id": "wren", "name": [{"family": "Wren"}], "gender": "male"},
        {"resourceType": "Group", "id": "heron", "actual": True, "code": {"text": "x"}},
        {
            "resourceType": "Observation",
            "id": "o1",
            "code": {"coding": [{"code": "weight"}]},
            "subject": {"reference": "Patient/heron"},
            "encounter": {"reference": "Encounter/e1"},
        },
        {
            "resourceType": "Observation",
            "id": "o2",
            "code": {"coding": [{"code": "height"}]},
            "subject": {"reference": "Patient/wren"},
        },
        {"resourceType": "Observation", "id": "o3", "subject": {"reference": "Group/heron"}},
        {
            "resourceType": "Observation",
            "id": "o4",
            "subject": {"identifier": {"system": "urn:nhs", "value": "999"}},
        },
        {
            "resourceType": "Encounter",
            "id": "e1",
            "status": "finished",
            "subject": {"reference": "Patient/heron"},
        },
        {"resourceType": "List", "id": "list", "entry": [{"item": {"reference": "Patient/wren"}}]},
    )


@pytest.mark.parametrize(
    ("kind", "query", "ids"),
    [
        ("Observation", "subject=Patient/heron", {"o1"}),
        ("Observation", "subject=heron", {"o1", "o3"}),
        ("Observation", "patient=heron", {"o1"}),
        ("Observation", "patient=Group/heron", set()),
        ("Observation", "subject:Patient=heron", {"o1"}),
        ("Observation", "subject:Group=heron", {"o3"}),
        ("Observation", "subject:identifier=urn:nhs|999", {"o4"}),
        ("Observation", "subject:missing=true", set()),
        ("Observation", "patient:missing=true", {"o3", "o4"}),
        ("Observation", "encounter:missing=true", {"o2", "o3", "o4"}),
        ("Observation", "subject:Patient.name=heron", {"o1"}),
        ("Observation", "patient.name=heron,wren", {"o1", "o2"}),
        ("Observation", "patient.name:exact=heron", set()),
        ("Observation", "patient.gender:not=male", {"o1"}),
        ("Observation", "patient.gender=male&code=weight", set()),
        ("Observation", "patient._id=heron", {"o1"}),
        ("Observation", "patient.organization.name=ward", {"o1"}),
        ("Observation", "patient.organization.partof.name=trust", {"o1"}),
        ("Observation", "patient.organization.name=trust", set()),
        ("Patient", "general-practitioner.name=testsurgeon", {"heron"}),
        ("Patient", "general-practitioner.name=trust", {"heron"}),
        ("Patient", "general-practitioner:Practitioner.name=trust", set()),
        ("Patient", "_has:Observation:patient:code=weight", {"heron"}),
        ("Patient", "_has:Observation:patient:code=weight,height", {"heron", "wren"}),
        ("Patient", "_has:Observation:subject:code:missing=false", {"heron", "wren"}),
        ("Patient", "_has:Observation:patient:encounter.status=finished", {"heron"}),
        ("Patient", "_has:Observation:patient:encounter.status=planned", set()),
        (
            "Organization",
            "_has:Patient:organization:_has:Observation:patient:code=weight",
            {"ward"},
        ),
        ("Encounter", "_has:Observation:encounter:patient.name=heron", {"e1"}),
        ("Encounter", "patient._has:Observation:patient:code=weight", {"e1"}),
        ("Patient", "_list=list", {"wren"}),
        ("Patient", "_list=none", set()),
    ],
)
def test_finds(registry: Registry, kind: str, query: str, ids: set[str]) -> None:
    assert registry.ids(kind, query) == ids


def test_the_servers_own_base_is_its_own(registry: Registry) -> None:
    place = f"{registry.context.base_url}/Patient/heron"
    assert registry.ids("Observation", f"patient={place}") == {"o1"}
    assert registry.ids("Observation", "patient=http://other.example/Patient/heron") == set()


@pytest.mark.parametrize(
    ("kind", "query", "says"),
    [
        ("Observation", "code.name=x", "cannot be chained"),
        ("Observation", "patient.nothing=x", "no search parameter nothing"),
        ("Patient", "_has:Observation:code:code=x", "no reference"),
        ("Organization", "_has:Observation:patient:code=x", "does not refer"),
        ("Patient", "_has:Observation=x", "not of the form"),
        ("Observation", "patient:Group=heron", "not supported on patient"),
    ],
)
def test_refuses(registry: Registry, kind: str, query: str, says: str) -> None:
    with pytest.raises(FhirError, match=says) as refusal:
        registry.found(kind, query)
    assert refusal.value.status == 400


def test_what_was_updated_or_deleted_is_no_link_any_more(registry: Registry) -> None:
    child = {"resourceType": "Patient", "id": "dove", "name": [{"family": "Dove"}]}
    seen = {"resourceType": "Observation", "id": "seen", "subject": {"reference": "Patient/dove"}}
    registry.put(child, seen)
    assert registry.ids("Observation", "patient.name=dove") == {"seen"}
    registry.put({**child, "name": [{"family": "Pigeon"}]})
    assert registry.ids("Observation", "patient.name=dove") == set()
    assert registry.ids("Observation", "patient.name=pigeon") == {"seen"}
    registry.put({"resourceType": "Observation", "id": "seen"}, deleted=True)
    assert registry.ids("Patient", "_has:Observation:patient:_id=seen") == set()

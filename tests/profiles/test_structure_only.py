"""What is looked at where structure alone is asked for: what other libraries call validation."""

import pytest

from profiles.compile import Checks
from profiles.findings import Run
from profiles.shelf import Shelf
from profiles.validate import own_structures, validate
from r4.issue import Issue
from terminology import Terminology, systems
from tests.profiles.corpus import examples
from tests.profiles.mutants import mutants

TERMINOLOGY = Terminology.load()
STRUCTURE = Checks(Shelf(TERMINOLOGY, own_structures(), False), None, structure_only=True)
PATIENT = {"resourceType": "Patient", "name": [{"given": ["Ada"]}]}
OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


def structure(resource: dict) -> list[Issue]:
    run = Run(resource, resource)
    STRUCTURE.resource(resource, (None, resource.get("resourceType", "Resource"), None), run)
    return run.issues


@pytest.mark.parametrize(
    ("resource", "rule"),
    [
        ({**PATIENT, "names": []}, "unknown-element"),
        ({**PATIENT, "name": {"given": ["Ada"]}}, "json-array"),
        ({**PATIENT, "birthDate": "5.1.2026"}, "date"),
        ({**PATIENT, "active": "true"}, "boolean"),
        ({**PATIENT, "deceasedBoolean": True, "deceasedDateTime": "2026"}, "choice"),
        ({"resourceType": "Observation", "status": "final"}, "cardinality"),
        ({**PATIENT, "contained": [{"resourceType": "Pateint"}]}, "resource-type"),
        ({**PATIENT, "_birthDate": {"extension": [{"valueCode": "unknown"}]}}, "cardinality"),
    ],
)
def test_structure_types_cardinality_choices_and_formats(resource: dict, rule: str) -> None:
    assert [issue.rule for issue in structure(resource)] == [rule]


@pytest.mark.parametrize(
    ("resource", "rule"),
    [
        ({**PATIENT, "gender": "f"}, "binding-required"),
        ({**PATIENT, "contact": [{"gender": "female"}]}, "pat-1"),
        ({**PATIENT, "managingOrganization": {"reference": "Patient/1"}}, "reference-target"),
        ({**PATIENT, "text": {"status": "empty", "div": "<p>x</p>"}}, "txt-1"),
        ({**PATIENT, "extension": [{"url": "urn:x", "valueCode": "a"}]}, "extension-unknown"),
        ({**PATIENT, "meta": {"profile": ["urn:x"]}}, "profile-unknown"),
        (
            {**PATIENT, "identifier": [{"system": systems.NHS_NUMBER, "value": "9990000010"}]},
            "csor-nhs-number",
        ),
        (
            {**OBSERVATION, "meta": {"profile": [f"{systems.CSOR}/StructureDefinition/csor-birth-weight"]}},
            "cardinality",
        ),
    ],
)  # fmt: skip
def test_bindings_invariants_and_profiles_are_left_to_the_whole(resource: dict, rule: str) -> None:
    assert structure(resource) == []
    assert rule in {issue.rule for issue in validate(resource, TERMINOLOGY)}


def test_what_it_finds_in_broken_examples_the_whole_finds_too() -> None:
    found = 0
    for _, mutant in mutants(dict(examples())["Patient-example"]):
        whole = {(issue.rule, issue.expression) for issue in validate(mutant, TERMINOLOGY)}
        alone = {(issue.rule, issue.expression) for issue in structure(mutant)}
        assert alone <= whole
        found += bool(alone)
    assert found

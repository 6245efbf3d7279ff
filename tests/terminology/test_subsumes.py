"""How two codes stand to each other: https://hl7.org/fhir/R4/codesystem-operation-subsumes.html."""

import pytest

from r4.issue import FhirError
from terminology.concepts import index
from terminology.systems import SNOMED_CT
from tests.terminology.fictitious import OURS, loaded_service, service

TREE = f"{OURS}/tree"


@pytest.mark.parametrize(
    ("system", "one", "other", "outcome"),
    [
        (TREE, "animal", "cat", "subsumes"),
        (TREE, "cat", "animal", "subsumed-by"),
        (TREE, "bat", "mammal", "subsumed-by"),
        (TREE, "cat", "cat", "equivalent"),
        (TREE, "cat", "bird", "not-subsumed"),
        (SNOMED_CT, "1", "110", "subsumes"),
        (SNOMED_CT, "10", "110", "not-subsumed"),
    ],
)
def test_how_one_code_stands_to_another(system: str, one: str, other: str, outcome: str) -> None:
    assert loaded_service().subsumes(system, one, other) == outcome


@pytest.mark.parametrize(
    ("system", "one", "other", "version", "status"),
    [
        (TREE, "cat", "unicorn", None, 404),
        (TREE, "unicorn", "unicorn", None, 404),
        (TREE, "cat", "cat", "1", 422),
        (SNOMED_CT, "1", "10", None, 422),
        ("urn:unheard-of", "1", "10", None, 404),
    ],
)
def test_what_cannot_be_told_is_refused(
    system: str, one: str, other: str, version: str | None, status: int
) -> None:
    with pytest.raises(FhirError) as refused:
        service().subsumes(system, one, other, version)
    assert refused.value.status == status


def test_a_circle_of_parents_ends() -> None:
    circle = index(
        {
            "concept": [
                {"code": "a", "property": [{"code": "parent", "valueCode": "b"}]},
                {"code": "b", "property": [{"code": "parent", "valueCode": "a"}]},
            ]
        }
    )
    assert circle.above("a") == circle.below("a") == {"b"}


def test_a_large_system_in_memory_knows_who_is_below_whom() -> None:
    """Ten thousand concepts, ten deep."""
    listed = [
        {"code": str(number), "property": [{"code": "parent", "valueCode": str(number - 1000)}]}
        for number in range(1000, 11_000)
    ]
    concepts = index({"content": "complete", "concept": listed})
    for number in range(10_000, 11_000):
        assert concepts.subsumes(str(number - 9000), str(number))
        assert len(concepts.below(str(number - 9000))) == 9

"""A path read straight from the JSON gives what its evaluation over typed elements gives."""

from typing import Any

import pytest

from r4 import definitions, fhirpath
from tests.profiles.corpus import examples

TYPES = ("Patient", "Observation", "Questionnaire", "Bundle", "Medication", "Encounter")
EACH = 8


@pytest.fixture(scope="module")
def some() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for _, resource in examples():
        alike = [one for one in found if one["resourceType"] == resource["resourceType"]]
        if resource["resourceType"] in TYPES and len(alike) < EACH:
            found.append(resource)
    return found


def test_every_search_parameter_finds_the_same_both_ways(some: list[dict[str, Any]]) -> None:
    found = 0
    for parameter in definitions.every("SearchParameter"):
        if "expression" not in parameter:
            continue
        compiled = fhirpath.compile(parameter["expression"])
        for resource in some:
            values = compiled(resource)
            assert values == [value for value, _ in compiled.typed(resource)], compiled.expression
            found += len(values)
    assert found > 500


PRIMITIVES: dict[str, Any] = {
    "resourceType": "Patient",
    "_birthDate": {"extension": [{"url": "http://example.org/u", "valueString": "unknown"}]},
    "name": [{"given": ["Ada", None], "_given": [None, {"id": "second"}]}, "no name"],
    "multipleBirthInteger": 2,
    "_multipleBirthInteger": {"id": "b"},
    "contained": [{"resourceType": "Observation", "valueString": "x"}],
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("Patient.birthDate", []),
        ("Patient.birthDate.extension.value", ["unknown"]),
        ("Patient.name.given", ["Ada"]),
        ("Patient.name.given.id", ["second"]),
        ("Patient.multipleBirth", [2]),
        ("Patient.contained.value", ["x"]),
        ("Observation.status", []),
        ("name.given | Patient.name.given", ["Ada"]),
        ("Resource.name.nothing", []),
    ],
)
def test_primitives_without_value_choices_and_contained_resources(
    path: str, values: list[Any]
) -> None:
    assert fhirpath.evaluate(path, PRIMITIVES) == values
    assert [value for value, _ in fhirpath.compile(path).typed(PRIMITIVES)] == values

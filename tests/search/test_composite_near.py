"""Composite and special search: https://hl7.org/fhir/R4/search.html#composite, location.html#search."""

import pytest

from r4.issue import FhirError
from tests.search.conftest import Registry, resource

SCT = "http://snomed.info/sct"


def pressure(id: str, systolic: int, diastolic: int) -> dict[str, object]:
    return {
        "resourceType": "Observation",
        "id": id,
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        "component": [
            {
                "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "valueQuantity": {
                    "value": value,
                    "unit": "mmHg",
                    "system": "http://unitsofmeasure.org",
                    "code": "mm[Hg]",
                },
            }
            for code, value in (("8480-6", systolic), ("8462-4", diastolic))
        ],
    }


@pytest.fixture(scope="module", autouse=True)
def _stored(registry: Registry) -> None:
    registry.put(
        pressure("high", 150, 80),
        pressure("even", 110, 110),
        resource(
            '{"resourceType":"Observation","id":"weight","code":{"coding":[{"code":"w"}]},"valueQuantity":{"value":3}}'
        ),
        {
            "resourceType": "Observation",
            "id": "grade",
            "code": {"coding": [{"code": "g"}]},
            "valueCodeableConcept": {"coding": [{"system": "s", "code": "1"}]},
        },
        {
            "resourceType": "Group",
            "id": "group",
            "characteristic": [
                {
                    "code": {"coding": [{"code": "gender"}]},
                    "valueCodeableConcept": {"coding": [{"code": "mixed"}]},
                },
                {
                    "code": {"coding": [{"code": "owner"}]},
                    "valueCodeableConcept": {"coding": [{"code": "john"}]},
                },
            ],
        },
        {
            "resourceType": "DocumentReference",
            "id": "doc",
            "relatesTo": [
                {"code": "replaces", "target": {"reference": "DocumentReference/old"}},
                {"code": "appends", "target": {"reference": "DocumentReference/other"}},
            ],
        },
        {
            "resourceType": "MolecularSequence",
            "id": "seq",
            "variant": [{"start": 10, "end": 20}, {"start": 100, "end": 200}],
            "referenceSeq": {
                "chromosome": {"coding": [{"code": "7"}]},
                "windowStart": 5,
                "windowEnd": 500,
            },
        },
        *(
            resource(
                f'{{"resourceType":"Location","id":"{name}","position":{{"latitude":{lat},"longitude":{long}}}}}'
            )
            for name, lat, long in (
                ("oxford", "51.7520", "-1.2577"),
                ("reading", "51.4543", "-0.9781"),
                ("fiji", "-17.0", "179.9"),
            )
        ),
    )


@pytest.mark.parametrize(
    ("kind", "query", "ids"),
    [
        ("Observation", "component-code-value-quantity=8480-6$gt140", {"high"}),
        ("Observation", "component-code-value-quantity=http://loinc.org|8480-6$gt14.0||x", set()),
        ("Observation", "component-code-value-quantity=8462-4$gt100", {"even"}),
        (
            "Observation",
            "component-code-value-quantity=8462-4$gt100|http://unitsofmeasure.org|mm[Hg]",
            {"even"},
        ),
        ("Observation", "component-code-value-quantity=8480-6$gt100||mmHg", {"high", "even"}),
        ("Observation", "combo-code-value-quantity=8480-6$150", {"high"}),
        ("Observation", "combo-code-value-quantity=w$3", {"weight"}),
        ("Observation", "code-value-quantity=w$3", {"weight"}),
        ("Observation", "code-value-quantity=8480-6$150", set()),
        ("Observation", "code-value-concept=g$s|1", {"grade"}),
        ("Observation", "code-value-concept=g$1,w$2", {"grade"}),
        ("Group", "characteristic-value=gender$mixed", {"group"}),
        ("Group", "characteristic-value=gender$john", set()),
        ("DocumentReference", "relationship=replaces$DocumentReference/old", {"doc"}),
        ("DocumentReference", "relationship=appends$DocumentReference/old", set()),
        ("MolecularSequence", "chromosome-variant-coordinate=7$ge10$le20", {"seq"}),
        ("MolecularSequence", "chromosome-variant-coordinate=7$10$200", set()),
        ("MolecularSequence", "chromosome-window-coordinate=7$lt6$gt400", {"seq"}),
    ],
)
def test_the_parts_of_a_pair_belong_together(
    registry: Registry, kind: str, query: str, ids: set[str]
) -> None:
    assert registry.ids(kind, query) == ids


@pytest.mark.parametrize(
    ("near", "ids"),
    [
        ("51.7520|-1.2577|1|km", {"oxford"}),
        ("51.7520|-1.2577", {"oxford"}),
        ("51.7520|-1.2577|38|km", {"oxford"}),
        ("51.7520|-1.2577|39|km", {"oxford", "reading"}),
        ("51.7520|-1.2577|39000|m", {"oxford", "reading"}),
        ("51.7520|-1.2577|24|[mi_us]", {"oxford", "reading"}),
        ("51.7520|-1.2577|23|[mi_us]", {"oxford"}),
        ("-17.0|-179.9|30|km", {"fiji"}),
    ],
)
def test_near_is_a_true_radius_also_across_the_date_line(
    registry: Registry, near: str, ids: set[str]
) -> None:
    assert registry.ids("Location", f"near={near}") == ids


@pytest.mark.parametrize("near", ["51", "91|0", "1|2|3|parsecs", "a|b"])
def test_no_place_is_refused(registry: Registry, near: str) -> None:
    with pytest.raises(FhirError) as refusal:
        registry.found("Location", f"near={near}")
    assert refusal.value.status == 400

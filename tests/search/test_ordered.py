"""Date, number and quantity search: https://hl7.org/fhir/R4/search.html#prefix."""

import pytest

from r4.issue import FhirError
from tests.search.conftest import Registry, resource

UCUM = "http://unitsofmeasure.org"


def observation(id: str, quantity: str) -> dict[str, object]:
    return resource(f'{{"resourceType":"Observation","id":"{id}","valueQuantity":{quantity}}}')


@pytest.fixture(scope="module", autouse=True)
def _stored(registry: Registry) -> None:
    registry.put(
        {"resourceType": "Patient", "id": "day", "birthDate": "2021-05-04"},
        {"resourceType": "Patient", "id": "year", "birthDate": "2021"},
        {"resourceType": "Encounter", "id": "open", "period": {"start": "2021-05-04"}},
        {
            "resourceType": "Encounter",
            "id": "may",
            "period": {"start": "2021-05-01", "end": "2021-05-31"},
        },
        *(
            resource(
                f'{{"resourceType":"RiskAssessment","id":"{i}","prediction":[{{"probabilityDecimal":{v}}}]}}'
            )
            for i, v in (("low", "0.2"), ("mid", "0.25"), ("high", "100.49"))
        ),
        observation("mg", f'{{"value":5.4,"unit":"mg","system":"{UCUM}","code":"mg"}}'),
        observation("g", f'{{"value":0.0054,"unit":"gram","system":"{UCUM}","code":"g"}}'),
        observation("tablet", '{"value":5.4,"unit":"tablet"}'),
        observation(
            "less", f'{{"value":1,"comparator":"<","unit":"mg","system":"{UCUM}","code":"mg"}}'
        ),
        observation("warm", f'{{"value":100.4,"unit":"F","system":"{UCUM}","code":"[degF]"}}'),
    )


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("birthdate=2021", {"day", "year"}),
        ("birthdate=2021-05-04", {"day"}),
        ("birthdate=ne2021-05-04", {"year"}),
        ("birthdate=gt2021-05-04", {"year"}),
        ("birthdate=ge2021-05-04&birthdate=le2021-05-04", {"day", "year"}),
        ("birthdate=lt2021-05-04", {"year"}),
        ("birthdate=sa2021-05-03", {"day"}),
        ("birthdate=eb2021-05-05", {"day"}),
        ("birthdate=2021-05-04T00:00", set()),
        ("birthdate=ap2021-05-20", {"day", "year"}),
        ("birthdate=ap1921", set()),
        ("birthdate=2020,2021-05", {"day"}),
    ],
)
def test_dates(registry: Registry, query: str, ids: set[str]) -> None:
    assert registry.ids("Patient", query) == ids


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("date=gt2030", {"open"}),
        ("date=eb2021-06-01", {"may"}),
        ("date=lt2021-05-02", {"may"}),
        ("date=2021-05", {"may"}),
    ],
)
def test_periods_without_an_end_go_on(registry: Registry, query: str, ids: set[str]) -> None:
    assert registry.ids("Encounter", query) == ids


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("probability=0.2", {"low"}),
        ("probability=0.250", {"mid"}),
        ("probability=0.25", {"mid"}),
        ("probability=100", {"high"}),
        ("probability=100.0", set()),
        ("probability=1e2", {"high"}),
        ("probability=gt0.2", {"mid", "high"}),
        ("probability=ge0.2", {"low", "mid", "high"}),
        ("probability=lt0.25", {"low"}),
        ("probability=ap0.22", {"low"}),
        ("probability=ne0.2", {"mid", "high"}),
    ],
)
def test_numbers_by_the_precision_of_what_is_asked(
    registry: Registry, query: str, ids: set[str]
) -> None:
    assert registry.ids("RiskAssessment", query) == ids


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("5.4", {"mg", "tablet"}),
        (f"5.4|{UCUM}|mg", {"mg", "g"}),
        (f"0.0054|{UCUM}|g", {"mg", "g"}),
        (f"5400|{UCUM}|ug", {"mg", "g"}),
        ("5.4||mg", {"mg"}),
        ("0.0054||gram", {"g"}),
        ("5.4||tablet", {"tablet"}),
        (f"lt2|{UCUM}|mg", {"less"}),
        (f"gt5|{UCUM}|mg", {"mg", "g"}),
        (f"ap5|{UCUM}|mg", {"mg", "g"}),
        (f"38.0|{UCUM}|Cel", {"warm"}),
        (f"5.4|{UCUM}|mL", set()),
    ],
)
def test_quantities_of_one_kind_are_compared_in_one_unit(
    registry: Registry, value: str, ids: set[str]
) -> None:
    found = registry.ids("Observation", f"value-quantity={value}")
    assert found == ids
    assert registry.ids("Observation", f"combo-value-quantity={value}") == found


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("Patient", "birthdate=yesterday"),
        ("RiskAssessment", "probability=much"),
        ("Observation", "value-quantity=1|mg"),
        ("Patient", "birthdate=xx2020"),
    ],
)
def test_refuses_what_cannot_be_read(registry: Registry, kind: str, query: str) -> None:
    with pytest.raises(FhirError) as refusal:
        registry.found(kind, query)
    assert refusal.value.status == 400

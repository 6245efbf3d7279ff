"""`_filter`: https://hl7.org/fhir/R4/search_filter.html."""

import pytest

from r4.issue import FhirError
from tests.search.conftest import Registry, resource

CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


@pytest.fixture(scope="module", autouse=True)
def _stored(registry: Registry) -> None:
    registry.put(
        {
            "resourceType": "Patient",
            "id": "peter",
            "name": [{"given": ["Peter"], "family": "Heron, Sr"}],
            "birthDate": "2014-10-10",
            "gender": "male",
        },
        {
            "resourceType": "Patient",
            "id": "pete",
            "name": [{"given": ["Pete"]}],
            "birthDate": "1990",
        },
        {
            "resourceType": "Patient",
            "id": "mary",
            "name": [{"given": ["Mary"]}],
            "gender": "female",
        },
        resource(
            '{"resourceType":"Observation","id":"o","code":{"coding":[{"system":"http://loinc.org","code":"1234-5"}]},'
            '"subject":{"reference":"Patient/peter"},"valueQuantity":{"value":150,"unit":"mg"}}'
        ),
        {
            "resourceType": "Encounter",
            "id": "e",
            "period": {"start": "2020-01-01", "end": "2020-03-01"},
        },
        {
            "resourceType": "Condition",
            "id": "c",
            "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "recurrence"}]},
        },
    )


@pytest.mark.parametrize(
    ("kind", "expression", "ids"),
    [
        ("Patient", 'given eq "peter"', {"peter"}),
        ("Patient", 'given eq "pet"', set()),
        ("Patient", 'given ne "peter"', {"pete", "mary"}),
        ("Patient", 'given sw "pet"', {"peter", "pete"}),
        ("Patient", 'given ew "er"', {"peter"}),
        ("Patient", 'given co "ete"', {"peter", "pete"}),
        ("Patient", 'family eq "heron, sr"', {"peter"}),
        ("Patient", 'given eq "peter" or birthdate lt 2000', {"peter", "pete"}),
        ("Patient", "birthdate ge 2014-10-10", {"peter"}),
        ("Patient", "birthdate sa 1990 and gender eq male", {"peter"}),
        ("Patient", "gender pr false", {"pete"}),
        ("Patient", "gender pr true and not (gender eq male)", {"mary"}),
        ("Patient", 'given eq "mary" or given eq "pete" and gender eq male', {"mary"}),
        ("Patient", '(given eq "mary" or given eq "peter") and gender eq male', {"peter"}),
        ("Patient", "_id eq peter", {"peter"}),
        ("Observation", 'subject.given eq "Peter"', {"o"}),
        ("Observation", 'subject.given ne "Peter"', set()),
        ("Observation", "subject re Patient/peter", {"o"}),
        ("Observation", "code eq http://loinc.org|1234-5", {"o"}),
        ("Observation", "value-quantity gt 100 and value-quantity le 150||mg", {"o"}),
        ("Encounter", "date po 2020-02", {"e"}),
        ("Encounter", "date po 2020-04", set()),
        ("Condition", f"clinical-status sb {CLINICAL}|active", {"c"}),
        ("Condition", f"clinical-status ss {CLINICAL}|active", set()),
        ("Condition", "clinical-status in http://hl7.org/fhir/ValueSet/condition-clinical", {"c"}),
        ("Condition", "clinical-status ni http://hl7.org/fhir/ValueSet/condition-clinical", set()),
    ],
)
def test_finds(registry: Registry, kind: str, expression: str, ids: set[str]) -> None:
    bundle = registry.bundle_of(kind, [("_filter", expression)])
    assert {entry["resource"]["id"] for entry in bundle.get("entry", [])} == ids


@pytest.mark.parametrize(
    "expression",
    [
        "given",
        "given eq",
        'given eq "peter',
        "(given eq peter",
        "given eq peter)",
        "given like peter",
        "given gt peter",
        "nothing eq 1",
        "name[use eq official].given eq peter",
        "gender pr maybe",
    ],
)
def test_refuses(registry: Registry, expression: str) -> None:
    with pytest.raises(FhirError) as refusal:
        registry.bundle_of("Patient", [("_filter", expression)])
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    "expression",
    [
        "not " * 100 + "gender eq male",
        " or ".join(["gender eq male"] * 201),
        'name eq "' + "a" * 8000 + '"',
    ],
)
def test_what_costs_too_much_is_refused_as_that(registry: Registry, expression: str) -> None:
    with pytest.raises(FhirError) as refusal:
        registry.bundle_of("Patient", [("_filter", expression)])
    assert (refusal.value.status, refusal.value.issues[0].code) == (422, "too-costly")

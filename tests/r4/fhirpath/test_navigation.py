"""Paths through a resource: names, choices, types, extensions of primitives.

https://hl7.org/fhir/R4/fhirpath.html
"""

from decimal import Decimal

import pytest

from r4.fhirpath import Environment, compile, evaluate, is_true
from r4.issue import FhirError

CHILD = {
    "resourceType": "Patient",
    "id": "child",
    "birthDate": "2018-01-20",
    "_birthDate": {"extension": [{"url": "http://example.org/t", "valueTime": "04:05:00"}]},
    "name": [
        {
            "use": "official",
            "family": "Ash",
            "given": ["Rowan", None],
            "_given": [None, {"id": "g"}],
        },
        {"use": "old", "family": "Elm"},
    ],
    "contact": [{"relationship": [{"text": "mother"}], "name": {"family": "Ash"}}],
    "generalPractitioner": [{"reference": "Practitioner/gp"}],
    "contained": [{"resourceType": "Organization", "id": "o", "name": "Ward"}],
    "managingOrganization": {"reference": "#o"},
}
WEIGHT = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8339-4"}]},
    "subject": {"reference": "Patient/child"},
    "valueQuantity": {
        "value": Decimal("3.250"),
        "unit": "kg",
        "system": "http://unitsofmeasure.org",
        "code": "kg",
    },
}


def test_a_path_yields_json_with_decimals_kept() -> None:
    assert evaluate("Observation.value.value", WEIGHT) == [Decimal("3.250")]
    assert str(evaluate("Observation.value.value", WEIGHT)[0]) == "3.250"
    assert evaluate("Patient.name.family", CHILD) == ["Ash", "Elm"]


def test_a_path_of_another_type_or_name_yields_nothing_unless_strict() -> None:
    assert evaluate("Encounter.status", CHILD) == []
    assert evaluate("valueQuantity", WEIGHT) == []
    with pytest.raises(FhirError, match="Observation has no element `valueQuantity`"):
        evaluate("valueQuantity", WEIGHT, Environment(strict=True))


@pytest.mark.parametrize(
    ("expression", "resource", "types"),
    [
        ("Observation.value", WEIGHT, ["Quantity"]),
        ("Observation.value.value", WEIGHT, ["decimal"]),
        ("Observation.code", WEIGHT, ["CodeableConcept"]),
        ("Observation.subject", WEIGHT, ["Reference"]),
        ("Patient.birthDate", CHILD, ["date"]),
        ("Patient.birthDate.extension.value", CHILD, ["time"]),
        ("Patient.name", CHILD, ["HumanName", "HumanName"]),
        ("Patient.contact", CHILD, ["BackboneElement"]),
        ("Patient.contact.relationship.text", CHILD, ["string"]),
        ("Patient.id", CHILD, ["id"]),
        ("Patient.contained", CHILD, ["Organization"]),
        ("Patient", CHILD, ["Patient"]),
        ("birthDate + 1 day", CHILD, ["date"]),
        ("name.count()", CHILD, ["integer"]),
    ],
)
def test_values_know_their_fhir_type(expression: str, resource: dict, types: list[str]) -> None:
    assert [name for _, name in compile(expression).typed(resource)] == types


def test_elements_of_recursive_definitions_keep_their_type() -> None:
    form = {
        "resourceType": "Questionnaire",
        "item": [{"linkId": "a", "item": [{"linkId": "b", "initial": [{"valueCoding": {}}]}]}],
    }
    assert compile("item.item.initial.value").typed(form) == [({}, "Coding")]
    assert evaluate("repeat(item).linkId", form) == ["a", "b"]


def test_an_element_may_be_the_input_when_its_type_is_given() -> None:
    name = CHILD["name"][0]
    assert compile("given").typed(name, type="HumanName") == [("Rowan", "string")]
    assert compile("name").typed(CHILD["contact"][0], type="Patient.contact")[0][1] == "HumanName"
    assert is_true("$this >= @2018", "2019-05-01", type="date")
    with pytest.raises(FhirError, match="`Nonsense` is not a type"):
        evaluate("a", {}, type="Nonsense")


def test_an_input_of_unknown_type_is_navigated_by_its_keys() -> None:
    assert evaluate("a.b.where($this > 1)", {"a": [{"b": [1, 2]}]}) == [2]
    assert compile("value").typed({"valueCoding": {"code": "x"}}) == [({"code": "x"}, "Coding")]


def test_extensions_of_primitives_are_reached_and_values_without_text_left_out() -> None:
    assert evaluate("birthDate.extension('http://example.org/t').value", CHILD) == ["04:05:00"]
    assert evaluate("name.given.id", CHILD) == ["g"]
    assert evaluate("name.given", CHILD) == ["Rowan"]
    assert evaluate("name.given.select(hasValue())", CHILD) == [True, False]


def test_a_primitive_given_as_an_object_has_extensions_only() -> None:
    absent = {"extension": [{"url": "http://example.org/why", "valueCode": "unknown"}]}
    assert is_true("hasValue().not() and extension.exists()", absent, type="date")


def test_types_are_told_apart() -> None:
    assert evaluate("Observation.value as Quantity", WEIGHT) == [WEIGHT["valueQuantity"]]
    assert evaluate("Observation.value.ofType(string)", WEIGHT) == []
    assert evaluate("Observation.value is FHIR.Quantity", WEIGHT) == [True]
    assert evaluate("status is code and status is string", WEIGHT) == [True]
    assert evaluate("Patient is DomainResource", CHILD) == [True]


def test_references_are_resolved_from_contained_bundle_and_caller() -> None:
    assert evaluate("managingOrganization.resolve().name", CHILD) == ["Ward"]
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"fullUrl": "urn:uuid:1", "resource": CHILD},
            {"resource": {"resourceType": "Observation", "subject": {"reference": "urn:uuid:1"}}},
        ],
    }
    assert evaluate("entry.resource.ofType(Observation).subject.resolve().id", bundle) == ["child"]
    found = Environment(resolve=lambda reference: CHILD if reference == "Patient/child" else None)
    assert evaluate("subject.resolve().birthDate", WEIGHT, found) == ["2018-01-20"]
    assert evaluate("generalPractitioner.resolve()", CHILD, found) == []


def test_without_a_resolver_a_reference_still_says_what_type_it_names() -> None:
    assert is_true("Observation.subject.where(resolve() is Patient).exists()", WEIGHT)
    assert not is_true("Observation.subject.where(resolve() is Group).exists()", WEIGHT)


def test_keys_join_references_to_resources() -> None:
    assert evaluate("getResourceKey()", CHILD) == evaluate("subject.getReferenceKey()", WEIGHT)
    assert evaluate("subject.getReferenceKey(Patient)", WEIGHT) == ["child"]
    assert evaluate("subject.getReferenceKey(Group)", WEIGHT) == []
    elsewhere = WEIGHT | {"subject": {"reference": "http://elsewhere.example/fhir/Patient/child"}}
    assert evaluate("subject.getReferenceKey(Patient)", elsewhere) == []


def test_children_and_descendants_are_typed() -> None:
    assert compile("name.first().children()").typed(CHILD) == [
        ("official", "code"),
        ("Ash", "string"),
        ("Rowan", "string"),
    ]
    assert evaluate("descendants().ofType(Reference).reference", CHILD) == [
        "Practitioner/gp",
        "#o",
    ]


def test_items_carry_types_and_extensions_into_further_calls() -> None:
    birth = compile("birthDate").items(CHILD)
    assert evaluate("extension.value", birth[0]) == ["04:05:00"]
    later = Environment(variables={"birth": birth})
    assert evaluate("%birth + 1 month", WEIGHT, later) == ["2018-02-20"]

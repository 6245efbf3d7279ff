"""Which slice a value belongs to, by each kind of discriminator, and what is said where none fits."""

from typing import Any

import pytest

from r4.issue import Issue
from r4.json import Resource
from tests.profiles.small import HERE, brief, check, element, observation, patient, profile

A, B, C = "https://e.org/a", "https://e.org/b", "https://e.org/c"


def slicing(type_: str, path: str, rules: str = "open", **more: Any) -> dict[str, Any]:
    return {"slicing": {"discriminator": [{"type": type_, "path": path}], "rules": rules, **more}}


def by_system(rules: str = "open", **more: Any) -> Resource:
    """Slice identifiers by their system: `a` once, `b` as often as one likes."""
    return profile(
        "by-system",
        "Patient",
        element("Patient.identifier", **slicing("value", "system", rules, **more)),
        element("Patient.identifier:a", min=1, max="1"),
        element("Patient.identifier:a.system", min=1, fixedUri=A),
        element("Patient.identifier:a.value", min=1),
        element("Patient.identifier:b", min=0, max="*"),
        element("Patient.identifier:b.system", min=1, fixedUri=B),
    )


def identified(*systems: str) -> Resource:
    return patient(identifier=[{"system": system, "value": "1"} for system in systems])


def test_a_value_belongs_to_the_slice_whose_fixed_value_it_has():
    assert check(identified(A, B, B, C), by_system()) == []
    valueless = patient(identifier=[{"system": A}, {"system": B}])
    assert brief(check(valueless, by_system())) == [("cardinality", "Patient.identifier[0].value")]


def test_a_slice_that_is_missing_is_named_with_what_it_wants():
    [issue] = check(identified(B), by_system())
    assert (issue.rule, issue.code, issue.expression) == (
        "slice-cardinality",
        "required",
        "Patient.identifier",
    )
    assert issue.diagnostics == (
        f"The slice a of identifier is required: add one with system = '{A}'."
    )
    assert issue.profile == f"{HERE}/by-system|1.0.0"


def test_a_slice_that_stands_too_often_is_reported_at_the_first_too_many():
    assert brief(check(identified(A, B, A), by_system())) == [
        ("slice-cardinality", "Patient.identifier[2]")
    ]


def test_closed_slices_take_nothing_else_and_the_nearest_is_named():
    [issue] = check(identified(A, C), by_system("closed"))
    assert (issue.rule, issue.expression) == ("slice-closed", "Patient.identifier[1]")
    assert issue.diagnostics == (
        f"identifier takes only values of its slices. The nearest is a: it wants system = '{A}'."
    )


def test_slices_open_at_the_end_come_before_all_else():
    assert check(identified(A, B, C), by_system("openAtEnd")) == []
    assert brief(check(identified(C, A), by_system("openAtEnd"))) == [
        ("slice-order", "Patient.identifier[1]")
    ]


def test_ordered_slices_keep_their_order():
    assert check(identified(A, C, B), by_system(ordered=True)) == []
    [issue] = check(identified(B, A), by_system(ordered=True))
    assert (issue.rule, issue.expression) == ("slice-order", "Patient.identifier[1]")
    assert "before b" in issue.diagnostics


def category(code: str) -> Resource:
    return {"coding": [{"system": A, "code": code, "display": "Shown"}]}


def in_category(**root: Any) -> Resource:
    wanted = {"coding": [{"system": A, "code": "x"}]}
    return profile(
        "in-category",
        "Observation",
        element("Observation.category", **slicing("pattern", "$this")),
        element("Observation.category:x", min=1, max="1", patternCodeableConcept=wanted),
        **root,
    )


def test_a_pattern_on_the_value_itself():
    assert check(observation(category=[category("y"), category("x")]), in_category()) == []
    [issue] = check(observation(category=[category("y")]), in_category())
    assert issue.rule == "slice-cardinality"
    assert '"code":"x"' in issue.diagnostics


def component(code: str, **elements: Any) -> Resource:
    return {"code": category(code), **elements}


def deep() -> Resource:
    """Slice components by a code that the slice fixes further down, or in a pattern above."""
    return profile(
        "deep",
        "Observation",
        element("Observation.component", **slicing("value", "code.coding.code")),
        element("Observation.component:x", min=0, max="1"),
        element("Observation.component:x.code", patternCodeableConcept=category("x")),
        element("Observation.component:x.value[x]", min=1, type=[{"code": "Quantity"}]),
        element("Observation.component:y", min=0, max="1"),
        element("Observation.component:y.code.coding.code", min=1, fixedCode="y"),
        element("Observation.component:y.value[x]", max="0"),
    )


def test_a_path_of_several_names_reads_fixed_values_and_the_patterns_above_them():
    right = observation(component=[component("x", valueQuantity={"value": 1}), component("y")])
    assert check(right, deep()) == []
    wrong = observation(
        component=[component("x", valueString="1"), component("y", valueString="1")]
    )
    assert brief(check(wrong, deep())) == [
        ("type", "Observation.component[0].value.ofType(string)"),
        ("cardinality", "Observation.component[1].value"),
    ]


def test_a_required_binding_tells_slices_apart():
    genders = "http://hl7.org/fhir/ValueSet/administrative-gender"
    bound = profile(
        "bound",
        "Patient",
        element("Patient.communication", **slicing("value", "language")),
        element("Patient.communication:g", min=1, max="*"),
        element(
            "Patient.communication:g.language",
            binding={"strength": "required", "valueSet": genders},
        ),
    )

    def speaking(system: str) -> Resource:
        return patient(
            communication=[{"language": {"coding": [{"system": system, "code": "male"}]}}]
        )

    fitting = check(speaking("http://hl7.org/fhir/administrative-gender"), bound)
    assert "slice-cardinality" not in {issue.rule for issue in fitting}
    assert "slice-cardinality" in {issue.rule for issue in check(speaking(A), bound)}


def test_what_is_there_or_not_tells_slices_apart():
    existing = profile(
        "existing",
        "Patient",
        element("Patient.name", **slicing("exists", "period")),
        element("Patient.name:past", min=0, max="1"),
        element("Patient.name:past.period", min=1),
        element("Patient.name:now", min=1, max="1"),
        element("Patient.name:now.period", max="0"),
    )
    past, now = {"text": "a", "period": {"end": "2020"}}, {"text": "b"}
    assert check(patient(name=[past, now]), existing) == []
    assert brief(check(patient(name=[now, now]), existing)) == [
        ("slice-cardinality", "Patient.name[1]")
    ]
    assert brief(check(patient(name=[past]), existing)) == [("slice-cardinality", "Patient.name")]


def test_the_type_of_a_choice_tells_slices_apart():
    typed = profile(
        "typed",
        "Observation",
        element("Observation.value[x]", **slicing("type", "$this", "closed")),
        element("Observation.value[x]:valueQuantity", min=0, max="1", type=[{"code": "Quantity"}]),
        element("Observation.value[x]:valueQuantity.unit", min=1),
    )
    assert check(observation(valueQuantity={"value": 1, "unit": "g"}), typed) == []
    assert brief(check(observation(valueQuantity={"value": 1}), typed)) == [
        ("cardinality", "Observation.value.ofType(Quantity).unit")
    ]
    assert brief(check(observation(valueString="1"), typed)) == [
        ("slice-closed", "Observation.value.ofType(string)")
    ]


def test_the_type_that_a_reference_leads_to_tells_slices_apart():
    core = "http://hl7.org/fhir/StructureDefinition"
    target = [{"code": "Reference", "targetProfile": [f"{core}/Organization"]}]
    led = profile(
        "led",
        "Patient",
        element("Patient.generalPractitioner", **slicing("type", "resolve()")),
        element("Patient.generalPractitioner:practice", min=1, max="1", type=target),
    )
    practitioner, practice = {"reference": "Practitioner/1"}, {"reference": "Organization/1"}
    assert check(patient(generalPractitioner=[practitioner, practice]), led) == []
    assert brief(check(patient(generalPractitioner=[practitioner]), led)) == [
        ("slice-cardinality", "Patient.generalPractitioner")
    ]


def test_conformance_to_a_profile_tells_slices_apart():
    named = profile("named", "Organization", element("Organization.name", min=1))
    target = [{"code": "Reference", "targetProfile": [named["url"]]}]
    kept = profile(
        "kept",
        "Patient",
        element("Patient.generalPractitioner", **slicing("profile", "resolve()")),
        element("Patient.generalPractitioner:named", min=1, max="1", type=target),
    )

    def holding(**elements: Any) -> list[Issue]:
        held = {
            "resourceType": "Organization",
            "id": "o",
            "identifier": [{"value": "1"}],
            **elements,
        }
        return check(
            patient(contained=[held], generalPractitioner=[{"reference": "#o"}]), kept, named
        )

    assert holding(name="O") == []
    assert brief(holding(alias=["O"])) == [("slice-cardinality", "Patient.generalPractitioner")]


def test_an_extension_tells_slices_apart():
    absent = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    reasoned = profile(
        "reasoned",
        "Patient",
        element("Patient.name", **slicing("exists", f"extension('{absent}')")),
        element("Patient.name:absent", min=1, max="1"),
        element("Patient.name:absent.extension", min=1),
        element(
            "Patient.name:absent.extension:reason",
            min=1,
            max="1",
            type=[{"code": "Extension", "profile": [absent]}],
        ),
    )
    reason = {"extension": [{"url": absent, "valueCode": "unknown"}]}
    assert check(patient(name=[{"text": "a"}, reason]), reasoned) == []
    assert brief(check(patient(name=[{"text": "a"}]), reasoned)) == [
        ("slice-cardinality", "Patient.name")
    ]


def test_a_slice_is_sliced_again():
    again = profile(
        "again",
        "Patient",
        element("Patient.identifier", **slicing("value", "system")),
        element("Patient.identifier:a", min=0, max="*", **slicing("value", "use")),
        element("Patient.identifier:a.system", min=1, fixedUri=A),
        element("Patient.identifier:a/official", min=1, max="1"),
        element("Patient.identifier:a/official.system", min=1, fixedUri=A),
        element("Patient.identifier:a/official.use", min=1, fixedCode="official"),
    )
    official = {"system": A, "use": "official", "value": "1"}
    assert check(patient(identifier=[official, {"system": A, "value": "2"}]), again) == []
    elsewhere = {"system": B, "use": "official", "value": "1"}
    assert brief(check(patient(identifier=[elsewhere]), again)) == [
        ("slice-cardinality", "Patient.identifier")
    ]


def test_slices_without_discriminators_are_told_by_all_that_they_say():
    whole = profile(
        "whole",
        "Patient",
        element("Patient.telecom", slicing={"rules": "open"}),
        element("Patient.telecom:phone", min=1, max="1"),
        element("Patient.telecom:phone.system", min=1, fixedCode="phone"),
    )
    phone, mail = {"system": "phone", "value": "0"}, {"system": "email", "value": "a@e.org"}
    assert check(patient(telecom=[mail, phone]), whole) == []
    assert brief(check(patient(telecom=[mail]), whole)) == [
        ("slice-cardinality", "Patient.telecom")
    ]


@pytest.mark.parametrize("broken", ["x", [], {"system": []}, {"system": {"value": A}}, None])
def test_values_that_are_none_break_nothing(broken: Any):
    assert any(issue.is_error for issue in check(patient(identifier=[broken]), by_system()))
    assert any(issue.is_error for issue in check(patient(identifier=broken), by_system("closed")))

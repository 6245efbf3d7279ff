"""Extensions are known, stand where they may, and hold what their definitions say."""

from typing import Any

import pytest

from r4.json import Resource
from tests.profiles.small import HERE, brief, check, element, observation, patient, profile

RELIGION = "http://hl7.org/fhir/StructureDefinition/patient-religion"
BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"


def extension(name: str, *elements: Resource, on: str = "Patient", **more: Any) -> Resource:
    """Define an extension with a string, or what the elements say."""
    url = {"id": "Extension.url", "fixedUri": f"{HERE}/{name}"}
    value = {"id": "Extension.value[x]", "type": [{"code": "string"}]}
    return profile(
        name,
        "Extension",
        *elements[:1],
        element("Extension.extension", max="0"),
        url,
        value,
        *elements[1:],
        kind="complex-type",
        context=[{"type": "element", "expression": on}],
        **more,
    )


ON_PATIENT = extension("on-patient")
MODIFIER = extension(
    "modifier", element("Extension", isModifier=True, isModifierReason="It may say no")
)
KNOWN = (ON_PATIENT, MODIFIER)


def used(name: str, **value: Any) -> Resource:
    return {"url": f"{HERE}/{name}", **(value or {"valueString": "x"})}


def found(resource: Resource) -> list[tuple[str, str | None, str | None]]:
    issues = check(resource, *KNOWN, asked=False)
    return [(issue.severity, issue.rule, issue.expression) for issue in issues]


def test_a_known_extension_with_its_value_has_no_issues():
    assert found(patient(extension=[used("on-patient")])) == []
    assert found(patient(modifierExtension=[used("modifier")])) == []


def test_an_unknown_extension_is_a_warning():
    assert found(patient(extension=[used("none")])) == [
        ("warning", "extension-unknown", "Patient.extension[0]")
    ]


def test_an_unknown_modifier_extension_is_an_error():
    assert found(patient(modifierExtension=[used("none")])) == [
        ("error", "modifier-extension-unknown", "Patient.modifierExtension[0]")
    ]


def test_an_extension_of_a_primitive_is_looked_at_too():
    given = patient(name=[{"_family": {"extension": [used("none")]}}])
    assert found(given) == [("warning", "extension-unknown", "Patient.name[0].family.extension[0]")]


def test_the_value_is_of_the_type_that_the_definition_says():
    [issue] = check(patient(extension=[used("on-patient", valueCode="x")]), *KNOWN, asked=False)
    assert (issue.severity, issue.rule, issue.expression) == (
        "error",
        "type",
        "Patient.extension[0].value.ofType(code)",
    )
    assert issue.diagnostics == "code is not allowed here: write valueString."
    assert issue.profile == f"{HERE}/on-patient|1.0.0"


def test_r4s_own_extensions_are_known():
    assert (
        found(patient(_birthDate={"extension": [{"url": BIRTH_TIME, "valueDateTime": "2026"}]}))
        == []
    )
    assert found(patient(extension=[{"url": RELIGION, "valueCode": "x"}])) == [
        ("error", "type", "Patient.extension[0].value.ofType(code)")
    ]


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        (observation(extension=[used("on-patient")]), "Observation.extension[0]"),
        (patient(name=[{"text": "a", "extension": [used("on-patient")]}]), "Patient.name[0].extension[0]"),
        (
            patient(_gender={"extension": [{"url": BIRTH_TIME, "valueDateTime": "2026"}]}),
            "Patient.gender.extension[0]",
        ),
    ],
)  # fmt: skip
def test_an_extension_elsewhere_than_it_may_stand_is_a_warning(resource, place):
    assert found(resource) == [("warning", "extension-context", place)]


@pytest.mark.parametrize(
    ("on", "resource"),
    [
        ("HumanName.family", patient(name=[{"_family": {"extension": [used("there")]}}])),
        ("HumanName", patient(name=[{"text": "a", "extension": [used("there")]}])),
        ("Patient.name", patient(name=[{"text": "a", "extension": [used("there")]}])),
        ("DomainResource", patient(extension=[used("there")])),
        ("Element", patient(extension=[used("there")])),
        ("string", patient(name=[{"_family": {"extension": [used("there")]}}])),
        ("Patient.contact", patient(contact=[{"name": {"text": "a"}, "extension": [used("there")]}])),
        ("Observation.value[x]", observation(valueQuantity={"value": 1, "extension": [used("there")]})),
        ("Quantity", observation(valueQuantity={"value": 1, "extension": [used("there")]})),
        (
            "Organization",
            patient(
                contained=[
                    {"resourceType": "Organization", "id": "o", "name": "O", "extension": [used("there")]}
                ],
                managingOrganization={"reference": "#o"},
            ),
        ),
        (
            "HumanName",
            {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [{"resource": patient(name=[{"text": "a", "extension": [used("there")]}])}],
            },
        ),
    ],
)  # fmt: skip
def test_each_way_to_name_a_place_is_understood(on, resource):
    assert brief(check(resource, extension("there", on=on), asked=False)) == []


def test_a_modifier_stands_among_modifiers_and_nothing_else_does():
    assert found(patient(extension=[used("modifier")])) == [
        ("error", "extension-modifier", "Patient.extension[0]")
    ]
    assert found(patient(modifierExtension=[used("on-patient")])) == [
        ("error", "extension-modifier", "Patient.modifierExtension[0]")
    ]


def test_the_url_of_a_profile_that_is_no_extension_is_refused():
    url = "http://hl7.org/fhir/StructureDefinition/bodyweight"
    assert found(patient(extension=[{"url": url, "valueString": "x"}])) == [
        ("error", "extension-unknown", "Patient.extension[0]")
    ]


def test_the_parts_of_a_complex_extension_are_held_to_it():
    part = "Extension.extension:side"
    complex_ = profile(
        "complex",
        "Extension",
        element(
            "Extension.extension",
            slicing={"discriminator": [{"type": "value", "path": "url"}], "rules": "closed"},
        ),
        element(part, min=1, max="1"),
        element(f"{part}.url", fixedUri="side"),
        element(f"{part}.value[x]", min=1, type=[{"code": "code"}]),
        element("Extension.url", fixedUri=f"{HERE}/complex"),
        element("Extension.value[x]", max="0"),
        kind="complex-type",
    )

    def given(*parts: Resource) -> list[tuple[str | None, str | None]]:
        whole = {"url": f"{HERE}/complex", "extension": list(parts)}
        return brief(check(patient(extension=[whole]), complex_, asked=False))

    assert given({"url": "side", "valueCode": "left"}) == []
    assert given({"url": "side", "valueString": "left"}) == [
        ("type", "Patient.extension[0].extension[0].value.ofType(string)")
    ]
    assert given({"url": "side", "valueCode": "left"}, {"url": "x", "valueCode": "y"}) == [
        ("slice-closed", "Patient.extension[0].extension[1]")
    ]


def test_how_often_an_extension_stands_is_the_profiles_to_say():
    once = profile(
        "once",
        "Patient",
        element(
            "Patient.extension:religion",
            min=1,
            max="1",
            type=[{"code": "Extension", "profile": [ON_PATIENT["url"]]}],
        ),
    )
    assert check(patient(extension=[used("on-patient")]), once, *KNOWN) == []
    assert brief(check(patient(), once, *KNOWN)) == [("slice-cardinality", "Patient.extension")]
    twice = patient(extension=[used("on-patient"), used("on-patient")])
    assert brief(check(twice, once, *KNOWN)) == [("slice-cardinality", "Patient.extension[1]")]

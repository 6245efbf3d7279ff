"""Coded values under bindings, and by themselves: what is right, wrong, or cannot be told here."""

from typing import Any

import pytest

from profiles.validate import Options, validate
from r4.definitions.catalogue import Catalogue
from r4.issue import Issue
from r4.json import Resource
from terminology import Terminology
from terminology.systems import LOINC, OPCS_4, SNOMED_CT, UCUM
from tests.profiles.small import element, observation, patient, profile
from tests.terminology.fictitious import (
    OURS,
    TREE,
    Release,
    Shelf,
    including,
    index,
    loaded_service,
    service,
    value_set,
)

ALIAS = "http://fhir.hl7.org.uk/CodeSystem/OPCS-4"
LEFT = value_set("left", including(SNOMED_CT, ("concept", "is-a", "10")))
ECL = value_set("ecl", including(SNOMED_CT, ("constraint", "=", "<< 11")))
ODD = value_set("odd", including(SNOMED_CT, ("constraint", "=", "<10:1=2")))
PINNED = value_set("pinned", {"system": SNOMED_CT, "version": f"{SNOMED_CT}/1/version/2"})
WHOLE = value_set("whole", {"system": OPCS_4})
ANIMALS = value_set("animals", including(TREE["url"], ("concept", "is-a", "animal")))
UNITS = value_set("units", {"system": UCUM})
VALUE_SETS = (LEFT, ECL, ODD, PINNED, WHOLE, ANIMALS, UNITS)
LOADED, UNLOADED = loaded_service(*VALUE_SETS), service(*VALUE_SETS)
IN_PART = Terminology.of(
    VALUE_SETS,
    Shelf(
        Release(index({"url": OPCS_4, "version": "1", "concept": [{"code": "A01"}]}), refsets={})
    ),
)


def bound(strength: str, value_set_: Resource | str, path: str = "Observation.code") -> Resource:
    url = value_set_ if isinstance(value_set_, str) else value_set_["url"]
    return profile(
        f"bound-{strength}", "Observation", element(path, binding={"strength": strength, "valueSet": url})
    )  # fmt: skip


def check(resource: Resource, terminology: Terminology, *held: Resource) -> list[Issue]:
    options = Options(profiles=tuple(p["url"] for p in held), structures=Catalogue.of(held))
    return validate(resource, terminology, options=options)


def coded(*codes: str, **more: Any) -> Resource:
    """An Observation whose code has these codes, written `system|code`."""
    codings = [dict(zip(("system", "code"), each.rsplit("|", 1), strict=True)) for each in codes]
    return observation(code={"coding": [{**each, **more} for each in codings]})


def found(issues: list[Issue]) -> list[tuple[str, str | None]]:
    return [(issue.severity, issue.rule) for issue in issues]


REQUIRED, ADVISED = ("error", "binding-required"), ("warning", "binding-extensible")
UNTOLD = ("warning", "terminology-not-loaded")
NO_SUCH, OLD = ("warning", "code-unknown"), ("warning", "code-inactive")


@pytest.mark.parametrize(
    ("strength", "value_set_", "code", "expected"),
    [
        ("required", LEFT, "100", []),
        ("required", LEFT, "110", [REQUIRED]),
        ("required", LEFT, "555", [NO_SUCH, REQUIRED]),
        ("required", LEFT, "999", [OLD, REQUIRED]),
        ("required", ECL, "110", []),
        ("required", ECL, "100", [REQUIRED]),
        ("required", ODD, "100", [UNTOLD]),
        ("required", PINNED, "100", [UNTOLD]),
        ("extensible", LEFT, "100", []),
        ("extensible", LEFT, "110", [ADVISED]),
        ("extensible", ODD, "100", [UNTOLD]),
        ("preferred", LEFT, "110", []),
        ("example", LEFT, "110", []),
        ("example", LEFT, "555", [NO_SUCH]),
    ],
)
def test_a_code_of_a_loaded_system_is_held_to_rules_of_its_value_set(
    strength: str, value_set_: Resource, code: str, expected: list[tuple[str, str]]
) -> None:
    held = bound(strength, value_set_)
    assert found(check(coded(f"{SNOMED_CT}|{code}"), LOADED, held)) == expected


@pytest.mark.parametrize("strength", ["required", "extensible"])
@pytest.mark.parametrize(
    ("value_set_", "code", "advice"),
    [
        (LEFT, f"{SNOMED_CT}|100", "python -m fhir_server load-terminology snomed"),
        (WHOLE, f"{OPCS_4}|A01.1", "python -m fhir_server load-terminology opcs4"),
        (WHOLE, f"{ALIAS}|A01.1", "python -m fhir_server load-terminology opcs4"),
        (f"{OURS}/vs/none", f"{SNOMED_CT}|100", "load the package that has it"),
    ],
)
def test_what_cannot_be_told_is_a_warning_that_names_what_to_load(
    strength: str, value_set_: Resource | str, code: str, advice: str
) -> None:
    held = bound(strength, value_set_)
    [issue] = check(coded(code), UNLOADED, held)
    assert found([issue]) == [UNTOLD]
    assert advice in issue.diagnostics
    assert issue.expression == "Observation.code"
    assert issue.profile == f"{held['url']}|1.0.0"


def test_what_cannot_be_told_refuses_no_write() -> None:
    held = bound("required", LEFT)
    options = Options(
        profiles=(held["url"],), structures=Catalogue.of([held]), warnings=False
    )  # fmt: skip
    assert validate(coded(f"{SNOMED_CT}|110"), UNLOADED, options=options) == []
    [issue] = validate(coded(f"{SNOMED_CT}|110"), LOADED, options=options)
    assert found([issue]) == [REQUIRED]


def test_one_right_coding_is_enough_and_one_that_cannot_be_told_spares_the_others() -> None:
    held = bound("required", LEFT)
    assert check(coded("https://e.org|x", f"{SNOMED_CT}|100"), LOADED, held) == []
    codes = coded("https://e.org|x", f"{SNOMED_CT}|100")
    assert found(check(codes, UNLOADED, held)) == [UNTOLD]
    assert found(check(observation(), UNLOADED, held)) == [REQUIRED]


def test_an_extensible_binding_lets_codes_of_other_systems_be() -> None:
    for terminology in (LOADED, UNLOADED):
        assert check(coded("https://e.org|x"), terminology, bound("extensible", LEFT)) == []


def test_a_code_that_a_system_in_part_lacks_may_exist() -> None:
    held = bound("required", WHOLE)
    assert check(coded(f"{OPCS_4}|A01"), IN_PART, held) == []
    assert check(coded(f"{ALIAS}|A01"), IN_PART, held) == []
    assert found(check(coded(f"{OPCS_4}|A02"), IN_PART, held)) == [UNTOLD]


def test_the_same_doubt_is_said_once() -> None:
    held = bound("required", LEFT, "Observation.component.code")
    components = [{"code": {"coding": [{"system": SNOMED_CT, "code": c}]}} for c in ("1", "1", "2")]
    issues = check(observation(component=components), UNLOADED, held)
    assert [issue.expression for issue in issues] == [
        "Observation.component[0].code",
        "Observation.component[2].code",
    ]


def test_types_of_r4_say_what_cannot_be_told_too_and_nothing_where_a_binding_is_an_example() -> (
    None
):
    invoice = {
        "resourceType": "Invoice",
        "status": "issued",
        "totalNet": {"value": 1, "currency": "GBP"},
    }
    [issue] = check(invoice, UNLOADED)
    assert found([issue]) == [UNTOLD]
    assert "urn:iso:std:iso:4217 is not loaded" in issue.diagnostics
    subject = {"reference": "Patient/1"}
    procedure = {"resourceType": "Procedure", "status": "completed", "subject": subject}
    code = {"coding": [{"system": OPCS_4, "code": "A01.1"}, {"system": SNOMED_CT, "code": "1"}]}
    assert check({**procedure, "code": code}, UNLOADED) == []


@pytest.mark.parametrize(
    ("code", "display", "expected"),
    [
        (f"{SNOMED_CT}|100", "Left small thing", []),
        (f"{SNOMED_CT}|100", "left  SMALL thing", []),
        (f"{SNOMED_CT}|100", "Right small thing", [("warning", "display")]),
        (f"{SNOMED_CT}|999", "Old thing", [OLD]),
        (f"{SNOMED_CT}|555", "Anything", [NO_SUCH]),
        (f"{TREE['url']}|mammal", "Mamal", []),
        (f"{TREE['url']}|mammal", "Bird", [("warning", "display")]),
        (f"{TREE['url']}|dodo", "Dodo", [OLD]),
        (f"{TREE['url']}|unicorn", "Unicorn", []),
        (f"{LOINC}|1-8", "Anything", []),
        ("https://e.org|x", "Anything", []),
    ],
)
def test_a_code_is_warned_of_by_itself_where_its_system_is_held(
    code: str, display: str, expected: list[tuple[str, str]]
) -> None:
    for _ in range(2):  # what is right is remembered
        issues = check(coded(code, display=display), LOADED)
        assert found(issues) == expected
        assert [issue.expression for issue in issues] == ["Observation.code.coding[0]"] * len(
            issues
        )


def test_a_wrong_display_is_answered_with_the_right_one() -> None:
    [issue] = check(coded(f"{SNOMED_CT}|100", display="Lft small thing"), LOADED)
    assert "'Left small thing'" in issue.diagnostics


QUANTITY = {"value": 3, "system": UCUM}


@pytest.mark.parametrize("code", ["kg", "mm[Hg]", "10*9/L", "{score}"])
def test_a_unit_is_right(code: str) -> None:
    kilos = observation(valueQuantity={**QUANTITY, "code": code, "unit": "anything"})
    assert check(kilos, UNLOADED, bound("required", UNITS, "Observation.value[x]")) == []


@pytest.mark.parametrize(
    ("strength", "expected"),
    [("required", [NO_SUCH, REQUIRED]), ("extensible", [NO_SUCH, ADVISED]), ("example", [NO_SUCH])],
)
def test_what_is_no_unit_is_what_its_binding_says(
    strength: str, expected: list[tuple[str, str]]
) -> None:
    wrong = observation(valueQuantity={**QUANTITY, "code": "kilogram"})
    issues = check(wrong, UNLOADED, bound(strength, UNITS, "Observation.value[x]"))
    assert found(issues) == expected
    assert all("'i', its character 2" in issue.diagnostics for issue in issues)


def test_a_quantity_in_units_of_another_system_is_let_be() -> None:
    assert check(observation(valueQuantity={"value": 3, "unit": "kilogram"}), LOADED) == []
    pills = {"value": 3, "system": SNOMED_CT, "code": "100"}
    assert check(observation(valueQuantity=pills), LOADED) == []


def test_a_media_type_and_a_language_are_told_by_their_form() -> None:
    photo = {"contentType": "image/png", "url": "https://e.org/1"}
    assert check(patient(photo=[photo]), UNLOADED) == []
    [issue] = check(patient(photo=[{**photo, "contentType": "png"}]), UNLOADED)
    assert found([issue]) == [REQUIRED]
    assert "application/pdf" in issue.diagnostics

"""What is said of a Coding: right, wrong, or why it cannot be told."""

import pytest

from terminology import Verdict
from terminology.normalise import normalise
from terminology.systems import ICD_10, OPCS_4, SNOMED_CT, UCUM
from tests.terminology.fictitious import OURS, including, loaded_service, service, value_set

TREE = f"{OURS}/tree"
VALUE_SETS = (
    value_set("mammals", including(TREE, ("concept", "is-a", "mammal"))),
    value_set("all", {"system": TREE}),
    value_set("left", including(SNOMED_CT, ("concept", "is-a", "10"))),
    value_set("odd", including(SNOMED_CT, ("constraint", "=", "<10:1=2"))),
    value_set("nowhere", {"valueSet": [f"{OURS}/vs/no-such"]}),
    value_set("part", {"system": f"{OURS}/fragment"}),
    value_set("old", {"system": SNOMED_CT, "concept": [{"code": "999", "display": "Old"}]}),
)
FRAGMENT = {
    "resourceType": "CodeSystem",
    "url": f"{OURS}/fragment",
    "content": "fragment",
    "concept": [{"code": "known"}],
}
UNLOADED = service(*VALUE_SETS, FRAGMENT)
LOADED = loaded_service(*VALUE_SETS, FRAGMENT)


def coding(text: str, **more: str) -> dict[str, str]:
    system, _, code = text.rpartition("|")
    return {"system": system, "code": code, **more} if system else {"code": code, **more}


@pytest.mark.parametrize(
    ("name", "text", "result", "reason"),
    [
        ("mammals", f"{TREE}|cat", True, ""),
        ("mammals", "cat", True, ""),
        ("mammals", f"{TREE}|stone", False, "not-in-set"),
        ("mammals", "stone", False, "not-in-set"),
        ("mammals", f"{TREE}|unicorn", False, "unknown-code"),
        ("mammals", f"{TREE}|dodo", False, "inactive"),
        ("mammals", f"{OURS}/elsewhere|cat", False, "not-in-set"),
        ("all", f"{TREE}|dodo", True, "inactive"),
        ("left", f"{SNOMED_CT}|100", None, "not-loaded"),
        ("left", "100", None, "not-loaded"),
        ("odd", f"{SNOMED_CT}|100", None, "not-loaded"),
        ("nowhere", f"{TREE}|cat", None, "unknown-value-set"),
        ("nowhere", f"{TREE}|unicorn", False, "unknown-code"),
        ("no-such", f"{TREE}|cat", None, "unknown-value-set"),
        ("part", f"{OURS}/fragment|known", True, ""),
        ("part", f"{OURS}/fragment|other", None, "not-loaded"),
        ("old", f"{SNOMED_CT}|999", True, ""),
    ],
)
def test_in_a_value_set(name: str, text: str, result: bool | None, reason: str) -> None:
    found = UNLOADED.check(f"{OURS}/vs/{name}", coding(text))
    assert (found.result, found.reason) == (result, reason)


@pytest.mark.parametrize(
    ("name", "text", "result", "reason"),
    [
        ("left", f"{SNOMED_CT}|100", True, ""),
        ("left", "100", True, ""),
        ("left", f"{SNOMED_CT}|110", False, "not-in-set"),
        ("left", f"{SNOMED_CT}|555", False, "unknown-code"),
        ("left", f"{SNOMED_CT}|999", False, "inactive"),
        ("odd", f"{SNOMED_CT}|100", None, "unsupported-filter"),
        ("odd", f"{SNOMED_CT}|555", False, "unknown-code"),
        ("old", f"{SNOMED_CT}|999", True, "inactive"),
    ],
)
def test_in_a_value_set_over_a_loaded_system(
    name: str, text: str, result: bool | None, reason: str
) -> None:
    found = LOADED.check(f"{OURS}/vs/{name}", coding(text))
    assert (found.result, found.reason) == (result, reason)


@pytest.mark.parametrize(
    ("text", "result", "reason"),
    [
        (f"{TREE}|cat", True, ""),
        (f"{TREE}|unicorn", False, "unknown-code"),
        (f"{TREE}|dodo", True, "inactive"),
        ("cat", None, "unknown-system"),
        ("urn:unheard-of|x", None, "unknown-system"),
        (f"{SNOMED_CT}|100", None, "not-loaded"),
        (f"{UCUM}|mg", True, ""),
        (f"{UCUM}|milligram", False, "unknown-code"),
        (f"{ICD_10}|Q43.1", None, "not-loaded"),
        (f"{OURS}/fragment|known", True, ""),
        (f"{OURS}/fragment|other", None, "not-loaded"),
    ],
)
def test_in_a_code_system(text: str, result: bool | None, reason: str) -> None:
    found = UNLOADED.check(None, coding(text))
    assert (found.result, found.reason) == (result, reason)


def test_a_verdict_names_what_it_is_about() -> None:
    assert UNLOADED.check(None, coding(f"{TREE}|cat")) == Verdict(True, "", TREE, "cat", "Cat", "2")


@pytest.mark.parametrize(
    ("display", "result"),
    [("Mammal", True), ("  mammal ", True), ("Mamal", True), ("Bird", False)],
)
def test_a_display_is_one_of_the_terms(display: str, result: bool) -> None:
    for name in (None, f"{OURS}/vs/mammals"):
        found = UNLOADED.check(name, coding(f"{TREE}|mammal", display=display))
        assert (found.result, found.reason) == (result, "" if result else "wrong-display")
        assert found.display == "Mammal"


def test_a_display_of_a_code_without_terms_is_not_judged() -> None:
    assert UNLOADED.check(None, coding(f"{TREE}|animal", display="Anything")).result is True


@pytest.mark.parametrize(("version", "reason"), [("2", ""), ("1", "not-loaded")])
def test_a_coding_is_of_its_version(version: str, reason: str) -> None:
    assert UNLOADED.check(None, coding(f"{TREE}|cat", version=version)).reason == reason


def test_other_spellings_of_a_system_are_made_one_and_nothing_else() -> None:
    alias = "http://fhir.hl7.org.uk/CodeSystem/OPCS-4"
    sent = {
        "resourceType": "Procedure",
        "code": {
            "coding": [{"system": alias, "code": "A01.1"}, {"system": SNOMED_CT, "code": "1"}]
        },
        "note": [{"text": alias}],
    }
    made = normalise(sent)
    assert [each["system"] for each in made["code"]["coding"]] == [OPCS_4, SNOMED_CT]
    assert made["note"] == sent["note"]
    assert sent["code"]["coding"][0]["system"] == alias
    assert normalise(made) is made

"""The codes of a value set as an expansion: https://hl7.org/fhir/R4/valueset-operation-expand.html."""

from typing import Any

import pytest

from r4.issue import FhirError
from terminology import Expand, Terminology, expand
from terminology.systems import SNOMED_CT
from tests.terminology.fictitious import OURS, including, loaded_service, service, value_set

TREE = f"{OURS}/tree"
ALL = value_set("all", {"system": TREE})
LEFT = value_set("left", including(SNOMED_CT, ("concept", "is-a", "1")))
MIXED = value_set(
    "mixed",
    {"system": TREE, "concept": [{"code": "cat"}, {"code": "stone"}]},
    {"system": SNOMED_CT, "concept": [{"code": "100"}]},
    including(SNOMED_CT, ("concept", "is-a", "1")),
)


def codes(found: list[dict[str, Any]]) -> list[str]:
    return [entry["code"] for entry in found]


def expanded(
    resource: dict[str, Any], asked: Expand, terminology: Terminology | None = None
) -> tuple[list[str], int | None]:
    contains, total = (terminology or loaded_service(resource)).expansion(resource, asked)
    return codes(contains), total


def test_every_code_has_its_term_and_says_what_it_is() -> None:
    resource = value_set(
        "set",
        {
            "system": TREE,
            "concept": [{"code": "dodo"}, {"code": "bird"}, {"code": "cat", "display": "A cat"}],
        },
    )
    assert service(resource).expansion(resource, Expand()) == (
        [
            {"system": TREE, "inactive": True, "version": "2", "code": "dodo", "display": "Dodo"},
            {"system": TREE, "version": "2", "code": "bird"},
            {"system": TREE, "version": "2", "code": "cat", "display": "A cat"},
        ],
        3,
    )


@pytest.mark.parametrize(
    ("asked", "expected", "total"),
    [
        (Expand(), ["animal", "mammal", "cat", "bird", "bat", "stone", "dodo"], 7),
        (Expand(active_only=True), ["animal", "mammal", "cat", "bird", "bat", "stone"], 6),
        (Expand(count=2), ["animal", "mammal"], 7),
        (Expand(offset=5, count=5), ["stone", "dodo"], 7),
        (Expand(offset=9), [], 7),
        (Expand(count=0), [], 7),
        (Expand(filter="mam"), ["mammal"], 1),
        (Expand(filter="MAMAL"), ["mammal"], 1),
        (Expand(filter="mammal cat"), [], 0),
        (Expand(excluded=frozenset({TREE})), [], 0),
        (Expand(versions={TREE: "2"}, count=1), ["animal"], 7),
    ],
)
def test_what_is_asked_of_a_listed_value_set(
    asked: Expand, expected: list[str], total: int
) -> None:
    assert expanded(ALL, asked) == (expected, total)


@pytest.mark.parametrize(
    ("asked", "expected", "total"),
    [
        (Expand(), ["1", "10", "11", "100", "101", "110"], 6),
        (Expand(offset=1, count=2), ["10", "11"], 6),
        (Expand(filter="small left"), ["100"], 1),
        (Expand(filter="old"), [], 0),
    ],
)
def test_what_is_asked_of_a_value_set_over_a_loaded_system(
    asked: Expand, expected: list[str], total: int
) -> None:
    assert expanded(LEFT, asked) == (expected, total)


@pytest.mark.parametrize(
    ("filter_", "asked", "expected", "total"),
    [
        (("concept", "is-not-a", "10"), Expand(offset=1), ["11", "110"], 3),
        (("concept", "in", "701"), Expand(), ["999", "100"], 2),
        (("concept", "in", "701"), Expand(active_only=True), ["100"], 1),
    ],
)
def test_a_rule_that_cannot_list_looks_at_every_active_code_and_a_reference_set_at_its_own(
    filter_: tuple[str, str, str], asked: Expand, expected: list[str], total: int
) -> None:
    assert expanded(value_set("set", including(SNOMED_CT, filter_)), asked) == (expected, total)


def test_pages_run_from_the_listed_codes_into_those_of_a_rule_and_none_comes_twice() -> None:
    every = ["cat", "stone", "100", "1", "10", "11", "101", "110"]
    assert expanded(MIXED, Expand()) == (every, 8)
    pages = [expanded(MIXED, Expand(offset=at, count=3))[0] for at in (0, 3, 6)]
    assert [code for page in pages for code in page] == every


def test_codes_are_nested_below_their_parents_where_that_is_asked_for() -> None:
    contains, total = service(ALL).expansion(ALL, Expand(exclude_nested=False))
    assert (codes(contains), total) == (["animal", "stone", "dodo"], 7)
    mammal, bird = contains[0]["contains"]
    assert codes(mammal["contains"]) == ["cat", "bat"]
    assert "contains" not in bird


def test_designations_are_given_where_they_are_asked_for() -> None:
    own = {"language": "fr", "value": "Chat"}
    resource = value_set(
        "set",
        {"system": TREE, "concept": [{"code": "cat", "designation": [own]}, {"code": "mammal"}]},
    )
    contains, _ = service(resource).expansion(resource, Expand(designations=True))
    assert [entry["designation"] for entry in contains] == [
        [own],
        [{"language": "cy", "value": "Mamal"}],
    ]
    plain, _ = service(resource).expansion(resource, Expand())
    assert not any("designation" in entry for entry in plain)


@pytest.mark.parametrize(
    ("language", "display"),
    [("cy", "Mamal"), ("cy-GB", "Mamal"), ("fr", "Mammal"), (None, "Mammal")],
)
def test_a_term_is_in_the_language_that_is_asked_for(language: str | None, display: str) -> None:
    contains, _ = service(ALL).expansion(ALL, Expand(language=language))
    assert contains[1]["display"] == display


def test_a_version_that_is_not_here_cannot_be_listed() -> None:
    with pytest.raises(FhirError) as refused:
        service(ALL).expansion(ALL, Expand(versions={TREE: "1"}))
    assert refused.value.status == 422
    assert "version 1 is not loaded" in refused.value.issues[0].diagnostics


def test_what_is_not_loaded_is_said() -> None:
    with pytest.raises(FhirError) as refused:
        service(LEFT).expansion(LEFT, Expand())
    assert [issue.code for issue in refused.value.issues] == ["not-supported"]
    assert f"{SNOMED_CT} is not loaded" in refused.value.issues[0].diagnostics


def test_too_many_codes_are_asked_for_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand, "MOST", 3)
    for resource in (ALL, LEFT):
        terminology = loaded_service(resource)
        with pytest.raises(FhirError) as refused:
            terminology.expansion(resource, Expand())
        assert refused.value.issues[0].code == "too-costly"
        assert len(expanded(resource, Expand(count=100), terminology)[0]) == 3
    with pytest.raises(FhirError, match="more than 3 codes"):
        loaded_service(LEFT).expand(LEFT["url"])

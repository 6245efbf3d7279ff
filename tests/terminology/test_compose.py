"""What a ValueSet's compose takes: https://hl7.org/fhir/R4/valueset.html#compositions."""

import pytest

from terminology import filters
from terminology.systems import SNOMED_CT
from tests.terminology.fictitious import OURS, including, loaded_service, service, value_set

TREE = f"{OURS}/tree"


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (("concept", "is-a", "mammal"), {"mammal", "cat", "bat"}),
        (("concept", "descendent-of", "mammal"), {"cat", "bat"}),
        (("concept", "child-of", "animal"), {"mammal", "bird"}),
        (("concept", "is-not-a", "animal"), {"stone", "dodo"}),
        (("concept", "generalizes", "cat"), {"cat", "mammal", "animal"}),
        (("flies", "=", "true"), {"bird", "bat"}),
        (("parent", "=", "mammal"), {"cat", "bat"}),
        (("child", "=", "cat"), {"mammal"}),
        (("code", "regex", "[a-c].t"), {"cat", "bat"}),
        (("code", "regex", "at"), set()),
        (("display", "regex", "St.*"), {"stone"}),
        (("code", "in", "cat, stone"), {"cat", "stone"}),
        (("concept", "not-in", "animal,mammal,bird,bat,dodo"), {"cat", "stone"}),
        (("flies", "not-in", "true"), {"animal", "mammal", "cat", "stone", "dodo"}),
        (("flies", "exists", "true"), {"bird", "bat"}),
        (("display", "exists", "false"), {"animal", "bird"}),
    ],
)
def test_a_filter_takes(filter_: tuple[str, str, str], expected: set[str]) -> None:
    terminology = service(value_set("set", including(TREE, filter_)))
    assert {coding["code"] for coding in terminology.expand(f"{OURS}/vs/set")} == expected


def test_several_filters_are_all_met() -> None:
    both = including(TREE, ("concept", "is-a", "mammal"), ("flies", "exists", "true"))
    terminology = service(value_set("set", both))
    assert terminology.expand(f"{OURS}/vs/set") == [
        {"system": TREE, "code": "bat", "display": "Bat"}
    ]


@pytest.mark.parametrize(
    "filter_",
    [
        ("code", "unheard-of", "x"),
        ("code", "exists", "perhaps"),
        ("code", "regex", "(a"),
        ("code", "regex", "(a+)+b"),
        ("code", "regex", "(a|aa)+b"),
        ("code", "regex", "(a?){40}"),
        ("code", "regex", "a*a*a*a*b"),
        ("code", "regex", r"(a)\1"),
        ("code", "regex", "(?=a)a"),
        ("code", "regex", "a" * (filters.LONGEST_PATTERN + 1)),
    ],
)
def test_a_filter_that_is_not_understood_leaves_the_system_undecided(
    filter_: tuple[str, str, str],
) -> None:
    terminology = service(value_set("set", including(TREE, filter_)))
    assert terminology.validate_code(f"{OURS}/vs/set", TREE, "cat") is None
    assert terminology.validate_code(f"{OURS}/vs/set", f"{OURS}/other", "cat") is False


@pytest.mark.parametrize(
    "pattern", ["[A-Z]{3}", "[0-9]{3}", r"a\+*", "[(+]+", "(?:ab){2}", "(a|b)"]
)
def test_an_expression_that_ends_soon_is_taken(pattern: str) -> None:
    assert filters.compiled(pattern).pattern == pattern


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (("concept", "is-a", "10"), {"10", "100", "101"}),
        (("concept", "descendent-of", "10"), {"100", "101"}),
        (("concept", "is-not-a", "10"), {"1", "11", "110"}),
        (("concept", "generalizes", "100"), {"1", "10", "100"}),
        (("concept", "in", "700"), {"100", "110"}),
        (("concept", "in", "^700 |Small things|"), {"100", "110"}),
        (("constraint", "=", "<10 OR 11"), {"100", "101", "11"}),
    ],
)
def test_a_loaded_system_is_asked_by_rule(
    filter_: tuple[str, str, str], expected: set[str]
) -> None:
    terminology = loaded_service(value_set("set", including(SNOMED_CT, filter_)))
    url = f"{OURS}/vs/set"
    members = terminology.members(url)
    assert members is not None
    assert members.codes == {}
    assert members.rules.keys() == {SNOMED_CT}
    every = ("1", "10", "100", "101", "11", "110", "no-such")
    assert {code for code in every if terminology.validate_code(url, SNOMED_CT, code)} == expected
    assert None not in {terminology.validate_code(url, SNOMED_CT, code) for code in every}
    assert {coding["code"] for coding in terminology.expand(url)} == expected


def test_rules_are_joined_cut_and_taken_away() -> None:
    left = value_set("left", including(SNOMED_CT, ("concept", "is-a", "10")))
    small = {"system": SNOMED_CT, "concept": [{"code": "100"}, {"code": "110"}]}
    terminology = loaded_service(
        left,
        value_set(
            "both", including(SNOMED_CT, ("concept", "is-a", "11")), {"valueSet": [left["url"]]}
        ),
        value_set("cut", {"valueSet": [left["url"]], **small}),
        value_set("less", {"valueSet": [left["url"]]}, exclude=[small]),
        value_set("listed", small, exclude=[including(SNOMED_CT, ("concept", "is-a", "10"))]),
    )

    def codes(name: str) -> set[str]:
        return {coding["code"] for coding in terminology.expand(f"{OURS}/vs/{name}")}

    assert codes("both") == {"10", "100", "101", "11", "110"}
    assert codes("cut") == {"100"}
    assert codes("less") == {"10", "101"}
    assert codes("listed") == {"110"}


def test_without_the_release_the_same_set_is_undecided() -> None:
    terminology = service(value_set("set", including(SNOMED_CT, ("concept", "is-a", "10"))))
    assert terminology.validate_code(f"{OURS}/vs/set", SNOMED_CT, "100") is None


@pytest.mark.parametrize(("version", "answer"), [("2", True), ("1", None)])
def test_an_include_is_of_its_version(version: str, answer: bool | None) -> None:
    terminology = service(value_set("set", {"system": TREE, "version": version}))
    assert terminology.validate_code(f"{OURS}/vs/set", TREE, "cat") is answer


def test_an_expansion_beside_a_compose_proves_codes_in_and_none_out() -> None:
    listed = {"contains": [{"system": SNOMED_CT, "code": "100"}, {"system": TREE, "code": "cat"}]}
    compose = (
        including(SNOMED_CT, ("concept", "is-a", "10")),
        {"system": TREE, "concept": [{"code": "bat"}]},
    )
    terminology = service(value_set("set", *compose, expansion=listed))
    url = f"{OURS}/vs/set"
    assert terminology.validate_code(url, SNOMED_CT, "100") is True
    assert terminology.validate_code(url, SNOMED_CT, "101") is None
    assert terminology.validate_code(url, TREE, "cat") is False


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", {"1", "10", "100", "101", "11", "110"}),
        ("=isa/11", {"11", "110"}),
        ("=refset/700", {"100", "110"}),
        ("=ecl/%3C%2010", {"100", "101"}),
    ],
)
def test_a_uri_of_snomed_ct_is_a_value_set(asked: str, expected: set[str]) -> None:
    found = loaded_service().expand(f"{SNOMED_CT}?fhir_vs{asked}")
    assert {coding["code"] for coding in found} == expected


def test_another_uri_of_snomed_ct_is_none() -> None:
    assert loaded_service().members(f"{SNOMED_CT}?fhir_vs=unheard/of") is None

"""The expression constraints that are understood: http://snomed.org/ecl."""

from pathlib import Path
from typing import Any

import pytest

from r4 import xml
from terminology import ecl
from tests.terminology.fictitious import snomed_shaped

SYSTEM = snomed_shaped()
EVERY = ("1", "10", "100", "101", "11", "110")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("10", {"10"}),
        ("10 |Left thing|", {"10"}),
        ("555", set()),
        ("*", set(EVERY)),
        ("ANY", set(EVERY)),
        ("<10", {"100", "101"}),
        ("<< 10 | Left  thing |", {"10", "100", "101"}),
        ("<!1", {"10", "11"}),
        (">100", {"1", "10"}),
        (">>100", {"1", "10", "100"}),
        (">! 100", {"10"}),
        ("^700", {"100", "110"}),
        ("descendantOf 10", {"100", "101"}),
        ("DescendantOf 10", {"100", "101"}),
        ("descendantOrSelfOf 10", {"10", "100", "101"}),
        ("ancestorOf 100", {"1", "10"}),
        ("ancestorOrSelfOf 100", {"1", "10", "100"}),
        ("childOf 1", {"10", "11"}),
        ("parentOf 100", {"10"}),
        ("memberOf 700", {"100", "110"}),
        ("100 OR 101 or <<11", {"100", "101", "11", "110"}),
        ("<<1 AND ^700", {"100", "110"}),
        ("<<1 , ^700, <10", {"100"}),
        ("<<10 MINUS 100", {"10", "101"}),
        ("(<<1 MINUS (<<10 OR 110))", {"1", "11"}),
        ("< (10 OR 11)", {"100", "101", "110"}),
        ("<< (100 OR 11)", {"100", "11", "110"}),
        ("> ^700", {"1", "10", "11"}),
        ("/* of the left */ <10", {"100", "101"}),
    ],
)
def test_an_expression_takes(expression: str, expected: set[str]) -> None:
    rule = ecl.rule(SYSTEM, expression)
    assert {code for code in EVERY if rule.holds(code)} == expected
    assert sorted(rule.codes()) == sorted(expected)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("<10 : 363698007 = 39057004", "a refinement"),
        ("<10 . 363698007", "a dotted attribute"),
        ('<10 {{ term = "heart" }}', "a filter"),
        ("<10 AND 11 OR 100", "mixed without brackets"),
        ("10 MINUS 11 MINUS 100", "one after another"),
        ("<<!10", "childOrSelfOf"),
        ("(10", "ends too early"),
        ("(10 11)", "not closed"),
        ("10)", "after the end"),
        ("", "ends too early"),
        ("thing", "identifier"),
        ("^ <10", "identifier"),
        ("10 ; 11", "';'"),
        ("(" * 40 + "10" + ")" * 40, "inside one another"),
        ("1" * (ecl.LONGEST + 1), "at most"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(expression: str, said: str) -> None:
    with pytest.raises(ecl.EclError, match=said.replace("(", r"\(")):
        ecl.rule(SYSTEM, expression)


def test_a_long_list_of_codes_is_no_deep_one() -> None:
    rule = ecl.rule(
        SYSTEM, " OR ".join(["100", *(str(number) for number in range(10_000, 12_000))])
    )
    assert rule.holds("100")
    assert not rule.holds("101")


def test_every_constraint_of_uk_core_is_understood(library: Path) -> None:
    read = 0
    for file in sorted((library / "ukcore" / "valuesets").glob("*.xml")):
        for constraint in constraints(xml.decode(file.read_bytes())):
            ecl.rule(SYSTEM, constraint)
            read += 1
    assert read == 84


def constraints(value_set: dict[str, Any]) -> list[str]:
    compose = value_set.get("compose", {})
    return [
        each["value"]
        for part in (*compose.get("include", ()), *compose.get("exclude", ()))
        for each in part.get("filter", ())
        if each["property"] == "constraint"
    ]

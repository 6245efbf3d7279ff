"""The conditions of HL7's tables: each way to say a thing means that thing, and a riddle is refused."""

import pytest

from mappings.hl7v2 import MappingContext, parse
from mappings.hl7v2.conditions import condition
from mappings.hl7v2.grammar import Branch, Node
from mappings.hl7v2.official.assignments import assignment
from mappings.hl7v2.official.source import RowSource
from mappings.hl7v2.scope import Here, Run, Scope
from mappings.hl7v2.sites import Site
from mappings.hl7v2.tables import Event
from terminology import Terminology


class Values(dict):
    """A source made of values by their names, `PID-3.1` or "" for the one at hand."""

    def values(self, name, numbers):
        key = "-".join([name, ".".join(map(str, numbers))]).strip("-")
        found = self.get(key, [])
        return found if isinstance(found, list) else [found]


def holds(text, **given):
    return condition(text)(Values({name.replace("_", "-"): value for name, value in given.items()}))


A = {"ZZ1-1": "a"}
NOTHING = {}


@pytest.mark.parametrize(
    ("text", "met", "unmet"),
    [
        ("IF ZZ1-1 VALUED", A, NOTHING),
        ("If ZZ1-1 VALUE", A, NOTHING),
        ("IF ZZ1-1 VAlUED", A, NOTHING),
        ("IF ZZ1-1 IS VALUED", A, NOTHING),
        ("ZZ1.1 VALUED", A, NOTHING),
        ("IF ZZ1-1 NOT VALUED", NOTHING, A),
        ("IF ZZ1-1 IS NOT VALUED", NOTHING, A),
        ("IF ZZ1-1 DOES NOT EXIST", NOTHING, A),
        ("IF ZZ1-1 IS EMPTY", NOTHING, A),
        ('IF ZZ1-1 EQUALS "a"', A, {"ZZ1-1": "b"}),
        ('IF ZZ1-1="a"', A, {"ZZ1-1": "b"}),
        ("IF ZZ1-1 IS 'a'", A, {"ZZ1-1": "A"}),
        ('IF ZZ1-1 NOT EQUALS "a"', NOTHING, A),
        ('IF ZZ1-1 IS NOT "a"', {"ZZ1-1": "b"}, A),
        ('IF ZZ1-1 NOT "a"', {"ZZ1-1": "b"}, A),
        ('IF ZZ1-1 IN ("a","b")', A, {"ZZ1-1": "c"}),
        ('IF ZZ1-1 IS IN ("a", "b")', A, {"ZZ1-1": "c"}),
        ('IF ZZ1-1 NOT IN ("a", "b")', {"ZZ1-1": "c"}, A),
        ('IF ZZ1-1 EQUALS "a" AND ZZ1-2 VALUED', {**A, "ZZ1-2": "b"}, A),
        ('IF ZZ1-1 EQUALS "a" AND IF ZZ1-2 VALUED', {**A, "ZZ1-2": "b"}, A),
        ("IF ZZ1-1 VALUED OR IF ZZ1-2 VALUED", {"ZZ1-2": "b"}, NOTHING),
        ("IF ZZ1-1 OR ZZ1-2 VALUED", {"ZZ1-2": "b"}, NOTHING),
        ("IF ZZ1-1 or ZZ1-2 IS VALUED", A, NOTHING),
        ("IF ZZ1-1 AND ZZ1-2 VALUED", {**A, "ZZ1-2": "b"}, A),
        ("IF ZZ1-1 AND ZZ1-2 AREA NOT VALUED", NOTHING, A),
        ("IF ZZ1-1 AND ZZ1-2 AND ZZ1-3 NOT VALUED", NOTHING, {"ZZ1-2": "b"}),
        ("IF ZZ1-1 NOT VALUED ZZ1-2 NOT VALUED", NOTHING, {"ZZ1-2": "b"}),
        ('IF ZZ1-1 VALUED AND NOT "b"', A, {"ZZ1-1": "b"}),
        ('IF (ZZ1-1 EQUALS "a" AND ZZ1-2 VALUED', {**A, "ZZ1-2": "b"}, A),
        ("IF ZZ1-3 VALUED AND (ZZ1-1 VALUED OR ZZ1-2 VALUED)", {**A, "ZZ1-3": "c"}, A),
        ("IF ZZ1-3 VALUED OR ZZ1-1 VALUED AND ZZ1-2 VALUED", {"ZZ1-3": "c"}, A),
        ("IF ZZ1-1 LST.count GREATER THAN 1", {"ZZ1-1": ["a", "b"]}, A),
        ("IF ZZ1-1 LST.COUNT LESS THAN OR EQUALS 1", A, {"ZZ1-1": ["a", "b"]}),
        ("IF ZZ1-1 COUNT>1", {"ZZ1-1": ["a", "b"]}, A),
        ("IF ZZ1-1 COUNT=1", A, {"ZZ1-1": ["a", "b"]}),
        ("IF ZZ1-1 COUNT=1", A, {"ZZ1-1": ["", ""]}),
        ("IF ZZ1-1 LENGTH GREATER THAN 3", {"ZZ1-1": "abcd"}, {"ZZ1-1": "abc"}),
        ("IF ZZ1-1 IS VALUED NOT EQUAL ZZ1-2", A, {**A, "ZZ1-2": "a"}),
        ("IF ZZ1 VALUED", {"ZZ1": "ZZ1"}, NOTHING),
        ("IF PL3.NOT VALUED", NOTHING, {"PL-3": "c"}),
        ("IF NOT VALUED", NOTHING, {"": "a"}),
        ('IF NOT EQUAL TO "="', {"": ">"}, {"": "="}),
        ('IF NOT VALUED OR NOT IN ("a", "b")', {"": "c"}, {"": "b"}),
        ('IF NOT VALUED AND ZZ1-1 NOT EQUALS "a"', NOTHING, A),
    ],
)
def test_a_condition_means_what_it_says(text, met, unmet):
    compiled = condition(text)
    assert compiled(Values(met)) is True
    assert compiled(Values(unmet)) is False


@pytest.mark.parametrize(
    "text",
    [
        "",
        "IF",
        "IF ZZ1-1",
        "IF ZZ1-1 AND ZZ1-2",
        "IF ZZ1-1 NOT",
        'IF ZZ1-1 EQUALS "a" OR',
        'IF ZZ1-1 IN ("a"',
        "IF ZZ1-1 IN http://example.org/page",
        "IF ZZ1-1 COUNT 1",
        "IF ZZ1-1 COUNT > many",
        "IF ZZ1-1 EQUALS",
        "If the child is well",
        'IF ZZ1-1 EQUALS "a" perhaps',
    ],
)
def test_a_condition_without_one_meaning_is_refused(text):
    with pytest.raises(ValueError, match=r"`|lacks"):
        condition(text)


def test_a_comparison_is_about_the_first_repetition():
    assert condition('IF ZZ1-1 EQUALS "a"')(Values({"ZZ1-1": ["a", "b"]}))
    assert not condition('IF ZZ1-1 EQUALS "b"')(Values({"ZZ1-1": ["a", "b"]}))


MESSAGE = parse(
    b"MSH|^~\\&|EPR|RTH|CSOR|CSOR|202505060930||ADT^A01|M1|P|2.4\r"
    b"PID|1||1^^^NHS&x~22||Testchild^Ann\rPV1|1|I"
)


@pytest.fixture
def here():
    """The PID segment of a message, at its third field."""
    nodes = [Node(name, repeats=False, required=True) for name in ("MSH", "PID", "PV1")]
    root = Branch(Node("ADT_A01", repeats=False, required=True, children=nodes), None)
    root.found = [MESSAGE.segments(node.name) for node in nodes]
    run = Run(MESSAGE, Event("ADT_A01", "", False), Site(), MappingContext(Terminology.load()))
    return Here(run, Scope(root, None), MESSAGE.segments("PID")[0]).at(3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IF PID-3 LST.count GREATER THAN 1", True),
        ('IF PID-3.1 EQUALS "1"', True),
        ('IF PID-3.4.2 EQUALS "x"', True),
        ("IF PID-5.2 LENGTH GREATER THAN 3", False),
        ('IF PV1-2 IS "I"', True),
        ("IF PV1 VALUED", True),
        ("IF ORC VALUED", False),
        ("IF ORC-1 NOT VALUED", True),
        ("IF NOT VALUED", False),
        ("IF PID-99 NOT VALUED", True),
    ],
)
def test_a_condition_sees_the_message_from_its_segment(here, text, expected):
    assert condition(text)(RowSource(here)) is expected


def test_a_condition_of_a_datatype_sees_the_repetition_at_hand(here):
    first, second = here.segment.field(3).repetitions
    typed = condition('IF CX.4 IS "NHS"')
    assert typed(RowSource(here, "CX", first))
    assert not typed(RowSource(here, "CX", second))
    assert condition("IF CX.4 NOT VALUED AND PID-5 VALUED")(RowSource(here, "CX", second))
    assert condition('IF NOT EQUAL TO "1"')(RowSource(here, "CX", second))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"final"', "final"),
        ('"urn:oid:"+ZZ1.1', "urn:oid:a"),
        ('ZZ1-1+" "+ZZ1-2', "a b"),
        ('ZZ1-1"/"ZZ1-2', "a/b"),
        ('ZZ1-3+" "+ZZ1-4', ""),
        ("ZZ1.2", "b"),
    ],
)
def test_an_assignment_joins_parts_and_literals(cell, text):
    assert assignment(cell)(Values({"ZZ1-1": "a", "ZZ1-2": "b"})) == text


@pytest.mark.parametrize(
    "cell", ["", "enterer", '"open', "ZZ1-1 +", "/in words/", "ZZ1-1 according to ZZ1-2"]
)
def test_a_sentence_is_no_assignment(cell):
    with pytest.raises(ValueError, match="value"):
        assignment(cell)

"""Watching a message being mapped: what is noted, and that nothing else changes."""

import pytest

from mappings.hl7v2 import explain, own, parse, to_bundle
from mappings.hl7v2.elements import Slot, place
from mappings.hl7v2.rows import Origin
from mappings.hl7v2.trace import Noted, Trace
from tests.mappings.messages import CONTEXT, SEGMENTS

ROW = Origin("own", "segments/ZZ1[Patient]", 4, "ZZ1-1")


def admission(**changed):
    return "\r".join((SEGMENTS | changed).values()).encode()


def written(path, value, repetition=0):
    """Put a value into an empty Patient; returns what was noted."""
    trace = Trace()
    slot = Slot(Noted(trace, {}), "")
    trace.run(ROW, None, lambda: place("Patient", path).put(slot, value, repetition))
    return slot.resource, [(put.key, put.value, put.origin) for put in trace.puts]


def test_a_value_is_noted_where_it_is_set_and_the_way_to_it_is_not():
    resource, noted = written("contact[1].name.family", "Testchild")
    assert resource == {"contact": [{"name": {"family": "Testchild"}}]}
    assert noted == [("family", "Testchild", ROW)]


def test_what_is_added_to_a_list_is_noted_by_its_index():
    resource, noted = written("name[1].given", "Ann")
    assert resource == {"name": [{"given": ["Ann"]}]}
    assert noted == [(0, "Ann", ROW)]


def test_what_is_there_already_is_not_noted_again():
    trace = Trace()
    slot = Slot(Noted(trace, {"gender": "female"}), "")
    trace.run(ROW, None, lambda: place("Patient", "gender").put(slot, "male"))
    assert slot.resource == {"gender": "female"}
    assert trace.puts == []


def test_outside_a_row_nothing_is_noted():
    trace = Trace()
    place("Patient", "gender").put(Slot(Noted(trace, {}), ""), "male")
    assert trace.puts == []


def test_the_bundle_is_plain_and_the_engine_stays_as_it_was():
    before = {name: each.actions for name, each in own().structures.items()}
    conversion = explain(admission(), CONTEXT)
    assert {name: each.actions for name, each in own().structures.items()} == before
    assert conversion.bundle == to_bundle(parse(admission()), CONTEXT)
    assert {type(each) for each in nodes(conversion.bundle)} == {dict, list}


def nodes(node):
    if isinstance(node, (dict, list)):
        yield node
        for each in node.values() if isinstance(node, dict) else node:
            yield from nodes(each)


def test_a_resource_that_comes_up_twice_is_one_entry_from_both_places():
    doctor = "C1234567^Fictitious^Ada^^^Dr"
    conversion = explain(admission(PV1=f"PV1|1|I|||||{doctor}|{doctor}|{'|' * 10}V1"), CONTEXT)
    entries = [each["resource"]["resourceType"] for each in conversion.bundle["entry"]]
    number = entries.index("Practitioner")
    assert entries.count("Practitioner") == 1
    rows = [
        (each.origin.identifier, str(each.source[0])[:7])
        for each in conversion.written
        if each.expression == f"Bundle.entry[{number}].resource"
    ]
    assert rows == [("PV1-7", "PV1^1^7"), ("PV1-8", "PV1^1^8")]


@pytest.mark.parametrize("text", ["Ann", "ann"])
def test_a_name_that_the_record_keeps_by_another_row_is_not_claimed(text):
    """The second diagnosis is the same Condition: its own text is dropped, and it is said so."""
    lines = [*SEGMENTS.values(), "DG1|1||P77X^One^I10", f"DG1|2||P77X^{text}^I10"]
    conversion = explain("\r".join(lines).encode(), CONTEXT)
    dropped = {str(each.place): each.why for each in conversion.ignored}
    assert dropped["DG1^2^3^1^2"] == "used"

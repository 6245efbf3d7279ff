"""HL7 v2 messages and their Bundles: golden pairs, foreign messages, damaged ones."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.hl7v2 import parse, tables, to_bundle
from profiles import validate
from r4.issue import FhirError
from r4.json import decode
from r4.reference import walk
from tests.mappings.messages import CONTEXT, TERMINOLOGY, damaged

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "mappings/hl7v2/examples").glob("*.hl7"))
WHISTLE = ROOT.parent / "shared/data/hl7v2/whistle"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_gives_its_bundle(path):
    bundle = to_bundle(parse(path.read_bytes()), CONTEXT)
    assert bundle == decode(path.with_suffix(".bundle.json").read_bytes())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_bundle_is_valid(path):
    bundle = to_bundle(parse(path.read_bytes()), CONTEXT)
    assert [issue for issue in validate(bundle, TERMINOLOGY) if issue.is_error] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_request_has_one_of_the_three_shapes_and_each_urn_an_entry(path):
    bundle = to_bundle(parse(path.read_bytes()), CONTEXT)
    urns = {entry["fullUrl"] for entry in bundle["entry"]}
    assert len(urns) == len(bundle["entry"])
    for entry in bundle["entry"]:
        request, kind = entry["request"], entry["resource"]["resourceType"]
        if request["method"] == "PUT":
            assert request["url"].startswith(f"{kind}?identifier=")
        else:
            assert request["url"] == kind
            assert request.get("ifNoneExist", "identifier=").startswith("identifier=")
    for reference in walk(bundle):
        target = reference["reference"]
        assert target in urns or target.startswith("Organization?identifier=")


def test_the_examples_show_every_supported_event_and_eleven_hospitals():
    headers = [parse(path.read_bytes()).header for path in EXAMPLES]
    shown = {(header.message_code, header.trigger_event) for header in headers}
    assert shown == set(tables.events())
    hospitals = {header.sending_facility for header in headers}
    assert hospitals == {
        *("RTH", "RHM", "RGT", "RQM", "RQ3", "RJ1", "RBS", "R0A", "G513H", "RWE", "RX1")
    }


@pytest.mark.skipif(not WHISTLE.is_dir(), reason="the foreign sample messages are not here")
def test_foreign_messages_are_mapped_or_refused_with_a_reason():
    outcomes = {}
    for path in sorted(WHISTLE.glob("*.hl7")):
        try:
            bundle = to_bundle(parse(path.read_bytes()), CONTEXT)
        except FhirError as error:
            outcomes[path.stem] = error.issues[0].rule
        else:
            outcomes[path.stem] = "mapped"
            assert not [issue for issue in validate(bundle, TERMINOLOGY) if issue.is_error]
    assert len(outcomes) == 20
    mapped_ones = {name for name, outcome in outcomes.items() if outcome == "mapped"}
    assert mapped_ones == {
        "adt_a01_ex1",
        "adt_a01_ex2",
        "adt_a01_ex3",
        "adt_a01_ex4",
        "adt_a04_ex1",
        "adt_a08_ex1",
        "oml_o21_ex1",
        "oml_o21_ex2",
        "oml_o21_ex5",
        "orm_o01_ex1",
        *("oru_r01_ex1", "oru_r01_ex2", "oru_r01_ex6"),
    }
    # two segments stand on one line: the CR between them was lost
    assert outcomes.pop("oml_o21_ex4") == outcomes.pop("oml_o21_ex6") == "100"
    assert outcomes.pop("oml_o21_ex3") == "101", "MSH-4 has a universal id alone"
    refused_as = {re.sub("_.*", "", n): r for n, r in outcomes.items() if r != "mapped"}
    assert refused_as["rde"] == "200"


@settings(deadline=None)
@given(st.sampled_from([path.read_bytes() for path in EXAMPLES]), st.data())
def test_a_damaged_message_is_mapped_to_something_valid_or_refused(raw, data):
    try:
        bundle = to_bundle(parse(damaged(raw, data)), CONTEXT)
    except FhirError:
        return
    assert not [issue for issue in validate(bundle, TERMINOLOGY) if issue.is_error]


ORDERLY = [path.read_bytes() for path in EXAMPLES if not path.stem.startswith("ADT")]


@settings(deadline=None)
@given(st.sampled_from(ORDERLY), st.data())
def test_a_message_with_other_lines_is_mapped_to_something_valid_or_refused(raw, data):
    """Segments of results, orders and appointments are dropped, repeated, moved or taken from others."""
    lines = raw.decode().rstrip("\r").split("\r")
    others = b"\r".join(ORDERLY).decode().split("\r")
    for _ in range(data.draw(st.integers(1, 4))):
        row = data.draw(st.integers(1, len(lines)))
        change = data.draw(st.sampled_from(["drop", "repeat", "move", "other"]))
        line = lines[row - 1] if change == "repeat" else data.draw(st.sampled_from(others))
        if change in ("drop", "move") and 1 < row < len(lines):
            line = lines.pop(row)
        if change != "drop":
            lines.insert(data.draw(st.integers(1, len(lines))), line)
    try:
        bundle = to_bundle(parse("\r".join(lines).encode()), CONTEXT)
    except FhirError:
        return
    assert not [issue for issue in validate(bundle, TERMINOLOGY) if issue.is_error]

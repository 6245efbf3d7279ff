"""A message is explained: every element has its row, and every leaf that is in none its reason."""

from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.simulate import cohort, tables
from fhir_server.simulate.events import LONDON
from fhir_server.simulate.feed import feed
from mappings.hl7v2 import explain, own, parse, to_bundle
from r4.issue import FhirError
from r4.json import decode
from tests.mappings.messages import CONTEXT, SEGMENTS, damaged

EXAMPLES = sorted((Path(__file__).parents[2] / "mappings/hl7v2/examples").glob("*.hl7"))
HOSPITALS = [each.ods for each in tables.hospitals() if not each.sends_fhir]
MANY, FEW = 30, 4
"""How many of a simulated hospital's messages are looked at, and of its letters and bills."""


def explained(**changed):
    return explain("\r".join((SEGMENTS | changed).values()).encode(), CONTEXT)


def why(conversion, place):
    """Return class and reason of an ignored leaf."""
    (found,) = [each for each in conversion.ignored if str(each.place) == place]
    return found.why, found.reason


def sources(conversion, expression):
    (found,) = [each for each in conversion.written if each.expression.endswith(expression)]
    return [str(place) for place in found.source]


def assert_accounted(conversion):
    """Every leaf is a source, or is ignored once, and nothing is without an explanation."""
    leaves = [leaf.place for leaf in conversion.message.walk()]
    used = {place for each in conversion.written for place in each.source}
    ignored = [each.place for each in conversion.ignored]
    assert used | set(ignored) == set(leaves)
    assert not used & set(ignored)
    assert len(ignored) == len(set(ignored))
    gaps = Counter(each.reason for each in conversion.ignored if each.why == "unexplained")
    assert not gaps, "\n".join(gaps)
    assert all(each.reason for each in conversion.ignored)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_leaf_of_an_example_is_accounted_for(path):
    conversion = explain(path.read_bytes(), CONTEXT)
    assert conversion.bundle == decode(path.with_suffix(".bundle.json").read_bytes())
    assert conversion.issues == ()
    assert_accounted(conversion)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_element_of_an_example_is_from_a_row(path):
    conversion = explain(path.read_bytes(), CONTEXT)
    rows = [each.expression for each in conversion.written]
    for number, entry in enumerate(conversion.bundle["entry"]):
        head = f"Bundle.entry[{number}].resource"
        for place in primitives(entry["resource"], head):
            if place in (f"{head}.resourceType",) or place.startswith(f"{head}.target["):
                continue
            assert any(place == row or place.startswith((f"{row}.", f"{row}[")) for row in rows), (
                place
            )


def primitives(node, path):
    if isinstance(node, dict):
        for name, value in node.items():
            yield from primitives(value, f"{path}.{name}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from primitives(value, f"{path}[{number}]")
    else:
        yield path


def test_every_leaf_of_foreign_messages_is_accounted_for(library):
    outcomes = Counter()
    for path in sorted((library / "hl7v2").rglob("*.hl7")):
        try:
            conversion = explain(path.read_bytes(), CONTEXT)
        except FhirError as refusal:  # two segments stand on one line
            outcomes[refusal.issues[0].rule] += 1
            continue
        outcomes["mapped" if conversion.bundle else "refused"] += 1
        assert_accounted(conversion)
    assert outcomes["mapped"] >= 6
    assert outcomes["100"] == 2


def simulated(ods, kinds):
    hospital = next(each for each in tables.hospitals() if each.ods == ods)
    children = [each for each in cohort.plan(1, date(2018, 1, 1), 1, 1) if each.ods == ods]
    until = datetime(2020, 1, 1, tzinfo=LONDON)
    sent = feed(hospital, children, until, {}, 1, kinds=kinds)
    return (each for each in sent if each.door == "mllp")


@pytest.mark.parametrize("ods", HOSPITALS)
def test_every_leaf_of_simulated_messages_is_accounted_for(ods):
    bundles = 0
    for each in islice(simulated(ods, "classic"), MANY):
        try:
            conversion = explain(each.body, CONTEXT)
        except FhirError:
            assert each.faulty
            continue
        bundles += conversion.bundle is not None
        assert_accounted(conversion)
    assert bundles > MANY / 2


@pytest.mark.parametrize("ods", HOSPITALS)
def test_every_leaf_of_simulated_letters_and_bills_is_accounted_for(ods):
    papers = (each for each in simulated(ods, "all") if each.kind[:3] in ("MDM", "BAR", "DFT"))
    found = [explain(each.body, CONTEXT) for each in islice(papers, FEW)]
    assert [each.bundle is not None for each in found] == [True] * FEW
    for conversion in found:
        assert_accounted(conversion)


def test_an_element_names_its_leaf_and_its_rows():
    conversion = explained()
    (family,) = [each for each in conversion.written if each.expression.endswith(".family")]
    assert family.expression == "Bundle.entry[1].resource.name[0].family"
    assert [str(place) for place in family.source] == ["PID^1^5"]
    assert (family.origin.layer, family.origin.table) == ("own", "segments/PID[Patient]")
    assert (family.origin.identifier, family.part.identifier) == ("PID-5", "XPN.1")
    text = Path("mappings/hl7v2") / f"{family.origin.table}.csv"
    line = text.read_text().split("\n")[family.origin.line - 1]
    assert line.split(",")[1] == "PID-5"


def test_of_several_values_each_names_the_repetition_that_it_is_from():
    conversion = explained()
    assert sources(conversion, "[1].resource.identifier[0]") == ["PID^1^3", "PID^1^3^1^4"]
    second = ["PID^1^3^2", "PID^1^3^2^4", "PID^1^3^2^5"]
    assert sources(conversion, "[1].resource.identifier[1]") == second


def test_what_decides_but_does_not_show_is_used_not_mapped():
    conversion = explained(DG1="DG1|1||P77X^^I10|||F")
    assert sources(conversion, "resource.code") == ["DG1^1^3"]
    assert why(conversion, "DG1^1^3^1^3") == (
        "used",
        "read by DG1-3 to decide what it writes; it does not show there",
    )


def test_a_code_that_no_map_knows_is_used_by_a_row_that_writes_nothing():
    conversion = explained(PID=SEGMENTS["PID"] + "|" * 16 + "?")
    assert why(conversion, "PID^1^24") == ("used", "read by PID-24, which writes nothing here")


def test_references_and_fixed_values_have_a_row_and_no_source():
    conversion = explained()
    (subject,) = [each for each in conversion.written if each.expression.endswith(".subject")]
    assert (subject.source, subject.origin.table) == ((), "messages/ADT_A01")
    assert sources(conversion, "resource.active") == []


@pytest.mark.parametrize(
    ("changed", "place", "expected"),
    [
        ({}, "MSH^1^2", ("structure", "read by the parser")),
        ({}, "PID^1^1", ("structure", "segments are told apart")),
        ({"PID": SEGMENTS["PID"] + '|""'}, "PID^1^9", ("deleted", "has no value")),
        ({"PID": SEGMENTS["PID"] + "|Alias"}, "PID^1^9", ("not-mapped", "known by its numbers")),
        ({"PV1": "PV1|1|I|A^B^C^RTH||||||||||||||||V1"}, "PV1^1^3^1^4", ("not-mapped", "MSH-4")),
        ({"PID": SEGMENTS["PID"] + "^^x"}, "PID^1^8^1^3", ("not-mapped", "code map")),
        ({"ZZ1": "ZZ1|1"}, "ZZ1^1^1", ("no-table", "no table maps ZZ1")),
        ({"ZU1": "ZU1|1^a"}, "ZU1^1^1^1^2", ("not-mapped", "HL7 UK's own segment")),
        ({"NTE": "NTE|1||Note"}, "NTE^1^3", ("outside-structure", "ADT_A01 has no place for NTE")),
        ({"GT1": "GT1|1"}, "GT1^1^1", ("not-mapped", "not mapped")),
        ({"PV1": "PV1|1|I"}, "PV1^1^2", ("not-mapped", "`has_visit` does not hold")),
    ],
)
def test_each_class_says_why(changed, place, expected):
    found, reason = why(explained(**changed), place)
    assert (found, expected[1] in reason) == (expected[0], True), reason


def test_of_a_field_whose_first_repetition_alone_is_read_the_others_are_named():
    conversion = explained(PV1=SEGMENTS["PV1"].replace("|V1|", "|V1~V2|"))
    assert why(conversion, "PV1^1^19^2") == ("not-mapped", "the first repetition alone is read")


def test_of_a_component_whose_first_subcomponent_alone_is_read_the_others_are_named():
    conversion = explained(PV1=SEGMENTS["PV1"].replace("|I|", "|I|A&x^B"))
    assert why(conversion, "PV1^1^3^1^1^2") == (
        "not-mapped",
        "the first subcomponent alone is read",
    )


def test_of_a_segment_without_target_the_map_that_its_row_names_says_why_field_by_field():
    lines = [SEGMENTS["MSH"].replace("ADT^A01^ADT_A01", "BAR^P01"), SEGMENTS["PID"]]
    insured = "\r".join([*lines, "PV1|1|I", "IN1|1|PLAN^Plan|||A^B"])
    conversion = explain(insured.encode(), CONTEXT)
    (found,) = [each for each in conversion.ignored if str(each.place) == "IN1^1^2^1^2"]
    assert (found.why, found.origin.table) == ("not-mapped", "segments/IN1")
    assert found.origin.identifier == "IN1-2"
    assert_accounted(conversion)


def test_the_application_of_a_document_in_a_result_is_left_out_by_the_type_that_obx_2_names():
    document = "OBX|1|RP|1-4^Test^LN||https://pacs.example/1&x^PACS^AP^PDF||||||F"
    lines = [SEGMENTS["MSH"].replace("ADT^A01^ADT_A01", "ORU^R01"), SEGMENTS["PID"]]
    raw = "\r".join([*lines, "OBR|1|P1|F1|100^Test^L||||||||||||||||||||F|F", document])
    conversion = explain(raw.encode(), CONTEXT)
    (found,) = [each for each in conversion.ignored if str(each.place) == "OBX^1^5^1^2"]
    assert (found.why, found.origin.table) == ("not-mapped", "datatypes/RP")
    assert_accounted(conversion)


def test_a_message_that_is_refused_before_its_rows_run_has_every_leaf_refused():
    conversion = explained(MSH=SEGMENTS["MSH"].replace("A01^ADT_A01", "Z99"))
    assert (conversion.bundle, conversion.written) == (None, ())
    assert [issue.rule for issue in conversion.issues] == ["201"]
    assert {each.why for each in conversion.ignored} == {"refused"}
    assert len(conversion.ignored) == len(list(conversion.message.walk()))


def test_of_a_message_whose_content_is_refused_it_is_said_what_the_rest_would_become():
    conversion = explained(PID=SEGMENTS["PID"].replace("20250430", "soon"))
    assert conversion.bundle is None
    assert [issue.expression for issue in conversion.issues] == ["PID^1^7"]
    assert why(conversion, "PID^1^7") == ("used", "read by PID-7, which writes nothing here")
    assert sources(conversion, ".family") == ["PID^1^5"]


def test_a_row_that_is_missing_is_asked_for_by_table_and_field():
    given = own()
    rows = given.rows.segments["PID[Patient]"]
    fewer = tuple(row for row in rows if row.identifier != "PID-9")
    parts = tuple(row for row in given.rows.datatypes["PL[Reference]"] if row.target)
    short = replace(
        given.rows,
        segments={**given.rows.segments, "PID[Patient]": fewer},
        datatypes={**given.rows.datatypes, "PL[Reference]": parts},
    )
    changed = {"PID": SEGMENTS["PID"] + "|Alias", "PV1": "PV1|1|I|A^B^C^RTH|" + "|" * 15 + "V1"}
    raw = "\r".join((SEGMENTS | changed).values()).encode()
    conversion = explain(raw, replace(CONTEXT, engine=replace(given, rows=short)))
    assert why(conversion, "PID^1^9") == (
        "unexplained",
        "segments/PID[Patient] needs a row PID-9",
    )
    assert why(conversion, "PV1^1^3^1^4") == (
        "unexplained",
        "datatypes/PL[Reference] needs a row PL.4 that says why it is left out",
    )


def test_the_version_is_that_of_the_tables():
    assert explained().version == own().version


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([path.read_bytes() for path in EXAMPLES]), st.data())
def test_a_damaged_message_is_explained_as_it_is_mapped(raw, data):
    changed = damaged(raw, data)
    try:
        parse(changed)
    except FhirError:
        with pytest.raises(FhirError):
            explain(changed, CONTEXT)
        return
    conversion = explain(changed, CONTEXT)
    try:
        bundle, issues = to_bundle(parse(changed), CONTEXT), ()
    except FhirError as refusal:
        bundle, issues = None, tuple(refusal.issues)
    assert (conversion.bundle, conversion.issues) == (bundle, issues)
    leaves = {leaf.place for leaf in conversion.message.walk()}
    used = {place for each in conversion.written for place in each.source}
    assert used | {each.place for each in conversion.ignored} == leaves

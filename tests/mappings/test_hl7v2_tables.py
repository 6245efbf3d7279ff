"""The mapping tables: every row runs, and a row that cannot is refused at load, by name."""

from contextlib import suppress
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from hl7apy import load_reference
from hl7apy.exceptions import ChildNotFound

from mappings.hl7v2 import functions, sites, structures, tables
from mappings.hl7v2.compile import compile_row, datatype_maps, segments_of
from mappings.hl7v2.elements import place
from mappings.hl7v2.grammar import grammar
from mappings.hl7v2.reference import page
from mappings.hl7v2.rows import MessageRow, Origin, SegmentRow
from r4 import artefacts

GOOD = SegmentRow(
    origin=Origin("own", "segments/PID[Patient]", 9, "PID-7"),
    identifier="PID-7",
    name="Date of birth",
    type="TS",
    minimum=0,
    condition="",
    antlr="",
    narrative="",
    target="birthDate",
    extension="",
    fhir_type="date",
    datatype_map="TS[date]",
    vocabulary="",
    assignment="",
    function="",
    comment="",
)


COMPILED = segments_of(tables.segment_maps(), datatype_maps())
KEPT_RAW = [f"ZU{number}[Provenance]" for number in range(1, 9)]
"""HL7 UK's own segments: their tables say that they are kept with the message, and no more."""


def test_every_table_compiles():
    assert set(structures()) >= {"ADT_A01", "ADT_A03", "ADT_A05", "ADT_A39", "ORU_R01"}
    assert set(structures()) == set(tables.messages())
    assert set(COMPILED) == set(tables.segment_maps())
    assert set(datatype_maps()) == set(tables.datatype_maps())
    # a map that names no resource takes nothing: its rows say why
    nothing = {name for name, rules in COMPILED.items() if not rules}
    unnamed = {name for name in COMPILED if "[" not in name}
    assert nothing == {"RGS[Appointment]", *KEPT_RAW, *unnamed}


def test_every_event_has_a_table_and_every_table_an_event():
    assert {event.structure for event in tables.events().values()} == set(structures())


def test_every_segment_map_is_used_by_a_message():
    used = {row.segment_map for row in message_rows()}
    assert used - {""} == set(COMPILED)


def test_every_datatype_mapping_is_used_by_a_segment():
    used = {row.datatype_map for row in element_rows()}
    maps = {name for name, rows in tables.datatype_maps().items() if any(r.target for r in rows)}
    assert used - {""} == maps


def test_a_datatype_table_that_maps_nothing_says_why_of_every_component():
    for name, rows in tables.datatype_maps().items():
        if not any(row.target for row in rows):
            assert "[" not in name
            assert all(row.comment for row in rows), name


def message_rows():
    return [row for rows in tables.messages().values() for row in rows]


def element_rows():
    maps = (*tables.segment_maps().values(), *tables.datatype_maps().values())
    return [row for rows in maps for row in rows]


def test_every_action_and_rule_knows_the_row_it_comes_from():
    lines = {row.origin: row for row in [*message_rows(), *element_rows()]}
    assert len(lines) == len(message_rows()) + len(element_rows())
    compiled = 0
    for structure in structures().values():
        for actions in structure.actions.values():
            for action in actions:
                assert lines[action.origin].target == action.slot
                for rule in action.rules:
                    assert lines[rule.origin].target
                    compiled += 1
    assert compiled
    for name, rules in COMPILED.items():
        targets = [row.origin for row in tables.segment_maps()[name] if row.target]
        assert [rule.origin for rule in rules] == targets


def test_an_origin_names_the_line_of_its_file():
    for row in [*message_rows(), *element_rows()]:
        table = files("mappings.hl7v2") / f"{row.origin.table}.csv"
        line = table.read_text(encoding="utf-8").splitlines()[row.origin.line - 1]
        assert row.origin.layer == "own"
        assert line.split(",")[1] == row.identifier == row.origin.identifier


def test_every_vocabulary_is_a_concept_map_with_its_source():
    concept_maps = artefacts.by_url("terminology", "ConceptMap")
    for vocabulary in tables.vocabularies().values():
        sources = {group["source"] for group in concept_maps[vocabulary.concept_map]["group"]}
        assert sources == {vocabulary.system}


def test_every_site_file_names_known_kinds_and_vocabularies_with_reasons():
    assert sites.every()
    for site in sites.every().values():
        assert set(site.authorities.values()) <= set(tables.kinds())
        assert set(site.concept_maps) <= set(tables.vocabularies())
        assert all(len(reason) > 20 for reason in site.reasons)
    assert sites.site("nobody") == sites.Site()


VERSIONS = (
    *("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5"),
    *("2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2"),
)


def fields(segment):
    """Name every field that any version of HL7 gives a segment."""
    found = set()
    for version in VERSIONS:
        with suppress(ChildNotFound):
            structure = load_reference(segment, "Segment", version)
            found |= {child[0].replace("_", "-") for child in structure[1]}
    return found


@pytest.mark.parametrize(
    "segment", sorted({name[:3] for name in tables.segment_maps() if name not in KEPT_RAW})
)
def test_every_field_of_a_mapped_segment_has_a_row(segment):
    rows = [row for name in tables.segment_maps() for row in tables.segment_maps()[name]]
    listed = {row.identifier.partition(".")[0] for row in rows if row.identifier[:3] == segment}
    known = fields(segment)
    assert known
    assert known - listed == set()
    assert listed - known <= {segment}


def test_a_field_that_goes_nowhere_says_why():
    left_out = [row for row in element_rows() if not row.target]
    assert len(left_out) > 200
    assert [row.origin for row in left_out if len(row.comment) < 10] == []


def test_tables_hold_no_expressions():
    """A condition is a named function: HL7's columns for computed conditions are empty."""
    for row in [*message_rows(), *element_rows()]:
        assert (row.antlr, row.narrative) == ("", "")
        assert not row.condition or row.condition.isidentifier()
    for row in element_rows():
        assert not row.function or row.function.isidentifier()


def test_a_good_row_compiles():
    compile_row("PID", "Patient", GOOD)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": "dateOfBirth"}, "R4 has no element Patient.dateOfBirth"),
        ({"target": "birth-date"}, "is no step of a path"),
        ({"target": "birthDate("}, "is no path"),
        ({"fhir_type": "dateTime"}, "has type date, not dateTime"),
        ({"datatype_map": "TS[dateTime]"}, r"TS\[dateTime\] gives dateTime, not date"),
        ({"datatype_map": "TS[day]"}, r"no datatype mapping TS\[day\]"),
        ({"datatype_map": ""}, "needs a Data Type Mapping"),
        ({"function": "birthday"}, "there is no function `birthday`"),
        ({"function": "_key"}, "there is no function `_key`"),
        ({"condition": "PID-8 VALUED"}, "there is no function"),
        ({"vocabulary": "Nothing"}, "there is no vocabulary Nothing"),
        ({"vocabulary": "YesNo"}, "a date cannot be coded"),
        ({"identifier": "PID"}, "neither a field of its segment"),
        ({"assignment": '"today"'}, "cannot be assigned"),
        ({"assignment": "today"}, "is no value in quotation marks"),
        ({"extension": "https://example.org/x"}, "only `extension` can hold"),
        ({"target": "deceased[x]"}, "is no step of a path"),
        ({"target": "deceased"}, "R4 has no element Patient.deceased"),
        (
            {"target": "managingOrganization(Practitioner)", "fhir_type": "Reference"},
            "cannot refer to Practitioner",
        ),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(changes, reason):
    with pytest.raises(ValueError, match=reason):
        compile_row("PID", "Patient", replace(GOOD, **changes))


@pytest.mark.parametrize(
    ("resource_type", "path", "type_name", "is_list"),
    [
        ("Patient", "name", "HumanName", True),
        ("Patient", "deceasedDateTime", "dateTime", False),
        ("Patient", "link[1].other", "Reference", False),
        ("Encounter", "participant[7].type.coding.code", "code", False),
        ("Observation", "valueQuantity", "Quantity", False),
        ("Extension", "valueCodeableConcept", "CodeableConcept", False),
    ],
)
def test_paths_resolve_against_the_definitions(resource_type, path, type_name, is_list):
    found = place(resource_type, path)
    assert (found.type, found.is_list) == (type_name, is_list)


def test_a_map_without_a_resource_can_have_no_targets():
    with pytest.raises(ValueError, match="R4 has no type"):
        compile_row("PID", "", GOOD)


def test_groups_must_close():
    begin, end = group("X.G", "{", "--- G begin"), group("/X.G", "}", "--- G end")
    assert [child.name for child in grammar("X", [begin, end]).children] == ["G"]
    with pytest.raises(ValueError, match="group G does not end"):
        grammar("X", [begin])
    with pytest.raises(ValueError, match="closes a group that is not open"):
        grammar("X", [end])


def group(identifier, syntax, name):
    origin = Origin("own", "messages/X", 3, identifier)
    return MessageRow(origin, identifier, syntax, name, 1, *[""] * 8)


def test_every_registered_function_is_named_by_a_table():
    named = {row.condition for row in [*message_rows(), *element_rows()]}
    named |= {row.function for row in element_rows()}
    assert functions.NAMED
    assert set(functions.NAMED) <= named
    for name, function in functions.NAMED.items():
        assert (name, function.__doc__ is None) == (function.__name__, False)


def test_every_example_is_fictitious():
    for example in (files("mappings.hl7v2") / "examples").iterdir():
        if example.name.endswith(".hl7"):
            lines = example.read_bytes().decode().splitlines()
            fields = [line.split("|") for line in lines]
            named = [each[5] for each in fields if each[0] == "PID"]
            named += [each[2] for each in fields if each[0] == "NK1" and each[2]]
            people = [part for each in fields for part in each if "^GMC" in part]
            named += [person.partition("^")[2] for person in people if "^" in person]
            assert named
            assert {name[:4] for name in named} == {"Test"}


def test_the_page_for_integrators_shows_the_tables():
    document = Path(__file__).parents[2] / "docs/hl7v2.md"
    assert document.read_text() == page(document.read_text())

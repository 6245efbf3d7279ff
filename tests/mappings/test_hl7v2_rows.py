"""Mapping tables are read by their headings, however HL7's own files spell and place them."""

import csv
import io
import re
import tarfile
from dataclasses import replace

import pytest

from mappings.hl7v2.rows import message_rows, segment_rows

ABOVE = ["HL7 v2", *[""] * 5, "Condition (IF True)", "", "", "HL7 FHIR", *[""] * 8, "Comments"]
V2 = ["Sort Order", "Identifier", "Name", "Data Type", "Cardinality - Min", "Cardinality - Max"]
CONDITIONS = ["Computable ANTLR", "Computable FHIRPath", "Narrative"]
FHIR = ["Data Type", "Cardinality - Min", "Cardinality - Max", "Data Type Mapping"]
CODES = "Vocabulary Mapping\n(IS, ID, CE, CNE, CWE)"
HEADING = [*V2, *CONDITIONS, "FHIR Attribute", "", *FHIR, CODES, "Assignment", "", ""]
ROW = [
    *(
        "7",
        "ZZ1-4",
        "Name of a star",
        "CWE",
        "1",
        "-1",
        "IF ZZ1-3 VALUED",
        "",
        "a star with a name",
    ),
    *("extension", "https://example.org/star", "string", "0", "2", "ST[string]", "Stars", '"Vega"'),
    *("", "a remark"),
]
OWN = ("Condition Function", "Function")


def written(*rows):
    found = io.StringIO()
    csv.writer(found, lineterminator="\r\n").writerows(rows)
    return found.getvalue()


def read(*rows):
    return segment_rows(written(*rows), "base", "segments/ZZ1[Basic]")


def test_every_column_is_found_by_its_heading_and_both_sides_are_told_apart():
    (row,) = read(ABOVE, HEADING, ROW)
    assert (row.identifier, row.name, row.type, row.minimum) == (
        "ZZ1-4",
        "Name of a star",
        "CWE",
        1,
    )
    assert (row.antlr, row.narrative) == ("IF ZZ1-3 VALUED", "a star with a name")
    assert (row.target, row.extension) == ("extension", "https://example.org/star")
    assert (row.fhir_type, row.datatype_map, row.vocabulary) == ("string", "ST[string]", "Stars")
    assert (row.assignment, row.comment) == ('"Vega"', "a remark")
    assert (row.condition, row.function) == ("", "")


def test_the_columns_of_the_registry_stand_at_the_end():
    own = [*ROW, "has_star", "star_name"]
    (row,) = read([*ABOVE, "CSOR", ""], [*HEADING, *OWN], own)
    assert (row.condition, row.function, row.comment) == ("has_star", "star_name", "a remark")


def test_the_origin_counts_the_lines_of_the_file_not_its_rows():
    long = [*ROW[:-1], "a remark\nof two lines"]
    first, second = read(ABOVE, HEADING, long, [""] * 19, ROW)
    assert (first.origin.layer, first.origin.table) == ("base", "segments/ZZ1[Basic]")
    assert first.origin.identifier == "ZZ1-4"
    assert (first.origin.line, second.origin.line) == (4, 7)
    assert str(second.origin) == "segments/ZZ1[Basic], line 7 (ZZ1-4)"


@pytest.mark.parametrize(
    ("spelling", "usual"),
    [
        ("Display Sequence", "Sort Order"),
        ("Computable - ANTLR", "Computable ANTLR"),
        ("FHIR Attribute/ Data Type", "FHIR Attribute"),
        ("Vocabulary Mapping (IS, ID, CE, CNE, CWE)", CODES),
        ("Derived Mapping", "Assignment"),
        ("Cardinality - Minimum", "Cardinality - Min"),
        ("Cardinality - Maximum", "Cardinality - Max"),
    ],
)
def test_a_heading_may_be_spelled_otherwise(spelling, usual):
    heading = [spelling if cell == usual else cell for cell in HEADING]
    assert heading != HEADING
    (found,), (expected,) = read(ABOVE, heading, ROW), read(ABOVE, HEADING, ROW)
    assert found == replace(expected, origin=found.origin)


def test_the_first_row_of_headings_may_be_garbage_and_lines_may_stand_above_it():
    expected = read(ABOVE, HEADING, ROW)
    assert read(["sam", *ABOVE[1:]], HEADING, ROW) == expected
    later = read(["a title"], [""], [""], [""], ABOVE, HEADING, ROW)
    assert [row.origin.line for row in later] == [8]
    assert [row.identifier for row in later] == ["ZZ1-4"]


def test_the_headings_of_the_v2_columns_may_be_blank():
    assert read(ABOVE, [*[""] * 6, *HEADING[6:]], ROW) == read(ABOVE, HEADING, ROW)


def test_the_column_of_assignments_may_be_missing():
    (row,) = read([*ABOVE[:17], "Comments"], [*HEADING[:16], "", ""], [*ROW[:16], "", "a remark"])
    assert (row.assignment, row.comment) == ("", "a remark")


def test_a_byte_order_mark_is_passed_over():
    text = written(ABOVE, HEADING, ROW)
    assert segment_rows("\ufeff" + text, "base", "x") == segment_rows(text, "base", "x")


def test_a_message_table_has_its_own_columns():
    above = [*ABOVE[:10], "", "", "", "Comments", "CSOR", ""]
    heading = ["Sort Order", "Identifier", "Syntax", "Name", *V2[4:], *CONDITIONS]
    heading += [
        "Primary Target",
        "Segment Map",
        "References",
        "",
        "",
        "Condition Function",
        "Request",
    ]
    row = ["3", "ZZZ_Z01.ZZ1", "[{ ZZ1 }]", "Star", "0", "-1", "IF ZZ1-1 VALUED", "", "a star"]
    row += ["Basic[1]", "ZZ1[Basic]", "Basic[1].subject.reference=Patient[1].id", "", "a remark"]
    (found,) = message_rows(
        written(above, heading, [*row, "has_star", "create"]), "own", "messages/Z"
    )
    assert (found.identifier, found.syntax, found.name) == ("ZZZ_Z01.ZZ1", "[{ ZZ1 }]", "Star")
    assert (found.minimum, found.antlr, found.narrative) == (0, "IF ZZ1-1 VALUED", "a star")
    assert (found.target, found.segment_map) == ("Basic[1]", "ZZ1[Basic]")
    assert found.references == "Basic[1].subject.reference=Patient[1].id"
    assert (found.comment, found.condition, found.request) == ("a remark", "has_star", "create")


def test_what_is_no_table_is_refused_by_its_name():
    with pytest.raises(ValueError, match=r"segments/ZZ1\[Basic\] has no rows of headings"):
        read(ROW, ROW)
    with pytest.raises(ValueError, match="no column is headed primarytarget"):
        message_rows(written(ABOVE, HEADING, ROW), "own", "messages/ZZZ_Z01")
    with pytest.raises(ValueError, match="line 4: the row is longer than the heading"):
        read(ABOVE, HEADING, [*ROW, "too much"])


@pytest.mark.parametrize(
    ("folder", "read_rows", "tables", "rows", "targets"),
    [
        ("messages", message_rows, 13, 735, 402),
        ("segments", segment_rows, 75, 2547, 1055),
        ("datatypes", segment_rows, 105, 1090, 617),
    ],
)
def test_every_official_table_is_read(library, folder, read_rows, tables, rows, targets):
    found = {}
    with tarfile.open(library / "v2-to-fhir-1.0.0-mappings.tgz") as archive:
        for member in archive:
            if re.search(rf"/{folder}/[^/]*\.csv$", member.name):
                text = archive.extractfile(member).read().decode()
                found[member.name] = read_rows(text, "base", member.name)
    every = [row for table in found.values() for row in table]
    assert (len(found), len(every)) == (tables, rows)
    assert len([row for row in every if row.target]) == targets
    assert len({row.origin for row in every}) == rows

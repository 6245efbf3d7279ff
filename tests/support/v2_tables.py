"""Tables in HL7's columns, of our own words, for tests that need no archive."""

import csv
from collections.abc import Sequence
from pathlib import Path

ABOVE = ["HL7 v2", *[""] * 5, "Condition (IF True)", "", "", "HL7 FHIR"]
V2 = ["Sort Order", "Identifier", "Name", "Data Type", "Cardinality - Min", "Cardinality - Max"]
CONDITIONS = ["Computable ANTLR", "Computable FHIRPath", "Narrative"]
SEGMENT = [
    *(*V2, *CONDITIONS, "FHIR Attribute", "", "Data Type"),
    *("Cardinality - Min", "Cardinality - Max", "Data Type Mapping"),
    *("Vocabulary Mapping", "Assignment", "", "Comments"),
]
MESSAGE = [
    *("Sort Order", "Identifier", "Syntax", "Name", "Cardinality - Min", "Cardinality - Max"),
    *(*CONDITIONS, "Primary Target", "Segment Map", "References", "", "Comments"),
]
CODES = [
    *("Code", "Text", "Code System", *CONDITIONS, "Code", "", "Display", "Code System", "", ""),
]


def segment(identifier: str, target: str, **cells: str) -> list[str]:
    """Write a row of a segment or datatype map: `antlr`, `narrative`, `maps`, `codes`, `assigned`."""
    return [
        *("1", identifier, "a star", "CWE", "0", "1", cells.get("antlr", ""), ""),
        *(cells.get("narrative", ""), target, "", cells.get("fhir_type", ""), "0", "1"),
        *(cells.get("maps", ""), cells.get("codes", ""), cells.get("assigned", ""), "", ""),
    ]


def message(
    identifier: str, target: str, maps: str, references: str = "", **cells: str
) -> list[str]:
    """Write a row of a message table: `antlr`, `narrative`."""
    return [
        *("1", identifier, "[{ ZZ1 }]", "Stars", "0", "1", cells.get("antlr", ""), ""),
        *(cells.get("narrative", ""), target, maps, references, "", ""),
    ]


def code(source: str, table: str, target: str, system: str, **cells: str) -> list[str]:
    """Write a row of a table of codes: `antlr`, `narrative`."""
    conditions = [cells.get("antlr", ""), "", cells.get("narrative", "")]
    return [source, "a star", table, *conditions, target, "", target.title(), system, "", ""]


def write(folder: Path, kind: str, name: str, rows: Sequence[Sequence[str]]) -> None:
    """Write a table under the name that HL7 would give its file."""
    heading = {"messages": MESSAGE, "codesystems": CODES}.get(kind, SEGMENT)
    place = folder / kind / f"HL7 Map - FHIR R4_ {name} - Sheet1.csv"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([ABOVE, heading, *rows])

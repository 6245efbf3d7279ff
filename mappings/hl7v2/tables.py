"""The mapping tables as values: CSV rows, read once, with the columns of HL7's v2-to-FHIR maps.

https://build.fhir.org/ig/HL7/v2-to-fhir/ (columns); every row is ours. Conditions, functions and
datatype functions are named, never written out: the tables hold no expressions.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from urllib.parse import quote

from terminology import systems

Row = dict[str, str]
_FOLDER = files("mappings.hl7v2")


def rows(name: str) -> list[Row]:
    """Read one table ("segments/PID.csv"): a dict for each row, blanks as ""."""
    text = (_FOLDER / name).read_text(encoding="utf-8")
    table = list(csv.DictReader(text.splitlines(), strict=True))
    for number, row in enumerate(table, start=2):
        if None in row or None in row.values():
            raise ValueError(f"{name}, line {number}: the row and the heading differ in length")
    return table


def names(folder: str) -> list[str]:
    """List the tables in a folder ("segments"), without their suffix."""
    return sorted(
        entry.name[:-4] for entry in (_FOLDER / folder).iterdir() if entry.name.endswith(".csv")
    )


@dataclass(frozen=True, slots=True)
class Event:
    """What a message type and trigger event select: a message table, and what becomes of a visit."""

    structure: str
    encounter_status: str
    needs_visit: bool


@cache
def events() -> dict[tuple[str, str], Event]:
    """Map (MSH-9.1, MSH-9.2) to its Event."""
    return {
        (row["Message Code"], row["Trigger Event"]): Event(
            row["Structure"], row["Encounter Status"], row["Needs Visit"] == "yes"
        )
        for row in rows("events.csv")
    }


@cache
def versions() -> frozenset[str]:
    """List the HL7 versions (MSH-12) that the tables are written for."""
    return frozenset(row["Version"] for row in rows("versions.csv"))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A code table by the name that cells use: where its codes come from, and its ConceptMap."""

    system: str
    concept_map: str


@cache
def vocabularies() -> dict[str, Vocabulary]:
    """Map the names used in `Vocabulary Mapping` to their ConceptMaps."""
    return {
        row["Vocabulary Mapping"]: Vocabulary(
            row["System"] or f"{systems.CSOR}/sid/hl7v2/{row['Table']}",
            f"{systems.CSOR}/ConceptMap/{row['ConceptMap']}",
        )
        for row in rows("vocabularies.csv")
    }


@dataclass(frozen=True, slots=True)
class CodingSystem:
    """A v2 coding system (table 0396 or a habit): its URI, and the function that tidies a code."""

    uri: str
    function: str


@cache
def coding_systems() -> dict[tuple[str, str], CodingSystem]:
    """Map (name in upper case, field or "") to a coding system."""
    return {
        (row["Coding System"].upper(), row["Identifier"]): CodingSystem(row["URI"], row["Function"])
        for row in rows("systems.csv")
    }


@cache
def authorities() -> dict[tuple[str, str], str]:
    """Map (CX.4, CX.5), in upper case, to the kind of number; "*" stands for any."""
    return {
        (row["CX.4"].upper(), row["CX.5"].upper()): row["Kind"]
        for row in rows("namingsystems.csv")
        if row["CX.4"] or row["CX.5"]
    }


@cache
def kinds() -> dict[str, Row]:
    """Map a kind of number to how it is written in FHIR: System, Type, Use."""
    return {row["Kind"]: row for row in rows("identifiers.csv")}


@cache
def units() -> dict[str, str]:
    """Map a unit as senders write it, in lower case, to its UCUM code."""
    return {row["Unit"].lower(): row["UCUM"] for row in rows("units.csv")}


@cache
def requests() -> dict[str, str]:
    """Map a resource type to its request: update, merge, create or post."""
    return {row["Resource"]: row["Request"] for row in rows("resources.csv")}


def segment_maps() -> Iterator[tuple[str, list[Row]]]:
    """Yield every segment map (`PID[Patient]`) with its rows, in table order."""
    for name in names("segments"):
        grouped: dict[str, list[Row]] = {}
        for row in rows(f"segments/{name}.csv"):
            if row["Segment Map"]:
                grouped.setdefault(row["Segment Map"], []).append(row)
        yield from grouped.items()


def local_system(sender: str, kind: str) -> str:
    """Return the identifier system for one sender's own numbers, whatever characters it uses."""
    return systems.local(quote(sender, safe=""), quote(kind, safe=""))

"""The mapping tables as values, read once; every row is ours.

`messages/`, `segments/` and `datatypes/` hold one file for each map, with the columns of HL7's
v2-to-FHIR maps (`rows`); the other tables have one row of headings. Conditions, functions and
datatype functions are named, never written out: the tables hold no expressions.
"""

import csv
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import quote

from mappings.hl7v2.rows import MessageRow, SegmentRow, message_rows, segment_rows
from terminology import systems

Row = dict[str, str]
_OWN = "own"
KINDS = ("messages", "segments", "datatypes")
"""The folders that hold one file for each map."""
_Table = TypeVar("_Table")
_FOLDER = files("mappings.hl7v2")
_SITES = files("mappings.sites")


def rows(name: str) -> list[Row]:
    """Read a table with one row of headings ("events.csv"): a dict for each row, blanks as ""."""
    text = (_FOLDER / name).read_text(encoding="utf-8")
    table = list(csv.DictReader(text.splitlines(), strict=True))
    for number, row in enumerate(table, start=2):
        if None in row or None in row.values():
            raise ValueError(f"{name}, line {number}: the row and the heading differ in length")
    return table


@dataclass(frozen=True, slots=True)
class Tables:
    """The rows of one stack of layers, by kind and name; `version` names all that they came from."""

    messages: Mapping[str, tuple[MessageRow, ...]]
    segments: Mapping[str, tuple[SegmentRow, ...]]
    datatypes: Mapping[str, tuple[SegmentRow, ...]]
    version: str


@cache
def own() -> Tables:
    """Return the tables of this package alone."""
    return Tables(messages(), segment_maps(), datatype_maps(), version(sources()))


def version(contents: Mapping[str, bytes]) -> str:
    """Return 12 hex digits that stand for files by their names: other content, other digits."""
    found = hashlib.sha256()
    for name, content in sorted(contents.items()):
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:12]


@cache
def sources() -> Mapping[str, bytes]:
    """Read every table and site file of this package by its name: `events.csv`, `sites/RGT.toml`."""
    folders = {"": _FOLDER, **{f"{kind}/": _FOLDER / kind for kind in KINDS}, "sites/": _SITES}
    return MappingProxyType(
        {
            f"{prefix}{entry.name}": entry.read_bytes()
            for prefix, folder in folders.items()
            for entry in folder.iterdir()
            if entry.name.endswith((".csv", ".toml"))
        }
    )


@cache
def messages() -> Mapping[str, tuple[MessageRow, ...]]:
    """Read every message table by its name (`ADT_A01`)."""
    return _maps("messages", message_rows)


@cache
def segment_maps() -> Mapping[str, tuple[SegmentRow, ...]]:
    """Read every segment map by its name (`PID[Patient]`)."""
    return _maps("segments", segment_rows)


@cache
def datatype_maps() -> Mapping[str, tuple[SegmentRow, ...]]:
    """Read every datatype map by its name (`XPN[HumanName]`)."""
    return _maps("datatypes", segment_rows)


def _maps(folder: str, read: Callable[[str, str, str], _Table]) -> Mapping[str, _Table]:
    """Read the tables in a folder by their names, in order."""
    found = {
        entry.name[:-4]: entry.read_bytes().decode()
        for entry in (_FOLDER / folder).iterdir()
        if entry.name.endswith(".csv")
    }
    return MappingProxyType(
        {name: read(found[name], _OWN, f"{folder}/{name}") for name in sorted(found)}
    )


@dataclass(frozen=True, slots=True)
class Event:
    """What a message type and trigger event select: a message table, and what becomes of a visit.

    `visit_event` is what the event does to a visit that is known already; "" where it is about none.
    """

    structure: str
    encounter_status: str
    needs_visit: bool
    visit_event: str = ""


@cache
def events() -> dict[tuple[str, str], Event]:
    """Map (MSH-9.1, MSH-9.2) to its Event."""
    return {
        (row["Message Code"], row["Trigger Event"]): Event(
            row["Structure"],
            row["Encounter Status"],
            row["Needs Visit"] == "yes",
            row["Visit Event"],
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
def tidying() -> dict[str, str]:
    """Map the URI of a coding system to the function that tidies its codes, where it has one."""
    return {system.uri: system.function for system in coding_systems().values() if system.function}


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


def local_system(sender: str, kind: str) -> str:
    """Return the identifier system for one sender's own numbers, whatever characters it uses."""
    return systems.local(quote(sender, safe=""), quote(kind, safe=""))

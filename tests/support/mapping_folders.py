"""Folders of an operator's mappings, in our own words, for tests of the layers."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

CHANGE = [
    *("Identifier", "FHIR Attribute", "", "Data Type", "Data Type Mapping", "Vocabulary Mapping"),
    *("Assignment", "Condition Function", "Function", "Op", "Reason"),
]
MESSAGE_CHANGE = [
    *("Identifier", "Syntax", "Primary Target", "Segment Map", "References"),
    *("Condition Function", "Request", "Op", "Reason"),
]
WHY = "The hospitals of this fictitious network send it so."


def change(op: str, identifier: str, target: str = "", **cells: str) -> list[str]:
    """Write a change of a segment or datatype map: `gives`, `maps`, `codes`, `assigned`, `why` …"""
    return [
        *(identifier, target, cells.get("extension", ""), cells.get("gives", "")),
        *(cells.get("maps", ""), cells.get("codes", ""), cells.get("assigned", "")),
        *(cells.get("when", ""), cells.get("function", ""), op, cells.get("why", WHY)),
    ]


def message_change(op: str, identifier: str, target: str = "", **cells: str) -> list[str]:
    """Write a change of a message table: `syntax`, `maps`, `references`, `when`, `why`."""
    return [
        *(identifier, cells.get("syntax", ""), target, cells.get("maps", "")),
        *(cells.get("references", ""), cells.get("when", ""), cells.get("request", "")),
        *(op, cells.get("why", WHY)),
    ]


def lay(folder: Path, name: str, *rows: Sequence[str]) -> Path:
    """Write an overlay (`overlay/segments/PID[Patient]`); returns the operator's folder."""
    heading = MESSAGE_CHANGE if "/messages/" in f"/{name}" else CHANGE
    place = folder / f"{name}.csv"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["HL7 v2"], heading, *rows])
    return folder


def keep(folder: Path, name: str, content: str | dict) -> Path:
    """Write any other file of the folder; returns the folder."""
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


def concept_map(url: str, source: str, target: str, **codes: str) -> dict:
    """A ConceptMap of a hospital's own codes."""
    return {
        "resourceType": "ConceptMap", "url": url, "status": "draft",
        "group": [
            {
                "source": source, "target": target,
                "element": [
                    {"code": code, "target": [{"code": found, "equivalence": "equivalent"}]}
                    for code, found in codes.items()
                ],
            }
        ],
    }  # fmt: skip

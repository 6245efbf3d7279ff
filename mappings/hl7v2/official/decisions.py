"""What we decided of rows of HL7's tables that no machine can run as they stand.

`narrative.csv` decides a row whose condition or value is a sentence: `always` takes the condition as
met, `never` leaves the row out. `errata.csv` lists the rows that cannot be right in R4.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

ALWAYS: Literal["always"] = "always"
NEVER: Literal["never"] = "never"


@dataclass(frozen=True, slots=True)
class Key:
    """What names a row: its table (`segments/PID[Patient]`), identifier and target."""

    table: str
    identifier: str
    target: str


@dataclass(frozen=True, slots=True)
class Decision:
    """`always` or `never`, and why."""

    decision: str
    reason: str


@cache
def narrative() -> Mapping[Key, Decision]:
    """Read the decisions. Raises ValueError for a row that decides nothing or says no reason."""
    found = _read("narrative.csv")
    for key, decision in found.items():
        if decision.decision not in (ALWAYS, NEVER):
            raise ValueError(f"narrative.csv: {key} is decided neither always nor never")
    return found


@cache
def errata() -> Mapping[Key, Decision]:
    """Read the errata, each of which is decided `never`. Raises ValueError as `narrative`."""
    found = _read("errata.csv")
    for key, decision in found.items():
        if decision.decision != NEVER:
            raise ValueError(f"errata.csv: {key} is not decided never")
    return found


def _read(name: str) -> Mapping[Key, Decision]:
    text = (files("mappings.hl7v2.official") / name).read_text(encoding="utf-8")
    found: dict[Key, Decision] = {}
    for row in csv.DictReader(text.splitlines(), strict=True):
        key = Key(row["table"], row["identifier"], row["target"])
        if key in found or not row["reason"]:
            raise ValueError(f"{name}: {key} stands twice, or without a reason")
        found[key] = Decision(row["decision"], row["reason"])
    return MappingProxyType(found)

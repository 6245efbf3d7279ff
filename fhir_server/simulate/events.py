"""What happens to a child, as values that know nothing of HL7 v2 or FHIR."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from fhir_server.simulate.people import Person, Surgeon
from fhir_server.simulate.tables import Code

LONDON = ZoneInfo("Europe/London")

Kind = Literal[
    "register",
    "admit",
    "observe",
    "operate",
    "discharge",
    "change",
    "death",
    "merge",
    "note",
    "survey",
]

Facts = Mapping[str, Any]
"""What is true of a child at a moment, by name: str, int, bool, datetime, or None for unknown."""


@dataclass(frozen=True, slots=True)
class Child:
    """One child of the cohort: where, with what, born when, and the seed of its story."""

    index: int
    seed: int
    ods: str
    condition: str
    birth: datetime
    number: str


@dataclass(frozen=True, slots=True)
class Spell:
    """One stay in hospital; ways are rows of visits.csv."""

    number: str
    admitted: datetime
    discharged: datetime
    came: str
    left: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its code, start and length."""

    code: Code
    at: datetime
    minutes: int


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a hospital, surgeon or parent tells the registry."""

    at: datetime
    kind: Kind
    child: Child
    person: Person
    surgeon: Surgeon
    diagnosis: Code
    spell: Spell | None = None
    operations: tuple[Operation, ...] = ()
    facts: Facts = field(default_factory=dict)
    died: datetime | None = None
    former: str = ""

"""The scenarios of the scorecard, which `scenarios.toml` holds: what is shown before going live."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from r4 import fhirpath

Door = Literal["fhir", "hl7v2"]
DOORS: tuple[Door, ...] = get_args(Door)
DOOR_NAMES: dict[Door, str] = {"fhir": "FHIR", "hl7v2": "HL7 v2"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a resource must have (FHIRPath), and what is said where it has not."""

    path: str
    otherwise: str

    def holds(self, resource: dict[str, Any]) -> bool:
        """Tell whether a resource has it."""
        return fhirpath.is_true(self.path, resource)


@dataclass(frozen=True, slots=True)
class Way:
    """How a scenario is done by one door, and by what it is known to be done.

    One of stored, kinds, asked, again, mended and foreign says what is looked for (`scenarios.toml`).
    """

    how: str
    stored: tuple[str, ...] = ()
    where: str | None = None
    expect: tuple[Expected, ...] = ()
    by: str | None = None
    refused: bool = False
    kinds: tuple[str, ...] = ()
    segment: str | None = None
    asked: str | None = None
    status: int | None = None
    otherwise: str | None = None
    again: bool = False
    mended: bool = False
    foreign: bool = False

    def is_meant(self, resource: dict[str, Any]) -> bool:
        """Tell whether a resource is one that the scenario is about."""
        return self.where is None or fhirpath.is_true(self.where, resource)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario: its id, its group, what happens in it, and its ways by door."""

    id: str
    group: str
    title: str
    ways: dict[Door, Way]


@cache
def scenarios() -> tuple[Scenario, ...]:
    """Return the scenarios in their order; raises FhirError or ValueError where the file is wrong."""
    text = files("fhir_server.operations").joinpath("scenarios.toml").read_text("utf-8")
    return tuple(_scenario(each) for each in tomllib.loads(text)["scenario"])


def _scenario(table: dict[str, Any]) -> Scenario:
    ways = {door: _way(table.pop(door)) for door in DOORS if door in table}
    return Scenario(**table, ways=ways)


def _way(table: dict[str, Any]) -> Way:
    for name in ("stored", "kinds"):
        table[name] = tuple(table.get(name, ()))
    table["expect"] = tuple(
        Expected(each["path"], each["else"]) for each in table.get("expect", ())
    )
    table["otherwise"] = table.pop("else", None)
    way = Way(**table)
    for path in filter(None, (way.where, *(each.path for each in way.expect))):
        fhirpath.compile(path)
    looked_for = (way.stored, way.kinds, way.asked, way.again, way.mended, way.foreign)
    if sum(map(bool, looked_for)) != 1:
        raise ValueError(f"one thing is looked for, not {looked_for}: {way.how}")
    return way

"""The simulator's data tables, read once: hospitals and habits, rates with sources, codes, names.

Every clinical figure and code stands in a CSV file beside this module, with its source and a tag:
V verified in the named publication, D derived by arithmetic from verified figures, fictitious.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random


@dataclass(frozen=True, slots=True)
class Hospital:
    """One sending hospital: ODS code, share of the children, outcome effect and message habits.

    `further` are the habits of letters and bills, which go before those of all other messages.
    """

    ods: str
    name: str
    share: float
    effect: float
    habits: Mapping[str, str]
    further: Mapping[str, str]

    def habit(self, name: str) -> str:
        """Return how the hospital does one thing; empty where it does as the standard says."""
        return self.habits.get(name, "")

    @property
    def sends_fhir(self) -> bool:
        """Tell whether the hospital sends FHIR transactions instead of HL7 v2 messages."""
        return self.habit("door") == "fhir"

    @property
    def number_system(self) -> str:
        """Return the identifier system of the national number that the hospital uses."""
        return system("chi-number" if self.habit("number") == "CHI" else "nhs-number")


@dataclass(frozen=True, slots=True)
class Code:
    """A code with its title."""

    code: str
    title: str


@dataclass(frozen=True, slots=True)
class Observable:
    """How one fact is sent as an observation; kind is quantity, integer, code or boolean."""

    fact: str
    code: str
    title: str
    system: str
    kind: str
    unit: str
    unit_title: str


@dataclass(frozen=True, slots=True)
class Rates:
    """The benchmark figures of one condition at one hospital."""

    values: Mapping[str, float]
    fallback: Mapping[str, float]
    effect: float = 1.0

    def value(self, quantity: str, variant: str = "") -> float:
        """Return a figure: the variant's, else the condition's, else the one for any condition.

        Raises KeyError when the table has none.
        """
        for table in (self.values, self.fallback):
            for name in (f"{quantity}:{variant}", quantity):
                if name in table:
                    return table[name]
        raise KeyError(quantity)

    def has(self, quantity: str, variant: str = "") -> bool:
        """Tell whether the table has the figure for this condition itself."""
        return f"{quantity}:{variant}" in self.values or quantity in self.values

    def risk(self, quantity: str, variant: str = "") -> float:
        """Return the proportion of children with a bad outcome, moved by the hospital's effect."""
        return min(1.0, self.value(quantity, variant) * self.effect)

    def groups(self, prefix: str) -> dict[str, float]:
        """Return the figures whose name starts with a prefix, by the rest of their name."""
        return {
            name.removeprefix(prefix): value
            for name, value in self.values.items()
            if name.startswith(prefix)
        }


def rows(name: str) -> list[dict[str, str]]:
    """Read one CSV file of this package as one dict for each row."""
    with files("fhir_server.simulate").joinpath(name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def system(name: str) -> str:
    """Return the URI that a name stands for in systems.csv. Raises KeyError for an unknown name."""
    return _systems()[name]


@cache
def _systems() -> dict[str, str]:
    return {row["name"]: row["uri"] for row in rows("systems.csv")}


@cache
def hospitals() -> tuple[Hospital, ...]:
    """Return the hospitals, in the order of the table."""
    return tuple(
        Hospital(
            row["ods"],
            row["name"],
            float(row["share"]),
            float(row["effect"]),
            _habits(row["habits"]),
            _habits(row["further"]),
        )
        for row in rows("hospitals.csv")
    )


def _habits(cell: str) -> dict[str, str]:
    return dict(habit.split("=", 1) for habit in cell.split())


@cache
def benchmarks() -> Mapping[str, Mapping[str, float]]:
    """Return every figure by condition and quantity."""
    table: dict[str, dict[str, float]] = {}
    for row in rows("benchmarks.csv"):
        table.setdefault(row["condition"], {})[row["quantity"]] = float(row["value"])
    return table


@cache
def rates(condition: str, ods: str = "") -> Rates:
    """Return the figures of a condition; with a hospital, risks are moved by its effect.

    Effects are divided by their average over the children, so that the benchmarks hold overall.
    """
    average = sum(each.share * each.effect for each in hospitals()) / sum(
        each.share for each in hospitals()
    )
    effect = next((each.effect / average for each in hospitals() if each.ods == ods), 1.0)
    return Rates(benchmarks()[condition], benchmarks()["any"], effect)


@cache
def conditions() -> Mapping[str, str]:
    """Return the registry's conditions, each with the pathway that its children follow."""
    return {row["condition"]: row["pathway"] for row in rows("conditions.csv")}


@cache
def diagnosis(condition: str, variant: str) -> Code:
    """Return the diagnosis code of a condition, or of one variant of it."""
    listed = [row for row in rows("conditions.csv") if row["condition"] == condition]
    row = next(row for row in listed if row["variant"] in (variant, ""))
    return Code(row["code"], row["title"])


@cache
def _procedures(condition: str, role: str, variant: str) -> tuple[list[Code], list[float]]:
    listed = [
        row
        for row in rows("procedures.csv")
        if (row["condition"], row["role"]) == (condition, role) and row["variant"] in (variant, "")
    ]
    return [Code(row["code"], row["title"]) for row in listed], [float(r["weight"]) for r in listed]


def procedure(random: Random, condition: str, role: str, variant: str = "") -> Code:
    """Draw the code of an operation that plays one role in the care of a condition."""
    codes, weights = _procedures(condition, role, variant)
    return random.choices(codes, weights)[0]


@cache
def observables() -> Mapping[str, Observable]:
    """Return how each fact is sent as an observation, by the fact's name."""
    return {
        row["fact"]: Observable(
            row["fact"],
            row["code"],
            row["title"],
            row["system"],
            row["kind"],
            row["unit"],
            row["unit-title"],
        )
        for row in rows("observations.csv")
    }


@cache
def names(kind: str) -> tuple[str, ...]:
    """Return the fictitious names, streets or towns of one kind."""
    return tuple(row["value"] for row in rows("names.csv") if row["kind"] == kind)


@dataclass(frozen=True, slots=True)
class Way:
    """A way into or out of hospital, in the NHS Data Dictionary's codes."""

    method: str
    source: str
    destination: str


@cache
def way(name: str) -> Way:
    """Return the codes of one way in or out. Raises KeyError for an unknown name."""
    listed = {row["way"]: row for row in rows("visits.csv")}
    return Way(listed[name]["method"], listed[name]["source"], listed[name]["destination"])

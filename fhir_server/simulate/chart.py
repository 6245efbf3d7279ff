"""A child's chart while its story is being told: stays, operations, readmissions, death."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import exp
from random import Random
from statistics import NormalDist
from typing import Any

from fhir_server.simulate import people, tables
from fhir_server.simulate.events import Child, Event, Facts, Kind, Operation, Spell
from fhir_server.simulate.people import Person, Surgeon
from fhir_server.simulate.tables import Code, Rates

_LONGEST_STAY = 300
_MORTALITY = (("death-28-days", 28), ("death-1-year", 365))


@dataclass(frozen=True, slots=True)
class Need:
    """A reason to come back: an operation, an infection to report, or neither."""

    at: datetime
    planned: bool = False
    code: Code | None = None
    facts: Facts = field(default_factory=dict)


@dataclass(slots=True)
class Chart:
    """What one child's story is written into; it grows by the functions of this module."""

    child: Child
    random: Random
    rates: Rates
    variant: str
    person: Person
    surgeon: Surgeon
    diagnosis: Code
    events: list[Event] = field(default_factory=list)
    spells: list[Spell] = field(default_factory=list)

    def chance(self, probability: float) -> bool:
        """Draw whether something with this probability happens."""
        return self.random.random() < probability

    def between(self, quantity: str) -> float:
        """Draw evenly between the benchmarks `<quantity>-from` and `<quantity>-to`."""
        return self.random.uniform(
            self.rates.value(f"{quantity}-from"), self.rates.value(f"{quantity}-to")
        )

    def add(self, at: datetime, kind: Kind, **more: Any) -> None:
        """Write one event."""
        event = Event(at, kind, self.child, self.person, self.surgeon, self.diagnosis, **more)
        self.events.append(event)


def begin(child: Child) -> Chart:
    """Open the chart: draw the child's variant of the condition, its person and its surgeon."""
    random = Random(f"{child.seed}:{child.index}")
    rates = tables.rates(child.condition, child.ods)
    variants = rates.groups("variant:")
    variant = random.choices(list(variants), list(variants.values()))[0] if variants else ""
    mrn = f"{70_000 + child.index}"
    person = people.person(random, child.number, mrn, child.birth, rates.value("male"))
    surgeon = random.choice(people.surgeons(child.ods))
    diagnosis = tables.diagnosis(child.condition, variant)
    return Chart(child, random, rates, variant, person, surgeon, diagnosis)


def on(chart: Chart, day: datetime, days: float, hours: tuple[int, int] = (8, 18)) -> datetime:
    """Return a time of day, that many days after a day; never where summer time begins or ends."""
    hour = chart.random.randint(*hours)
    return (day + timedelta(days=int(days))).replace(hour=hour, minute=chart.random.randint(0, 59))


def case_mix(chart: Chart) -> dict[str, int]:
    """Draw gestation at birth (weeks) and birth weight (grams)."""
    rates, random = chart.rates, chart.random
    gestation = random.gauss(rates.value("gestation-mean"), rates.value("gestation-sd"))
    weeks = min(42, max(23, round(gestation)))
    expected = rates.value("birth-weight-at-40-weeks") + (weeks - 40) * rates.value(
        "birth-weight-per-week"
    )
    grams = random.gauss(expected, rates.value("birth-weight-sd") * expected / 3400)
    return {"gestation": weeks, "birth-weight": max(400, round(grams / 10) * 10)}


def length_of_stay(chart: Chart, quantity: str = "stay-median") -> float:
    """Draw a stay in days, log-normal about the median, or about the share that stays 60 days."""
    rates, spread = chart.rates, chart.rates.value("stay-spread")
    if rates.has("stay-60-days", chart.variant):
        long = rates.value("stay-60-days", chart.variant)
        median = 60 / exp(NormalDist().inv_cdf(1 - long) * spread)
    else:
        median = rates.value(quantity, chart.variant)
    return min(_LONGEST_STAY, max(1.0, median * exp(chart.random.gauss(0, spread))))


def operation(chart: Chart, role: str, at: datetime) -> Operation:
    """Draw an operation that plays a role in the care of the condition."""
    code = tables.procedure(chart.random, chart.child.condition, role, chart.variant)
    return Operation(code, at, chart.random.randint(30, 240))


def stay(
    chart: Chart,
    admitted: datetime,
    discharged: datetime,
    came: str,
    *,
    operations: Iterable[Operation] = (),
    died: bool = False,
) -> Spell:
    """Write one stay: admission, each operation, death where it ends so, and discharge."""
    number = f"V{chart.child.index:06d}{len(chart.spells):02d}"
    spell = Spell(number, admitted, discharged, came, "died" if died else "home")
    chart.spells.append(spell)
    listed = tuple(sorted(operations, key=lambda each: each.at))
    chart.add(admitted, "admit", spell=spell)
    for each in listed:
        end = each.at + timedelta(minutes=each.minutes)
        chart.add(end, "operate", spell=spell, operations=(each,))
    death = discharged if died else None
    if death and chart.chance(0.5):
        chart.add(death, "death", spell=spell, died=death)
    leaving = discharged + timedelta(minutes=40) if died else discharged
    chart.add(leaving, "discharge", spell=spell, operations=listed, died=death)
    return spell


def death_after(chart: Chart, start: datetime) -> datetime | None:
    """Draw whether and when the child dies after an operation, by the benchmarks' time windows."""
    drawn, earliest = chart.random.random(), 1
    for quantity, days in _MORTALITY:
        if chart.rates.has(quantity):
            if drawn < chart.rates.risk(quantity):
                return on(chart, start, chart.random.uniform(earliest, days - 1), (4, 20))
            earliest = days
    return None


def reoperations(chart: Chart, start: datetime, days: tuple[int, int]) -> list[Need]:
    """Draw the unplanned reoperations that follow an operation."""
    needs: list[Need] = []
    again = chart.rates.risk("reoperation", chart.variant)
    while chart.chance(again):
        code = tables.procedure(chart.random, chart.child.condition, "reoperation", chart.variant)
        needs.append(Need(on(chart, start, chart.random.uniform(*days)), code=code))
        again = chart.rates.value("further-reoperation")
    return needs


def come_back(chart: Chart, free: datetime, needs: Iterable[Need], died: datetime | None) -> None:
    """Write a readmission for every need in turn, and a last one where the child dies."""
    for need in sorted(needs, key=lambda each: each.at):
        start = max(need.at, on(chart, free, 3))
        end = on(chart, start, chart.random.uniform(2, 9), (10, 17))
        if died and end >= died - timedelta(days=3):
            break
        _readmission(chart, need, start, end)
        free = end
    if died:
        brought = died - timedelta(days=2)
        start = brought if brought > free else died - timedelta(hours=2)
        stay(chart, start, died, "emergency", died=True)


def _readmission(chart: Chart, need: Need, start: datetime, end: datetime) -> None:
    operations: tuple[Operation, ...] = ()
    if need.code:
        operations = (Operation(need.code, on(chart, start, 1), chart.random.randint(30, 180)),)
    spell = stay(
        chart, start, end, "planned" if need.planned else "emergency", operations=operations
    )
    if need.facts:
        chart.add(start + timedelta(minutes=50), "observe", spell=spell, facts=need.facts)


def moved(events: list[Event], at: datetime, person: Person) -> list[Event]:
    """Return the events, those from a moment on with the child's new name or address."""
    return [replace(event, person=person) if event.at >= at else event for event in events]

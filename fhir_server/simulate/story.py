"""One child's story, drawn from the benchmarks: what happened, when, and what came of it.

The same child (seed, index, hospital, condition, birth) always has the same story.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from fhir_server.simulate import tables
from fhir_server.simulate.chart import (
    Chart,
    Need,
    begin,
    case_mix,
    come_back,
    death_after,
    length_of_stay,
    moved,
    on,
    operation,
    reoperations,
    stay,
)
from fhir_server.simulate.events import Child, Event, Operation
from fhir_server.simulate.hirschsprung import pull_through


def tell(child: Child) -> list[Event]:
    """Return everything that happens to a child, in time order."""
    chart = begin(child)
    presented = _presented(chart)
    _register(chart, presented)
    facts = case_mix(chart)
    chart.add(presented + timedelta(minutes=30), "observe", facts=facts)
    if tables.conditions()[child.condition] == "pull-through":
        pull_through(chart, presented, facts)
    else:
        _neonatal(chart, presented)
    _demographics(chart)
    return sorted(chart.events, key=lambda event: event.at)


def _presented(chart: Chart) -> datetime:
    days = int(chart.between("presentation-days"))
    if days == 0:
        return chart.child.birth + timedelta(minutes=chart.random.randint(40, 150))
    return on(chart, chart.child.birth, days, (4, 18))


def _register(chart: Chart, presented: datetime) -> None:
    """Write the registration; for some, first without an NHS number, merged soon after.

    A hospital that sends FHIR has no such detour: R4 has no merge interaction to send.
    """
    proper = chart.person
    hospital = next(each for each in tables.hospitals() if each.ods == chart.child.ods)
    detour = chart.chance(chart.rates.value("temporary-registration")) and not hospital.sends_fhir
    if detour:
        former = f"T{chart.child.index:06d}"
        chart.person = replace(proper, number="", mrn=former)
        chart.add(presented - timedelta(minutes=35), "register")
        chart.person = proper
    chart.add(presented - timedelta(minutes=20), "register")
    if detour:
        chart.add(presented - timedelta(minutes=10), "merge", former=former)


def _neonatal(chart: Chart, presented: datetime) -> None:
    """Write the course of a condition that is operated on in the first stay, if at all."""
    rates, random = chart.rates, chart.random
    came = "born" if presented.date() == chart.child.birth.date() else "transferred"
    if chart.chance(rates.risk("death-before-operation")):
        unoperated = on(chart, presented, chart.random.uniform(1, 6), (4, 20))
        stay(chart, presented, unoperated, came, died=True)
        return
    discharged = on(chart, presented, length_of_stay(chart), (10, 17))
    first = on(chart, presented, chart.between("operation-delay"))
    if first < presented + timedelta(hours=2):
        first = on(chart, presented, 1)
    discharged = max(discharged, on(chart, first, 2, (10, 17)))
    operations = [operation(chart, "index", first)] if chart.chance(rates.value("operated")) else []
    died = death_after(chart, first)
    needs = [*reoperations(chart, first, (2, 60)), *_later(chart, first)] if operations else []
    needs += _plain_readmission(chart, discharged)
    here = died is not None and died < discharged + timedelta(days=1)
    end = died if died and here else discharged
    last = end - timedelta(days=1)
    within = [need for need in needs if need.code and not need.planned and need.at < last]
    operations += [
        Operation(need.code, need.at, random.randint(30, 180)) for need in within if need.code
    ]
    stay(chart, presented, end, came, operations=operations, died=here)
    if not here:
        come_back(chart, end, (need for need in needs if need not in within), died)
    if died is None and chart.chance(rates.value("seen-after-a-year")):
        _seen_again(chart, first)


def _seen_again(chart: Chart, start: datetime) -> None:
    """Write a day in hospital more than a year after the operation: the child is known to be alive."""
    came = on(chart, start, chart.random.uniform(380, 470), (9, 12))
    if all(spell.discharged < came for spell in chart.spells):
        stay(chart, came, came + timedelta(hours=4), "planned")


def _later(chart: Chart, start: datetime) -> list[Need]:
    """Draw the later operations that the benchmarks name for the condition (`later:<role>`)."""
    needs = []
    for role in chart.rates.groups("later:"):
        if chart.chance(chart.rates.value(f"later:{role}")):
            code = tables.procedure(
                chart.random, chart.child.condition, f"later:{role}", chart.variant
            )
            at = on(chart, start, chart.random.uniform(90, 330))
            needs.append(Need(at, planned=True, code=code))
    return needs


def _plain_readmission(chart: Chart, discharged: datetime) -> list[Need]:
    if chart.chance(chart.rates.value("readmission")):
        return [Need(on(chart, discharged, chart.random.uniform(3, 90)))]
    return []


def _demographics(chart: Chart) -> None:
    """Write a new surname or address, for some, and let it hold from then on."""
    if not chart.chance(chart.rates.value("demographic-change")):
        return
    latest = chart.spells[-1]
    at = on(chart, latest.discharged, chart.random.uniform(20, 60))
    if latest.left == "died":
        return
    random, person = chart.random, chart.person
    if chart.chance(0.5):
        street = f"{random.randint(1, 99)} {random.choice(tables.names('street'))}"
        changed = replace(person, street=street)
    else:
        changed = replace(person, family=random.choice(tables.names("family")))
    chart.person = changed
    chart.add(at, "change", spell=latest)
    chart.events = moved(chart.events, at, changed)

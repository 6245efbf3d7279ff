"""The course of a child with Hirschsprung's disease: pull-through, what follows, and life at five.

Rates: NETS2HD and the BAPS-CASS cohort, as benchmarks.csv says row by row.
"""

from datetime import datetime, timedelta

from fhir_server.simulate import tables
from fhir_server.simulate.chart import (
    Chart,
    Need,
    come_back,
    length_of_stay,
    on,
    operation,
    reoperations,
    stay,
)
from fhir_server.simulate.events import Facts, Operation

_FIVE_YEARS = 1827
_TO_FOUR_YEARS = 1450


def pull_through(chart: Chart, presented: datetime, facts: Facts) -> None:
    """Write the diagnosis stay, the pull-through with its signed note, and the follow-up."""
    first = on(chart, presented, length_of_stay(chart, "first-stay-median"), (10, 17))
    stomas = _stoma_first(chart, presented)
    first = max(first, on(chart, presented, 6, (10, 17)))
    stay(chart, presented, first, "transferred", operations=stomas)
    if not chart.chance(chart.rates.value("operated")):
        return
    birth = chart.child.birth
    admitted = on(chart, birth, max(chart.between("pull-through-days"), _days(birth, first) + 14))
    died = None
    if chart.chance(chart.rates.risk("death-5-years")):
        after = chart.random.uniform(_days(birth, admitted) + 30, _FIVE_YEARS - 30)
        died = on(chart, birth, after, (6, 20))
    start = on(chart, admitted, 1, (9, 13))
    index = operation(chart, "index", start)
    discharged = on(chart, admitted, max(4, min(20, length_of_stay(chart))), (10, 17))
    spell = stay(chart, admitted, discharged, "planned", operations=[index])
    signed = start + timedelta(minutes=index.minutes + 45)
    chart.add(
        signed,
        "note",
        spell=spell,
        operations=(index,),
        facts=_at_operation(chart, facts, index, stomas),
    )
    at_five = _at_five(chart)
    come_back(chart, discharged, _needs(chart, discharged, at_five, bool(stomas)), died)
    if died is None:
        _follow_up(chart, at_five)


def _days(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() / 86_400


def _stoma_first(chart: Chart, presented: datetime) -> list[Operation]:
    if not chart.chance(chart.rates.value("stoma-first")):
        return []
    return [operation(chart, "stoma", on(chart, presented, chart.random.uniform(1, 4)))]


def _at_operation(
    chart: Chart, facts: Facts, index: Operation, stomas: list[Operation]
) -> dict[str, object]:
    """Return what the surgeon knows when the note is written; weight by a plain rule of growth."""
    age = _days(chart.child.birth, index.at)
    return {
        **facts,
        "operation-start": index.at,
        "operation-end": index.at + timedelta(minutes=index.minutes),
        "operation-code": index.code.code,
        "stoma-before": stomas[0].code.code if stomas else "none",
        "stage": "staged" if stomas else "primary",
        "age-days": int(age),
        "weight-grams": int(facts["birth-weight"] + 25 * age),
        "syndrome": chart.chance(chart.rates.value("syndrome")),
        "anomaly": chart.chance(chart.rates.value("anomaly")),
    }


def _at_five(chart: Chart) -> dict[str, object]:
    """Draw what will be true of the child at five years, should it live."""
    rates, chance = chart.rates, chart.chance
    stoma = chance(rates.value("permanent-stoma"))
    grade = _grade(
        chart,
        "faecal-incontinence",
        {"grade-1": "faecal-grade-1", "grade-2": "faecal-grade-2"},
        "grade-3",
    )
    urine = _grade(
        chart,
        "urinary-incontinence",
        {"constant": "urinary-constant", "socially-problematic": "urinary-social"},
        "catheter",
    )
    voluntary = chance(rates.value("no-enemas"))
    return {
        "permanent-stoma": stoma,
        "urinary-incontinence": urine,
        "faecal-incontinence": None if stoma else grade,
        "voluntary-bowel-movements": None if stoma else voluntary,
    }


def _grade(chart: Chart, quantity: str, parts: dict[str, str], rest: str) -> str:
    if not chart.chance(chart.rates.value(quantity)):
        return "none"
    drawn = chart.random.random()
    for grade, part in parts.items():
        drawn -= chart.rates.value(part)
        if drawn < 0:
            return grade
    return rest


def _needs(chart: Chart, discharged: datetime, at_five: Facts, stoma: bool) -> list[Need]:
    """Draw the reasons to come back between the pull-through and the fifth birthday."""
    random, condition = chart.random, chart.child.condition
    needs = reoperations(chart, discharged, (3, 1000))
    if stoma:
        code = tables.procedure(random, condition, "stoma-closure")
        needs.append(Need(on(chart, discharged, random.uniform(60, 150)), planned=True, code=code))
    if at_five["permanent-stoma"]:
        code = tables.procedure(random, condition, "permanent-stoma")
        at = on(chart, discharged, random.uniform(1000, _TO_FOUR_YEARS))
        needs.append(Need(at, planned=True, code=code))
    again = chart.rates.risk("haec")
    while chart.chance(again):
        needs.append(_enterocolitis(chart, discharged))
        again = chart.rates.value("haec-again")
    if chart.chance(chart.rates.value("readmission")):
        needs.append(Need(on(chart, discharged, random.uniform(3, 90))))
    return needs


def _enterocolitis(chart: Chart, discharged: datetime) -> Need:
    """Draw an episode that a clinician decided to admit and treat; the score is known for some."""
    facts: dict[str, object] = {"haec-episode": True}
    if chart.chance(chart.rates.value("haec-scored")):
        facts["haec-score"] = chart.random.randint(4, 18)
    return Need(on(chart, discharged, chart.random.uniform(10, 900)), facts=facts)


def _follow_up(chart: Chart, at_five: Facts) -> None:
    """Write the parents' survey; where they do not answer, what the clinic reports, for some."""
    at = on(chart, chart.child.birth, _FIVE_YEARS + chart.random.uniform(3, 60), (9, 20))
    if chart.chance(chart.rates.value("parents-answer")):
        chart.add(at, "survey", facts=at_five)
    elif chart.chance(chart.rates.value("clinic-reports")):
        known = {fact: value for fact, value in at_five.items() if value is not None}
        chart.add(at, "observe", facts=known)

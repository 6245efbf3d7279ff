"""A child's story: possible, reproducible, and as frequent in its parts as the sources say."""

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from math import sqrt
from pathlib import Path

import pytest

from fhir_server.simulate import cohort, tables
from fhir_server.simulate.chart import begin
from fhir_server.simulate.events import Child, Event
from fhir_server.simulate.story import tell
from tests.simulate.conftest import Stories

Question = Callable[[Child, list[Event]], bool | None]
"""Whether something is so of a child; None where the question does not arise."""


def codes(events: list[Event]) -> list[str]:
    return [
        each.code.code for event in events if event.kind == "operate" for each in event.operations
    ]


def acts(child: Child, role: str) -> set[str]:
    return {
        row["code"]
        for row in tables.rows("procedures.csv")
        if (row["condition"], row["role"]) == (child.condition, role)
    }


def first(child: Child, events: list[Event], role: str) -> Event | None:
    named = acts(child, role)
    return next(
        (e for e in events if e.kind == "operate" and e.operations[0].code.code in named), None
    )


def died(events: list[Event]) -> bool:
    return any(event.died for event in events)


def died_within(days: int) -> Question:
    def ask(child: Child, events: list[Event]) -> bool | None:
        start = first(child, events, "index")
        if start is None and child.condition == "diaphragmatic-hernia":
            return None
        begun = start.at if start else events[0].at
        return any(event.died and event.died < begun + timedelta(days=days) for event in events)

    return ask


def had(role: str, variant: str = "") -> Question:
    """Whether an operation of a role was done to a child who lived to have it."""

    def ask(child: Child, events: list[Event]) -> bool | None:
        if died(events) or first(child, events, "index") is None:
            return None
        if variant and begin(child).variant != variant:
            return None
        return first(child, events, role) is not None

    return ask


def was(variant: str) -> Question:
    return lambda child, _: begin(child).variant == variant


def at_five(fact: str, value: object, *, without_stoma: bool = False) -> Question:
    def ask(_: Child, events: list[Event]) -> bool | None:
        known = next((e.facts for e in events if "permanent-stoma" in e.facts), None)
        if known is None or (without_stoma and known["permanent-stoma"]):
            return None
        return known.get(fact) == value

    return ask


def in_note(fact: str) -> Question:
    def ask(_: Child, events: list[Event]) -> bool | None:
        note = next((e for e in events if e.kind == "note"), None)
        return None if note is None else bool(note.facts[fact])

    return ask


def not_(question: Question) -> Question:
    def ask(child: Child, events: list[Event]) -> bool | None:
        answer = question(child, events)
        return None if answer is None else not answer

    return ask


def recurrent_fistula(child: Child, events: list[Event]) -> bool | None:
    if died(events):
        return None
    closures = codes(events).count("G07.1")
    return closures == (2 if begin(child).variant == "fistula" else 1)


def long_stay(variant: str) -> Question:
    def ask(child: Child, events: list[Event]) -> bool | None:
        spell = next(e.spell for e in events if e.kind == "admit")
        if spell is None or spell.left == "died" or begin(child).variant != variant:
            return None
        return (spell.discharged.date() - spell.admitted.date()).days >= 60

    return ask


def unoperated_death(_: Child, events: list[Event]) -> bool:
    return died(events) and not codes(events)


def male(_: Child, events: list[Event]) -> bool:
    return events[0].person.gender == "male"


def operated(child: Child, events: list[Event]) -> bool:
    return first(child, events, "index") is not None


CHECKS: dict[tuple[str, str], Question] = {
    ("oesophageal-atresia", "variant:fistula"): was("fistula"),
    ("oesophageal-atresia", "variant:no-fistula"): was("no-fistula"),
    ("oesophageal-atresia", "death-1-year"): died_within(366),
    ("oesophageal-atresia", "later:recurrent-fistula"): recurrent_fistula,
    ("oesophageal-atresia", "later:stricture"): had("later:stricture"),
    ("gastroschisis", "reoperation:simple"): had("reoperation", "simple"),
    ("gastroschisis", "reoperation:complex"): had("reoperation", "complex"),
    ("gastroschisis", "stay-60-days:simple"): long_stay("simple"),
    ("gastroschisis", "stay-60-days:complex"): long_stay("complex"),
    ("hirschsprung", "male"): male,
    ("hirschsprung", "anomaly"): in_note("anomaly"),
    ("hirschsprung", "syndrome"): in_note("syndrome"),
    ("hirschsprung", "stoma-first"): lambda c, e: first(c, e, "stoma") is not None,
    ("hirschsprung", "death-5-years"): lambda c, e: died(e) if operated(c, e) else None,
    ("hirschsprung", "reoperation"): had("reoperation"),
    ("hirschsprung", "permanent-stoma"): at_five("permanent-stoma", value=True),
    ("hirschsprung", "urinary-incontinence"): not_(at_five("urinary-incontinence", "none")),
    ("hirschsprung", "no-enemas"): at_five(
        "voluntary-bowel-movements", value=True, without_stoma=True
    ),
    ("hirschsprung", "faecal-incontinence"): not_(
        at_five("faecal-incontinence", "none", without_stoma=True)
    ),
    ("posterior-urethral-valves", "male"): male,
    ("posterior-urethral-valves", "operated"): operated,
    ("posterior-urethral-valves", "later:circumcision"): had("later:circumcision"),
    ("posterior-urethral-valves", "death-1-year"): died_within(366),
    ("diaphragmatic-hernia", "death-before-operation"): unoperated_death,
    ("diaphragmatic-hernia", "death-1-year"): died_within(366),
    ("diaphragmatic-hernia", "variant:patch"): was("patch"),
    ("diaphragmatic-hernia", "variant:primary"): was("primary"),
    ("necrotising-enterocolitis", "death-28-days"): died_within(28),
    ("necrotising-enterocolitis", "death-1-year"): died_within(366),
}


def sourced() -> list[tuple[str, str, float]]:
    return [
        (row["condition"], row["quantity"], float(row["value"]))
        for row in tables.rows("benchmarks.csv")
        if row["tag"] != "fictitious" and row["unit"].startswith("proportion")
    ]


def test_every_sourced_proportion_is_checked() -> None:
    assert {(condition, quantity) for condition, quantity, _ in sourced()} == set(CHECKS)


@pytest.mark.parametrize(("condition", "quantity", "expected"), sourced())
def test_what_happens_is_as_frequent_as_the_source_says(
    stories: Stories, condition: str, quantity: str, expected: float
) -> None:
    ask = CHECKS[condition, quantity]
    answers = [ask(child, told) for child, told in stories.items() if child.condition == condition]
    counted = [answer for answer in answers if answer is not None]
    observed = sum(counted) / len(counted)
    assert len(counted) > 200
    assert abs(observed - expected) <= 3.5 * sqrt(expected * (1 - expected) / len(counted)) + 0.005


def test_the_benchmark_table_names_its_sources() -> None:
    for row in tables.rows("benchmarks.csv"):
        assert row["tag"] in ("V", "D", "fictitious")
        assert row["source"].startswith("no verified figure") <= (row["tag"] == "fictitious")
        float(row["value"])


def test_conditions_come_in_the_shares_of_the_national_cohorts(stories: Stories) -> None:
    counted = Counter(child.condition for child in stories)
    weights = {name: tables.benchmarks()[name]["annual-children"] for name in tables.conditions()}
    for condition, weight in weights.items():
        share = weight / sum(weights.values())
        error = sqrt(share * (1 - share) / len(stories))
        assert abs(counted[condition] / len(stories) - share) < 4 * error


def test_a_year_has_550_children_and_the_size_multiplies_them() -> None:
    assert len(cohort.plan(1, date(2018, 1, 1), 3, 1)) == 1650
    assert len(cohort.plan(1, date(2018, 1, 1), 1, 0.1)) == 55


def test_hospitals_differ_as_their_effect_says(stories: Stories) -> None:
    ask, counts = had("reoperation"), {}
    for ods in ("RHM", "R0A"):
        answers = [
            ask(c, e) for c, e in stories.items() if c.ods == ods and "gastro" in c.condition
        ]
        counted = [answer for answer in answers if answer is not None]
        counts[ods] = sum(counted) / len(counted)
    assert counts["R0A"] > counts["RHM"]


def test_a_story_is_told_twice_alike(stories: Stories) -> None:
    for child in list(stories)[:200]:
        assert tell(child) == stories[child]


def test_another_seed_makes_other_children() -> None:
    one, other = (cohort.plan(seed, date(2018, 1, 1), 1, 1) for seed in (1, 2))
    assert [each.birth for each in one] != [each.birth for each in other]
    shared = {each.number for each in one} & {each.number for each in other}
    assert len(shared) < 10


def test_stories_run_forward(stories: Stories) -> None:
    for child, events in stories.items():
        moments = [event.at for event in events]
        assert moments == sorted(moments)
        assert child.birth < moments[0]
        assert events[0].kind == "register"


def test_stays_do_not_overlap_and_hold_their_operations(stories: Stories) -> None:
    for events in stories.values():
        spells = [event.spell for event in events if event.kind == "admit"]
        assert len({spell.number for spell in spells if spell}) == len(spells)
        for one, following in pairwise(spells):
            assert one.discharged < following.admitted
        for event in events:
            if event.kind == "operate":
                assert event.spell.admitted < event.operations[0].at < event.at
                assert event.at <= event.spell.discharged


def test_nothing_happens_to_the_dead(stories: Stories) -> None:
    for events in stories.values():
        ends = [event for event in events if event.spell and event.spell.left == "died"]
        if ends:
            assert events[-1].kind == "discharge"
            assert events[-1].died
            assert not any(e.kind in ("survey", "change") for e in events)


def test_a_note_is_signed_after_its_operation_and_a_survey_after_five_years(
    stories: Stories,
) -> None:
    for child, events in stories.items():
        for event in events:
            if event.kind == "note":
                assert event.at > event.facts["operation-end"] > event.facts["operation-start"]
                assert event.operations[0].code.code in acts(child, "index")
            if event.kind == "survey":
                assert event.at.date() >= child.birth.date().replace(year=child.birth.year + 5)


def test_a_merged_child_is_registered_without_a_number_first(stories: Stories) -> None:
    merges = [
        (event, events) for events in stories.values() for event in events if event.kind == "merge"
    ]
    assert merges
    for event, events in merges:
        assert events[0].person.number == ""
        assert events[0].person.mrn == event.former != event.person.mrn


def test_codes_are_those_of_the_published_usage_tables(library: Path) -> None:
    opcs = (library / "codes" / "opcs4_codes_hes.csv").read_text()
    titles = {line.split(",")[-1]: line for line in opcs.splitlines()}
    for row in tables.rows("procedures.csv"):
        assert row["title"] in titles[row["code"]]
    icd = (library / "codes" / "icd10_codes_hes.csv").read_text()
    for row in tables.rows("conditions.csv"):
        assert row["code"].replace(".", "") in icd

"""Each measure's worked examples: a child's record, and the outcome that a reviewer has read."""

from collections import Counter
from datetime import date, timedelta
from importlib.resources import files

import pytest

import outcome_engine
from outcome_engine import Period
from outcome_engine.definitions.definition import outline
from r4.json import decode, encode, pretty
from tests.outcome_engine.flattened import many, one_by_one
from tests.outcome_engine.measure_examples import POPULATIONS, told

MEASURE = "https://csor.example/fhir/Measure/"
EXAMPLES = files("outcome_engine") / "examples"
PAIRS = sorted(
    (folder.name, file.name.removesuffix(".outcome.json"))
    for folder in EXAMPLES.iterdir()
    for file in folder.iterdir()
    if file.name.endswith(".outcome.json")
)
MEASURES = sorted({measure for measure, _ in PAIRS})
NAMED = {"good": "good", "bad": "bad", "open": "not-yet-known"}
"""The class that the first word of an example's name says; an excluded one may be of any."""


def example(measure, name):
    expected = decode((EXAMPLES / measure / f"{name}.outcome.json").read_bytes())
    bundle = decode((EXAMPLES / measure / f"{name}.bundle.json").read_bytes())
    return [entry["resource"] for entry in bundle["entry"]], expected


def values(parameters, name):
    return [
        next(value for key, value in each.items() if key.startswith("value"))
        for each in parameters["parameter"]
        if each["name"] == name
    ]


@pytest.mark.parametrize(("measure", "name"), PAIRS)
def test_a_record_gives_the_outcome_beside_it(measure, name, terminology):
    record, expected = example(measure, name)
    (as_of,) = values(expected, "asOf")
    outcome = outcome_engine.assess(MEASURE + measure, record, as_of, terminology)
    assert pretty(told(outcome)) == pretty(expected)


@pytest.mark.parametrize(("measure", "name"), PAIRS)
def test_an_example_is_what_its_name_says(measure, name):
    _, expected = example(measure, name)
    word = name.partition("-")[0]
    assert values(expected, "class") == [NAMED.get(word, *values(expected, "class"))]
    assert ("denominator-exclusion" in values(expected, "population")) == (word == "excluded")


@pytest.mark.parametrize(("measure", "name"), PAIRS)
def test_a_child_is_counted_once(measure, name):
    """The score is numerator / (denominator - exclusions - exceptions): each is part of the next."""
    _, expected = example(measure, name)
    found = set(values(expected, "population"))
    assert "initial-population" in found
    inside = found & {"denominator-exclusion", "denominator-exception", "numerator"}
    assert len(inside) <= 1
    assert not inside or "denominator" in found


def test_every_measure_by_rules_has_examples_of_what_it_tells_apart():
    by_rules = {
        found["id"]
        for url, found in outcome_engine.measures().items()
        if "library" in found and outline(url).adverse
    }
    assert set(MEASURES) >= by_rules - {"hirschsprung-core-outcome"}
    for measure in MEASURES:
        words = {name.partition("-")[0] for of, name in PAIRS if of == measure}
        assert words >= {"good", "bad", "open"}, measure


@pytest.mark.parametrize("measure", MEASURES)
def test_a_measure_says_where_it_comes_from_and_what_it_is_no_good_for(measure):
    found = outcome_engine.measures()[MEASURE + measure]
    assert found["status"] == "draft"
    for element in ("disclaimer", "rationale", "guidance", "riskAdjustment", "purpose"):
        assert found[element]
    cited = {each["citation"] for each in found["relatedArtifact"]}
    rules = outline(MEASURE + measure).rules
    assert cited
    assert rules[0].citation
    score = found["improvementNotation"]["coding"][0]["code"]
    numerator = found["group"][0]["population"][-1]["criteria"]["expression"]
    assert ("'good'" in numerator) == (score == "increase"), "the numerator is what should change"


IN_SHORT = ("torsion-decision-to-theatre", "appendicectomy-readmission")
"""Hours and windows: those whose expressions are like the others', the slow tests compare."""


@pytest.mark.parametrize(
    "measure",
    [each if each in IN_SHORT else pytest.param(each, marks=pytest.mark.slow) for each in MEASURES],
)
def test_many_at_once_give_what_one_by_one_gives(measure, terminology):
    records = []
    for number, (of, name) in enumerate(PAIRS):
        if of == measure:
            record, _ = example(of, name)
            records.append(decode(encode(record).replace(b'child"', b'child-%d"' % number)))
    rows, refused = one_by_one(records, MEASURE + measure, "2026-06-30", terminology)
    assert (len(rows), refused) == (len(records), {})
    assert len({row["class"] for row in rows.values()}) == len(NAMED)
    assert many(records, MEASURE + measure, "2026-06-30", terminology) == rows


UNREGISTERED = [name for _, name in PAIRS if name.startswith("good") and "registered" not in name]
WITH_OPERATION = [
    pytest.param(measure, name)
    for measure in MEASURES
    for name in [next(name for of, name in PAIRS if of == measure and name in UNREGISTERED)]
    if outline(MEASURE + measure).index is not None
]


def dead_before(measure, name, terminology, element):
    """Return an example's record with a death on the day before its operation, as told or registered."""
    record, expected = example(measure, name)
    (as_of,) = values(expected, "asOf")
    index = outcome_engine.assess(MEASURE + measure, record, as_of, terminology).index_date
    day = str(date.fromisoformat(index) - timedelta(days=1))
    if element == "told":
        record[0]["deceasedDateTime"] = day
        return record, as_of
    system = "https://csor.example/fhir/CodeSystem/outcome-observation"
    registered = {
        "resourceType": "Observation",
        "id": "registered",
        "status": "final",
        "code": {"coding": [{"system": system, "code": "death-registered"}]},
        "subject": {"reference": "Patient/child"},
        "effectiveDateTime": day,
        "valueBoolean": True,
    }
    return [*record, registered], as_of


@pytest.mark.parametrize("element", ["told", "registered"])
@pytest.mark.parametrize(("measure", "name"), WITH_OPERATION)
def test_nothing_is_told_of_a_child_who_died_before_the_operation(
    measure, name, element, terminology
):
    record, as_of = dead_before(measure, name, terminology, element)
    outcome = outcome_engine.assess(MEASURE + measure, record, as_of, terminology)
    assert (outcome.outcome_class, outcome.decided_by.id) == (
        "not-yet-known",
        "death-before-operation",
    )
    assert outcome.statement.startswith("The date of death is before the operation")
    assert "denominator-exception" in outcome.populations or (
        "denominator-exclusion" in outcome.populations
    )


def test_a_registered_date_after_the_operation_mends_one_told_before_it(terminology):
    measure, name = "appendicectomy-complications", "good-died-later-by-the-registered-date"
    record, expected = example(measure, name)
    record[0]["deceasedDateTime"] = "2025-03-09"
    (as_of,) = values(expected, "asOf")
    outcome = outcome_engine.assess(MEASURE + measure, record, as_of, terminology)
    assert outcome.outcome_class == "good"


@pytest.mark.parametrize(
    ("measure", "name"),
    [
        each if each.values[0] in IN_SHORT else pytest.param(*each.values, marks=pytest.mark.slow)
        for each in WITH_OPERATION
    ],
)
def test_nor_where_many_are_evaluated(measure, name, terminology):
    record, as_of = dead_before(measure, name, terminology, "registered")
    rows, _ = one_by_one([record], MEASURE + measure, as_of, terminology)
    assert {row["decided_by"] for row in rows.values()} == {"death-before-operation"}
    assert many([record], MEASURE + measure, as_of, terminology) == rows


@pytest.mark.parametrize("measure", MEASURES)
def test_a_summary_scores_those_of_whom_it_is_known(measure, terminology):
    """Every example counted by hand: numerator / (denominator - exclusions - exceptions)."""
    counts, outcomes = Counter(), []
    for of, name in PAIRS:
        if of == measure:
            record, expected = example(of, name)
            (as_of,) = values(expected, "asOf")
            outcomes.append(outcome_engine.assess(MEASURE + of, record, as_of, terminology))
            counts.update(values(expected, "population"))
    report = outcome_engine.summary_report(
        MEASURE + measure,
        outcomes,
        hospital=None,
        period=Period("2012-01-01", "2026-12-31"),
        reporter={"display": "CSOR registry"},
        now="2026-11-23T10:00:00Z",
    )
    (group,) = report["group"]
    told = {each["code"]["coding"][0]["code"]: each["count"] for each in group["population"]}
    assert told == {code: counts[code] for code in POPULATIONS}
    base = counts["denominator"] - counts["denominator-exclusion"] - counts["denominator-exception"]
    assert base > counts["numerator"] > 0
    score = float(group["measureScore"]["value"])
    assert score == pytest.approx(counts["numerator"] / base, abs=1e-4)

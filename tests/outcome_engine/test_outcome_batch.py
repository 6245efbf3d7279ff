"""Many at once give what one by one gives: every column, of simulated, golden and drawn records."""

from collections import Counter
from importlib.resources import files
from itertools import chain

import ibis
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import outcome_engine
from outcome_engine.batch import batch, tables
from outcome_engine.batch import counts as aggregate
from outcome_engine.definitions.definition import definition
from r4.issue import FhirError
from r4.json import decode
from tests.outcome_engine.conftest import CORE
from tests.outcome_engine.drawn import drawn_records
from tests.outcome_engine.flattened import child, many, numbered, one_by_one, staged
from tests.outcome_engine.signing import TSS, parameters, signed
from tests.outcome_engine.simulated import by_condition, records

EXAMPLES = files("outcome_engine") / "examples"
MEASURE = "https://csor.example/fhir/Measure/"
MEASURES = sorted(url for url, each in outcome_engine.measures().items() if "library" in each)
PARAMETERS = parameters(signed())
AS_OF = "2026-06-30"


def golden(measure):
    """Give the records of a measure's golden pairs."""
    folder = EXAMPLES / outcome_engine.measures()[measure]["id"]
    return [
        [entry["resource"] for entry in decode(file.read_bytes())["entry"]]
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".bundle.json")
    ]


@pytest.fixture(scope="module")
def simulated():
    """Some 250 children with Hirschsprung's disease, born from 2016 on."""
    return records("hirschsprung", size=0.5)


@pytest.mark.parametrize("as_of", ["2019-06-30", AS_OF])
def test_simulated_children_have_the_same_outcome_by_either_way(
    simulated, core, terminology, as_of
):
    rows, refused = one_by_one(simulated, core, as_of, terminology)
    assert many(simulated, core, as_of, terminology) == rows
    assert len(rows) > 200
    assert len(rows) + len(refused) == len(simulated)
    assert any(len(patients(record)) > 1 for record in simulated)


@pytest.mark.slow
def test_thousands_of_simulated_children_have_the_same_outcome_by_either_way(core, terminology):
    those = records("hirschsprung", seed=11, size=6.0)
    for as_of in ("2018-03-01", "2022-01-01", AS_OF):
        rows, _ = one_by_one(those, core, as_of, terminology)
        assert many(those, core, as_of, terminology) == rows
    assert len(rows) > 3000
    assert {row["class"] for row in rows.values()} == {"good", "bad", "not-yet-known"}


@pytest.fixture(scope="module")
def every_condition():
    """Some 180 children, by their condition."""
    return by_condition(size=0.04)


@pytest.mark.parametrize("measure", MEASURES)
def test_golden_and_simulated_records_have_the_same_outcome_by_either_way(
    measure, every_condition, terminology
):
    worked, simulated = golden(measure), every_condition.values()
    those = numbered([*worked, *chain.from_iterable(simulated)])
    rows, refused = one_by_one(those, measure, AS_OF, terminology, PARAMETERS)
    assert many(those, measure, AS_OF, terminology, parameters=PARAMETERS) == rows
    about = {coding["code"] for coding in outcome_engine.focus(measure)}
    of_these = [len(every_condition[each]) for each in about & every_condition.keys()]
    assert (len(rows), len(refused)) == (len(worked) + sum(of_these), len(those) - len(rows))
    examples = {rows[child(each)]["class"] for each in those[: len(worked)]}
    assert len(examples) > 1


def test_the_simulated_children_are_of_all_conditions_of_the_registry(every_condition):
    assert set(every_condition) == {
        "oesophageal-atresia", "gastroschisis", "hirschsprung", "posterior-urethral-valves",
        "diaphragmatic-hernia", "necrotising-enterocolitis",
    }  # fmt: skip
    assert all(len(those) > 10 for those in every_condition.values())


def test_a_score_at_a_cut_is_above_it_by_either_way(terminology):
    those = numbered(golden(TSS))
    rows = many(those, TSS, AS_OF, terminology, parameters=PARAMETERS)
    scores = {row["score"]: (row["class"], row["reason"]) for row in rows.values()}
    assert scores[600_000] == ("good", "score-reaches-cut")
    assert scores[450_000] == ("bad", "score-below-cut")
    found = tables.in_duckdb(staged(those, TSS))
    for refused in (
        lambda: batch.memberships(found, TSS, terminology),
        lambda: batch.outcomes(found, TSS, AS_OF, {}),
    ):
        with pytest.raises(FhirError, match="absent"):
            refused()


@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow,
                           HealthCheck.data_too_large, HealthCheck.large_base_example],
)  # fmt: skip
@given(those=drawn_records(60))
@pytest.mark.parametrize("measure", [CORE, TSS, f"{MEASURE}gastroschisis-survival"])
def test_drawn_records_have_the_same_outcome_by_either_way(measure, those, terminology):
    as_of = "2023-02-28"
    rows, refused = one_by_one(those, measure, as_of, terminology, PARAMETERS)
    assert many(those, measure, as_of, terminology, parameters=PARAMETERS) == rows
    assert len(rows) + len(refused) == len(those)


def test_who_cannot_be_assessed_is_told_with_the_same_reason(core, terminology):
    those = [
        record(patients=[{}]),
        record(patients=[{}, {}]),
        record(patients=[{"active": False}]),
        record(patients=[{}], start="2018-01"),
        record(patients=[{}], start=None),
        record(patients=[{}], status="entered-in-error"),
    ]
    for number, each in enumerate(those):
        for resource in each:
            resource["id"] = f"{number}-{resource['id']}"
    _, refused = one_by_one(those, core, AS_OF, terminology)
    found = tables.in_duckdb(staged(those, core))
    told = batch.not_assessable(found, core, {}).to_pyarrow().to_pylist()
    without_case = child(those[5])
    assert {row["child"]: row["reason"] for row in told} == {
        name: reason for name, reason in refused.items() if name != without_case
    }
    assert len(told) == 4


def patients(record):
    return [each for each in record if each["resourceType"] == "Patient"]


def record(*, patients, start="2018-01-23", status="active"):
    case = {
        "resourceType": "EpisodeOfCare",
        "id": "case",
        "status": status,
        "type": [
            {
                "coding": [
                    {
                        "system": "https://csor.example/fhir/CodeSystem/condition",
                        "code": "hirschsprung",
                    }
                ]
            }
        ],
        **({} if start is None else {"period": {"start": start}}),
    }
    return [
        case,
        *(
            {"resourceType": "Patient", "id": f"patient-{number}", **each}
            for number, each in enumerate(patients)
        ),
    ]


def test_counts_are_those_of_the_rows(simulated, core, terminology):
    found = tables.in_duckdb(staged(simulated, core))
    known = batch.memberships(found, core, terminology)
    evaluated = batch.outcomes(found, core, AS_OF, known).to_pyarrow()
    outcomes, rows = ibis.memtable(evaluated), evaluated.to_pylist()
    period = ("2017-01-01", "2019-12-31")
    inside = [row for row in rows if period[0] <= row["case_date"] <= period[1]]
    (all_,) = aggregate.counts(outcomes, period).to_pyarrow().to_pylist()
    assert all_ == {
        "children": len(inside),
        **{code: sum(row[f"in_{code}"] for row in inside) for code in definition(core).populations},
    }
    assert all_["numerator"] > 0
    by = aggregate.counts(outcomes, period, ("hospital", "year")).to_pyarrow().to_pylist()
    assert {(row["hospital"], row["year"]): row["children"] for row in by} == Counter(
        (row["hospital"], row["case_date"][:4]) for row in inside
    )
    assert aggregate.counts(outcomes, ("1990-01-01", "1990-12-31")).to_pyarrow().to_pylist() == [
        dict.fromkeys(all_, 0)
    ]

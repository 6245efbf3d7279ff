"""Summaries of the Treatment Success Score: a continuous variable, its mean and its median."""

from dataclasses import replace
from decimal import Decimal
from importlib.resources import files
from statistics import fmean, median

import pytest

import outcome_engine
from outcome_engine import Period
from outcome_engine.reports.measure_score import mean_score
from profiles.validate import validate
from r4.json import decode
from tests.outcome_engine.signing import TSS, parameters, signed
from tests.profiles.unloaded import beyond
from tests.support.deqm import violations

EXAMPLES = files("outcome_engine") / "examples" / "treatment-success-score"
NAMES = ("green", "amber", "red", "tie-at-the-cut", "quality-of-life-missing", "death")
PERIOD = Period("2010-01-01", "2023-12-31")
NOW = "2024-07-01T09:00:00Z"
MADE = {"period": PERIOD, "reporter": {"display": "CSOR registry"}, "now": NOW}
HOSPITAL = {"reference": "Organization/hospital"}


@pytest.fixture(scope="module")
def outcomes(terminology):
    """Give two children of each example."""
    found = []
    for number, name in enumerate([*NAMES, *NAMES]):
        bundle = decode((EXAMPLES / f"{name}.bundle.json").read_bytes())
        record = [entry["resource"] for entry in bundle["entry"]]
        outcome = outcome_engine.assess(
            TSS, record, "2024-06-30", terminology, parameters(signed())
        )
        found.append(replace(outcome, patient=f"Patient/{number}", hospital=HOSPITAL["reference"]))
    return found


def score(report):
    return report["group"][0].get("measureScore", {})


def test_the_score_of_the_nation_is_the_mean_with_the_median_beside_it(outcomes, terminology):
    report = outcome_engine.summary_report(TSS, outcomes, hospital=None, **MADE)
    values = [float(each.score.value) for each in outcomes]
    assert float(score(report)["value"]) == pytest.approx(fmean(values), abs=5e-5)
    (beside,) = score(report)["extension"]
    assert beside["extension"][0]["valueCoding"]["code"] == "median"
    assert float(beside["extension"][1]["valueDecimal"]) == pytest.approx(median(values), abs=5e-3)
    counts = {each["id"]: each["count"] for each in report["group"][0]["population"]}
    assert counts["measure-observation"] == counts["measure-population"] == len(outcomes)
    assert violations(report) == []
    issues = beyond(validate(report, terminology, now=NOW))
    assert [each for each in issues if each.severity == "error"] == []


def test_a_hospitals_mean_leaves_where_its_number_may(outcomes):
    many = outcome_engine.summary_report(TSS, outcomes, hospital=HOSPITAL, **MADE)
    few = outcome_engine.summary_report(TSS, outcomes[:7], hospital=HOSPITAL, **MADE)
    assert "value" in score(many)
    assert many["group"][0]["population"][1]["count"] == 10
    assert score(few) == {}
    assert "count" not in few["group"][0]["population"][1]


def test_a_median_has_two_decimals_since_it_may_be_one_childs_score():
    score = mean_score([388_219 + 10_000 * each for each in range(11)], 1_000_000)
    assert score["extension"][0]["extension"][1]["valueDecimal"] == Decimal("0.44")
    assert score["value"] == Decimal("0.4382")


def test_the_nation_shows_no_mean_of_fewer_than_eight(outcomes):
    report = outcome_engine.summary_report(TSS, outcomes[:7], hospital=None, **MADE)
    assert score(report) == {}
    assert report["group"][0]["population"][1]["count"] == 7
    assert {"url": "scoreMasked", "valueBoolean": True} in report["extension"][-1]["extension"]


@pytest.mark.parametrize(("of_b", "is_shown"), [(1, False), (8, True)])
def test_a_groups_mean_is_far_from_every_stratum_of_a_hospital(outcomes, of_b, is_shown):
    """All of hospital A's children of a condition, and one of B: its mean less A's would be the one's."""

    def some(hospital, condition, number):
        return [
            replace(outcomes[0], patient=f"Patient/{hospital}-{condition}-{each}",
                    hospital=f"Organization/{hospital}", condition=condition)
            for each in range(number)
        ]  # fmt: skip

    everyone = [*some("A", "hd", 10), *some("A", "cdh", 10), *some("B", "hd", 20)]
    members = [*everyone[:10], *everyone[20 : 20 + of_b]]
    who = {"subject": {"reference": "Group/g"}, "date": NOW, "reporter": MADE["reporter"]}
    report = outcome_engine.group_report(TSS, members, everyone, period=PERIOD, who=who)
    assert ("value" in score(report)) is is_shown


def test_a_childs_score_is_told_with_all_its_digits(outcomes):
    (death,) = [each for each in outcomes[:6] if each.score.value == Decimal("0.388219")]
    report = outcome_engine.individual_report(
        TSS, death, subject={"reference": death.patient}, **MADE
    )
    assert score(report) == {"value": Decimal("0.388219")}
    assert violations(report) == []

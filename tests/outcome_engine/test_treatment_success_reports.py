"""The Treatment Success Score in MeasureReports: a child's, a hospital's, and the nation's."""

from decimal import Decimal

import pytest

import outcome_engine
from outcome_engine import Period
from profiles.validate import validate
from r4.json import decode, encode
from tests.outcome_engine.signing import TSS
from tests.outcome_engine.test_treatment_success_children import (
    AFTER,
    NAMES,
    PARAMETERS,
    child,
)
from tests.profiles.unloaded import beyond

WHO = {
    "period": Period("2018-01-01", "2018-12-31"),
    "reporter": {"display": "CSOR registry"},
    "now": "2024-07-01T09:00:00Z",
}
OURS = "https://csor.example/fhir/StructureDefinition/"


@pytest.fixture(scope="module")
def outcomes(terminology):
    return {
        name: outcome_engine.assess(TSS, child(name), AFTER, terminology, PARAMETERS)
        for name in NAMES
    }


def individual(outcome):
    return outcome_engine.individual_report(
        TSS, outcome, subject={"reference": "Patient/child"}, **WHO
    )


def summary(outcomes, hospital=None):
    return outcome_engine.summary_report(TSS, outcomes, hospital=hospital, **WHO)


def parts(report, name):
    return [
        {
            part["url"]: next(value for key, value in part.items() if key != "url")
            for part in extension["extension"]
        }
        for extension in report["extension"]
        if extension["url"] == OURS + name
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_childs_report_is_valid_and_carries_the_score(outcomes, terminology, name):
    report = individual(outcomes[name])
    assert beyond(validate(decode(encode(report)), terminology, now=WHO["now"])) == []
    [score] = parts(report, "report-score")
    assert (
        score["value"] == report["group"][0]["measureScore"]["value"] == outcomes[name].score.value
    )
    shares = [score[f"probability{light}"] for light in ("Red", "Amber", "Green")]
    assert sum(shares) + score["undefined"] == 1
    assert len(parts(report, "report-attribute")) == 7


def test_a_tie_is_at_no_distance_from_its_cut(outcomes):
    [score] = parts(individual(outcomes["tie-at-the-cut"]), "report-score")
    assert (score["nearest"], score["distance"], score["goodFrom"]) == ("good", 0, Decimal("0.6"))


def test_an_attribute_says_what_was_read_and_what_was_assumed(outcomes):
    found = {
        each["id"]: each
        for each in parts(individual(outcomes["quality-of-life-missing"]), "report-attribute")
    }
    assert "level" not in found["quality-of-life"]
    assert found["quality-of-life"]["assumed"] == 50
    assert found["planned-major"]["level"] == 1
    assert found["planned-major"]["evidence"] == {"reference": "Procedure/pull-through"}


def test_the_nations_score_is_the_mean_of_those_that_are_known(outcomes, terminology):
    later = child("green")
    later[1]["period"]["start"] = "2018-12-01"
    last = outcome_engine.assess(TSS, later, "2022-06-01", terminology, PARAMETERS)
    four = [outcomes["green"], outcomes["red"], outcomes["tie-at-the-cut"], last]
    report = summary(four * 2)
    [group] = report["group"]
    counts = {each["id"]: each["count"] for each in group["population"]}
    # (0.98 + 0.45 + 0.6 + 1) / 4: the last had nothing but quality of life in the year of its case
    assert counts == {
        "initial-population": 8,
        "measure-population": 8,
        "measure-population-exclusion": 0,
        "measure-observation": 8,
    }
    assert group["measureScore"]["value"] == Decimal("0.7575")


def test_a_hospitals_score_is_shown_only_where_its_children_may_be_counted(outcomes, terminology):
    hospital = {"reference": "Organization/hospital"}
    few = summary([outcomes["green"]] * 7, hospital)
    assert "measureScore" not in few["group"][0]
    many = summary([outcomes["green"]] * 5 + [outcomes["red"]] * 4, hospital)
    assert many["group"][0]["measureScore"]["value"] == Decimal("0.7444")
    assert beyond(validate(decode(encode(many)), terminology, now=WHO["now"])) == []


def test_without_a_child_that_is_scored_there_is_no_score(outcomes):
    assert "measureScore" not in summary([])["group"][0]

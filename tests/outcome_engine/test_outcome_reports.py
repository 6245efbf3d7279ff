"""MeasureReports of one child, of a hospital and of the nation."""

from dataclasses import replace
from decimal import Decimal

import pytest
from scipy.stats import binomtest

import outcome_engine
from outcome_engine import NotAssessable, Period, may_begin_in
from profiles.validate import validate
from r4 import fhirpath
from r4.issue import FhirError
from tests.profiles.unloaded import beyond

YEAR = Period("2018-01-01", "2018-12-31")
NOW = "2024-07-01T09:00:00Z"
REGISTRY = {"display": "CSOR registry"}
HOSPITAL = {"reference": "Organization/hospital"}

# Invariants of the MeasureReport profiles of hl7.fhir.uv.deqm 1.0.0, as far as they apply.
SCORING = "'http://hl7.org/fhir/uv/deqm/StructureDefinition/deqm-measureScoring'"
DEQM = {
    "deqm-0": "measure.toString().contains('|')",
    "deqm-1": "period.start.toString().length() > 9 and period.end.toString().length() > 9",
    "deqm-2": f"extension({SCORING}).exists() and improvementNotation.exists()",
    "deqm-3": f"group.extension({SCORING}).empty()",
    "deqm-6": "group.all(measureScore.exists().not()"
    " or (measureScore.value >= 0.0 and measureScore.value <= 1.0))",
    "deqm-8": "group.population.all(count.exists())",
    "required": "date.exists() and reporter.exists() and group.population.code.count() = 5",
}


def individual(core, outcome, period=YEAR):
    return outcome_engine.individual_report(
        core,
        outcome,
        subject={"reference": outcome.patient},
        period=period,
        reporter=REGISTRY,
        now=NOW,
    )


def summary(core, outcomes, hospital=None, period=YEAR):
    return outcome_engine.summary_report(
        core, outcomes, hospital=hospital, period=period, reporter=REGISTRY, now=NOW
    )


def counts(report):
    return {each["id"]: each.get("count", "masked") for each in report["group"][0]["population"]}


def interval(report):
    (extension,) = report["group"][0]["measureScore"]["extension"]
    return {
        part["url"]: next(value for key, value in part.items() if key != "url")
        for part in extension["extension"]
    }


@pytest.fixture
def cohort(record, assess):
    """Build outcomes of so many good, bad, missing and not yet due children of one hospital."""

    def of(good=0, bad=0, missing=0, early=0):
        return [
            *[assess(record("good"))] * good,
            *[assess(record("bad-enterocolitis-score"))] * bad,
            *[assess(record("due-survey-missing"))] * missing,
            *[assess(record("bad-death"), as_of="2020-01-01")] * early,
        ]

    return of


def test_an_individual_report_counts_the_child_in_its_populations(record, assess, core):
    report = individual(core, assess(record("good")))
    assert counts(report) == {
        "initial-population": 1,
        "denominator": 1,
        "denominator-exclusion": 0,
        "denominator-exception": 0,
        "numerator": 1,
    }
    assert report["group"][0]["measureScore"] == {"value": Decimal(1)}


def test_a_bad_outcome_known_early_is_told_but_not_yet_scored(record, assess, core):
    report = individual(core, assess(record("bad-death"), as_of="2020-01-01"))
    assert counts(report)["denominator-exclusion"] == 1
    assert "measureScore" not in report["group"][0]


def test_an_individual_report_names_what_it_was_made_of(record, assess, core):
    report = individual(core, assess(record("bad-unplanned-reoperation")))
    used = [each["reference"] for each in report["evaluatedResource"]]
    assert used[:3] == ["Patient/child", "EpisodeOfCare/case", "Procedure/pull-through"]
    assert "Procedure/reoperation" in used
    assert len(used) == len(set(used))


def test_what_was_used_names_the_populations_that_it_was_read_for(record, assess, core):
    """Everybody with a case is counted; whether the outcome is due and good, its evidence tells."""
    report = individual(core, assess(record("bad-unplanned-reoperation")))
    criteria = "http://hl7.org/fhir/StructureDefinition/cqf-criteriaReference"
    named = {}
    for each in report["evaluatedResource"]:
        assert {extension["url"] for extension in each["extension"]} == {criteria}
        named[each["reference"]] = [e["valueString"] for e in each["extension"]]
    populations = [each["id"] for each in report["group"][0]["population"]]
    assert named["Patient/child"] == named["EpisodeOfCare/case"] == populations
    told = ["denominator-exclusion", "denominator-exception", "numerator"]
    assert named["Procedure/pull-through"] == named["Procedure/reoperation"] == told


def test_the_period_is_that_of_the_case(record, assess, core):
    outcome = assess(record("good"))
    assert counts(individual(core, outcome, Period("2018-01-23", "2018-01-23")))["numerator"] == 1
    for outside in (Period("2018-01-24", "2024-12-31"), Period("2017-01-01", "2018-01-22")):
        assert set(counts(individual(core, outcome, outside)).values()) == {0}


@pytest.mark.parametrize("period", [("2018", "2018"), ("2018-12-31", "2018-01-01")])
def test_a_period_is_two_full_dates_in_order(record, assess, core, period):
    with pytest.raises(FhirError, match="not two full dates") as refusal:
        individual(core, assess(record("good")), Period(*period))
    assert refusal.value.status == 400


def test_a_national_summary_is_exact(cohort, core):
    report = summary(core, cohort(good=3, bad=2, missing=4, early=1))
    assert counts(report) == {
        "initial-population": 10,
        "denominator": 10,
        "denominator-exclusion": 1,
        "denominator-exception": 4,
        "numerator": 3,
    }
    assert report["group"][0]["measureScore"]["value"] == Decimal("0.6000")
    expected = binomtest(3, 5).proportion_ci(method="wilson")
    assert interval(report)["method"] == "wilson"
    assert float(interval(report)["lower"]) == pytest.approx(expected.low, abs=5e-5)
    assert float(interval(report)["upper"]) == pytest.approx(expected.high, abs=5e-5)
    assert "evaluatedResource" not in report
    assert "subject" not in report


def test_no_score_without_a_child_to_score(cohort, core):
    assert "measureScore" not in summary(core, cohort(missing=3, early=2))["group"][0]
    assert "measureScore" not in summary(core, [])["group"][0]


def test_a_hospital_is_given_its_own_children(cohort, core):
    elsewhere = [replace(each, hospital="Organization/elsewhere") for each in cohort(bad=30)]
    report = summary(core, [*cohort(good=20), *elsewhere], HOSPITAL)
    assert counts(report)["denominator"] == 20
    assert report["group"][0]["measureScore"]["value"] == 1


def test_a_hospital_leaves_only_with_small_numbers_protected(cohort, core):
    report = summary(core, cohort(good=12, bad=9, missing=3), HOSPITAL)
    assert counts(report) == {
        "initial-population": 25,
        "denominator": 25,
        "denominator-exclusion": 0,
        "denominator-exception": "masked",
        "numerator": 10,
    }
    # 12 of 21, from rounded parts 10 of 20
    assert report["group"][0]["measureScore"]["value"] == Decimal("0.5000")
    from_rounded = binomtest(10, 20).proportion_ci(method="wilson")
    assert float(interval(report)["lower"]) == pytest.approx(from_rounded.low, abs=5e-5)


def not_assessable(number, hospital="Organization/hospital"):
    return [NotAssessable(f"EpisodeOfCare/{each}", hospital, "no date") for each in range(number)]


def left_out(report):
    (found,) = [each for each in report["extension"] if each["url"].endswith("not-assessable")]
    return found.get("valueInteger", "masked")


def test_children_who_cannot_be_assessed_are_told_and_counted_nowhere(cohort, core):
    children = [*cohort(good=9), *not_assessable(2), *not_assessable(1, None)]
    national, hospital = summary(core, children), summary(core, children, HOSPITAL)
    assert (left_out(national), counts(national)["initial-population"]) == (3, 9)
    assert (left_out(hospital), counts(hospital)["initial-population"]) == ("masked", 10)
    assert left_out(summary(core, cohort(good=9))) == 0


@pytest.mark.parametrize(("number", "said"), [(0, 0), (1, "masked"), (7, "masked"), (8, 10)])
def test_a_hospitals_number_of_them_is_protected_like_any_count(core, terminology, number, said):
    report = summary(core, not_assessable(number), HOSPITAL)
    assert left_out(report) == said
    assert beyond(validate(report, terminology, now=NOW)) == []


@pytest.mark.parametrize(
    ("starts", "may"),
    [
        (["2018-06-30T10:00:00Z"], True),
        (["2019-01-01"], False),
        (["2018"], True),
        (["2017-11", "2018-11"], True),
        (["2017-12"], False),
        ([""], True),
        (["2019-01-01", "2018"], False),
        ([], False),
    ],
)
def test_a_case_may_have_begun_in_a_period_as_far_as_its_date_is_known(
    core, terminology, record, starts, may
):
    (case,) = [each for each in record("good") if each["resourceType"] == "EpisodeOfCare"]
    cases = [
        {**case, "id": str(number), "period": {"start": start} if start else {}}
        for number, start in enumerate(starts)
    ]
    listed = outcome_engine.cases(core, cases, terminology)
    assert len(listed) == len(cases)
    assert may_begin_in(listed, YEAR) is may


def test_a_case_entered_in_error_is_none(core, terminology, record):
    resources = [{**each, "status": "entered-in-error"} for each in record("good")]
    assert outcome_engine.cases(core, resources, terminology) == []


def test_what_cannot_be_reported_is_refused_before_any_child_is_assessed(core):
    outcome_engine.check(core, YEAR)
    for measure, period, status in (
        (core, Period("2018-12-31", "2018-01-01"), 400),
        (f"{core}-of-nothing", YEAR, 404),
        ("https://csor.example/fhir/Measure/treatment-success-score", YEAR, 422),
    ):
        with pytest.raises(FhirError) as refusal:
            outcome_engine.check(measure, period)
        assert refusal.value.status == status


def test_a_report_says_what_it_is_worth(cohort, core):
    report = summary(core, cohort(good=1))
    url = "http://hl7.org/fhir/uv/cqm/StructureDefinition/cqm-limitations"
    (limitations,) = [each for each in report["extension"] if each["url"] == url]
    assert "sign-off" in limitations["valueMarkdown"]
    assert "must not be compared" in limitations["valueMarkdown"]


@pytest.mark.parametrize(("rule", "invariant"), DEQM.items())
def test_reports_keep_the_rules_of_deqm(cohort, core, rule, invariant):
    children = cohort(good=9, bad=9)
    reports = [
        individual(core, children[0]),
        summary(core, children),
        summary(core, children, HOSPITAL),
        summary(core, children[:3], HOSPITAL),
    ]
    for report in reports:
        assert fhirpath.evaluate(invariant, report, fhirpath.Environment()) == [True], rule


def test_an_unknown_measure_or_version_is_named(record, terminology, core):
    with pytest.raises(FhirError, match="There is no measure") as refusal:
        outcome_engine.assess(f"{core}|9.9.9", record("good"), "2024-06-30", terminology)
    assert refusal.value.status == 404
    assert outcome_engine.assess(f"{core}|0.2.0", record("good"), "2024-06-30", terminology)


def test_a_measure_says_what_condition_it_is_about(core):
    assert [each["code"] for each in outcome_engine.focus(core)] == ["hirschsprung"]

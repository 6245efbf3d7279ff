"""What a summary says of a comparison: the numbers of `compare` with a signed model, disclosed."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

import outcome_engine
from outcome_engine import Period
from outcome_engine.assessment.assess import Known
from outcome_engine.case_mix.fit import Head, Wanted, fit
from outcome_engine.case_mix.model import CaseMixModel
from outcome_engine.case_mix.rows import read as read_rows
from outcome_engine.comparison.hospitals import Hospital, Policy, compare
from outcome_engine.parameter_files.parameter_file import Parameters
from outcome_engine.parameter_files.signature import sign
from outcome_engine.reports.comparison import GROUP, NO_MODEL, with_comparison
from outcome_engine.reports.disclosure import comparable, shown
from outcome_engine.reports.table import rows
from profiles.validate import validate
from r4.json import encode
from tests.outcome_engine.signing import KEY, SIGNATORIES
from tests.profiles.unloaded import beyond
from tests.support.deqm import violations

PERIOD = Period("2018-01-01", "2018-12-31")
NOW = "2024-07-01T09:00:00Z"
MADE = {"period": PERIOD, "reporter": {"display": "CSOR registry"}, "now": NOW}
SIZES = {"a": 40, "b": 60, "c": 50, "d": 30, "e": 30, "few": 5}


@pytest.fixture(scope="module")
def model(tmp_path_factory, core):
    """Give a signed model of one factor, fitted to children who are made up."""
    file = tmp_path_factory.mktemp("rows") / "outcomes.csv"
    days = date(2015, 1, 1).toordinal() - date(1970, 1, 1).toordinal()
    lines = ["child,hospital,case_day,due,class,factor_trisomy-21"]
    for number in range(400):
        factor, outcome = number % 4 == 0, "good" if number % 3 and number % 8 else "bad"
        lines.append(f"{number},h{number % 5},{days},true,{outcome},{str(factor).lower()}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    start, until = date(2014, 1, 1), date(2016, 12, 31)
    head = Head(
        measure=outcome_engine.canonical(core), version="1.0.0", title="A model for a test (fictitious)",
        description="Made of children who are made up.", event="good", start=start, until=until,
        valid_from=date(2020, 1, 1), valid_until=date(2027, 12, 31), fictitious=True,
    )  # fmt: skip
    made = fit(read_rows(file, "good", start, until), [Wanted("trisomy-21")], "ridge", head)
    signed = sign(made, KEY, date(2022, 6, 1))
    parameters = Parameters({"model.json": encode(signed)}, SIGNATORIES)
    return parameters.of_kind(CaseMixModel, outcome_engine.measures()[core], "2024-06-30")


@pytest.fixture(scope="module")
def outcomes(record, assess):
    """Give children of six hospitals: some good, bad, and not known; a quarter with the factor."""
    good, missing = assess(record("good")), assess(record("due-survey-missing"))
    bad, early = assess(record("bad-death")), assess(record("bad-death"), "2020-01-01")
    kinds = [good, bad, good, missing, good, early]
    made = []
    for place, size in SIZES.items():
        for number in range(size):
            known = Known("trisomy-21", "", "", "boolean", number % 4 == 0, ())
            kind = kinds[(number + len(place) + ord(place[0])) % len(kinds)]
            made.append(
                replace(
                    kind, patient=f"Patient/{place}{number}", hospital=f"Organization/{place}",
                    factors=(known,),
                )
            )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def reports(core, outcomes, model):
    """Give the reports by hospital; of the nation under None."""
    about = [None, *(f"Organization/{each}" for each in SIZES)]
    exact = [
        outcome_engine.summary_report(
            core, outcomes, hospital={"reference": each} if each else None, **MADE
        )
        for each in about
    ]
    return dict(zip(about, with_comparison(exact, outcomes, model), strict=True))


@pytest.fixture(scope="module")
def expected(outcomes, model):
    """Compare anew, from the outcomes alone."""
    hospitals = []
    for place in sorted(SIZES):
        own = [
            each for each in outcomes
            if each.hospital == f"Organization/{place}" and each.due
        ]  # fmt: skip
        seen = [
            None if each.outcome_class == "not-yet-known" else int(each.outcome_class == "good")
            for each in own
        ]
        risks = [model.content.chance({"trisomy-21": each.factors[0].value}) for each in own]
        hospitals.append(Hospital(f"Organization/{place}", seen, risks))
    return compare(hospitals, Policy(event="good"))


def group(report):
    (found,) = [each for each in report["group"] if each["id"] == GROUP]
    return found


def statistics(report):
    found = {}
    for each in group(report)["extension"]:
        if each["url"].endswith("/report-statistic"):
            parts = {
                p["url"]: next(v for k, v in p.items() if k != "url") for p in each["extension"]
            }
            found[parts.pop("statistic")["code"]] = parts
    return found


def reason(report):
    (found,) = [e for e in report["extension"] if e["url"].endswith("/report-not-compared")]
    return found["valueMarkdown"]


def test_each_report_keeps_the_rules_of_deqm_and_is_valid(reports, terminology):
    for report in reports.values():
        assert violations(report) == []
        issues = beyond(validate(report, terminology, now=NOW))
        assert [each for each in issues if each.severity == "error"] == []


def test_a_hospitals_numbers_are_those_of_its_comparison_and_disclosed(reports, expected):
    assert len(expected.hospitals) == 5
    for each in expected.hospitals:
        found = statistics(reports[each.id])
        whole = {
            p["id"].removeprefix(f"{GROUP}-"): p for p in group(reports[each.id])["population"]
        }
        assert whole["initial-population"]["count"] == shown(each.known)
        ratio = group(reports[each.id]).get("measureScore", {}).get("value")
        if shown(each.observed) is None or shown(each.known - each.observed) is None:
            assert ratio is None
        else:
            assert ratio == round(Decimal(shown(each.observed)) / Decimal(each.expected), 4)
        for name, limits in (("alert-limits", each.alert), ("alarm-limits", each.alarm)):
            assert float(found[name]["level"]) == limits.level
            assert float(found[name]["lower"]) == pytest.approx(
                limits.lower / each.expected, abs=1e-4
            )
            assert float(found[name]["upper"]) == pytest.approx(
                limits.upper / each.expected, abs=1e-4
            )
        if comparable(each.observed, each.known):
            assert found["position"]["text"].startswith(each.position.stage)
        else:
            assert "position" not in found
        for name in ("reliability", "power_of_alert", "power_of_alarm"):
            value = found[name.replace("_", "-")]["value"]
            assert float(value) == pytest.approx(getattr(each, name), abs=1e-4)
    assert any("measureScore" in group(reports[each.id]) for each in expected.hospitals)


def test_no_count_of_a_hospital_is_exact(reports):
    allowed = {0, *range(10, 200, 5), None}
    for place, report in reports.items():
        if place and any(each["id"] == GROUP for each in report["group"]):
            assert {p.get("count") for p in group(report)["population"]} <= allowed
            text = statistics(report)["missing"]
            assert text.get("text") == "masked" or float(text["value"]) in allowed


def test_what_is_said_of_the_others_does_not_give_a_hospitals_count(reports, expected):
    """n phi of all, less n - 1 phi of the others, is the square of the hospital's own deviation."""
    for each in expected.hospitals:
        assert not {"phi", "tau2"} & statistics(reports[each.id]).keys()
    for name in ("phi", "tau2"):
        value = statistics(reports[None])[name]["value"]
        assert value == round(value, 2)


def test_the_number_of_children_wanted_is_a_multiple_of_the_rounded_one(reports, expected):
    for each in expected.hospitals:
        found = statistics(reports[each.id])
        share = float(found["reliability"]["value"])
        of = float(found["children-for-reliability"]["value"]) * share / (1 - share) * 3 / 7
        assert of == pytest.approx(shown(each.known), rel=0.01)


def test_calibration_does_not_give_the_exact_number_of_events(reports, expected):
    variance = sum(each.variance for each in expected.hospitals)
    value = statistics(reports[None])["calibration-intercept"]["value"]
    digits = -value.normalize().as_tuple().exponent
    assert 0.5 * 10**-digits * variance >= 2.5


def test_a_count_that_is_masked_for_the_sake_of_others_is_told_by_no_comparison(
    core, outcomes, model
):
    place = {"reference": "Organization/b"}
    report = outcome_engine.summary_report(core, outcomes, hospital=place, **MADE)
    (shown_all,) = with_comparison([report], outcomes, model)
    assert "measureScore" in group(shown_all)
    for kind in ("numerator", "denominator"):
        (own,) = [each for each in report["group"][0]["population"] if each["id"] == kind]
        hidden = {key: value for key, value in own.items() if key != "count"}
        others = [hidden if e is own else e for e in report["group"][0]["population"]]
        masked = {**report, "group": [{**report["group"][0], "population": others}]}
        (found,) = with_comparison([masked], outcomes, model)
        counts = {p["id"].removeprefix(f"{GROUP}-"): p for p in group(found)["population"]}
        assert "count" not in counts["numerator"]
        assert "count" not in counts["observed"]
        assert ("count" in counts["initial-population"]) == (kind == "numerator")
        assert "measureScore" not in group(found)
        told = statistics(found).keys() & {"position", "rate-known-only", "rate-bounds"}
        assert not told


def test_why_nothing_is_compared_has_no_hospitals_count_in_it(core, outcomes, model):
    few = [each for each in outcomes if each.hospital in ("Organization/a", "Organization/few")]
    exact = outcome_engine.summary_report(core, few, hospital=None, **MADE)
    (found,) = with_comparison([exact], few, model)
    text = "Not compared: 1 hospitals can be compared, and the policy needs 3."
    assert reason(found) == text


def test_where_hospitals_do_not_differ_no_number_of_children_would_do(core, outcomes, model):
    """Of fewer than five hospitals no variance between them is estimated: it counts as none."""
    four = [each for each in outcomes if each.hospital[-1] in "abcd"]
    about = [None, *(f"Organization/{each}" for each in "abcd")]
    exact = [
        outcome_engine.summary_report(
            core, four, hospital={"reference": each} if each else None, **MADE
        )
        for each in about
    ]
    for report in with_comparison(exact, four, model):
        found = statistics(report)
        assert "children-for-reliability" not in found
        assert "phi" not in found


def test_a_model_of_another_event_or_of_factors_of_another_kind_compares_nothing(
    core, outcomes, model
):
    report = outcome_engine.summary_report(core, outcomes, hospital=None, **MADE)
    parameters = model.content.parameters.model_copy(update={"event": "salvaged"})
    other = replace(model, content=model.content.model_copy(update={"parameters": parameters}))
    (found,) = with_comparison([report], outcomes, other)
    assert "the model predicts `salvaged`" in reason(found)
    wrong = [replace(each, factors=(replace(each.factors[0], value="yes"),)) for each in outcomes]
    (found,) = with_comparison([report], wrong, model)
    assert "factor trisomy-21" in reason(found)


def test_the_nation_has_what_is_true_of_all(reports, expected):
    found = statistics(reports[None])
    assert float(found["tau2"]["value"]) == pytest.approx(expected.tau2, abs=5e-3)
    assert float(found["phi"]["value"]) == pytest.approx(expected.together.phi, abs=5e-3)
    assert float(found["c-statistic"]["value"]) == pytest.approx(
        expected.discrimination.value, abs=1e-4
    )
    assert float(found["calibration-intercept"]["value"]) == pytest.approx(
        expected.calibration.intercept, abs=0.5
    )
    assert found["hospitals-compared"]["value"] == 5
    assert found["hospitals-not-compared"]["value"] == 1


def test_the_model_is_named_and_one_that_is_made_up_makes_the_report_illustrative(reports, model):
    for place in (None, "Organization/b"):
        text = statistics(reports[place])["case-mix-model"]["text"]
        assert text == f"1.0.0, SHA-256 {model.digest}"
        marks = [
            e for e in reports[place]["extension"] if e["url"].endswith("/report-illustrative")
        ]
        assert len(marks) == 1


def test_scoring_stands_on_each_group_where_there_are_two(reports):
    report = reports["Organization/b"]
    assert len(report["group"]) == 2
    scored = [
        each["valueCodeableConcept"]["coding"][0]["code"]
        for g in report["group"]
        for each in g["extension"]
        if each["url"].endswith("/deqm-measureScoring")
    ]
    assert scored == ["proportion", "ratio"]


def test_a_hospital_of_few_children_is_not_compared_and_it_is_said(reports):
    assert "fewer than 8" in reason(reports["Organization/few"])
    assert len(reports["Organization/few"]["group"]) == 1


def test_without_a_model_or_enough_hospitals_it_is_said_why(core, outcomes, model):
    report = outcome_engine.summary_report(core, outcomes, hospital=None, **MADE)
    (without,) = with_comparison([report], outcomes, None)
    assert reason(without) == NO_MODEL
    (alone,) = with_comparison(
        [report], [each for each in outcomes if each.hospital == "Organization/a"], model
    )
    assert reason(alone).startswith("Not compared: ")
    (bare,) = with_comparison([report], [replace(each, factors=()) for each in outcomes], model)
    assert "trisomy-21" in reason(bare)


def test_a_table_has_the_expected_count_as_a_quantity(reports, expected):
    whole = list(rows(reports.values()))
    for each in expected.hospitals:
        listed = [row for row in whole if row["about"] == each.id and row["group"] == GROUP]
        (quantity,) = [row["quantity"] for row in listed if row["quantity"] is not None]
        assert float(quantity) == pytest.approx(each.expected, abs=1e-4)
        assert not any(row["masked"] for row in listed if row["quantity"] is not None)


def test_what_is_observed_and_expected_says_of_whom_it_is(reports):
    """A report's population has no place for cqf-criteriaReference, which is the Measure's."""
    said = {}
    for population in reports[None]["group"][-1]["population"][-2:]:
        for each in population["extension"]:
            said.setdefault(each["url"].rpartition("/")[2], []).append(each.get("valueMarkdown"))
    assert said["measurereport-populationDescription"] == [
        f"Of `{GROUP}-numerator`.",
        f"Of `{GROUP}-initial-population`.",
    ]
    assert "cqf-criteriaReference" not in said

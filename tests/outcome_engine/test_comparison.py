"""A comparison of hospitals as a whole."""

from dataclasses import fields, replace

import numpy as np
import pytest

from outcome_engine.comparison.hospitals import (
    POLICY,
    Comparison,
    Hospital,
    Policy,
    Position,
    compare,
)
from outcome_engine.comparison.policy import CITATIONS
from outcome_engine.comparison.statements import NOT_SAFETY
from r4.issue import FhirError
from tests.outcome_engine.comparison_examples import HOSPITALS, RATE

DEATHS = Policy(event="bad")


def babies(policy: Policy) -> Comparison:
    hospitals = [
        Hospital(name, [1] * deaths + [0] * (operations - deaths), [RATE] * operations)
        for name, (deaths, operations) in HOSPITALS.items()
    ]
    return compare(hospitals, policy)


def positions(comparison: Comparison) -> dict[str, tuple[str, str | None]]:
    return {
        each.id: (each.position.stage, each.position.direction)
        for each in comparison.hospitals
        if each.position.stage != "within"
    }


def simple(name: str, events: int, children: int, missing: int = 0, risk: float = 0.3) -> Hospital:
    observed = [1] * events + [0] * (children - events) + [None] * missing
    return Hospital(name, observed, [risk] * (children + missing))


def test_without_overdispersion_the_positions_are_the_published_ones() -> None:
    found = positions(babies(replace(DEATHS, tau2=0.0)))
    assert found == {
        "Bristol": ("alarm", "worse"),
        "Oxford": ("alert", "worse"),
        "Leeds": ("alert", "better"),
    }


def test_bristol_does_not_hide_behind_the_overdispersion_that_it_causes() -> None:
    assert positions(babies(DEATHS))["Bristol"] == ("alarm", "worse")
    together = babies(replace(DEATHS, leave_one_out=False))
    assert positions(together).get("Bristol", ("within", None))[0] != "alarm"


def test_the_other_way_round_the_directions_are_too() -> None:
    good = positions(babies(Policy(event="good", tau2=0.0)))
    assert good["Bristol"] == ("alarm", "better")


def test_each_hospital_has_its_figures() -> None:
    bristol = babies(DEATHS).hospitals[0]
    assert (bristol.observed, bristol.known) == (41, 143)
    assert bristol.ratio == pytest.approx(41 / (143 * RATE))
    # Published intervals of 41 of 143.
    assert bristol.wilson == pytest.approx((0.2189363, 0.3656497), abs=5e-8)
    assert bristol.exact == pytest.approx((0.2142496, 0.3682420), abs=5e-8)
    assert bristol.mid_p == pytest.approx((0.2171107, 0.3648743), abs=5e-8)
    assert 1 < bristol.shrunken.lower < bristol.shrunken.value < bristol.ratio
    assert bristol.others is not None
    assert bristol.others.n == 11
    assert 0 < bristol.reliability < 1
    assert bristol.power_of_alarm < bristol.power_of_alert


def test_the_whole_says_how_much_hospitals_differ_and_how_well_risks_fit() -> None:
    found = babies(DEATHS)
    assert (found.observed, found.expected) == (397, pytest.approx(397))
    assert found.together is not None
    assert found.together.phi == pytest.approx(4.83885, abs=1e-5)
    assert found.calibration is not None
    assert found.calibration.intercept == pytest.approx(0, abs=1e-6)
    assert any("not ranked" in each for each in found.statements)


def test_power_and_reliability_are_printed_with_every_hospital() -> None:
    for each in babies(DEATHS).hospitals:
        said = " ".join(each.statements)
        assert f"{100 * each.power_of_alert:.3g}%" in said
        assert f"Reliability {each.reliability:.2f}" in said


def test_an_alarm_is_a_trigger_to_look_in_both_directions() -> None:
    found = {each.id: each.statements for each in babies(replace(DEATHS, tau2=0.0)).hospitals}
    worse, better = found["Bristol"][1], found["Leeds"][1]
    assert worse.startswith("Alarm, worse than expected: beyond the 99.8% limits (6 to 30).")
    assert better.startswith("Alert, better than expected: beyond the 95% limits (28 to 50).")
    assert "not a verdict" in worse
    assert "learn from this hospital; not a verdict" in better


def test_within_limits_is_no_evidence_of_safety_where_a_doubling_would_not_be_found() -> None:
    few = compare([simple(name, 3, 10) for name in "ABCDE"], DEATHS)
    assert all(NOT_SAFETY in each.statements for each in few.hospitals)
    assert all(each.power_of_alert < 0.8 for each in few.hospitals)
    many = compare([simple(name, 300, 1000) for name in "ABCDE"], DEATHS)
    assert all(NOT_SAFETY not in each.statements for each in many.hospitals)
    assert all(each.power_of_alert > 0.99 for each in many.hospitals)


def test_power_is_that_of_a_bad_outcome_whichever_way_the_event_is_counted() -> None:
    bad = compare([simple(name, 10, 50, risk=0.2) for name in "ABC"], DEATHS)
    good = compare([simple(name, 40, 50, risk=0.8) for name in "ABC"], Policy(event="good"))
    assert bad.hospitals[0].power_of_alert == pytest.approx(good.hospitals[0].power_of_alert)


def test_a_model_that_does_not_fit_the_period_is_said_not_to() -> None:
    found = compare([simple(name, 60, 100) for name in "ABCDE"], DEATHS)
    assert any("calibrated anew" in each for each in found.statements)


def test_hospitals_of_too_few_children_are_named_and_not_compared() -> None:
    found = compare([simple(name, 30, 100) for name in "ABC"] + [simple("Small", 2, 7)], DEATHS)
    assert [each.id for each in found.hospitals] == ["A", "B", "C"]
    (small,) = found.not_compared
    assert small.reason.startswith("Small has 7 children with a known outcome")
    assert small.reason in found.statements


def test_too_few_hospitals_are_refused_by_name() -> None:
    with pytest.raises(
        FhirError, match=r"2 hospitals can be compared.*needs 3.*Small has 7"
    ) as info:
        compare([simple("A", 3, 10), simple("B", 3, 10), simple("Small", 3, 7)], DEATHS)
    assert info.value.status == 422


@pytest.mark.parametrize("risk", [0.0, 1.0, 1.2, float("nan")])
def test_a_risk_that_is_none_is_refused_by_name(risk: float) -> None:
    with pytest.raises(FhirError, match="Hospital B needs one predicted risk"):
        compare([simple("A", 3, 10), simple("B", 3, 10, risk=risk), simple("C", 3, 10)])


def test_an_outcome_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(FhirError, match="Hospital A has an outcome"):
        compare([Hospital("A", [2] * 10, [0.3] * 10)])


def test_of_few_hospitals_no_variance_between_them_is_estimated() -> None:
    found = compare([simple("A", 10, 40), simple("B", 20, 40), simple("C", 5, 40)], DEATHS)
    assert found.together is None
    assert found.tau2 == 0
    assert any("chance alone" in each for each in found.statements)


def test_missing_outcomes_are_shown_known_only_at_their_bounds_and_imputed() -> None:
    hospitals = [simple(name, 30, 90, missing=10) for name in "ABCD"] + [simple("E", 40, 100)]
    found = compare(hospitals, DEATHS)
    missing = found.hospitals[0].missing
    assert missing.known_only == pytest.approx(1 / 3)
    assert missing.bounds == (0.3, 0.4)
    assert missing.imputed is not None
    assert 0.3 < missing.imputed.value < 0.4
    wilson_known = found.hospitals[0].wilson
    assert missing.imputed.lower < missing.imputed.value < missing.imputed.upper
    assert missing.imputed.upper - missing.imputed.lower > 0.9 * (wilson_known[1] - wilson_known[0])
    assert found.hospitals[4].missing.imputed is None
    assert "No outcome is missing." in found.hospitals[4].statements


def test_a_position_that_hangs_on_missing_outcomes_is_said_to() -> None:
    hospitals = [simple(name, 30, 100) for name in "ABCD"] + [simple("E", 30, 100, missing=60)]
    found = compare(hospitals, DEATHS).hospitals[4]
    assert found.missing.at_worst == Position("alarm", "worse")
    assert found.missing.at_best.direction == "better"
    assert "The position depends on the outcomes that are missing." in found.statements


def test_the_same_children_give_the_same_comparison() -> None:
    hospitals = [simple(name, 30, 90, missing=10) for name in "ABCDE"]
    assert compare(hospitals) == compare(hospitals)


def test_every_default_of_the_policy_has_its_source() -> None:
    assert {each.name for each in fields(POLICY)} == set(CITATIONS)
    assert all(len(each) > 10 for each in CITATIONS.values())


def test_case_mix_decides_what_is_expected_not_the_rate() -> None:
    rng = np.random.default_rng(1)
    hospitals = []
    for name, mean in zip("ABCDEF", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], strict=True):
        risk = np.sort(rng.beta(20 * mean, 20 * (1 - mean), 100))
        events = round(float(risk.sum()))
        observed = [0] * (100 - events) + [1] * events
        hospitals.append(Hospital(name, observed, risk.tolist()))
    found = compare(hospitals, DEATHS)
    assert positions(found) == {}
    assert [each.ratio for each in found.hospitals] == pytest.approx([1] * 6, abs=0.1)
    assert found.hospitals[5].wilson[0] > found.hospitals[0].wilson[1]
    assert found.discrimination is not None
    assert found.discrimination.value > 0.6


def test_outcomes_that_are_all_alike_or_all_told_by_their_risk_are_compared_too() -> None:
    none = compare([simple(name, 0, 20, risk=0.1) for name in "ABCDE"], DEATHS)
    assert none.calibration is None
    assert none.discrimination is None
    assert 0 < none.hospitals[0].shrunken.value < 1
    told = [Hospital(name, [0] * 10 + [1] * 10, [0.1] * 10 + [0.9] * 10) for name in "ABCDE"]
    assert compare(told).discrimination is not None
    assert compare(told).calibration is None

"""The funnel of a continuous score."""

from dataclasses import replace

import numpy as np
import pytest

from outcome_engine.comparison.hospitals import POLICY, Position
from outcome_engine.comparison.scores import ScoredHospital, compare_scores
from outcome_engine.comparison.statements import NOT_SAFETY
from outcome_engine.methods.continuous import (
    bootstrap_limits,
    deviations,
    limits,
    within_variance,
)
from outcome_engine.methods.overdispersion import overdispersion, untrimmed
from r4.issue import FhirError


def test_the_variance_within_hospitals_is_pooled_about_their_own_means() -> None:
    # By hand: squares 2 + 2 about the means 2 and 11, with (3 - 1) + (2 - 1) degrees of freedom.
    assert within_variance([[1, 2, 3], [10, 12]]) == pytest.approx((2 + 2) / 3)
    with pytest.raises(ValueError, match="two children"):
        within_variance([[1], [2]])


def test_the_limits_are_those_of_a_mean() -> None:
    found = limits(0.04, 25, 0.0, 0.95)
    assert (found.lower, found.upper) == pytest.approx((-0.0783986, 0.0783986), abs=1e-6)
    wider = limits(0.04, 25, 0.0009, 0.998)
    assert wider.upper == pytest.approx(3.0902323 * (0.0016 + 0.0009) ** 0.5, abs=1e-6)


def test_means_that_differ_by_more_than_chance_are_overdispersed() -> None:
    rng = np.random.default_rng(11)
    rows = [rng.normal(effect, 0.2, 200) for effect in rng.normal(0, 0.05, 200)]
    variance = within_variance(rows)
    assert variance == pytest.approx(0.04, rel=0.03)
    found = overdispersion(deviations(rows, variance), untrimmed)
    assert found.tau2 == pytest.approx(0.0025, rel=0.25)


def test_a_skew_score_has_skew_limits_and_a_normal_one_the_normal_limits() -> None:
    rng = np.random.default_rng(5)
    normal = [rng.normal(0, 0.2, 400) for _ in range(10)]
    drawn = bootstrap_limits(normal, 20, 0.0004, 0.95, seed=1)
    exact = limits(within_variance(normal), 20, 0.0004, 0.95)
    assert (drawn.lower, drawn.upper) == pytest.approx((exact.lower, exact.upper), abs=0.004)
    skew = [-rng.exponential(0.2, 400) for _ in range(10)]
    tilted = bootstrap_limits(skew, 5, 0.0, 0.998, seed=1)
    assert -tilted.lower > 1.5 * tilted.upper


def test_a_bootstrap_is_the_same_each_time() -> None:
    rows = [[0.1, -0.3, 0.2], [0.0, 0.4]]
    assert bootstrap_limits(rows, 3, 0, 0.95, seed=9) == bootstrap_limits(rows, 3, 0, 0.95, seed=9)


def hospital(name: str, mean: float, children: int, seed: int, missing: int = 0) -> ScoredHospital:
    drawn = np.random.default_rng(seed).normal(0, 0.2, children)
    scores = (0.8 + drawn - drawn.mean() + mean).tolist()
    return ScoredHospital(name, [*scores, *[None] * missing], [0.8] * (children + missing))


def ten(**means: float) -> list[ScoredHospital]:
    return [
        hospital(name, means.get(name, 0.0), 40, seed) for seed, name in enumerate("ABCDEFGHIJ")
    ]


def test_a_hospital_whose_children_score_less_than_expected_is_found_in_its_direction() -> None:
    found = compare_scores(ten(A=-0.15, B=0.075), replace(POLICY, tau2=0.0)).hospitals
    assert found[0].position == Position("alarm", "worse")
    assert found[1].position == Position("alert", "better")
    assert {each.position.stage for each in found[2:]} == {"within"}
    assert found[0].mean == pytest.approx(-0.15)
    assert found[0].statements[1].startswith("Alarm, worse than expected: beyond the 99.8% limits")


def test_it_does_not_hide_behind_its_own_spread() -> None:
    alone = compare_scores(ten(A=-0.15)).hospitals[0]
    assert alone.position == Position("alarm", "worse")
    together = compare_scores(ten(A=-0.15), replace(POLICY, leave_one_out=False)).hospitals[0]
    assert together.alarm.lower < alone.alarm.lower


def test_what_would_be_found_is_found_as_often_as_is_said() -> None:
    policy = replace(POLICY, tau2=0.0)
    first = compare_scores(ten(), policy).hospitals[0]
    # 1.96 and 0.84 standard errors of 40 children.
    assert first.detectable == pytest.approx((1.959964 + 0.841621) * 0.2 / 40**0.5, rel=0.06)
    drawn = np.random.default_rng(2).normal(-first.detectable, 0.2, (20_000, 40)).mean(axis=1)
    assert np.mean(drawn < first.alert.lower) == pytest.approx(0.8, abs=0.03)
    assert any("80%" in each for each in first.statements)


def test_within_the_limits_is_no_evidence_of_safety_and_missing_scores_are_told() -> None:
    given = [*ten()[1:], hospital("K", 0.0, 20, 99, missing=3)]
    last = compare_scores(given).hospitals[-1]
    assert NOT_SAFETY in last.statements
    assert last.missing == 3
    assert "3 scores are not known and not counted." in last.statements


def test_too_few_are_named_and_what_is_no_score_is_refused() -> None:
    few = compare_scores([*ten(), hospital("Small", 0, 5, 1)]).not_compared
    assert [each.id for each in few] == ["Small"]
    with pytest.raises(FhirError, match=r"0 hospitals can be compared.*Small has 5"):
        compare_scores([hospital("Small", 0, 5, 1)])
    with pytest.raises(FhirError, match="Hospital X needs"):
        compare_scores([ScoredHospital("X", [0.5], [float("nan")])])


def test_skew_scores_have_limits_from_a_bootstrap() -> None:
    drawn = np.random.default_rng(4).exponential(0.2, (10, 12))
    given = [
        ScoredHospital(str(at), (1 - row).tolist(), [0.8] * 12) for at, row in enumerate(drawn)
    ]
    first = compare_scores(given, replace(POLICY, tau2=0.0), skew=True).hospitals[0]
    assert -first.alarm.lower > 1.1 * first.alarm.upper

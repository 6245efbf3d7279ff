"""The funnel of a continuous score."""

import numpy as np
import pytest

from outcome_engine.methods.continuous import (
    bootstrap_limits,
    deviations,
    limits,
    within_variance,
)
from outcome_engine.methods.overdispersion import overdispersion, untrimmed


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

"""Discrimination and calibration against definitions and other implementations."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import mannwhitneyu

from outcome_engine.methods.calibration import calibration
from outcome_engine.methods.discrimination import c_statistic
from outcome_engine.methods.logistic import logistic


@pytest.fixture(scope="module")
def children():
    rng = np.random.default_rng(21)
    chances = np.round(expit(rng.normal(-1, 1, 700)), 2)  # rounded, so that there are ties
    return rng.binomial(1, chances), chances


@pytest.mark.parametrize(("y", "p"), [([1, 0], [0.5]), ([0.5], [0.5]), ([float("nan")], [0.5])])
def test_a_missing_outcome_is_refused_everywhere(y, p):
    for method in (c_statistic, calibration):
        with pytest.raises(ValueError, match="0 or 1"):
            method(y, p)


def test_the_c_statistic_is_the_share_of_pairs_in_order(children):
    y, chances = children
    pairs = chances[y == 1][:, None] - chances[y == 0]
    found = c_statistic(y, chances)
    assert found.value == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean(), abs=1e-12)
    statistic = mannwhitneyu(chances[y == 1], chances[y == 0]).statistic
    assert found.value == pytest.approx(statistic / pairs.size, abs=1e-12)
    assert (found.events, found.non_events) == (y.sum(), len(y) - y.sum())


def test_the_standard_error_of_the_c_statistic_is_delongs_by_placements(children):
    y, chances = children
    pairs = chances[y == 1][:, None] - chances[y == 0]
    kernel = (pairs > 0) + 0.5 * (pairs == 0)
    above, below = kernel.mean(axis=1), kernel.mean(axis=0)
    variance = above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)
    assert c_statistic(y, chances).standard_error == pytest.approx(np.sqrt(variance), rel=1e-9)


def test_the_c_statistic_of_chance_and_of_perfect_order():
    assert c_statistic([0, 1, 0, 1], [0.2] * 4).value == 0.5
    perfect = c_statistic([0, 0, 1], [0.1, 0.2, 0.3])
    assert (perfect.value, perfect.standard_error) == (1.0, None)
    with pytest.raises(ValueError, match="a child with the event and one without"):
        c_statistic([1, 1], [0.1, 0.2])


def test_a_model_is_calibrated_to_the_children_it_was_fitted_to(children):
    y, chances = children
    x = np.column_stack([np.ones(len(y)), chances])
    found = calibration(y, expit(x @ logistic(x, y).coefficients))
    assert (found.intercept, found.slope) == pytest.approx((0, 1), abs=1e-8)


def test_calibration_finds_the_shift_and_the_slope_that_predictions_were_given():
    rng = np.random.default_rng(4)
    predictor = rng.normal(-1, 1, 40_000)
    y = rng.binomial(1, expit(predictor))
    too_low = calibration(y, expit(predictor - 0.5))
    assert too_low.intercept == pytest.approx(0.5, abs=4 * too_low.intercept_error)
    too_extreme = calibration(y, expit(2 * predictor))
    assert too_extreme.slope == pytest.approx(0.5, abs=4 * too_extreme.slope_error)


def test_groups_of_risk_hold_every_child_once_ascend_and_keep_ties_together(children):
    y, chances = children
    found = calibration(y, chances).groups
    assert len(found) == 10
    assert sum(group.children for group in found) == len(y)
    assert sum(group.observed for group in found) == y.sum()
    assert sum(group.expected for group in found) == pytest.approx(chances.sum())
    for lower, higher in pairwise(found):
        assert lower.greatest < higher.least


def test_equal_predictions_have_no_slope_and_one_group():
    found = calibration([0, 1, 0, 0], [0.25] * 4)
    assert (found.slope, found.slope_error, len(found.groups)) == (None, None, 1)
    assert found.intercept == pytest.approx(0, abs=1e-9)
    assert found.brier == pytest.approx(0.1875)


def test_a_certain_prediction_is_refused():
    with pytest.raises(ValueError, match="has no logit"):
        calibration([0, 1], [0.0, 0.5])

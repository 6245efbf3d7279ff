"""Overdispersion, against figures computed apart in 40 digits by the published formulas."""

import numpy as np
import pytest

from outcome_engine.methods.overdispersion import (
    Overdispersion,
    leave_one_out,
    log_odds,
    log_ratio,
    overdispersion,
    root_ratio,
    truncated,
    untrimmed,
    winsorised,
)
from tests.outcome_engine.comparison_examples import DEATHS, EXPECTED, VARIANCE


def same(found: Overdispersion, phi: float, tau2: float, n: int) -> None:
    assert (found.phi, found.tau2) == pytest.approx((phi, tau2), rel=1e-9)
    assert found.n == n


def test_on_the_logarithm_truncated_as_the_summary_hospital_level_mortality_indicator() -> None:
    found = overdispersion(log_ratio(DEATHS, EXPECTED), truncated())
    same(found, 1.0659483665281872, 0.0055655417568051125, 10)


def test_on_the_square_root_winsorised_as_the_care_quality_commission() -> None:
    found = overdispersion(root_ratio(DEATHS, EXPECTED), winsorised())
    same(found, 1.3552905539657870, 0.0037018394487678595, 12)


def test_on_the_log_odds_by_a_step_of_the_score() -> None:
    deviations = log_odds(DEATHS, EXPECTED, VARIANCE)
    same(overdispersion(deviations, winsorised()), 1.6892904956797946, 0.029626505603815761, 12)
    same(overdispersion(deviations, untrimmed), 4.8388529588001812, 0.15039747649451650, 12)


def test_the_six_groups_of_the_tests_of_funnelplotr() -> None:
    observed, expected = [100, 150, 180, 80, 120, 225], [108, 112, 165, 95, 100, 220]
    root = overdispersion(root_ratio(observed, expected), winsorised())
    same(root, 2.3271782575941194, 0.0034397801541862743, 6)
    logarithm = overdispersion(log_ratio(observed, expected), truncated())
    same(logarithm, 2.9480331751023592, 0.019477530578021584, 6)  # of six, no rank is truncated


def test_a_hospital_cannot_hide_itself_behind_the_overdispersion_that_it_causes() -> None:
    deviations = log_odds(DEATHS, EXPECTED, VARIANCE)
    together, others = overdispersion(deviations, untrimmed), leave_one_out(deviations, untrimmed)
    same(others[0], 1.8318020865396260, 0.034183885453363538, 11)  # without Bristol
    assert others[0].tau2 < together.tau2 / 4
    assert len(others) == 12


def test_there_is_no_negative_overdispersion() -> None:
    found = overdispersion(log_odds([10, 11, 9], [10, 10.5, 9.5], [8, 8, 8]), untrimmed)
    assert found.phi < 1
    assert found.tau2 == 0


def test_no_event_is_no_difficulty_except_for_a_logarithm() -> None:
    with pytest.raises(ValueError, match="needs an event"):
        log_ratio([0, 3], [2, 2])
    assert np.isfinite(log_odds([0, 3], [2, 2], [1.5, 1.5]).z).all()
    assert np.isfinite(root_ratio([0, 3], [2, 2]).z).all()


def test_one_hospital_has_no_variance_between_hospitals() -> None:
    with pytest.raises(ValueError, match="two hospitals"):
        overdispersion(log_odds([3], [2], [1.5]), untrimmed)


def test_ranks_that_are_alike_are_truncated_together() -> None:
    z = np.array([-2.0, -2.0, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 2.0])
    # Of ten ranks the shared 1.5 is in the second group of ten, and the last in the tenth but one.
    assert np.isnan(truncated()(z)).sum() == 1
    assert np.isnan(truncated()(z))[-1]

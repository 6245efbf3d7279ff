"""VLAD and risk-adjusted CUSUM: Steiner's scores, and run lengths against published ones."""

import numpy as np
import pytest

from outcome_engine.methods.cusum import Mix, cusum, limit_for, mix, run_length, scores, signals
from outcome_engine.methods.vlad import vlad


def beta_mix() -> Mix:
    """The mix of the examples of the R package vlad: Parsonnet scores to 71 that are Beta(1, 3)."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    score = (nodes + 1) / 2
    share = weights * (1 - score) ** 2
    return Mix(1 / (1 + np.exp(3.6798 - 0.0768 * 71 * score)), share / share.sum())


def test_steiners_scores_are_the_published_ones() -> None:
    # Steiner S. Risk-adjusted monitoring of outcomes in health care. In: Statistics in Action, 2014,
    # page 234: Parsonnet scores 0 and 50, logit p = -3.68 + 0.077 score; to three digits.
    risks = 1 / (1 + np.exp(3.68 - 0.077 * np.array([0, 0, 50, 50])))
    events = [0, 1, 0, 1]
    assert scores(events, risks, 2).round(3) == pytest.approx([-0.024, 0.669, -0.433, 0.26])
    assert scores(events, risks, 0.5).round(3) == pytest.approx([0.012, -0.681, 0.316, -0.377])


def test_a_score_is_the_logarithm_of_the_ratio_of_likelihoods() -> None:
    for risk in (0.02, 0.4, 0.97):
        for ratio in (2, 0.5):
            bad = ratio * risk / (1 - risk + ratio * risk)
            assert scores([1], [risk], ratio)[0] == pytest.approx(np.log(bad / risk))
            assert scores([0], [risk], ratio)[0] == pytest.approx(np.log((1 - bad) / (1 - risk)))


@pytest.mark.parametrize(
    ("odds_ratio", "published"),
    # R package vlad, tests of `racusum_beta_arl_int`: the integral equation, limit 4.5.
    [(2, 4485.203), (0.5, 5731.772)],
)
def test_run_lengths_are_the_published_ones(odds_ratio: float, published: float) -> None:
    assert run_length(beta_mix(), odds_ratio, 4.5) == pytest.approx(published, rel=0.006)


def test_the_limit_for_a_run_length_is_the_published_one() -> None:
    # R package vlad, tests of `racusum_beta_crit_mc`: 2.5178 for 500 children.
    limit = limit_for(beta_mix(), 2, 500, states=200)
    assert limit == pytest.approx(2.5178, abs=0.008)
    assert run_length(beta_mix(), 2, limit, states=200) == pytest.approx(500, rel=0.001)


def test_a_chart_of_one_risk_has_the_run_length_that_can_be_counted_out() -> None:
    # Risk 1/2 and odds 3: an event scores ln 1.5, none ln 0.5: above 0.75 after two events in a row.
    even = mix([0.5])
    assert run_length(even, 3, 0.75, states=100) == pytest.approx(6, rel=1e-9)


def test_a_process_out_of_control_is_found_sooner() -> None:
    usual = mix([0.05, 0.1, 0.3])
    assert run_length(usual, 2, 3.0, true_odds_ratio=2) < run_length(usual, 2, 3.0) / 5


def test_no_limit_for_what_cannot_be_waited_for() -> None:
    with pytest.raises(ValueError, match="run length of 1 children"):
        limit_for(mix([0.1]), 2, 1, states=50)


def test_a_chart_never_falls_below_0_and_signals_where_it_rises_above_its_limit() -> None:
    events = [0, 0, 1, 1, 0, 0, 0, 0, 1, 1]
    line = cusum(events, [0.5] * 10, 3)
    assert line[:2] == pytest.approx([0, 0])
    assert line[3] == pytest.approx(2 * np.log(1.5))
    assert signals(line, 0.75) == [3, 9]


def test_a_vlad_rises_by_the_risk_and_falls_by_the_event() -> None:
    assert vlad([0, 1, 0], [0.2, 0.3, 0.1]) == pytest.approx([0.2, -0.5, -0.4])

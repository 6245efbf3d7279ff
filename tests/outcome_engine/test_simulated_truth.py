"""Known hospital effects: are false alarms, coverage, power and run lengths what is said of them?

Rates are compared within four standard errors of their simulation; the seeds are fixed.
"""

from math import log, sqrt

import numpy as np
import pytest
from scipy.stats import kstest

from outcome_engine.comparison.hospitals import Hospital, Policy, compare
from outcome_engine.methods.cusum import limit_for, mix, run_length, scores
from outcome_engine.methods.funnel import overdispersed, prediction_limits, shifted
from outcome_engine.methods.intervals import clopper_pearson, mid_p, wilson
from outcome_engine.methods.overdispersion import (
    leave_one_out,
    log_odds,
    untrimmed,
    winsorised,
)

SIZES = [20, 35, 50, 60, 80, 90, 120, 150, 220, 400]
"""Children of ten hospitals: a condition over some years, and all conditions of a large one."""


def case_mix(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.beta(2, 8, size) for size in SIZES]


def counts(rng: np.random.Generator, risk: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """Draw a hospital's count once for each effect on its log-odds."""
    return (rng.random((len(effects), len(risk))) < shifted(risk, effects[:, None])).sum(axis=1)


def near(rate: float, truth: float, draws: int) -> bool:
    return abs(rate - truth) <= 4 * sqrt(max(truth * (1 - truth), 1e-9) / draws) + 1e-12


@pytest.mark.parametrize("tau", [0.0, 0.3])
@pytest.mark.parametrize("level", [0.95, 0.998])
def test_false_alarms_are_as_many_as_the_limits_say_and_no_more_than_nominal(
    tau: float, level: float
) -> None:
    rng, draws = np.random.default_rng(41), 20_000
    for risk in case_mix(1)[:7]:
        limits = prediction_limits(overdispersed(risk, tau**2), level)
        seen = counts(rng, risk, rng.normal(0, tau, draws))
        assert near(float(np.mean(seen > limits.upper)), limits.above, draws)
        assert near(float(np.mean(seen < limits.lower)), limits.below, draws)
        assert max(limits.above, limits.below) <= (1 - level) / 2 * (1 + 1e-9)


def test_were_counts_not_whole_false_alarms_would_be_nominal() -> None:
    """A tail probability in which the count's own chance is spread evenly is uniform."""
    rng = np.random.default_rng(7)
    tails = []
    for risk in case_mix(2):
        chances = overdispersed(risk, 0.04)
        beyond = 1 - np.cumsum(chances)
        seen = counts(rng, risk, rng.normal(0, 0.2, 1500))
        tails.append(beyond[seen] + rng.random(1500) * chances[seen])
    assert kstest(np.concatenate(tails), "uniform").pvalue > 0.001


def test_a_planted_outlier_is_found_with_the_power_that_was_printed() -> None:
    risks = case_mix(3)
    policy = Policy(event="bad", tau2=0.02)
    expected = [Hospital(str(at), [0] * len(risk), risk.tolist()) for at, risk in enumerate(risks)]
    printed = compare(expected, policy).hospitals
    rng, draws = np.random.default_rng(5), 20_000
    for hospital, risk in zip(printed[2:8], risks[2:8], strict=True):
        seen = counts(rng, risk, np.full(draws, log(2)))
        assert near(float(np.mean(seen > hospital.alert.upper)), hospital.power_of_alert, draws)
        assert near(float(np.mean(seen > hospital.alarm.upper)), hospital.power_of_alarm, draws)
    powers = [each.power_of_alert for each in printed]
    assert powers[-1] > 0.9
    assert powers[0] < 0.5


@pytest.mark.parametrize("event", ["good", "bad"])
def test_a_planted_outlier_is_the_one_that_is_found(event: str) -> None:
    rng = np.random.default_rng(12)
    good = event == "good"
    hospitals = []
    for at, risk in enumerate(case_mix(4)):
        bad = rng.random(len(risk)) < shifted(risk, log(3) if at == 9 else 0.0)
        known = [int(each != good) for each in bad]
        hospitals.append(Hospital(str(at), known, (1 - risk if good else risk).tolist()))
    found = compare(hospitals, Policy(event="good" if good else "bad")).hospitals
    assert found[9].position.direction == "worse"
    assert found[9].position.stage == "alarm"
    assert [each.id for each in found if each.position.stage == "alarm"] == ["9"]


def test_shrunken_ratios_are_nearer_to_the_truth_than_raw_ones() -> None:
    rng = np.random.default_rng(9)
    raw, shrunken, held, hospitals = 0.0, 0.0, 0, 0
    for _ in range(8):
        risks = [rng.beta(2, 8, size) for size in SIZES]
        effects = rng.normal(0, 0.3, len(SIZES))
        true = [float(shifted(r, e).sum() / r.sum()) for r, e in zip(risks, effects, strict=True)]
        seen = [
            (rng.random(len(r)) < shifted(r, e)).astype(int).tolist()
            for r, e in zip(risks, effects, strict=True)
        ]
        given = [
            Hospital(str(at), s, r.tolist())
            for at, (s, r) in enumerate(zip(seen, risks, strict=True))
        ]
        for each, truth in zip(compare(given).hospitals, true, strict=True):
            raw += (each.ratio - truth) ** 2
            shrunken += (each.shrunken.value - truth) ** 2
            held += each.shrunken.lower <= truth <= each.shrunken.upper
            hospitals += 1
    assert shrunken < 0.8 * raw
    assert near(held / hospitals, 0.95, hospitals)


@pytest.mark.parametrize("true_odds_ratio", [1.0, 2.0])
def test_a_cusum_runs_as_long_as_its_markov_chain_says(true_odds_ratio: float) -> None:
    rng, charts = np.random.default_rng(3), 2_000
    children = mix(rng.beta(2, 8, 60))
    limit = limit_for(children, 2, 200, states=200)
    expected = run_length(children, 2, limit, true_odds_ratio)
    level, length = np.zeros(charts), np.zeros(charts)
    running = np.ones(charts, bool)
    while running.any():
        risk = rng.choice(children.risks, size=charts, p=children.shares)
        event = rng.random(charts) < shifted(risk, log(true_odds_ratio))
        level = np.maximum(0.0, level + scores(event, risk, 2))
        length += running
        running &= level <= limit
    assert abs(length.mean() - expected) < 4 * length.std() / sqrt(charts) + 0.005 * expected


@pytest.mark.parametrize(("n", "p"), [(20, 0.1), (50, 0.3), (143, 0.12), (400, 0.05)])
def test_coverage_of_intervals_summed_over_every_count(n: int, p: float) -> None:
    """Exact is never below its level, mid-p and Wilson's are near it: no simulation is needed."""
    chances = overdispersed(np.full(n, p), 0)

    def coverage(interval) -> float:
        held = [interval(k, n)[0] <= p <= interval(k, n)[1] for k in range(n + 1)]
        return float(chances @ held)

    assert coverage(clopper_pearson) >= 0.95
    assert 0.93 <= coverage(mid_p) <= coverage(clopper_pearson)
    assert 0.93 <= coverage(wilson) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("hospitals", [10, 60])
def test_with_a_variance_estimated_from_the_others_false_alarms_stay_near_nominal(
    hospitals: int,
) -> None:
    """Trimming before the estimate doubles them: why the policy does not."""
    rng, runs, tau = np.random.default_rng(6), 400, 0.3
    beyond = {"untrimmed": 0, "winsorised": 0}
    for _ in range(runs):
        size = rng.integers(60, 400, hospitals)
        seen = rng.binomial(size, shifted(0.2, rng.normal(0, tau, hospitals)))
        found = log_odds(seen, 0.2 * size, 0.16 * size)
        for name, trim in (("untrimmed", untrimmed), ("winsorised", winsorised())):
            tau2 = np.array([each.tau2 for each in leave_one_out(found, trim)])
            beyond[name] += int(
                np.sum(np.abs(found.z * found.s) > 1.96 * np.sqrt(found.s**2 + tau2))
            )
    rates = {name: each / runs / hospitals for name, each in beyond.items()}
    assert 0.04 < rates["untrimmed"] < 0.08
    assert rates["winsorised"] > 1.5 * rates["untrimmed"]


@pytest.mark.slow
@pytest.mark.parametrize("tau", [0.0, 0.3])
def test_positions_of_whole_comparisons_are_alarms_no_more_often_than_nominal(tau: float) -> None:
    """With the variance between hospitals given, over whole comparisons and not limits alone."""
    rng, runs = np.random.default_rng(15), 80
    stages = {"within": 0, "alert": 0, "alarm": 0}
    for _ in range(runs):
        hospitals = []
        for at, risk in enumerate(rng.beta(2, 8, size) for size in SIZES):
            seen = rng.random(len(risk)) < shifted(risk, rng.normal(0, tau))
            hospitals.append(Hospital(str(at), seen.astype(int).tolist(), risk.tolist()))
        for each in compare(hospitals, Policy(event="bad", tau2=tau**2)).hospitals:
            stages[each.position.stage] += 1
    total = runs * len(SIZES)
    assert (stages["alert"] + stages["alarm"]) / total < 0.05 + 4 * sqrt(0.05 * 0.95 / total)
    assert (stages["alert"] + stages["alarm"]) / total > 0.02
    assert stages["alarm"] / total < 0.002 + 4 * sqrt(0.002 / total)

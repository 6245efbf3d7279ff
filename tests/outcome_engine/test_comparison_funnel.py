"""The limits of funnels: published positions, published tables, and what exact means."""

import numpy as np
import pytest
from scipy.stats import binom, poisson

from outcome_engine.methods.funnel import (
    distribution_of_large,
    log_ratio_limits,
    normal_nodes,
    overdispersed,
    poisson_ratio_limits,
    prediction_limits,
    root_ratio_limits,
    score_limits,
    shifted,
)
from outcome_engine.methods.power import power_above, power_below
from outcome_engine.methods.reliability import needed, reliability
from tests.outcome_engine.comparison_examples import DEATHS, HOSPITALS, OPERATIONS, RATE

COUNTS = np.arange(150)


def binomial(total: int, risk: float) -> np.ndarray:
    return overdispersed(np.full(total, risk), 0)


def place(hospital: str, level: float) -> str:
    deaths, operations = HOSPITALS[hospital]
    limits = prediction_limits(binomial(operations, RATE), level)
    return "above" if deaths > limits.upper else "below" if deaths < limits.lower else "within"


def test_the_babies_of_1991_to_1995_are_397_of_3319() -> None:
    assert (sum(DEATHS), sum(OPERATIONS)) == (397, 3319)
    assert pytest.approx(0.1196143, abs=5e-8) == RATE


def test_the_limits_of_bristol_are_the_published_ones() -> None:
    # 0.0699-0.1748 and 0.0420-0.2098: R's qbinom, after Spiegelhalter et al. 2002.
    outer = prediction_limits(binomial(143, RATE), 0.998)
    inner = prediction_limits(binomial(143, RATE), 0.95)
    shown = [inner.lower / 143, inner.upper / 143, outer.lower / 143, outer.upper / 143]
    assert [round(each, 4) for each in shown] == [0.0699, 0.1748, 0.0420, 0.2098]


def test_only_bristol_is_above_the_outer_limit_oxford_above_and_leeds_below_the_inner() -> None:
    assert [each for each in HOSPITALS if place(each, 0.998) != "within"] == ["Bristol"]
    beyond = {each: place(each, 0.95) for each in HOSPITALS if place(each, 0.95) != "within"}
    assert beyond == {"Bristol": "above", "Oxford": "above", "Leeds": "below"}


@pytest.mark.parametrize("level", [0.95, 0.998])
@pytest.mark.parametrize("total", [1, 9, 50, 143, 2000])
@pytest.mark.parametrize("target", [0.01, 0.12, 0.5, 0.97])
def test_limits_are_quantiles_and_say_what_is_beyond_them(
    total: int, target: float, level: float
) -> None:
    limits = prediction_limits(binomial(total, target), level)
    tail = (1 - level) / 2
    assert limits.lower == binom.ppf(tail, total, target)
    assert limits.upper == binom.isf(tail, total, target)
    assert limits.below == pytest.approx(binom.cdf(limits.lower - 1, total, target), abs=1e-12)
    assert limits.above == pytest.approx(binom.sf(limits.upper, total, target), abs=1e-12)
    assert max(limits.below, limits.above) <= tail * (1 + 1e-12)


@pytest.mark.parametrize(
    ("population", "limits"),
    # Rows of the proportion funnel in the tests of UKHSA's PHEindicatormethods (Fingertips), per cent.
    [
        (1, (3.204264, 100, 0, 100)),
        (3, (35.933491, 100, 10.150815, 100)),
        (41, (68.548635, 92.73626, 61.574398, 99.710497)),
        (154, (74.402301, 86.882595, 70.803745, 90.481151)),
        (1008, (78.203374, 83.081521, 76.796814, 84.488082)),
        (12316, (79.944665, 81.340231, 79.542269, 81.742627)),
        (110000, (80.408963, 80.875933, 80.274317, 81.010578)),
    ],
)
def test_score_limits_are_those_of_fingertips(
    population: int, limits: tuple[float, float, float, float]
) -> None:
    baseline = 0.80642448
    found = [
        100 * limit
        for level in (0.95, 0.998)
        for limit in score_limits(baseline, population, level)
    ]
    assert found == pytest.approx(limits, abs=2e-6)


@pytest.mark.parametrize(
    ("observed", "expected"),
    # Rows of the ratio funnel in the tests of PHEindicatormethods: how many are expected where so many
    # observed are on the lower and the upper limit of 95%, and on those of 99.8%.
    [
        (1, (5.571644585, 0.025317898, 9.233410143, 0.001000547)),
        (10, (18.39035799, 4.795387629, 24.13397235, 2.960519925)),
        (31, (44.00202211, 21.06299083, 52.35815615, 16.5905411)),
        (64, (81.72657976, 49.28780552, 92.78548002, 42.09391663)),
        (100, (121.6268111, 81.36400699, 134.9243187, 71.92139974)),
        (313, (349.6678193, 279.2813414, 371.620029, 261.1643428)),
        (716, (770.4222128, 664.5083011, 802.60414, 636.1521174)),
    ],
)
def test_ratio_limits_are_those_of_fingertips(
    observed: int, expected: tuple[float, float, float, float]
) -> None:
    for level, on_lower, on_upper in ((0.95, *expected[:2]), (0.998, *expected[2:])):
        lower, _ = poisson_ratio_limits(on_lower, level)
        _, upper = poisson_ratio_limits(on_upper, level)
        assert lower == pytest.approx(observed / on_lower, rel=1e-5)
        assert upper == pytest.approx(observed / on_upper, rel=1e-5)


def test_where_none_at_all_is_no_surprise_a_ratio_has_the_lower_limit_0() -> None:
    assert poisson_ratio_limits(3.6, 0.95)[0] == 0  # P(X = 0) = 0.027
    assert 0 < poisson_ratio_limits(3.7, 0.95)[0] < 0.01


def test_the_limits_on_transformed_scales_without_overdispersion() -> None:
    # By hand: exp(1.959964 / 10); (1 - 3.090232 / 20) squared.
    assert log_ratio_limits(100, 0, 0.95)[1] == pytest.approx(1.2165225, abs=1e-6)
    assert root_ratio_limits(100, 0, 0.998)[0] == pytest.approx(0.7148501, abs=1e-6)
    assert root_ratio_limits(1, 0, 0.998)[0] == 0


@pytest.mark.parametrize(
    ("expected", "alert", "power", "alarm", "power_of_alarm"),
    # Exact one-sided Poisson power to find a doubled rate, two digits.
    [(1, 4, 0.14, 6, 0.02), (2, 6, 0.21, 9, 0.02), (5, 11, 0.42, 14, 0.14), (10, 18, 0.70, 22, 0.36),
     (20, 30, 0.96, 36, 0.76)],
)  # fmt: skip
def test_power_to_find_a_doubled_rate(
    expected: float, alert: int, power: float, alarm: int, power_of_alarm: float
) -> None:
    usual, doubled = poisson.pmf(COUNTS, expected), poisson.pmf(COUNTS, 2 * expected)
    inner, outer = prediction_limits(usual, 0.95), prediction_limits(usual, 0.998)
    exact = float(poisson.sf(inner.upper, 2 * expected))
    assert power_above(doubled, inner) == pytest.approx(exact, abs=1e-12)
    # The tables' flags are the least counts above the limits of 97.5% and 99.9% on one side.
    assert (inner.upper + 1, outer.upper + 1) == (alert, alarm)
    assert power_above(doubled, inner) == pytest.approx(power, abs=0.006)
    assert power_above(doubled, outer) == pytest.approx(power_of_alarm, abs=0.006)


def test_power_below_counts_the_lower_side() -> None:
    limits = prediction_limits(binomial(100, 0.3), 0.95)
    halved = binomial(100, float(shifted(0.3, -np.log(2))))
    assert power_below(halved, limits) == pytest.approx(
        binom.cdf(limits.lower - 1, 100, 0.3 / 1.7), abs=1e-12
    )


def test_doubled_odds_are_doubled() -> None:
    risks = np.array([0.01, 0.25, 0.9])
    doubled = shifted(risks, np.log(2))
    assert doubled / (1 - doubled) == pytest.approx(2 * risks / (1 - risks))


def test_overdispersed_limits_are_quantiles_of_the_mixture_over_hospitals() -> None:
    nodes, weights = normal_nodes(0.4, 0.1)
    assert weights @ nodes**2 == pytest.approx(0.16)
    mixed = overdispersed(np.full(200, 0.3), 0.16)
    rng = np.random.default_rng(2)
    drawn = rng.binomial(200, shifted_many(0.3, rng.normal(0, 0.4, 400_000)))
    for level in (0.95, 0.998):
        limits, plain = (
            prediction_limits(mixed, level),
            prediction_limits(binomial(200, 0.3), level),
        )
        assert limits.lower < plain.lower < plain.upper < limits.upper
        assert np.mean(drawn > limits.upper) == pytest.approx(limits.above, abs=0.0008)
        assert np.mean(drawn < limits.lower) == pytest.approx(limits.below, abs=0.0008)


def shifted_many(risk: float, effects: np.ndarray) -> np.ndarray:
    return 1 / (1 + (1 / risk - 1) * np.exp(-effects))


def test_large_hospitals_are_approximated_closely() -> None:
    risks = np.random.default_rng(1).beta(2, 8, 4000)
    exact, near = np.cumsum(overdispersed(risks, 0)), np.cumsum(distribution_of_large(risks))
    assert np.abs(exact - near).max() < 2e-5


def test_reliability_is_the_share_of_signal_and_grows_with_children() -> None:
    assert reliability(0.04, 0.04) == 0.5
    assert reliability(0.0, 0.04) == 0.0
    # Spearman and Brown: 0.5 with 30 children is 0.7 with 70.
    assert needed(0.7, 0.04, 0.04, 30) == pytest.approx(70)
    assert needed(0.7, 0.0, 0.04, 30) == float("inf")

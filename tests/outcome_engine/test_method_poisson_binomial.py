"""The Poisson-binomial distribution against the binomial, against enumeration, and published limits."""

from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, poisson

from outcome_engine.methods.poisson_binomial import distribution, pmf, prediction_limits
from tests.outcome_engine.published import HEART_1991

# UK baby heart surgery 1991-95: 397 deaths of 3,319; limits by R's qbinom.
BASELINE = sum(deaths for _, deaths in HEART_1991.values()) / sum(
    operations for operations, _ in HEART_1991.values()
)
chances = st.lists(st.floats(0, 1), max_size=9)


def test_reproduces_the_funnel_limits_of_bristol():
    assert pytest.approx(0.1196143, abs=5e-8) == BASELINE
    limits = prediction_limits([BASELINE] * 143)
    assert [round(limit / 143, 4) for limit in limits[0.95]] == [0.0699, 0.1748]
    assert [round(limit / 143, 4) for limit in limits[0.998]] == [0.042, 0.2098]


def test_only_bristol_is_beyond_the_outer_limits_oxford_and_leeds_beyond_the_inner():
    beyond = {}
    for name, (operations, deaths) in HEART_1991.items():
        for level, (lower, upper) in prediction_limits([BASELINE] * operations).items():
            if not lower <= deaths <= upper:
                beyond[name] = (level, "above" if deaths > upper else "below")
    assert beyond == {
        "Bristol": (0.998, "above"), "Oxford": (0.95, "above"), "Leeds": (0.95, "below"),
    }  # fmt: skip


@pytest.mark.parametrize(("children", "chance"), [(1, 0.3), (64, 0.02), (65, 0.5), (700, 0.119614)])
def test_equal_chances_are_the_binomial_distribution_tails_included(children, chance):
    found = distribution(np.full(children, chance))
    reference = binom(children, chance)
    assert found.pmf == pytest.approx(reference.pmf(np.arange(children + 1)), rel=1e-9, abs=1e-295)
    assert found.mean == pytest.approx(children * chance, rel=1e-12)
    assert found.variance == pytest.approx(children * chance * (1 - chance), rel=1e-10)
    for level in (0.95, 0.998):
        tail = (1 - level) / 2
        assert found.limits(level) == (reference.ppf(tail), reference.ppf(1 - tail))


@settings(max_examples=60, deadline=None)
@given(chances)
def test_equals_the_enumeration_of_every_outcome(p):
    expected = np.zeros(len(p) + 1)
    for outcome in product((0, 1), repeat=len(p)):
        expected[sum(outcome)] += prod(
            chance if event else 1 - chance for chance, event in zip(p, outcome, strict=True)
        )
    assert distribution(p).pmf == pytest.approx(expected, rel=1e-12, abs=1e-295)


def test_halves_and_one_after_the_other_agree():
    p = np.random.default_rng(7).uniform(0, 1, 300)
    one_by_one = np.array([1.0])
    for chance in p:
        one_by_one = np.convolve(one_by_one, [1 - chance, chance])
    assert pmf(p) == pytest.approx(one_by_one, rel=1e-10, abs=0)


def test_many_children_have_the_right_mean_variance_and_far_tail():
    p = np.linspace(0.001, 0.03, 20_000)
    found = distribution(p)
    assert len(found.pmf) == 20_001
    assert found.pmf.sum() == pytest.approx(1, abs=1e-12)
    assert found.mean == pytest.approx(p.sum(), rel=1e-12)
    assert found.variance == pytest.approx((p * (1 - p)).sum(), rel=1e-9)
    assert found.pmf[0] == pytest.approx(np.exp(np.log1p(-p).sum()), rel=1e-9)


def test_limits_leave_at_most_the_nominal_chance_on_each_side_and_are_the_narrowest_such():
    counts = distribution(np.random.default_rng(3).uniform(0.05, 0.6, 90))
    for level in (0.95, 0.998):
        tail = (1 - level) / 2
        lower, upper = counts.limits(level)
        assert counts.at_most(lower - 1) < tail <= counts.at_most(lower)
        assert counts.at_least(upper + 1) <= tail < counts.at_least(upper)


def test_poisson_limits_would_be_too_wide_where_outcomes_are_common():
    # 500 children with 96 expected: Poisson limits 77 to 116 (R, qpois).
    wide = (poisson(96).ppf(0.025), poisson(96).ppf(0.975))
    assert wide == (77, 116)
    for chances_of in (np.full(500, 96 / 500), np.linspace(0.004, 0.38, 500)):
        counts = distribution(chances_of)
        assert counts.mean == pytest.approx(96)
        lower, upper = counts.limits()
        assert wide[0] < lower
        assert upper < wide[1]
        assert counts.at_most(76) + counts.at_least(117) < 0.03, "nominal: 0.05"


def test_certain_children_and_none():
    assert distribution([]).limits() == (0, 0)
    assert distribution([1.0, 0.0, 1.0]).limits() == (2, 2)
    assert distribution([0.2]).at_least(0) == 1.0
    assert distribution([0.2]).at_most(-1) == 0.0


@pytest.mark.parametrize("wrong", [[1.2], [-0.1], [float("nan")], [[0.1]]])
def test_refuses_what_is_no_chance(wrong):
    with pytest.raises(ValueError, match="chances are numbers from 0 to 1"):
        distribution(wrong)


def test_refuses_a_level_that_is_none():
    with pytest.raises(ValueError, match="is not between 0 and 1"):
        distribution([0.5]).limits(1.0)

"""The Poisson-binomial distribution against the binomial, against enumeration, and published limits."""

from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, poisson

from outcome_engine.methods.funnel import prediction_limits
from outcome_engine.methods.poisson_binomial import distribution

chances = st.lists(st.floats(0, 1), max_size=9)


@pytest.mark.parametrize(("children", "chance"), [(1, 0.3), (64, 0.02), (65, 0.5), (700, 0.119614)])
def test_equal_chances_are_the_binomial_distribution_tails_included(children, chance):
    found = distribution(np.full(children, chance))
    reference = binom(children, chance)
    assert found == pytest.approx(reference.pmf(np.arange(children + 1)), rel=1e-9, abs=1e-295)


@settings(max_examples=60, deadline=None)
@given(chances)
def test_equals_the_enumeration_of_every_outcome(p):
    expected = np.zeros(len(p) + 1)
    for outcome in product((0, 1), repeat=len(p)):
        expected[sum(outcome)] += prod(
            chance if event else 1 - chance for chance, event in zip(p, outcome, strict=True)
        )
    assert distribution(p) == pytest.approx(expected, rel=1e-12, abs=1e-295)


def test_halves_and_one_after_the_other_agree():
    p = np.random.default_rng(7).uniform(0, 1, 300)
    one_by_one = np.array([1.0])
    for chance in p:
        one_by_one = np.convolve(one_by_one, [1 - chance, chance])
    assert distribution(p) == pytest.approx(one_by_one, rel=1e-10, abs=0)


def test_many_children_have_the_right_mean_variance_and_far_tail():
    p = np.linspace(0.001, 0.03, 20_000)
    found = distribution(p)
    counts = np.arange(20_001)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    mean = counts @ found
    assert mean == pytest.approx(p.sum(), rel=1e-12)
    assert (counts - mean) ** 2 @ found == pytest.approx((p * (1 - p)).sum(), rel=1e-9)
    assert found[0] == pytest.approx(np.exp(np.log1p(-p).sum()), rel=1e-9)


def test_limits_leave_at_most_the_nominal_chance_on_each_side_and_are_the_narrowest_such():
    found = distribution(np.random.default_rng(3).uniform(0.05, 0.6, 90))
    for level in (0.95, 0.998):
        tail = (1 - level) / 2
        limits = prediction_limits(found, level)
        assert found[: limits.lower].sum() < tail
        assert tail <= found[: limits.lower + 1].sum()
        assert found[limits.upper + 1 :].sum() <= tail
        assert tail < found[limits.upper :].sum()


def test_poisson_limits_would_be_too_wide_where_outcomes_are_common():
    # 500 children with 96 expected: Poisson limits 77 to 116 (R, qpois).
    wide = (poisson(96).ppf(0.025), poisson(96).ppf(0.975))
    assert wide == (77, 116)
    for chances_of in (np.full(500, 96 / 500), np.linspace(0.004, 0.38, 500)):
        found = distribution(chances_of)
        assert np.arange(501) @ found == pytest.approx(96)
        limits = prediction_limits(found, 0.95)
        assert wide[0] < limits.lower
        assert limits.upper < wide[1]
        assert found[:77].sum() + found[117:].sum() < 0.03, "nominal: 0.05"


def test_certain_children_and_none():
    assert distribution([]) == pytest.approx([1.0])
    assert distribution([1.0, 0.0, 1.0]) == pytest.approx([0, 0, 1, 0])
    none = prediction_limits(distribution([]), 0.95)
    assert (none.lower, none.upper) == (0, 0)


@pytest.mark.parametrize("wrong", [[1.2], [-0.1], [float("nan")], [[0.1]]])
def test_refuses_what_is_no_chance(wrong):
    with pytest.raises(ValueError, match="chances are numbers from 0 to 1"):
        distribution(wrong)

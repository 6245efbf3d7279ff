"""Outcomes that are not known."""

import numpy as np
import pytest

from outcome_engine.methods.intervals import wilson
from outcome_engine.methods.missing import bounds, chained_equations, rubin, wilson_of


def test_the_bounds_are_none_and_all_of_the_missing() -> None:
    assert bounds(12, 40, 10) == (12 / 50, 22 / 50)


def test_rubins_rules_by_hand() -> None:
    # Estimates 1, 2, 3 with variance 0.5: within 0.5, between 1, total 0.5 + 4/3.
    found = rubin([1, 2, 3], [0.5, 0.5, 0.5])
    assert (found.estimate, found.within, found.between) == pytest.approx((2, 0.5, 1))
    assert found.variance == pytest.approx(0.5 + 4 / 3)
    share = (4 / 3) / (0.5 + 4 / 3)
    assert found.missing_information == pytest.approx(share)
    assert found.freedom == pytest.approx(2 / share**2)
    # Barnard and Rubin: 20 degrees of freedom without a gap.
    observed = 21 / 23 * 20 * (1 - share)
    expected = 1 / (share**2 / 2 + 1 / observed)
    assert rubin([1, 2, 3], [0.5, 0.5, 0.5], 20).freedom == pytest.approx(expected)
    with pytest.raises(ValueError, match="two imputations"):
        rubin([1], [1])


def test_wilsons_interval_where_nothing_was_missing_is_wilsons() -> None:
    assert wilson_of([41 / 143] * 5, 143) == pytest.approx(wilson(41, 143), abs=1e-9)
    assert wilson_of([0.0] * 5, 20) == pytest.approx(wilson(0, 20), abs=1e-9)
    wide = wilson_of([0.2, 0.3, 0.25, 0.35, 0.15], 143)
    narrow = wilson(36, 143)
    assert wide[0] < narrow[0]
    assert narrow[1] < wide[1]


def two_risks(rng: np.random.Generator, children: int) -> np.ndarray:
    """Half of the children have a risk of 0.2 and half of 0.6; of these most outcomes are missing."""
    high = rng.random(children) < 0.5
    event = (rng.random(children) < np.where(high, 0.6, 0.2)).astype(float)
    event[rng.random(children) < np.where(high, 0.7, 0.1)] = np.nan
    return np.column_stack([event, high])


def test_imputation_uses_what_is_known_of_the_children() -> None:
    table = two_risks(np.random.default_rng(3), 4000)
    known = table[~np.isnan(table[:, 0]), 0].mean()
    assert known < 0.33  # biased: the children of high risk are those not heard of
    done = chained_equations(table, [True, True], [0, 0], imputations=10, seed=1)
    assert np.mean([each[:, 0].mean() for each in done]) == pytest.approx(0.4, abs=0.03)


def test_imputed_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(8)
    held, runs = 0, 60
    for run in range(runs):
        table = two_risks(rng, 300)
        done = chained_equations(table, [True, True], [0, 0], imputations=10, seed=run)
        lower, upper = wilson_of([each[:, 0].mean() for each in done], 300)
        held += lower <= 0.4 <= upper
    assert held / runs >= 0.87  # 95% less three standard errors of 60 runs


def test_what_is_known_is_left_as_it_is_and_draws_are_0_or_1() -> None:
    table = two_risks(np.random.default_rng(4), 200)
    for each in chained_equations(table, [True, True], [0, 0], imputations=3, seed=2):
        known = ~np.isnan(table)
        assert (each[known] == table[known]).all()
        assert set(each[:, 0]) == {0.0, 1.0}


def test_the_same_seed_gives_the_same_tables() -> None:
    table = two_risks(np.random.default_rng(4), 100)
    first = chained_equations(table, [True, True], [0, 0], imputations=2, seed=7)
    again = chained_equations(table, [True, True], [0, 0], imputations=2, seed=7)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))


def test_two_columns_with_gaps_are_imputed_from_each_other() -> None:
    rng = np.random.default_rng(6)
    weight = rng.normal(2.5, 0.5, 3000)
    event = (rng.random(3000) < 1 / (1 + np.exp(3 * (weight - 2.5)))).astype(float)
    table = np.column_stack([event, weight])
    table[rng.random(3000) < 0.3, 0] = np.nan
    table[rng.random(3000) < 0.3, 1] = np.nan
    done = chained_equations(table, [True, False], [0, 0], imputations=5, cycles=8, seed=1)
    complete = np.corrcoef(event, weight)[0, 1]
    found = np.mean([np.corrcoef(each[:, 0], each[:, 1])[0, 1] for each in done])
    assert found == pytest.approx(complete, abs=0.05)


def test_outcomes_that_are_all_alike_have_finite_imputations() -> None:
    table = np.column_stack([np.r_[np.zeros(30), [np.nan] * 10], np.arange(40.0)])
    for each in chained_equations(table, [True, False], [0, 0], imputations=3, seed=1):
        assert np.isfinite(each).all()


def test_nothing_is_imputed_from_nothing() -> None:
    with pytest.raises(ValueError, match="column 0"):
        chained_equations([[np.nan, 1], [np.nan, 2]], [True, False], [0, 0], seed=1)
    with pytest.raises(ValueError, match="column 0"):
        chained_equations([[3, 1], [np.nan, 2]], [True, False], [0, 0], seed=1)

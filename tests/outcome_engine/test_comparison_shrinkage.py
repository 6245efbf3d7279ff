"""Shrinkage, against published results on institutional ranking.

The twelve hospitals of "Surgical: institutional ranking" of the BUGS examples, volume 1: babies who
died after cardiac surgery. lme4: glmer with 25 points of adaptive quadrature.
"""

import numpy as np
import pytest

from outcome_engine.methods.shrinkage import (
    Centre,
    fit,
    likelihoods,
    mean_of,
    plausible,
    posterior,
    quantile,
)
from tests.outcome_engine.published import SURGICAL_DEATHS, SURGICAL_OPERATIONS

DEATHS = SURGICAL_DEATHS.tolist()
EVEN = [
    np.full(total, 0.5) for total in SURGICAL_OPERATIONS
]  # even odds: the intercept is all there is


def rates(of) -> np.ndarray:
    return 1 / (1 + np.exp(-of.grid))


def test_empirical_bayes_is_lme4s() -> None:
    of = likelihoods(DEATHS, EVEN)
    centre = fit(of)
    assert centre.mean == pytest.approx(-2.5439621, abs=1e-5)
    assert centre.deviation == pytest.approx(0.35770, abs=1e-5)


def test_integrated_over_the_centre_it_is_the_full_posterior_of_the_example() -> None:
    # With the priors of BUGS, by Markov chain: .0532 .1032 .0593 .1230 .1022, sigma .399 (means).
    of = likelihoods(DEATHS, EVEN)

    def gamma_of_precision(sd: float) -> float:
        return sd**-1.002 * float(np.exp(-0.001 / sd**2))

    mass = posterior(of, plausible(of, gamma_of_precision))
    found = [mean_of(mass[each], rates(of)) for each in (0, 1, 3, 7, 10)]
    assert found == pytest.approx([0.0532, 0.1032, 0.0593, 0.1230, 0.1022], abs=4e-4)


def test_the_order_of_the_hospitals_is_the_published_one() -> None:
    # Hospital 1 has the lowest rate and 8 the highest, then 2 and 11 together: though 1 had no death.
    of = likelihoods(DEATHS, EVEN)
    mass = posterior(of, [(fit(of), 1.0)])
    found = np.array([mean_of(row, rates(of)) for row in mass])
    assert list(found.argsort()[-3:]) == [10, 1, 7]
    assert found.argmin() in {0, 4}


def test_shrinking_draws_towards_the_centre_the_more_the_fewer_the_children() -> None:
    of = likelihoods([1, 20], [np.full(5, 0.2), np.full(100, 0.2)])
    # Both see the rate that was predicted: the intercept of one is as probable above as below 0.
    mass = posterior(of, [(Centre(0.0, 0.5), 1.0)])
    widths = [quantile(row, of.grid, 0.975) - quantile(row, of.grid, 0.025) for row in mass]
    assert widths[0] > 2 * widths[1]
    assert abs(mean_of(mass[1], of.grid)) < 0.02


def test_hospitals_that_do_not_differ_have_no_deviation() -> None:
    of = likelihoods([10, 10, 10, 10], [np.full(50, 0.2)] * 4)
    assert fit(of) == Centre(pytest.approx(0, abs=1e-3), 0.0)
    # Their intervals are not without width for that: a deviation may be there and not be seen.
    row = posterior(of, plausible(of))[0]
    assert quantile(row, of.grid, 0.975) - quantile(row, of.grid, 0.025) > 0.5


def test_no_event_anywhere_has_a_centre_too() -> None:
    of = likelihoods([0, 0, 0], [np.full(20, 0.1)] * 3)
    assert np.isfinite(fit(of).mean)
    assert fit(of).mean < 0

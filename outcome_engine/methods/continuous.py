"""A funnel of a continuous score: a hospital's mean of observed less expected, against its number.

Limits are z sqrt(s2/n + tau2), s2 being the children's variance within hospitals, tau2 the additive
overdispersion (Spiegelhalter, Stat Med 2005;24:1185-1202, section on continuous responses); a bootstrap
of the children's differences takes the place of the normal quantiles where scores are skew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from outcome_engine.methods.overdispersion import Deviations

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a mean difference at a level, in units of the score."""

    level: float
    lower: float
    upper: float


def within_variance(differences: Sequence[npt.ArrayLike]) -> float:
    """Return the variance of the children's differences about their own hospital's mean.

    Raises ValueError where no hospital has two children.
    """
    rows = [np.asarray(each, float) for each in differences]
    freedom = sum(len(row) - 1 for row in rows)
    if freedom < 1:
        raise ValueError("the variance within hospitals needs a hospital with two children")
    return float(sum(((row - row.mean()) ** 2).sum() for row in rows) / freedom)


def deviations(differences: Sequence[npt.ArrayLike], variance: float) -> Deviations:
    """Return each hospital's mean difference in units of its standard error, which is beside it."""
    rows = [np.asarray(each, float) for each in differences]
    s = np.array([sqrt(variance / len(row)) for row in rows])
    return Deviations(np.array([row.mean() for row in rows]) / s, s)


def limits(variance: float, children: int, tau2: float, level: float) -> Bounds:
    """Return the limits of a mean of so many differences: z sqrt(variance/children + tau2)."""
    spread = float(norm.ppf(0.5 + level / 2)) * sqrt(variance / children + tau2)
    return Bounds(level, -spread, spread)


def bootstrap_limits(
    differences: Sequence[npt.ArrayLike], children: int, tau2: float, level: float, seed: int
) -> Bounds:
    """Return limits from 20,000 means of so many differences, drawn from all hospitals'.

    Each hospital's own mean is taken away before; a normal hospital effect of variance tau2 is added.
    """
    rng = np.random.default_rng(seed)
    pool = np.concatenate([row - row.mean() for row in (np.asarray(r, float) for r in differences)])
    # Taking the mean of a few away makes them closer to one another than children are.
    pool = pool * sqrt(len(pool) / max(1, len(pool) - len(differences)))
    draws = 20_000
    means = np.concatenate(
        [
            rng.choice(pool, size=(1_000, children)).mean(axis=1) + rng.normal(0, sqrt(tau2), 1_000)
            for _ in range(draws // 1_000)
        ]
    )
    lower, upper = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Bounds(level, float(lower), float(upper))

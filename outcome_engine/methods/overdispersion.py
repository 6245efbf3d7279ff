"""Overdispersion: how much more hospitals differ than chance lets them, added to the limits.

Spiegelhalter DJ. Handling over-dispersion of performance indicators. Qual Saf Health Care
2005;14:347-351: phi is the mean of the squared z-scores, tau2 the variance between hospitals by
moments, added to each hospital's own. Scales: the logarithm of O/E with truncation (NHS Digital's
Summary Hospital-level Mortality Indicator), its square root with winsorising (Care Quality
Commission), and the log-odds by one step of its score.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_TWO = 2

Trim = Callable[[Floats], Floats]
"""From z-scores to z-scores of which none is extreme; NaN is a hospital that is left out."""


@dataclass(frozen=True, slots=True)
class Deviations:
    """By hospital: z, the standardised distance from the target, and s, its standard error."""

    z: Floats
    s: Floats


@dataclass(frozen=True, slots=True)
class Overdispersion:
    """phi of n hospitals and the variance tau2 between them, on the scale of the deviations."""

    phi: float
    tau2: float
    n: int


def log_ratio(observed: npt.ArrayLike, expected: npt.ArrayLike) -> Deviations:
    """Return the deviations of ln(O/E), of which the standard error is 1/sqrt(E).

    Raises ValueError where nothing was observed: there is no logarithm.
    """
    seen, wanted = np.asarray(observed, float), np.asarray(expected, float)
    if np.any(seen <= 0):
        raise ValueError("the logarithm of a ratio needs an event at every hospital")
    return Deviations(np.sqrt(wanted) * np.log(seen / wanted), 1 / np.sqrt(wanted))


def root_ratio(observed: npt.ArrayLike, expected: npt.ArrayLike) -> Deviations:
    """Return the deviations of sqrt(O/E) from 1, of which the standard error is 1/(2 sqrt(E))."""
    wanted = np.asarray(expected, float)
    s = 1 / (2 * np.sqrt(wanted))
    return Deviations((np.sqrt(np.asarray(observed, float) / wanted) - 1) / s, s)


def log_odds(
    observed: npt.ArrayLike, expected: npt.ArrayLike, variance: npt.ArrayLike
) -> Deviations:
    """Return the deviations of the log-odds from what was expected, by one step of the score.

    variance is the sum of p(1-p): (O - E)/variance is the step, 1/sqrt(variance) its standard error.
    No events at all is no difficulty. Peto's estimator: Yusuf et al., Prog Cardiovasc Dis
    1985;27:335-371, appendix.
    """
    root = np.sqrt(np.asarray(variance, float))
    difference = np.asarray(observed, float) - np.asarray(expected, float)
    return Deviations(difference / root, 1 / root)


def winsorised(share: float = 0.1) -> Trim:
    """Return what sets the z-scores beyond the quantiles share and 1 - share to those quantiles."""

    def trim(z: Floats) -> Floats:
        low, high = np.quantile(z, [share, 1 - share])
        return np.clip(z, low, high)

    return trim


def truncated(share: float = 0.1) -> Trim:
    """Return what leaves out the lowest and the highest share of the z-scores, by rank.

    As the specification of the Summary Hospital-level Mortality Indicator has it: of 1/share groups
    of ranks, the first and the last.
    """
    groups = round(1 / share)

    def trim(z: Floats) -> Floats:
        rank = np.array([(np.sum(z < each) + np.sum(z <= each) + 1) / 2 for each in z])
        group = np.floor(rank * groups / (len(z) + 1))
        return np.where((group > 0) & (group < groups - 1), z, np.nan)

    return trim


def untrimmed(z: Floats) -> Floats:
    """Return the z-scores as they are."""
    return z


def overdispersion(deviations: Deviations, trim: Trim) -> Overdispersion:
    """Return phi and the additive tau2 of hospitals; tau2 is 0 where n phi is less than n - 1.

    Raises ValueError where fewer than two hospitals are left: they have no variance between them.
    """
    z = trim(deviations.z)
    kept = ~np.isnan(z)
    n = int(kept.sum())
    if n < _TWO:
        raise ValueError("overdispersion needs two hospitals")
    phi = float(np.sum(z[kept] ** 2) / n)
    weight = deviations.s[kept] ** -2
    spread = float(weight.sum() - (weight**2).sum() / weight.sum())
    return Overdispersion(phi, max(0.0, (n * phi - (n - 1)) / spread), n)


def leave_one_out(deviations: Deviations, trim: Trim) -> tuple[Overdispersion, ...]:
    """Return for each hospital the overdispersion of the others: so none can hide itself.

    Raises ValueError for fewer than three hospitals.
    """
    hospitals = np.arange(len(deviations.z))
    return tuple(
        overdispersion(
            Deviations(deviations.z[hospitals != each], deviations.s[hospitals != each]), trim
        )
        for each in hospitals
    )

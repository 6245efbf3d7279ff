"""The limits of a funnel: between what numbers chance alone would put a hospital's.

Spiegelhalter DJ. Funnel plots for comparing institutional performance. Stat Med 2005;24:1185-1202.
Prediction limits are quantiles of the distribution of the count, not confidence intervals turned
round: Seaton SE, Manktelow BN. BMC Med Res Methodol 2012;12:98.
"""

from dataclasses import dataclass
from math import exp, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import pdtrik
from scipy.stats import norm

from outcome_engine.methods.poisson_binomial import distribution

Floats = npt.NDArray[np.float64]

_LARGE = 250.0
_ROUNDING = 64 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Limits:
    """The least and the greatest count within the limits of a level, with the chance beyond each.

    below and above are the exact chances of a count below lower and above upper: for a count they
    are at most (1 - level)/2, and mostly less.
    """

    level: float
    lower: int
    upper: int
    below: float
    above: float


def prediction_limits(chances: npt.ArrayLike, level: float) -> Limits:
    """Return the quantiles (1 - level)/2 and (1 + level)/2 of a count, chances[k] being P(X = k)."""
    pmf = np.asarray(chances, float)
    # A sum of doubles may fall short of a quantile that it equals.
    tail = (1 - level) / 2 * (1 - _ROUNDING)
    up_to, from_on = np.cumsum(pmf), np.cumsum(pmf[::-1])[::-1]
    # Each tail is summed from its own end: 1 minus the other one loses its digits.
    lower = int(np.searchsorted(up_to, tail))
    upper = len(pmf) - 1 - int(np.searchsorted(from_on[::-1], tail))
    below = float(up_to[lower - 1]) if lower > 0 else 0.0
    above = float(from_on[upper + 1]) if upper + 1 < len(pmf) else 0.0
    return Limits(level, lower, upper, below, above)


def overdispersed(risks: npt.ArrayLike, tau2: float) -> Floats:
    """Return P(X = 0), … P(X = n) of children's risks, the hospital's own log-odds being N(0, tau2).

    With tau2 0 it is the Poisson-binomial distribution. Where that of large hospitals has to be
    computed many times, each is refined-normal (Volkova AY. Theory Probab Appl 1996;40:791-794).
    """
    p = np.asarray(risks, float)
    if tau2 <= 0:
        return distribution(p)
    variance = float((p * (1 - p)).sum())
    nodes, weights = normal_nodes(sqrt(tau2), 1 / sqrt(variance))
    if variance > _LARGE:
        rows = np.array([distribution_of_large(shifted(p, float(node))) for node in nodes])
    else:
        rows = _distributions(shifted(p[:, None], nodes[None, :]))
    mixed: Floats = weights @ rows
    return mixed


def distribution_of_large(risks: Floats) -> Floats:
    """Return the refined normal approximation of a Poisson-binomial distribution."""
    mean, variance = risks.sum(), (risks * (1 - risks)).sum()
    skewness = (risks * (1 - risks) * (1 - 2 * risks)).sum() / variance**1.5
    x = (np.arange(len(risks) + 1) + 0.5 - mean) / sqrt(variance)
    up_to = np.clip(norm.cdf(x) + skewness * (1 - x**2) * norm.pdf(x) / 6, 0, 1)
    up_to[-1] = 1.0
    chances: Floats = np.maximum(np.diff(up_to, prepend=0.0), 0.0)
    return chances


def _distributions(risks: Floats) -> Floats:
    """Return by column of risks the distribution of its count, as a row: child after child."""
    rows = np.zeros((risks.shape[1], len(risks) + 1))
    rows[:, 0] = 1.0
    for children, chance in enumerate(risks, start=1):
        event = rows[:, :children] * chance[:, None]
        rows[:, :children] -= event
        rows[:, 1 : children + 1] += event
    return rows


def normal_nodes(deviation: float, resolution: float) -> tuple[Floats, Floats]:
    """Return equally spaced nodes and weights for N(0, deviation squared), to six deviations.

    Nodes are no farther apart than half the resolution, so that what is mixed at them has no gaps.
    """
    step = min(deviation / 4, resolution / 2)
    reach = int(np.ceil(6 * deviation / step))
    nodes: Floats = step * np.arange(-reach, reach + 1, dtype=float)
    weights: Floats = np.exp(-((nodes / deviation) ** 2) / 2)
    return nodes, weights / weights.sum()


def shifted(risks: npt.ArrayLike, log_odds_ratio: npt.ArrayLike) -> Floats:
    """Return risks whose odds are multiplied by exp(log_odds_ratio)."""
    p = np.asarray(risks, float)
    odds = np.exp(np.asarray(log_odds_ratio, float))
    moved: Floats = p * odds / (1 - p + p * odds)
    return moved


def score_limits(target: float, total: float, level: float) -> tuple[float, float]:
    """Return the proportions whose Wilson intervals just hold the target, within [0, 1].

    The limits of UKHSA's Fingertips (package PHEindicatormethods, `sigma_adjustment`): not exact.
    """
    spread = float(norm.ppf(0.5 + level / 2)) * sqrt(target * (1 - target) / total)
    return max(0.0, target - spread), min(1.0, target + spread)


def poisson_ratio_limits(expected: float, level: float) -> tuple[float, float]:
    """Return the O/E whose exact Poisson intervals just hold 1, counts being taken as if continuous.

    The limits of UKHSA's Fingertips for ratios (package PHEindicatormethods, `poisson_funnel`).
    """
    tail = (1 - level) / 2
    lower = float(pdtrik(tail, expected)) if exp(-expected) < tail else 0.0
    upper = float(pdtrik(1 - tail, expected)) + 1
    return lower / expected, upper / expected


def log_ratio_limits(expected: float, tau2: float, level: float) -> tuple[float, float]:
    """Return O/E limits on the logarithmic scale, with overdispersion (SHMI)."""
    spread = float(norm.ppf(0.5 + level / 2)) * sqrt(1 / expected + tau2)
    return exp(-spread), exp(spread)


def root_ratio_limits(expected: float, tau2: float, level: float) -> tuple[float, float]:
    """Return O/E limits on the scale of the square root, with overdispersion (CQC)."""
    spread = float(norm.ppf(0.5 + level / 2)) * sqrt(1 / (4 * expected) + tau2)
    return max(0.0, 1 - spread) ** 2, (1 + spread) ** 2

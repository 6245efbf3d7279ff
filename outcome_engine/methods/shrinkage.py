"""Shrinkage: a hospital's result drawn towards all hospitals', the more the fewer its children.

Hospitals differ by normal random intercepts on the log-odds scale, beside each child's predicted risk.
Empirical Bayes takes the intercepts' mean and deviation where their likelihood is greatest; integrated
over what else they may be, the intervals are honest where hospitals are few: Gelman A. Bayesian Anal
2006;1:515-534 (a flat prior on the deviation).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Floats = npt.NDArray[np.float64]

_NO_WEIGHT = 1e-9
_CONVERGED = 1e-10
_NODES = 1201
_REACH = 6.0
_LEAST_DEVIATION = 2.0 * _REACH * 2 / (_NODES - 1)
"""Below two steps of the grid a normal density is not resolved: hospitals then do not differ."""


@dataclass(frozen=True, slots=True)
class Centre:
    """Of the hospitals' intercepts: their mean and their deviation, on the log-odds scale."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """By hospital (row), the log-likelihood of each intercept of the grid."""

    grid: Floats
    logs: Floats


def likelihoods(events: Sequence[int], risks: Sequence[npt.ArrayLike]) -> Likelihoods:
    """Return what each hospital's count says of its intercept, beside the risks of its children.

    risks are strictly between 0 and 1. The grid reaches 6 to either side of the pooled log-odds.
    """
    offsets = [np.log(p) - np.log1p(-p) for p in (np.asarray(each, float) for each in risks)]
    middle = _pooled(sum(events), np.concatenate(offsets))
    grid = middle + np.linspace(-_REACH, _REACH, _NODES)
    rows = []
    for count, offset in zip(events, offsets, strict=True):
        values, times = np.unique(offset, return_counts=True)
        rows.append(count * grid - times @ np.logaddexp(0, values[:, None] + grid[None, :]))
    return Likelihoods(grid, np.array(rows))


def marginal(of: Likelihoods, centre: Centre) -> float:
    """Return the log-likelihood of a centre, the hospitals' intercepts integrated out."""
    return float(np.sum(_evidence(of.logs + _prior(of.grid, centre))))


def fit(of: Likelihoods) -> Centre:
    """Return the centre of the greatest likelihood; a deviation of 0 where hospitals do not differ."""
    middle = float(of.grid[_NODES // 2])

    def loss(point: Floats) -> float:
        return -marginal(of, Centre(float(point[0]), float(np.exp(point[1]))))

    bounds = [
        (middle - _REACH / 2, middle + _REACH / 2),
        (np.log(_LEAST_DEVIATION), np.log(_REACH)),
    ]
    start = np.array([middle, np.log(0.3)])
    found = minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14})
    mean, deviation = float(found.x[0]), float(np.exp(found.x[1]))
    return Centre(mean, deviation if deviation > 1.01 * _LEAST_DEVIATION else 0.0)


def flat(deviation: float) -> float:
    """Return the flat prior density of a deviation."""
    return 1.0 if deviation > 0 else 0.0


def plausible(
    of: Likelihoods, prior: Callable[[float], float] = flat, most: float = 2.0
) -> list[tuple[Centre, float]]:
    """Return centres on a grid, with their weights: likelihood times prior, the mean's being flat.

    The deviations lie between the least that is resolved and `most`, each with means to five standard
    errors either side of the pooled log-odds; what has no weight is left out.
    """
    middle = _NODES // 2
    step = of.grid[1] - of.grid[0]
    information = -np.diff(of.logs[:, middle - 1 : middle + 2], 2, axis=1)[:, 0] / step**2
    total, effective = information.sum(), information.sum() ** 2 / (information**2).sum()
    deviations = np.geomspace(_LEAST_DEVIATION, most, 60)
    errors = np.sqrt(deviations**2 / effective + 1 / total)
    offsets = np.linspace(-5, 5, 25)
    centres = [
        Centre(float(of.grid[middle] + error * offset), float(deviation))
        for deviation, error in zip(deviations, errors, strict=True)
        for offset in offsets
    ]
    # Every point stands for its share of the grid: steps of the mean times steps of the deviation.
    shares = np.repeat(errors * deviations, len(offsets))
    logs = np.log(_marginals(of, centres)[0]).sum(axis=0)
    weights = np.exp(logs - logs.max()) * shares * [prior(each.deviation) for each in centres]
    weights /= weights.sum()
    return [(each, float(w)) for each, w in zip(centres, weights, strict=True) if w > _NO_WEIGHT]


def posterior(of: Likelihoods, centres: Sequence[tuple[Centre, float]]) -> Floats:
    """Return by hospital (row) the probability of each intercept of the grid, given weighted centres."""
    marginals, priors = _marginals(of, [each for each, _ in centres])
    weights = np.array([weight for _, weight in centres])
    joint = _relative(of) * ((weights / marginals) @ priors)
    mass: Floats = joint / joint.sum(axis=1, keepdims=True)
    return mass


def mean_of(mass: Floats, values: Floats) -> float:
    """Return the mean of a quantity that has values[k] at intercept k, of one hospital."""
    return float(mass @ values)


def quantile(mass: Floats, values: Floats, share: float) -> float:
    """Return a quantile of a quantity that increases with the intercept, of one hospital."""
    return float(np.interp(share, np.cumsum(mass) - mass / 2, values))


def _pooled(events: int, offsets: Floats) -> float:
    # Newton's steps from a rate that is off its bounds, so that no event at all has a place too.
    wanted = min(max(events, 0.5), len(offsets) - 0.5)
    theta = 0.0
    for _ in range(100):
        p = 1 / (1 + np.exp(-(offsets + theta)))
        step = (wanted - p.sum()) / (p * (1 - p)).sum()
        theta += float(np.clip(step, -1, 1))
        if abs(step) < _CONVERGED:
            break
    return theta


def _prior(grid: Floats, centre: Centre) -> Floats:
    deviation = max(centre.deviation, _LEAST_DEVIATION / 4)
    logs = -(((grid - centre.mean) / deviation) ** 2) / 2
    normed: Floats = logs - np.log(np.exp(logs - logs.max()).sum()) - logs.max()
    return normed


def _evidence(joint: Floats) -> Floats:
    top = joint.max(axis=1)
    total: Floats = top + np.log(np.exp(joint - top[:, None]).sum(axis=1))
    return total


def _relative(of: Likelihoods) -> Floats:
    relative: Floats = np.exp(of.logs - of.logs.max(axis=1, keepdims=True))
    return relative


def _marginals(of: Likelihoods, centres: Sequence[Centre]) -> tuple[Floats, Floats]:
    """Return the hospitals' (rows) marginal likelihoods of centres (columns), and these as priors."""
    priors = np.exp([_prior(of.grid, each) for each in centres])
    return np.maximum(_relative(of) @ priors.T, 1e-300), priors

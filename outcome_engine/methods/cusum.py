"""The risk-adjusted CUSUM of log-likelihood ratios, with limits from a Markov chain.

Steiner SH, Cook RJ, Farewell VT, Treasure T. Monitoring surgical performance using risk-adjusted
cumulative sum charts. Biostatistics 2000;1:441-452. Brook D, Evans DA. An approach to the probability
distribution of CUSUM run length. Biometrika 1972;59:539-549.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mix:
    """The children whom a chart is for: their risks, and the share of them who have each."""

    risks: Floats
    shares: Floats


def mix(risks: npt.ArrayLike) -> Mix:
    """Return the mix of children as they came, of whom each has the same share."""
    values, counts = np.unique(np.asarray(risks, float), return_counts=True)
    return Mix(values, counts / counts.sum())


def scores(events: npt.ArrayLike, risks: npt.ArrayLike, odds_ratio: float) -> Floats:
    """Return Steiner's scores: the log-likelihood ratio of odds times odds_ratio against as expected.

    With an event ln(R / (1 - p + R p)), without one ln(1 / (1 - p + R p)).
    """
    p = np.asarray(risks, float)
    weights: Floats = np.asarray(events, float) * np.log(odds_ratio) - np.log1p(
        (odds_ratio - 1) * p
    )
    return weights


def cusum(events: npt.ArrayLike, risks: npt.ArrayLike, odds_ratio: float) -> Floats:
    """Return the chart: X = max(0, X + score), child after child, from 0."""
    line, level = [], 0.0
    for score in scores(events, risks, odds_ratio):
        level = max(0.0, level + float(score))
        line.append(level)
    return np.array(line)


def signals(line: npt.ArrayLike, limit: float) -> list[int]:
    """Return the positions at which a chart first stands above the limit after being at or below it."""
    above = np.concatenate([[False], np.asarray(line, float) > limit])
    return [int(each) for each in np.flatnonzero(above[1:] & ~above[:-1])]


def run_length(
    of: Mix, odds_ratio: float, limit: float, true_odds_ratio: float = 1.0, states: int = 500
) -> float:
    """Return the mean number of children until the first signal, from a chart that begins at 0.

    The chart stands on one of `states` + 1 points from 0 to the limit; a score that leads between two
    points goes to both, so that its mean is kept. With true_odds_ratio 1 the process is in control.
    """
    width = limit / states
    jumps, chances = _scores_of(of, odds_ratio, true_odds_ratio)
    steps = jumps / width
    below = np.floor(steps).astype(int)
    upper_share = steps - below
    moves: dict[int, float] = {}
    for step, share, chance in zip(below, upper_share, chances, strict=True):
        moves[int(step)] = moves.get(int(step), 0.0) + chance * (1 - share)
        moves[int(step) + 1] = moves.get(int(step) + 1, 0.0) + chance * share
    chain = np.zeros((states + 1, states + 1))
    origin = np.arange(states + 1)
    for step, chance in moves.items():
        target = np.maximum(origin + step, 0)
        inside = target <= states
        np.add.at(chain, (origin[inside], target[inside]), chance)
    lengths = np.linalg.solve(np.eye(states + 1) - chain, np.ones(states + 1))
    return float(lengths[0])


def limit_for(of: Mix, odds_ratio: float, wanted: float, states: int = 500) -> float:
    """Return the limit at which the mean run length in control is the wanted one, to 1e-4.

    Raises ValueError where no limit up to 20 reaches it, or where 0.1 has more already.
    """

    def excess(limit: float) -> float:
        return float(np.log(run_length(of, odds_ratio, limit, states=states) / wanted))

    if excess(0.1) > 0 or excess(20.0) < 0:
        raise ValueError(f"no limit gives a run length of {wanted:g} children")
    return float(brentq(excess, 0.1, 20.0, xtol=1e-4))


def _scores_of(of: Mix, odds_ratio: float, true_odds_ratio: float) -> tuple[Floats, Floats]:
    truth = of.risks * true_odds_ratio / (1 + (true_odds_ratio - 1) * of.risks)
    ones, zeros = np.ones_like(of.risks), np.zeros_like(of.risks)
    jumps = np.concatenate(
        [scores(ones, of.risks, odds_ratio), scores(zeros, of.risks, odds_ratio)]
    )
    return jumps, np.concatenate([of.shares * truth, of.shares * (1 - truth)])

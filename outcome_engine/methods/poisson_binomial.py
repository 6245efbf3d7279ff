"""The number of events among children whose chances differ: the Poisson-binomial distribution.

Hong Y. On computing the distribution function for the Poisson binomial distribution. Comput Stat
Data Anal 2013;59:41-51. Here it is computed by dividing the children and convolving the halves,
directly and not by Fourier transform: every term is positive, so that each probability, that of a
far tail too, is exact to some rounding errors of a double. What is less than 1e-300 is taken as 0
and not convolved, which leaves a width that grows as the square root of n: the cost grows as n, and
100,000 children take less than a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]

_NOTHING = 1e-300
_SMALL = 64
"""Below this many children one after the other is quicker than halves."""
_ROUNDING = 64 * np.finfo(np.float64).eps
"""A cumulative probability this near to a quantile's is meant to be equal, as in R's qbinom."""


@dataclass(frozen=True, slots=False, eq=False)
class PoissonBinomial:
    """A distribution of counts: `pmf[k]` is the probability of k events, k from 0 to n."""

    pmf: Vector

    @cached_property
    def mean(self) -> float:
        """The expected number of events."""
        return float(self._counts @ self.pmf)

    @cached_property
    def variance(self) -> float:
        """The variance of the number of events."""
        return float((self._counts - self.mean) ** 2 @ self.pmf)

    def at_most(self, count: int) -> float:
        """Return the probability of this many events or fewer."""
        return float(min(1.0, self.pmf[: max(0, count + 1)].sum()))

    def at_least(self, count: int) -> float:
        """Return the probability of this many events or more."""
        return float(min(1.0, self.pmf[max(0, count) :].sum()))

    def quantile(self, probability: float) -> int:
        """Return the least count that at most this many events have at least this probability.

        Raises ValueError unless the probability lies between 0 and 1.
        """
        if not 0 < probability < 1:
            raise ValueError(f"{probability} is not between 0 and 1")
        reached = self._cumulative >= probability * (1 - _ROUNDING)
        return int(np.argmax(reached))

    def limits(self, level: float = 0.95) -> tuple[int, int]:
        """Return the prediction limits (lower, upper), both counts within.

        The chance of fewer than lower is at most (1 - level) / 2, and so is that of more than
        upper: the limits that Seaton and Manktelow ask for (BMC Med Res Methodol 2012;12:98), where
        the chances of the children are known. Raises ValueError unless 0 < level < 1.
        """
        tail = (1 - level) / 2
        return self.quantile(tail), self.quantile(1 - tail)

    @property
    def _counts(self) -> Vector:
        return np.arange(len(self.pmf), dtype=np.float64)

    @cached_property
    def _cumulative(self) -> Vector:
        total: Vector = np.cumsum(self.pmf)
        total[-1] = 1.0  # by definition; a sum of doubles may miss it
        return total


def distribution(chances: ArrayLike) -> PoissonBinomial:
    """Return the distribution of the number of events, given each child's chance.

    Without children it is the certain 0. Raises ValueError for a chance outside [0, 1].
    """
    p = np.asarray(chances, dtype=np.float64)
    if p.ndim != 1 or not bool(np.all((p >= 0) & (p <= 1))):
        raise ValueError("chances are numbers from 0 to 1, one a child")
    first, values = _convolved(p)
    found = np.zeros(len(p) + 1)
    found[first : first + len(values)] = values
    return PoissonBinomial(found)


def pmf(chances: ArrayLike) -> Vector:
    """Return the probabilities of 0 to n events alone, as `distribution` does."""
    return distribution(chances).pmf


def prediction_limits(
    chances: ArrayLike, levels: Sequence[float] = (0.95, 0.998)
) -> dict[float, tuple[int, int]]:
    """Return the prediction limits of the number of events at each level."""
    counts = distribution(chances)
    return {level: counts.limits(level) for level in levels}


def _convolved(p: Vector) -> tuple[int, Vector]:
    """Return the probabilities from the first count on whose probability is not next to nothing."""
    if len(p) > _SMALL:
        half = len(p) // 2
        (first, some), (second, others) = _convolved(p[:half]), _convolved(p[half:])
        return _trimmed(first + second, np.convolve(some, others))
    values = np.zeros(len(p) + 1)
    values[0] = 1.0
    for children, chance in enumerate(p, start=1):
        values[1 : children + 1] = (
            values[1 : children + 1] * (1 - chance) + values[:children] * chance
        )
        values[0] *= 1 - chance
    return _trimmed(0, values)


def _trimmed(first: int, values: Vector) -> tuple[int, Vector]:
    there = np.flatnonzero(values > _NOTHING)
    return first + int(there[0]), values[there[0] : there[-1] + 1]

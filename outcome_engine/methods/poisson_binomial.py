"""The number of events among children whose chances differ: the Poisson-binomial distribution.

Hong Y. On computing the distribution function for the Poisson binomial distribution. Comput Stat
Data Anal 2013;59:41-51. Here it is computed by dividing the children and convolving the halves,
directly and not by Fourier transform: every term is positive, so that each probability, that of a
far tail too, is exact to some rounding errors of a double. What is less than 1e-300 is taken as 0
and not convolved, which leaves a width that grows as the square root of n: the cost grows as n, and
100,000 children take less than a second.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]

_NOTHING = 1e-300
_SMALL = 64
"""Below this many children one after the other is quicker than halves."""


def distribution(chances: ArrayLike) -> Vector:
    """Return P(X = 0), … P(X = n) of the number X of events, given each child's chance.

    Without children it is the certain 0. Raises ValueError for a chance outside [0, 1].
    """
    p = np.asarray(chances, dtype=np.float64)
    if p.ndim != 1 or not bool(np.all((p >= 0) & (p <= 1))):
        raise ValueError("chances are numbers from 0 to 1, one a child")
    first, values = _convolved(p)
    found = np.zeros(len(p) + 1)
    found[first : first + len(values)] = values
    return found


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

"""Indirect standardisation: what a hospital saw against what its own children led to expect.

Breslow NE, Day NE. Statistical methods in cancer research, volume II. IARC 1987, section 2.3. The
limits are prediction limits, exact by the Poisson-binomial distribution (Seaton SE, Manktelow BN.
BMC Med Res Methodol 2012;12:98), not confidence intervals: they say what chance alone would bring
about, were each child's predicted chance true. Ratios of two hospitals are not to be compared with
each other (Manktelow BN et al., PLoS One 2013;8:e61237): each has its own children.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outcome_engine.methods.poisson_binomial import distribution

LEVELS = (0.95, 0.998)
"""The two levels of a funnel (Spiegelhalter DJ. Stat Med 2005;24:1185-1202)."""


@dataclass(frozen=True, slots=True)
class Standardised:
    """O and E of n children, with prediction limits of O at each level.

    `variance` is that of O. `ratio` and `ratio_limits` are None where nothing is expected. `at_most`
    and `at_least` are the chances of so few and of so many events.
    """

    n: int
    observed: int
    expected: float
    variance: float
    limits: Mapping[float, tuple[int, int]]
    at_most: float
    at_least: float

    @property
    def ratio(self) -> float | None:
        """O / E."""
        return self.observed / self.expected if self.expected > 0 else None

    @property
    def ratio_limits(self) -> Mapping[float, tuple[float, float]] | None:
        """The prediction limits of O / E at each level."""
        if self.expected <= 0:
            return None
        return {
            level: (lower / self.expected, upper / self.expected)
            for level, (lower, upper) in self.limits.items()
        }


def standardise(
    observed: ArrayLike, predicted: ArrayLike, levels: Sequence[float] = LEVELS
) -> Standardised:
    """Compare events (0 or 1 a child) with their predicted chances (from 0 to 1, in that order).

    Raises ValueError where the two are not alike in number, or hold anything else: a missing
    outcome is to be decided about beforehand.
    """
    events = np.asarray(observed, dtype=np.float64)
    chances = np.asarray(predicted, dtype=np.float64)
    if events.shape != chances.shape or not bool(np.isin(events, (0.0, 1.0)).all()):
        raise ValueError("an outcome is 0 or 1, and each has its predicted chance")
    counts = distribution(chances)
    count = int(events.sum())
    return Standardised(
        n=len(events),
        observed=count,
        expected=float(chances.sum()),
        variance=float((chances * (1 - chances)).sum()),
        limits={level: counts.limits(level) for level in levels},
        at_most=counts.at_most(count),
        at_least=counts.at_least(count),
    )

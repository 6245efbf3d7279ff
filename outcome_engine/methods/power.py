"""Power: how probably a hospital that truly differs would be found outside its limits."""

import numpy as np
import numpy.typing as npt

from outcome_engine.methods.funnel import Limits


def power_above(true_chances: npt.ArrayLike, limits: Limits) -> float:
    """Return the chance of a count above the upper limit, where P(X = k) is true_chances[k]."""
    return float(np.asarray(true_chances, float)[limits.upper + 1 :].sum())


def power_below(true_chances: npt.ArrayLike, limits: Limits) -> float:
    """Return the chance of a count below the lower limit, where P(X = k) is true_chances[k]."""
    return float(np.asarray(true_chances, float)[: limits.lower].sum())

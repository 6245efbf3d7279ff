"""Confidence intervals of a proportion.

Wilson EB. Probable inference, the law of succession, and statistical inference. J Am Stat Assoc
1927;22:209-212. Newcombe RG. Stat Med 1998;17:857-872, method 3 (without continuity correction).
"""

from math import sqrt
from statistics import NormalDist


def wilson(events: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of events / total, within [0, 1].

    Raises ValueError unless 0 <= events <= total and total > 0.
    """
    if not 0 <= events <= total or total == 0:
        raise ValueError(f"{events} of {total} is not a proportion")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    proportion = events / total
    centre = proportion + z * z / (2 * total)
    spread = z * sqrt(proportion * (1 - proportion) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    # At 0 and at all, one limit is the bound itself: rounding must not move it.
    lower = 0.0 if events == 0 else (centre - spread) / scale
    upper = 1.0 if events == total else (centre + spread) / scale
    return lower, upper

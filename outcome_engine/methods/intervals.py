"""Confidence intervals of a proportion, and of a count.

Wilson EB. Probable inference, the law of succession, and statistical inference. J Am Stat Assoc
1927;22:209-212. Newcombe RG. Stat Med 1998;17:857-872: method 3 (Wilson, without continuity
correction), method 5 (Clopper-Pearson), method 6 (mid-p). Byar's limits of a count: Breslow NE, Day
NE. Statistical methods in cancer research, volume II. IARC 1987, equation 2.10.

Every function raises ValueError for what is no proportion, no count or no level.
"""

from math import nan, sqrt
from statistics import NormalDist


def wilson(events: float, total: float, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of events / total, within [0, 1]."""
    _refuse_no_proportion(events, total)
    z = _normal(level)
    proportion = events / total
    centre = proportion + z * z / (2 * total)
    spread = z * sqrt(proportion * (1 - proportion) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    # At 0 and at all, one limit is the bound itself: rounding must not move it.
    lower = 0.0 if events == 0 else (centre - spread) / scale
    upper = 1.0 if events == total else (centre + spread) / scale
    return lower, upper


def clopper_pearson(events: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of events / total: its coverage is at least the level, always."""
    from scipy.special import betaincinv  # noqa: PLC0415 - a server starts without scipy

    _refuse_no_proportion(events, total)
    tail = _tail(level)
    lower = 0.0 if events == 0 else float(betaincinv(events, total - events + 1, tail))
    upper = 1.0 if events == total else float(betaincinv(events + 1, total - events, 1 - tail))
    return lower, upper


def mid_p(events: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return the mid-p interval of events / total: half of the chance of what was seen counts.

    Narrower than the exact interval; its coverage is near the level, at times below it.
    """
    from scipy.optimize import brentq  # noqa: PLC0415 - a server starts without scipy
    from scipy.special import bdtr, bdtrc  # noqa: PLC0415

    _refuse_no_proportion(events, total)
    tail = _tail(level)

    def at_most(p: float) -> float:
        below = bdtr(events - 1, total, p) if events else 0.0
        return float((below + bdtr(events, total, p)) / 2)

    def at_least(p: float) -> float:
        above = bdtrc(events - 1, total, p) if events else 1.0
        return float((above + bdtrc(events, total, p)) / 2)

    def root(chance: object) -> float:
        return float(brentq(chance, 0.0, 1.0, xtol=1e-15, rtol=1e-14))

    lower = 0.0 if events == 0 else root(lambda p: at_least(p) - tail)
    upper = 1.0 if events == total else root(lambda p: at_most(p) - tail)
    return lower, upper


def exact_count(count: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact Poisson interval of the mean of a count (Garwood, Biometrika 1936;28:437)."""
    from scipy.special import gammaincinv  # noqa: PLC0415 - a server starts without scipy

    tail = _refuse_no_count(count, level)
    lower = 0.0 if count == 0 else float(gammaincinv(count, tail))
    return lower, float(gammaincinv(count + 1, 1 - tail))


def byar(count: float, level: float = 0.95) -> tuple[float, float]:
    """Return Byar's interval of the mean of a count; the lower limit is NaN where it has none.

    It is an approximation for counts of 10 and more; below, `exact_count` is to be used.
    """
    _refuse_no_count(count, level)
    z = _normal(level)
    more = count + 1
    root = 1 - 1 / (9 * count) - z / (3 * sqrt(count)) if count else nan
    lower = count * root**3 if root >= 0 else nan
    return lower, more * (1 - 1 / (9 * more) + z / (3 * sqrt(more))) ** 3


def _normal(level: float) -> float:
    return NormalDist().inv_cdf(1 - _tail(level))


def _tail(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"{level} is not a level: it lies between 0 and 1")
    return (1 - level) / 2


def _refuse_no_proportion(events: float, total: float) -> None:
    if not 0 <= events <= total or total == 0:
        raise ValueError(f"{events} of {total} is not a proportion")


def _refuse_no_count(count: float, level: float) -> float:
    if count < 0:
        raise ValueError(f"{count} is not a count")
    return _tail(level)

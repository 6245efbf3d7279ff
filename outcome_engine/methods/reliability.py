"""Reliability: what share of the differences between hospitals is signal, hospital by hospital.

Adams JL. The reliability of provider profiling: a tutorial. RAND TR-653-NCQA, 2009. NSQIP Pediatric
prints it with each indicator: Pediatrics 2013;132:e677-e688.
"""

from math import inf


def reliability(tau2: float, variance: float) -> float:
    """Return tau2 / (tau2 + variance): 0 is all noise, 1 all signal.

    tau2 is the variance between hospitals, variance that of one hospital's estimate, on one scale.
    """
    return tau2 / (tau2 + variance) if tau2 > 0 else 0.0


def needed(wanted: float, tau2: float, variance: float, children: int) -> float:
    """Return how many children such as a hospital's would give the wanted reliability.

    Spearman and Brown: the variance is inverse to the number. Infinite where tau2 is 0.
    """
    if tau2 <= 0:
        return inf
    return children * variance / tau2 * wanted / (1 - wanted)

"""Directly standardised rates: what a rate would be if the population were a standard one.

Dobson AJ, Kuulasmaa K, Eberle E, Scherer J. Confidence intervals for weighted sums of Poisson
parameters. Stat Med 1991;10:457-462, with Byar's limits of the count, as UKHSA's Fingertips has them
(package PHEindicatormethods, `calculate_dsr` and the funnels of rates). For setting its indicators
beside ours: a hospital without a child of some stratum has no such rate, so none is compared by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from outcome_engine.methods.funnel import poisson_ratio_limits
from outcome_engine.methods.intervals import byar

LEAST_EVENTS = 10
"""Below it neither Byar's limits nor a standardised rate is to be used (Fingertips)."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """Events among so many people of a stratum (an age band), and the standard population's people."""

    events: int
    people: float
    standard: float


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate by person, with its interval."""

    value: float
    lower: float
    upper: float


def directly_standardised(strata: Sequence[Stratum], level: float = 0.95) -> Rate:
    """Return the rate that the standard population would have with the rates of these strata.

    Raises ValueError for fewer than ten events, a stratum without people, or no standard population.
    """
    events = sum(each.events for each in strata)
    total = sum(each.standard for each in strata)
    if events < LEAST_EVENTS:
        raise ValueError(f"a rate of {events} events is not standardised: there must be ten")
    if total <= 0 or any(each.people <= 0 or each.standard < 0 for each in strata):
        raise ValueError("a stratum has no people, or there is no standard population")
    weights = [each.standard / total / each.people for each in strata]
    value = sum(weight * each.events for weight, each in zip(weights, strata, strict=True))
    variance = sum(weight**2 * each.events for weight, each in zip(weights, strata, strict=True))
    scale = sqrt(variance / events)
    lower, upper = byar(events, level)
    return Rate(value, value + scale * (lower - events), value + scale * (upper - events))


def average(areas: Sequence[tuple[int, float]]) -> float:
    """Return the rate of all areas, each given as its events and its standardised rate.

    An area counts with the people among whom its events would give its rate.
    """
    return sum(events for events, _ in areas) / sum(events / rate for events, rate in areas)


def rate_limits(baseline: float, people: float, level: float) -> tuple[float, float]:
    """Return the rates between which chance alone puts that of an area of so many people."""
    lower, upper = poisson_ratio_limits(baseline * people, level)
    return baseline * lower, baseline * upper

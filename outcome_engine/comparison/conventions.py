"""Limits as other programmes draw them, beside a comparison: for setting their figures against ours.

They are approximations, and tell nothing that the exact limits do not: docs/statistics.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from outcome_engine.comparison.policy import CONVENTIONS, POLICY, Policy
from outcome_engine.comparison.result import Compared, Interval
from outcome_engine.methods import funnel
from outcome_engine.methods.intervals import byar, exact_count, wilson
from outcome_engine.methods.overdispersion import (
    log_ratio,
    overdispersion,
    root_ratio,
    truncated,
    winsorised,
)

Limits = Callable[[Compared, float], Interval]
_BYAR_FROM = 10


@dataclass(frozen=True, slots=True)
class Conventional:
    """A hospital by a convention: its proportion or O/E with an interval, and limits of it."""

    id: str
    value: float
    interval: Interval
    alert: Interval
    alarm: Interval


def conventional(
    hospitals: Sequence[Compared], convention: str, policy: Policy = POLICY
) -> tuple[Conventional, ...]:
    """Return hospitals by a convention, one of `policy.CONVENTIONS`, in the order given.

    Raises ValueError where hospitals are fewer than two, or one without an event has no logarithm.
    """
    limits = _LIMITS[convention](hospitals)
    is_proportion = convention == "fingertips-proportion"
    return tuple(
        Conventional(
            each.id,
            each.observed / each.known if is_proportion else each.ratio,
            wilson(each.observed, each.known, policy.interval)
            if is_proportion
            else _ratio_interval(each, policy.interval),
            limits(each, policy.alert),
            limits(each, policy.alarm),
        )
        for each in hospitals
    )


def _ratio_interval(compared: Compared, level: float) -> Interval:
    interval = byar if compared.observed >= _BYAR_FROM else exact_count
    lower, upper = interval(compared.observed, level)
    return lower / compared.expected, upper / compared.expected


def _fingertips_proportion(hospitals: Sequence[Compared]) -> Limits:
    target = sum(each.observed for each in hospitals) / sum(each.known for each in hospitals)
    return lambda each, level: funnel.score_limits(target, each.known, level)


def _fingertips_ratio(_: Sequence[Compared]) -> Limits:
    return lambda each, level: funnel.poisson_ratio_limits(each.expected, level)


def _shmi(hospitals: Sequence[Compared]) -> Limits:
    tau2 = overdispersion(log_ratio(*_counts(hospitals)), truncated()).tau2
    return lambda each, level: funnel.log_ratio_limits(each.expected, tau2, level)


def _cqc(hospitals: Sequence[Compared]) -> Limits:
    tau2 = overdispersion(root_ratio(*_counts(hospitals)), winsorised()).tau2
    return lambda each, level: funnel.root_ratio_limits(each.expected, tau2, level)


def _counts(hospitals: Sequence[Compared]) -> tuple[list[int], list[float]]:
    return [each.observed for each in hospitals], [each.expected for each in hospitals]


_LIMITS: Mapping[str, Callable[[Sequence[Compared]], Limits]] = dict(
    zip(CONVENTIONS, (_fingertips_proportion, _fingertips_ratio, _shmi, _cqc), strict=True)
)

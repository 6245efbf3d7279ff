"""Hospitals compared by a continuous score, as the Treatment Success Score: observed less expected.

The funnel of `methods.continuous`; like `comparison`, each hospital against its own expectation, limits
that allow for the variance between the others, and beside every result what could have been found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from outcome_engine.comparison import between
from outcome_engine.comparison.policy import POLICY, Policy
from outcome_engine.comparison.result import NotCompared, Position
from outcome_engine.comparison.statements import NOT_SAFETY
from outcome_engine.methods.continuous import (
    Bounds,
    bootstrap_limits,
    deviations,
    limits,
    within_variance,
)
from outcome_engine.methods.overdispersion import Overdispersion
from outcome_engine.methods.reliability import reliability
from r4.issue import FhirError, error

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScoredHospital:
    """A hospital's children: their scores, None where not known, and the scores expected of them."""

    id: str
    observed: Sequence[float | None]
    expected: Sequence[float]


@dataclass(frozen=True, slots=True)
class ScoreCompared:
    """One hospital's mean of observed less expected, with its limits, in units of the score.

    detectable is the true shortfall that would be beyond the alert limits with the policy's power.
    """

    id: str
    known: int
    missing: int
    mean: float
    alert: Bounds
    alarm: Bounds
    others: Overdispersion | None
    position: Position
    reliability: float
    detectable: float
    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoreComparison:
    """Every hospital in the order given; variance is that of children within hospitals."""

    policy: Policy
    hospitals: tuple[ScoreCompared, ...]
    not_compared: tuple[NotCompared, ...]
    variance: float
    together: Overdispersion | None


@dataclass(frozen=True, slots=True)
class _Alike:
    """What is alike for all hospitals: their children's differences, and what was estimated of them."""

    rows: list[Floats]
    variance: float
    tau2: float
    skew: bool


def compare_scores(
    hospitals: Sequence[ScoredHospital], policy: Policy = POLICY, *, skew: bool = False
) -> ScoreComparison:
    """Compare each hospital's scores, of which a higher one is better, with those expected.

    With skew the limits are a bootstrap's. policy.tau2 is taken on the scale of the score. Raises
    FhirError 422 naming hospitals whose figures cannot be, and where too few can be compared.
    """
    rows = {each.id: _differences(each) for each in hospitals}
    enough = [each for each in hospitals if len(rows[each.id]) >= policy.children]
    few = tuple(
        between.not_compared(
            each.id, "score", len(rows[each.id]), len(each.observed) - len(rows[each.id]), policy
        )
        for each in hospitals
        if len(rows[each.id]) < policy.children
    )
    between.refuse_too_few(len(enough), few, policy)
    kept = [rows[each.id] for each in enough]
    variance = within_variance(kept)
    together, others = (
        between.estimated(deviations(kept, variance), policy)
        if variance > 0
        else (None, [None] * len(kept))
    )
    alike = _Alike(kept, variance, between.tau2(together, policy), skew)
    return ScoreComparison(
        policy,
        tuple(
            _compared(each, differences, of, alike, policy)
            for each, differences, of in zip(enough, kept, others, strict=True)
        ),
        few,
        variance,
        together,
    )


def _differences(hospital: ScoredHospital) -> Floats:
    finite = all(np.isfinite(each) for each in (*hospital.expected, *_known(hospital)))
    if len(hospital.observed) != len(hospital.expected) or not finite:
        message = (
            f"Hospital {hospital.id} needs one expected score for each child, and finite scores."
        )
        raise FhirError(422, [error("value", message)])
    pairs = zip(hospital.observed, hospital.expected, strict=True)
    return np.array([seen - wanted for seen, wanted in pairs if seen is not None], float)


def _known(hospital: ScoredHospital) -> list[float]:
    return [each for each in hospital.observed if each is not None]


def _compared(
    hospital: ScoredHospital,
    differences: Floats,
    others: Overdispersion | None,
    alike: _Alike,
    policy: Policy,
) -> ScoreCompared:
    known, own, variance = len(differences), between.tau2(others, policy), alike.variance
    alert, alarm = (
        bootstrap_limits(alike.rows, known, own, level, policy.seed)
        if alike.skew
        else limits(variance, known, own, level)
        for level in (policy.alert, policy.alarm)
    )
    mean = float(differences.mean())
    error_of_mean = sqrt(variance / known)
    position = _position(mean, alert, alarm)
    detectable = -alert.lower + float(norm.ppf(policy.power)) * error_of_mean
    signal = reliability(alike.tau2, error_of_mean**2)
    statements = [
        f"{hospital.id}: the scores of {known} children less those expected of them are {mean:+.3f} in the "
        "mean.",
        _said(position, alert, alarm),
        f"A true shortfall of {detectable:.3f} would be found beyond the alert limits with a "
        f"probability of {100 * policy.power:.3g}%; a smaller one less often.",
        f"Reliability {signal:.2f}.",
        f"{len(hospital.observed) - known} scores are not known and not counted.",
    ]
    if position.stage == "within":
        statements.insert(2, NOT_SAFETY)
    return ScoreCompared(
        id=hospital.id,
        known=known,
        missing=len(hospital.observed) - known,
        mean=mean,
        alert=alert,
        alarm=alarm,
        others=others,
        position=position,
        reliability=signal,
        detectable=detectable,
        statements=tuple(statements),
    )


def _position(mean: float, alert: Bounds, alarm: Bounds) -> Position:
    if alert.lower <= mean <= alert.upper:
        return Position("within", None)
    beyond = mean > alarm.upper or mean < alarm.lower
    return Position("alarm" if beyond else "alert", "better" if mean > alert.upper else "worse")


def _said(position: Position, alert: Bounds, alarm: Bounds) -> str:
    found = alarm if position.stage == "alarm" else alert
    between = f"({found.lower:+.3f} to {found.upper:+.3f})"
    if position.stage == "within":
        return f"This is within the {100 * found.level:.3g}% limits {between}."
    return (
        f"{position.stage.capitalize()}, {position.direction} than expected: beyond the "
        f"{100 * found.level:.3g}% limits {between}. A trigger to look; not a verdict."
    )

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
from outcome_engine.methods.overdispersion import (
    Overdispersion,
    leave_one_out,
    overdispersion,
    untrimmed,
)
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
        _not_compared(each, rows[each.id], policy) for each in hospitals if each not in enough
    )
    if len(enough) < policy.hospitals:
        reasons = " ".join(each.reason for each in few)
        message = (
            f"{len(enough)} hospitals can be compared, and the policy needs {policy.hospitals}."
        )
        raise FhirError(422, [error("business-rule", f"{message} {reasons}".strip())])
    kept = [rows[each.id] for each in enough]
    variance = within_variance(kept)
    together, others = _overdispersion(kept, variance, policy)
    return ScoreComparison(
        policy,
        tuple(
            _compared(each, (kept, variance), of, _tau2(together, policy), (policy, skew))
            for each, of in zip(enough, others, strict=True)
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


def _not_compared(hospital: ScoredHospital, differences: Floats, policy: Policy) -> NotCompared:
    known = len(differences)
    reason = (
        f"{hospital.id} has {known} children with a known score; hospitals are compared from "
        f"{policy.children} on. Pool more years."
    )
    return NotCompared(hospital.id, known, len(hospital.observed) - known, reason)


def _overdispersion(
    rows: list[Floats], variance: float, policy: Policy
) -> tuple[Overdispersion | None, list[Overdispersion | None]]:
    if len(rows) < policy.hospitals_for_overdispersion or variance <= 0:
        return None, [None] * len(rows)
    found = deviations(rows, variance)
    together = overdispersion(found, untrimmed)
    return together, list(leave_one_out(found, untrimmed)) if policy.leave_one_out else [
        together
    ] * len(rows)


def _tau2(of: Overdispersion | None, policy: Policy) -> float:
    if policy.tau2 is not None:
        return policy.tau2
    return of.tau2 if of is not None else 0.0


def _compared(
    hospital: ScoredHospital,
    children: tuple[list[Floats], float],
    others: Overdispersion | None,
    tau2: float,
    how: tuple[Policy, bool],
) -> ScoreCompared:
    (rows, variance), (policy, skew) = children, how
    differences = _differences(hospital)
    known, own = len(differences), _tau2(others, policy)
    alert, alarm = (
        bootstrap_limits(rows, known, own, level, policy.seed)
        if skew
        else limits(variance, known, own, level)
        for level in (policy.alert, policy.alarm)
    )
    mean = float(differences.mean())
    error_of_mean = sqrt(variance / known)
    position = _position(mean, alert, alarm)
    detectable = -alert.lower + float(norm.ppf(policy.power)) * error_of_mean
    signal = reliability(tau2, error_of_mean**2)
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

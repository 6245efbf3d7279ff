"""Hospitals compared each with what its own children's risks predict, and never with one another.

Limits are prediction limits of the exact Poisson-binomial distribution, widened by the variance between
the other hospitals. What the comparison could and could not have found stands beside every result.
This module needs numpy and scipy: import it where a comparison is made, not where a server starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np
import numpy.typing as npt

from outcome_engine.comparison import between
from outcome_engine.comparison import statements as comparison_statements
from outcome_engine.comparison.policy import POLICY, Policy
from outcome_engine.comparison.result import (
    Compared,
    Comparison,
    Estimate,
    Hospital,
    Missing,
    NotCompared,
    Position,
)
from outcome_engine.methods import shrinkage
from outcome_engine.methods.calibration import Calibration, calibration
from outcome_engine.methods.discrimination import c_statistic
from outcome_engine.methods.funnel import Limits, overdispersed, prediction_limits, shifted
from outcome_engine.methods.intervals import clopper_pearson, mid_p, wilson
from outcome_engine.methods.logistic import NotEstimableError
from outcome_engine.methods.missing import bounds, chained_equations, wilson_of
from outcome_engine.methods.overdispersion import Overdispersion, log_odds
from outcome_engine.methods.power import power_above, power_below
from outcome_engine.methods.reliability import needed, reliability
from r4.issue import FhirError, error

__all__ = [
    "POLICY",
    "Compared",
    "Comparison",
    "Estimate",
    "Hospital",
    "Missing",
    "NotCompared",
    "Policy",
    "Position",
    "compare",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Rows:
    """A hospital's children as arrays: of those known outcome and risk, and of the others the risk."""

    id: str
    outcome: Floats
    risk: Floats
    risk_of_missing: Floats

    @property
    def observed(self) -> int:
        return int(self.outcome.sum())

    @property
    def expected(self) -> float:
        return float(self.risk.sum())

    @property
    def variance(self) -> float:
        return float((self.risk * (1 - self.risk)).sum())


def compare(hospitals: Sequence[Hospital], policy: Policy = POLICY) -> Comparison:
    """Compare each hospital with what its own children's risks predict.

    Raises FhirError 422 naming hospitals whose figures cannot be, and where fewer hospitals have the
    children that the policy needs than it needs hospitals.
    """
    rows = [_rows(each) for each in hospitals]
    enough = [each for each in rows if len(each.outcome) >= policy.children]
    few = tuple(
        between.not_compared(
            each.id, "outcome", len(each.outcome), len(each.risk_of_missing), policy
        )
        for each in rows
        if len(each.outcome) < policy.children
    )
    between.refuse_too_few(len(enough), few, policy)
    observed, expected = [each.observed for each in enough], [each.expected for each in enough]
    deviations = log_odds(observed, expected, [each.variance for each in enough])
    together, others = between.estimated(deviations, policy)
    tau2 = between.tau2(together, policy)
    likelihoods = shrinkage.likelihoods(observed, [each.risk for each in enough])
    shrunken = _shrunken(enough, likelihoods, policy)
    imputed = _imputed(enough, policy)
    compared = tuple(
        _compared(each, other, tau2, (estimate, drawn), policy)
        for each, other, estimate, drawn in zip(enough, others, shrunken, imputed, strict=True)
    )
    outcome = np.concatenate([each.outcome for each in enough])
    risk = np.concatenate([each.risk for each in enough])
    mixed = 0 < outcome.sum() < len(outcome)
    comparison = Comparison(
        policy=policy,
        hospitals=compared,
        not_compared=few,
        observed=int(outcome.sum()),
        expected=float(risk.sum()),
        together=together,
        tau2=tau2,
        centre=shrinkage.fit(likelihoods),
        calibration=_calibration(outcome, risk),
        discrimination=c_statistic(outcome, risk) if mixed else None,
        statements=(),
    )
    limits = prediction_limits(overdispersed(risk, 0), policy.alert)
    return replace(comparison, statements=comparison_statements.of_all(comparison, limits))


def _calibration(outcome: Floats, risk: Floats) -> Calibration | None:
    try:
        return calibration(outcome, risk)
    except NotEstimableError:
        return None


def _rows(hospital: Hospital) -> _Rows:
    risk = np.asarray(hospital.predicted, float)
    if len(risk) != len(hospital.observed) or not bool(np.all((risk > 0) & (risk < 1))):
        message = (
            f"Hospital {hospital.id} needs one predicted risk for each child, above 0 and below 1: "
            "fit the case-mix model anew, or leave the child out."
        )
        raise FhirError(422, [error("value", message)])
    if not set(hospital.observed) <= {0, 1, None}:
        message = f"Hospital {hospital.id} has an outcome that is neither 0, 1 nor not known."
        raise FhirError(422, [error("value", message)])
    known = np.array([each is not None for each in hospital.observed], bool)
    outcome = np.array([each for each in hospital.observed if each is not None], float)
    return _Rows(hospital.id, outcome, risk[known], risk[~known])


def _shrunken(rows: list[_Rows], of: shrinkage.Likelihoods, policy: Policy) -> list[Estimate]:
    mass = shrinkage.posterior(of, shrinkage.plausible(of))
    tail = (1 - policy.interval) / 2
    estimates = []
    for each, row in zip(rows, mass, strict=True):
        ratios = _ratios(each.risk, of.grid)
        lower, upper = (shrinkage.quantile(row, ratios, share) for share in (tail, 1 - tail))
        estimates.append(Estimate(shrinkage.mean_of(row, ratios), lower, upper))
    return estimates


def _ratios(risk: Floats, grid: Floats) -> Floats:
    values, times = np.unique(risk, return_counts=True)
    ratios: Floats = times @ shifted(values[:, None], grid[None, :]) / risk.sum()
    return ratios


def _imputed(rows: list[_Rows], policy: Policy) -> list[Estimate | None]:
    if not any(len(each.risk_of_missing) for each in rows):
        return [None] * len(rows)
    sizes = [len(each.outcome) + len(each.risk_of_missing) for each in rows]
    hospital = np.repeat(np.arange(len(rows)), sizes)
    outcome = np.concatenate(
        [
            np.concatenate([each.outcome, np.full(len(each.risk_of_missing), np.nan)])
            for each in rows
        ]
    )
    risk = np.concatenate([np.concatenate([each.risk, each.risk_of_missing]) for each in rows])
    members = (hospital[:, None] == np.arange(1, len(rows))[None, :]).astype(float)
    table = np.column_stack([outcome, np.log(risk / (1 - risk)), members])
    # Hospitals' odds are thought to differ by a factor e, not by more than what imputes them allows.
    spread = members.std(axis=0)
    precision = [0.0, 0.0, *(1 / np.maximum(spread, 1e-9) ** 2).tolist()]
    kinds = [True, False, *[True] * members.shape[1]]
    drawn = chained_equations(
        table, kinds, precision, imputations=policy.imputations, seed=policy.seed
    )
    return [
        _pooled([float(each[hospital == at, 0].mean()) for each in drawn], size, policy)
        if len(rows[at].risk_of_missing)
        else None
        for at, size in enumerate(sizes)
    ]


def _pooled(rates: list[float], children: int, policy: Policy) -> Estimate:
    lower, upper = wilson_of(rates, children, policy.interval)
    return Estimate(float(np.mean(rates)), lower, upper)


def _compared(
    rows: _Rows,
    others: Overdispersion | None,
    tau2: float,
    estimates: tuple[Estimate, Estimate | None],
    policy: Policy,
) -> Compared:
    own = between.tau2(others, policy)
    alert, alarm = _limits(rows.risk, own, policy)
    position = _position(rows.observed, alert, alarm, policy)
    known, observed = len(rows.outcome), rows.observed
    powers = [_power(rows.risk, limits, policy) for limits in (alert, alarm)]
    shrunken, imputed = estimates
    compared = Compared(
        id=rows.id,
        known=known,
        observed=observed,
        expected=rows.expected,
        ratio=observed / rows.expected,
        variance=rows.variance,
        alert=alert,
        alarm=alarm,
        others=others,
        tau2=own,
        position=position,
        wilson=wilson(observed, known, policy.interval),
        exact=clopper_pearson(observed, known, policy.interval),
        mid_p=mid_p(observed, known, policy.interval),
        shrunken=shrunken,
        reliability=reliability(tau2, 1 / rows.variance),
        children_for_reliability=needed(policy.reliability, tau2, 1 / rows.variance, known),
        power_of_alert=powers[0],
        power_of_alarm=powers[1],
        missing=_missing(rows, (alert, alarm), own, imputed, policy),
        statements=(),
    )
    return replace(compared, statements=comparison_statements.of_hospital(compared, policy))


def _limits(risk: Floats, tau2: float, policy: Policy) -> tuple[Limits, Limits]:
    chances = overdispersed(risk, tau2)
    return prediction_limits(chances, policy.alert), prediction_limits(chances, policy.alarm)


def _position(observed: int, alert: Limits, alarm: Limits, policy: Policy) -> Position:
    if alert.lower <= observed <= alert.upper:
        return Position("within", None)
    more = observed > alert.upper
    beyond = observed > alarm.upper if more else observed < alarm.lower
    better = more == (policy.event == "good")
    return Position("alarm" if beyond else "alert", "better" if better else "worse")


def _power(risk: Floats, limits: Limits, policy: Policy) -> float:
    if policy.event == "bad":
        return power_above(overdispersed(shifted(risk, log(policy.odds_ratio)), 0), limits)
    return power_below(overdispersed(shifted(risk, -log(policy.odds_ratio)), 0), limits)


def _missing(
    rows: _Rows,
    limits: tuple[Limits, Limits],
    tau2: float,
    imputed: Estimate | None,
    policy: Policy,
) -> Missing:
    known, missing, observed = len(rows.outcome), len(rows.risk_of_missing), rows.observed
    if not missing:
        rate, at = observed / known, _position(observed, *limits, policy)
        return Missing(0, rate, (rate, rate), None, at, at)
    alert, alarm = _limits(np.concatenate([rows.risk, rows.risk_of_missing]), tau2, policy)
    none, every = (
        _position(count, alert, alarm, policy) for count in (observed, observed + missing)
    )
    good = policy.event == "good"
    return Missing(
        count=missing,
        known_only=observed / known,
        bounds=bounds(observed, known, missing),
        imputed=imputed,
        at_best=every if good else none,
        at_worst=none if good else every,
    )

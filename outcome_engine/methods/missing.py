"""Outcomes that are not known: left out, at their bounds, or imputed many times.

Rubin DB. Multiple imputation for nonresponse in surveys. Wiley 1987. White IR, Royston P, Wood AM.
Stat Med 2011;30:377-399 (chained equations). Lott A, Reiter JP. Am Stat 2020;74:109-115 (Wilson's
interval of an imputed proportion).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

Floats = npt.NDArray[np.float64]

_TWO = 2
_CONVERGED = 1e-8


@dataclass(frozen=True, slots=True)
class Pooled:
    """An estimate pooled over imputations: total variance, its parts, and degrees of freedom."""

    estimate: float
    variance: float
    within: float
    between: float
    freedom: float
    missing_information: float


def bounds(events: int, known: int, missing: int) -> tuple[float, float]:
    """Return the rate were none of the missing events, and the rate were all of them."""
    return events / (known + missing), (events + missing) / (known + missing)


def chained_equations(
    table: npt.ArrayLike,
    binary: Sequence[bool],
    precision: Sequence[float],
    *,
    imputations: int = 20,
    cycles: int = 10,
    seed: int,
) -> list[Floats]:
    """Return completed copies of a table of children (rows) and variables (columns); NaN is missing.

    Each column with gaps is drawn from its regression on all others: logistic where binary (0, 1),
    else normal, with coefficients drawn first. precision is the inverse prior variance of a column's
    standardised coefficient, 0 for none: it keeps hospitals of few children in bounds.
    Raises ValueError where a column with gaps has nothing known, or a binary one other values.
    """
    data = np.asarray(table, float)
    for column in np.flatnonzero(np.isnan(data).any(axis=0)).tolist():
        known = data[~np.isnan(data[:, column]), column]
        if not len(known) or (binary[column] and not np.isin(known, [0, 1]).all()):
            raise ValueError(f"column {column} cannot be imputed")
    rng = np.random.default_rng(seed)
    return [
        _completed(data, binary, np.asarray(precision, float), cycles, rng)
        for _ in range(imputations)
    ]


def rubin(estimates: npt.ArrayLike, variances: npt.ArrayLike, complete: float = inf) -> Pooled:
    """Pool the estimates of imputed tables; complete is the degrees of freedom without a gap.

    Barnard J, Rubin DB. Biometrika 1999;86:948-955 where complete is finite.
    Raises ValueError for fewer than two imputations.
    """
    values = np.asarray(estimates, float)
    m = len(values)
    if m < _TWO:
        raise ValueError("Rubin's rules need two imputations")
    within = float(np.mean(np.asarray(variances, float)))
    between = float(values.var(ddof=1))
    added = (1 + 1 / m) * between
    total = within + added
    share = added / total if total > 0 else 0.0
    old = (m - 1) / share**2 if share > 0 else inf
    observed = inf if complete == inf else (complete + 1) / (complete + 3) * complete * (1 - share)
    freedom = min(old, observed) if inf in (old, observed) else 1 / (1 / old + 1 / observed)
    return Pooled(float(values.mean()), total, within, between, freedom, share)


def wilson_of(rates: npt.ArrayLike, children: int, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval of a proportion whose rates are those of imputed tables.

    Where all imputations agree it is Wilson's own.
    """
    values = np.asarray(rates, float)
    pooled = rubin(values, values * (1 - values) / children)
    increase = (pooled.variance - pooled.within) / pooled.within if pooled.within > 0 else 0.0
    quantile = float(student.ppf(0.5 + level / 2, pooled.freedom))
    a = quantile**2 / children * (1 + increase)
    centre = (2 * pooled.estimate + a) / (2 * (1 + a))
    root = sqrt(max(0.0, centre**2 - pooled.estimate**2 / (1 + a)))
    return max(0.0, centre - root), min(1.0, centre + root)


def _completed(
    data: Floats, binary: Sequence[bool], precision: Floats, cycles: int, rng: np.random.Generator
) -> Floats:
    gaps = np.isnan(data)
    incomplete = [int(column) for column in np.flatnonzero(gaps.any(axis=0))]
    filled = data.copy()
    for column in incomplete:
        known = data[~gaps[:, column], column]
        filled[gaps[:, column], column] = rng.choice(known, size=int(gaps[:, column].sum()))
    # With one incomplete column there is nothing for a second cycle to learn.
    for _ in range(cycles if len(incomplete) > 1 else 1):
        for column in incomplete:
            gap = gaps[:, column]
            others = np.delete(filled, column, axis=1)
            design, prior = _design(others, np.delete(precision, column))
            known = filled[~gap, column]
            draw = _logistic_draw if binary[column] else _normal_draw
            filled[gap, column] = draw(design[~gap], known, design[gap], prior, rng)
    return filled


def _design(others: Floats, precision: Floats) -> tuple[Floats, Floats]:
    centre, scale = others.mean(axis=0), others.std(axis=0)
    standard = (others - centre) / np.where(scale > 0, scale, 1.0)
    return np.column_stack([np.ones(len(others)), standard]), np.concatenate([[0.0], precision])


def _logistic_draw(
    known: Floats, y: Floats, wanted: Floats, prior: Floats, rng: np.random.Generator
) -> Floats:
    # A little of a prior everywhere: outcomes that are all alike have no finite coefficients.
    penalty = np.diag(np.maximum(prior, 1e-3))
    beta = np.zeros(known.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-known @ beta))
        information = known.T @ (known * (p * (1 - p))[:, None]) + penalty
        step = np.linalg.solve(information, known.T @ (y - p) - penalty @ beta)
        beta += np.clip(step, -2, 2)
        if np.abs(step).max() < _CONVERGED:
            break
    root = np.linalg.cholesky(np.linalg.inv(information))
    beta = beta + root @ rng.standard_normal(len(beta))
    chance = 1 / (1 + np.exp(-wanted @ beta))
    return (rng.random(len(wanted)) < chance).astype(float)


def _normal_draw(
    known: Floats, y: Floats, wanted: Floats, prior: Floats, rng: np.random.Generator
) -> Floats:
    inverse = np.linalg.inv(known.T @ known + np.diag(np.maximum(prior, 1e-6)))
    beta = inverse @ known.T @ y
    freedom = max(1, len(y) - known.shape[1])
    variance = float(((y - known @ beta) ** 2).sum()) / float(rng.chisquare(freedom))
    beta = beta + sqrt(variance) * np.linalg.cholesky(inverse) @ rng.standard_normal(len(beta))
    drawn: Floats = wanted @ beta + sqrt(variance) * rng.standard_normal(len(wanted))
    return drawn

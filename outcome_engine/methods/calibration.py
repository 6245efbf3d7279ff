"""Whether predicted chances are met: calibration in the large, slope, and groups of risk.

Cox DR. Two further applications of a model for binary regression. Biometrika 1958;45:562-565.
Steyerberg EW. Clinical prediction models, 2nd edition. Springer 2019, section 15.3.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit
from scipy.stats import rankdata

from outcome_engine.methods.logistic import Vector, logistic


@dataclass(frozen=True, slots=True)
class RiskGroup:
    """Children of like predicted chance: how many, events seen and expected, the chances' range."""

    children: int
    observed: int
    expected: float
    least: float
    greatest: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration of predictions; perfect is an intercept of 0 and a slope of 1.

    `intercept` is calibration in the large: the shift of the logit, its slope held at 1. `slope` is
    that of a logistic regression on the logit; it is None, as its error, where all predictions are
    the same. `brier` is the mean squared difference.
    """

    intercept: float
    intercept_error: float
    slope: float | None
    slope_error: float | None
    brier: float
    groups: tuple[RiskGroup, ...]


def calibration(y: ArrayLike, predicted: ArrayLike, groups: int = 10) -> Calibration:
    """Compare outcomes of 0 or 1 with their predicted chances.

    The groups are equal in size as far as equal predictions, which stay together, allow it. Raises
    ValueError unless every chance lies between 0 and 1 and is not either, and NotEstimableError
    where all children or none had the event.
    """
    outcome = np.asarray(y, dtype=np.float64)
    chances = np.asarray(predicted, dtype=np.float64)
    if outcome.shape != chances.shape or not bool(np.isin(outcome, (0.0, 1.0)).all()):
        raise ValueError("an outcome is 0 or 1, and each has its predicted chance")
    if not bool(np.all((chances > 0) & (chances < 1))):
        raise ValueError("a predicted chance of 0 or 1 has no logit")
    predictor = np.asarray(logit(chances), dtype=np.float64)
    ones = np.ones((len(outcome), 1))
    shift = logistic(ones, outcome, offset=predictor)
    slope = slope_error = None
    if float(np.ptp(predictor)) > 0:
        turned = logistic(np.column_stack([ones, predictor]), outcome)
        slope, slope_error = float(turned.coefficients[1]), float(turned.standard_errors[1])
    return Calibration(
        intercept=float(shift.coefficients[0]),
        intercept_error=float(shift.standard_errors[0]),
        slope=slope,
        slope_error=slope_error,
        brier=float(np.mean((outcome - chances) ** 2)),
        groups=tuple(_grouped(outcome, chances, groups)),
    )


def _grouped(outcome: Vector, chances: Vector, groups: int) -> list[RiskGroup]:
    position = np.floor(groups * (rankdata(chances) - 0.5) / len(chances))
    found = []
    for group in np.unique(position):
        own = position == group
        found.append(
            RiskGroup(
                children=int(own.sum()),
                observed=int(outcome[own].sum()),
                expected=float(chances[own].sum()),
                least=float(chances[own].min()),
                greatest=float(chances[own].max()),
            )
        )
    return found

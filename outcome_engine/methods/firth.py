"""Logistic regression with Firth's penalty: finite, and nearly unbiased, where events are rare.

Firth D. Bias reduction of maximum likelihood estimates. Biometrika 1993;80:27-38. Heinze G,
Schemper M. A solution to the problem of separation in logistic regression. Stat Med
2002;21:2409-2419.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from outcome_engine.methods.logistic import (
    Data,
    Fit,
    Matrix,
    NotEstimableError,
    Vector,
    climbed,
    data,
    inverted,
    weighted,
)

_STEPS = 200
_TOLERANCE = 1e-10
_NEAR = 1e-5


def firth(
    x: ArrayLike,
    y: ArrayLike,
    *,
    trials: ArrayLike | None = None,
    offset: ArrayLike | None = None,
) -> Fit:
    """Fit with Jeffreys' prior as penalty, the intercept's column included.

    The log-likelihood of the result is the data's, without the penalty; the covariance is the
    inverse of Fisher's information at the estimate. Predictions lean towards one half: their sum is
    not the number of events, see `calibration`. Raises NotEstimableError where the factors
    determine one another, ValueError for data that are none.
    """
    given = data(x, y, trials, offset)

    def objective(b: Vector) -> float:
        predictor = given.predictor(b)
        sign, logarithm = np.linalg.slogdet(weighted(given, expit(predictor)))
        return given.log_likelihood(predictor) + float(logarithm) / 2 if sign > 0 else -np.inf

    beta = np.zeros(given.x.shape[1])
    best = objective(beta)
    for step in range(1, _STEPS + 1):
        covariance, score = _modified(given, beta)
        change = covariance @ score
        size = float(np.abs(change).max())
        if size < _TOLERANCE:
            return Fit(beta, covariance, given.log_likelihood(given.predictor(beta)), step)
        if size < _NEAR:  # nearer than the objective, a double, can tell
            beta = beta + change
        else:
            beta, best = climbed(objective, beta, change, best)
    raise NotEstimableError(f"no convergence in {_STEPS} steps")


def _modified(given: Data, beta: Vector) -> tuple[Matrix, Vector]:
    """Return the covariance and Firth's modified score at the coefficients."""
    p = expit(given.predictor(beta))
    covariance = inverted(weighted(given, p))
    leverage = given.trials * p * (1 - p) * np.einsum("ij,ij->i", given.x @ covariance, given.x)
    residual = given.trials * (given.y - p) + leverage * (0.5 - p)
    return covariance, np.asarray(given.x.T @ residual)

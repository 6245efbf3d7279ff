"""Logistic regression by iteratively reweighted least squares, with a ridge where one is wanted.

McCullagh P, Nelder JA. Generalized linear models, 2nd edition. Chapman and Hall 1989, section 4.4.
le Cessie S, van Houwelingen JC. Ridge estimators in logistic regression. Appl Stat 1992;41:191-201.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_STEPS = 60
_HALVINGS = 30
_TOLERANCE = 1e-9
_STILL = 1e-3
"""A linear predictor that moves by less than this in the last step has come to rest."""


class NotEstimableError(ValueError):
    """The data do not determine the coefficients; the message says why, and what would help."""


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """What a model is fitted to: a row a child, or a row a group of alike children.

    `x` (rows, coefficients) has its own column of ones, the first; `y` is the proportion of events
    in [0, 1], `trials` of how many children, `offset` what is added to the linear predictor.
    """

    x: Matrix
    y: Vector
    trials: Vector
    offset: Vector

    def predictor(self, coefficients: Vector) -> Vector:
        """Return the linear predictor of every row."""
        return np.asarray(self.x @ coefficients + self.offset)

    def log_likelihood(self, predictor: Vector) -> float:
        """Return the Bernoulli log-likelihood: without the binomial coefficients of grouped rows."""
        each = self.y * predictor - np.logaddexp(0.0, predictor)
        return float(self.trials @ each)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Coefficients with their covariance, and how they were reached.

    The log-likelihood is the data's at these coefficients, without any penalty.
    """

    coefficients: Vector
    covariance: Matrix
    log_likelihood: float
    iterations: int

    @property
    def standard_errors(self) -> Vector:
        """The square roots of the diagonal of the covariance."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))


def logistic(
    x: ArrayLike,
    y: ArrayLike,
    *,
    ridge: float = 0.0,
    trials: ArrayLike | None = None,
    offset: ArrayLike | None = None,
) -> Fit:
    """Fit by maximum likelihood, or with a ridge > 0 by its penalised form.

    The penalty is `ridge / 2 * sum of squared coefficients`, all but the first (the intercept's).
    With a ridge the covariance is le Cessie's: that of the estimate, which is biased towards 0.
    Raises NotEstimableError where the estimate does not exist (events separated, factors that
    determine one another), ValueError for data that are none.
    """
    if ridge < 0:
        raise ValueError("a ridge is not negative")
    given = data(x, y, trials, offset)
    penalty = np.full(given.x.shape[1], ridge)
    penalty[0] = 0.0

    def objective(b: Vector) -> float:
        return given.log_likelihood(given.predictor(b)) - float(penalty @ b**2) / 2

    beta = np.zeros(given.x.shape[1])
    best = objective(beta)
    for step in range(1, _STEPS + 1):
        p = expit(given.predictor(beta))
        information = weighted(given, p)
        penalised = information + np.diag(penalty)
        score = given.x.T @ (given.trials * (given.y - p)) - penalty * beta
        change = solved(penalised, score)
        beta, reached = climbed(objective, beta, change, best)
        gained, best = reached - best, reached
        if float(score @ change) < _TOLERANCE * _TOLERANCE * (1 + abs(best)) or (
            step > 1 and gained == 0.0
        ):
            _refuse_separated(given, change)
            inverse = inverted(penalised)
            covariance = inverse @ information @ inverse if ridge else inverse
            return Fit(beta, covariance, given.log_likelihood(given.predictor(beta)), step)
    _refuse_separated(given, change)
    raise NotEstimableError(f"no convergence in {_STEPS} steps")


def data(
    x: ArrayLike, y: ArrayLike, trials: ArrayLike | None = None, offset: ArrayLike | None = None
) -> Data:
    """Check and hold what a model is fitted to; raises ValueError saying what does not fit."""
    design = np.asarray(x, dtype=np.float64)
    outcome = np.asarray(y, dtype=np.float64)
    rows = len(outcome)
    of = np.ones(rows) if trials is None else np.asarray(trials, dtype=np.float64)
    added = np.zeros(rows) if offset is None else np.asarray(offset, dtype=np.float64)
    if design.shape[:-1] != (rows,) or any(part.shape != (rows,) for part in (outcome, of, added)):
        raise ValueError("x has a row a child, and y, trials and offset one number a row")
    if not all(bool(np.isfinite(part).all()) for part in (design, outcome, of, added)):
        raise ValueError("a value is missing or infinite: decide about missing factors beforehand")
    if rows == 0 or not bool(np.all((outcome >= 0) & (outcome <= 1) & (of > 0))):
        raise ValueError("y is a proportion of events in 0 to 1, of trials greater than 0")
    return Data(design, outcome, of, added)


def weighted(given: Data, p: Vector) -> Matrix:
    """Return Fisher's information at the fitted chances."""
    return np.asarray((given.x.T * (given.trials * p * (1 - p))) @ given.x)


def solved(information: Matrix, score: Vector) -> Vector:
    """Return Newton's step; raises NotEstimableError where the information has no inverse."""
    try:
        factor = np.linalg.cholesky(information)
    except np.linalg.LinAlgError as failure:
        raise NotEstimableError(_INDETERMINATE) from failure
    return np.asarray(np.linalg.solve(factor.T, np.linalg.solve(factor, score)))


def inverted(information: Matrix) -> Matrix:
    """Return the inverse, exactly symmetric; raises NotEstimableError where there is none."""
    if np.linalg.cond(information) > 1 / np.finfo(np.float64).eps:
        raise NotEstimableError(_INDETERMINATE)
    inverse = np.linalg.inv(information)
    return np.asarray((inverse + inverse.T) / 2)


def climbed(
    objective: Callable[[Vector], float], beta: Vector, change: Vector, best: float
) -> tuple[Vector, float]:
    """Take a step that does not lower the objective: the whole one, else its half, and so on."""
    for _ in range(_HALVINGS):
        reached = objective(beta + change)
        if reached >= best:
            return beta + change, reached
        change = change / 2
    return beta, best


_INDETERMINATE = (
    "the factors determine one another, or the events are separated by them: leave a factor out, "
    "or use a ridge or Firth's method"
)


def _refuse_separated(given: Data, change: Vector) -> None:
    """Where nothing is gained any more, a predictor that still moves is on its way to infinity."""
    if float(np.abs(given.x @ change).max()) > _STILL:
        raise NotEstimableError(
            "a factor separates the children with the event from those without: the maximum "
            "likelihood estimate is infinite; use Firth's method or a ridge"
        )

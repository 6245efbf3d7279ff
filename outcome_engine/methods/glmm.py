"""Logistic regression with a random intercept a hospital, by adaptive Gauss-Hermite quadrature.

Pinheiro JC, Bates DM. Approximations to the log-likelihood function in the nonlinear mixed-effects
model. J Comput Graph Stat 1995;4:12-35. The information is Louis's (J R Stat Soc B
1982;44:226-233), its expectations taken over the same nodes. The random intercept is written as
sd * u with u of variance 1, as lme4 has it (Bates et al., J Stat Softw 2015;67:1): then nothing
breaks where the hospitals do not differ and the sd is 0.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logsumexp

from outcome_engine.methods.logistic import (
    Data,
    Matrix,
    NotEstimableError,
    Vector,
    climbed,
    data,
    inverted,
    logistic,
    solved,
)

_STEPS = 100
_TOLERANCE = 1e-8
_NEAR = 1e-2
_FIRST_SD = 0.5
_AT_MODE = 1e-11
_HALVINGS = 40
_LEAST_GROUPS = 2


@dataclass(frozen=True, slots=True, eq=False)
class RandomIntercept:
    """Fixed coefficients, how hospitals differ, and each hospital's conditional mode.

    `covariance` is that of the coefficients and, last, the sd. `modes` and `variances` (of the
    random intercept at its mode, as lme4's condVar) are in the order of `groups`. The
    log-likelihood is the Bernoulli one, without binomial coefficients of grouped rows.
    """

    coefficients: Vector
    sd: float
    covariance: Matrix
    log_likelihood: float
    groups: tuple[Hashable, ...]
    modes: Vector
    variances: Vector
    iterations: int

    @property
    def standard_errors(self) -> Vector:
        """The standard errors of the fixed coefficients."""
        return np.asarray(np.sqrt(np.diag(self.covariance)[:-1]))


def random_intercept(
    x: ArrayLike,
    y: ArrayLike,
    group: Sequence[Hashable],
    *,
    trials: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    points: int = 25,
) -> RandomIntercept:
    """Fit by maximum likelihood; `points` nodes a group, centred and scaled to it.

    Raises NotEstimableError where it does not converge or the factors determine one another,
    ValueError for data that are none or fewer than two groups.
    """
    given = data(x, y, trials, offset)
    quadrature = _Quadrature(given, group, points)
    start = logistic(given.x, given.y, trials=given.trials, offset=given.offset)
    at = np.append(start.coefficients, _FIRST_SD)
    best = quadrature.log_likelihood(at)
    for step in range(1, _STEPS + 1):
        score, observed, complete = quadrature.derivatives(at)
        change = _newton(score, observed, complete)
        size = float(np.abs(change / (1 + np.abs(at))).max())
        if size < _TOLERANCE:
            return quadrature.result(at + change, observed, step)
        if size < _NEAR:
            # The score's root and the likelihood's maximum are as far apart as the quadrature errs:
            # the likelihood is no guide any more, and Newton's method needs none here.
            at = at + change
        else:
            at, best = climbed(quadrature.log_likelihood, at, change, best)
    raise NotEstimableError(f"the random intercept did not converge in {_STEPS} steps")


def _newton(score: Vector, observed: Matrix, complete: Matrix) -> Vector:
    """Newton's step; far from the maximum that of the complete data, which always climbs."""
    try:
        return solved(observed, score)
    except NotEstimableError:
        return solved(complete, score)


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """One node of every group: its u, and what the rows then are."""

    u: Vector
    p: Vector
    log_density: Vector  # of the group's data and u, at the node; with the quadrature's weight


class _Quadrature:
    """The likelihood of groups whose rows lie together, and its derivatives by coefficients and sd."""

    def __init__(self, given: Data, group: Sequence[Hashable], points: int) -> None:
        if len(group) != len(given.y) or points < 1:
            raise ValueError("every row has a group, and there is at least one point")
        names = list(dict.fromkeys(group))
        if len(names) < _LEAST_GROUPS:
            raise ValueError("a random intercept needs two groups or more")
        number = {name: position for position, name in enumerate(names)}
        codes = np.array([number[name] for name in group], dtype=np.intp)
        order = np.argsort(codes, kind="stable")
        self._groups = tuple(names)
        self._of: NDArray[np.intp] = codes[order]
        self._starts = np.flatnonzero(np.diff(self._of, prepend=-1))
        self._given = Data(
            *(part[order] for part in (given.x, given.y, given.trials, given.offset))
        )
        nodes, weights = np.polynomial.hermite.hermgauss(points)
        self._nodes, self._log_weights = nodes, np.log(weights) + nodes**2
        self._u = np.zeros(len(names))

    def log_likelihood(self, at: Vector) -> float:
        """Return the log-likelihood at (coefficients, sd)."""
        u, variance = self._modes(at)
        densities = np.array([node.log_density for node in self._each(at, u, variance)])
        return float(np.sum(logsumexp(densities, axis=0) + np.log(variance / np.pi) / 2))

    def derivatives(self, at: Vector) -> tuple[Vector, Matrix, Matrix]:
        """Return the score, the observed information, and that of the complete data."""
        given, size = self._given, len(at)
        u, variance = self._modes(at)
        densities = np.array([node.log_density for node in self._each(at, u, variance)])
        chances = np.exp(densities - logsumexp(densities, axis=0))
        mean = np.zeros((len(u), size))
        square = np.zeros((size, size))
        complete = np.zeros((size, size))
        for node, chance in zip(self._each(at, u, variance), chances, strict=True):
            derived = np.column_stack([given.x, node.u[self._of]])  # of the predictor, a row
            residual = given.trials * (given.y - node.p)
            of_group = np.add.reduceat(derived * residual[:, None], self._starts)
            mean += chance[:, None] * of_group
            square += (of_group.T * chance) @ of_group
            weight = given.trials * node.p * (1 - node.p) * chance[self._of]
            complete += (derived.T * weight) @ derived
        return mean.sum(axis=0), complete - (square - mean.T @ mean), complete

    def result(self, at: Vector, information: Matrix, iterations: int) -> RandomIntercept:
        """Return what was fitted, with an sd that is not negative."""
        turned = np.ones(len(at))
        turned[-1] = -1.0 if at[-1] < 0 else 1.0
        covariance = inverted(information) * np.outer(turned, turned)
        u, variance = self._modes(at)
        return RandomIntercept(
            coefficients=at[:-1],
            sd=abs(float(at[-1])),
            covariance=covariance,
            log_likelihood=self.log_likelihood(at),
            groups=self._groups,
            modes=at[-1] * u,
            variances=at[-1] ** 2 * variance,
            iterations=iterations,
        )

    def _each(self, at: Vector, u: Vector, variance: Vector) -> Iterator[_Node]:
        fixed = self._given.predictor(at[:-1])
        for position, weight in zip(self._nodes, self._log_weights, strict=True):
            moved = u + np.sqrt(2 * variance) * position
            predictor = fixed + at[-1] * moved[self._of]
            density = self._density(predictor, moved) + weight
            yield _Node(moved, expit(predictor), density)

    def _density(self, predictor: Vector, u: Vector) -> Vector:
        given = self._given
        each = given.trials * (given.y * predictor - np.logaddexp(0.0, predictor))
        return np.asarray(np.add.reduceat(each, self._starts) - u**2 / 2)

    def _modes(self, at: Vector) -> tuple[Vector, Vector]:
        """Return every group's most probable u, and the inverse of the curvature there."""
        given, sd = self._given, at[-1]
        fixed = given.predictor(at[:-1])
        u = self._u
        density = self._density(fixed + sd * u[self._of], u)
        for _ in range(_STEPS):
            p = expit(fixed + sd * u[self._of])
            residual = np.add.reduceat(given.trials * (given.y - p), self._starts)
            curvature = 1 + sd**2 * np.add.reduceat(given.trials * p * (1 - p), self._starts)
            change = (sd * residual - u) / curvature
            if float(np.abs(change).max()) < _AT_MODE:
                self._u = u  # where to begin when next asked
                return u, 1 / curvature
            u, density = self._moved(fixed, sd, u, change, density)
        raise NotEstimableError("the modes of the groups did not converge")

    def _moved(
        self, fixed: Vector, sd: float, u: Vector, change: Vector, density: Vector
    ) -> tuple[Vector, Vector]:
        for _ in range(_HALVINGS):
            reached = self._density(fixed + sd * (u + change)[self._of], u + change)
            worse = reached < density - 1e-12 * (1 + np.abs(density))
            if not worse.any():
                return u + change, reached
            change = np.where(worse, change / 2, change)
        return u + change, reached

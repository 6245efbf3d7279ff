"""Conditional and mixed logit models of choices, one group of stakeholders at a time.

McFadden D. Conditional logit analysis of qualitative choice behavior. In: Frontiers in econometrics.
Academic Press 1974. Train KE. Discrete choice methods with simulation, 2nd edition. Cambridge 2009.
Hauber AB et al. Statistical methods for the analysis of discrete choice experiments: a report of the
ISPOR task force. Value Health 2016;19:300-315.

xlogit maximises the simulated likelihood of the mixed logit; the conditional logit's is maximised
here, to the last digit, which general optimisers stop short of. The covariance is computed from the
second derivatives and from the scores summed by respondent, since the answers of one person are no
independent observations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from outcome_engine.choice.data import Choices
from outcome_engine.methods.logistic import NotEstimableError, climbed, inverted, solved

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_STEPS = 100
_TOLERANCE = 1e-9
_FLAT = 1e-7
"""Information so small, of columns between -1 and 1, is that of answers that are all certain."""
_AT_MAXIMUM = 1e-3
"""Where xlogit ends, Newton's method is to promise less than this to the log-likelihood."""
_SEED = 20_240_509
_INSTALL = "xlogit is not installed: it comes with the workbench, pip install 'csor[choice]'"


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """Coefficients with their covariance, in the order of `names`.

    With a mixed logit they are the means over respondents, `sd` how respondents differ (by name; 0
    and not named where they were held equal). `covariance` is robust to several answers of one
    respondent, `model_covariance` is the inverse of the information alone.
    """

    model: Literal["conditional", "mixed"]
    group: str
    names: tuple[str, ...]
    coefficients: Vector
    covariance: Matrix
    model_covariance: Matrix
    sd: dict[str, float]
    log_likelihood: float
    draws: int

    @property
    def parameters(self) -> int:
        """How many numbers were estimated."""
        return len(self.names) + len(self.sd)

    @property
    def standard_errors(self) -> Vector:
        """The square roots of the diagonal of the covariance."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))


def conditional(choices: Choices) -> Estimate:
    """Estimate a conditional logit model by Newton's method.

    Raises NotEstimableError where columns determine one another, or answers can be predicted with
    certainty, so that there is no maximum.
    """
    _refuse_indeterminate(choices)
    coefficients, information, scores = _climb(choices)
    inverse = inverted(information)
    return Estimate(
        model="conditional",
        group=choices.group,
        names=choices.names,
        coefficients=coefficients,
        covariance=_robust(inverse, _by_respondent(choices, scores)),
        model_covariance=inverse,
        sd={},
        log_likelihood=choices.log_likelihood(choices.x @ coefficients),
        draws=0,
    )


def mixed(choices: Choices, random: Sequence[str], draws: int = 1000) -> Estimate:
    """Estimate a mixed logit model by simulated likelihood (xlogit).

    The coefficients named `random` are normal over respondents and independent of one another; a
    respondent's are the same in all tasks. Halton draws: the same each time. Raises as
    `conditional` does, and ValueError for a name that is no coefficient.
    """
    try:
        from xlogit import MixedLogit  # noqa: PLC0415
    except ModuleNotFoundError as absent:
        raise ModuleNotFoundError(_INSTALL) from absent
    unknown = [name for name in random if name not in choices.names]
    if unknown or not random:
        raise ValueError(f"random coefficients are some of {', '.join(choices.names)}: {unknown}")
    _refuse_indeterminate(choices)
    scale = _scales(choices)
    table = _balanced(choices, scale)
    model = MixedLogit()
    model.fit(
        **table,
        varnames=list(choices.names),
        randvars=dict.fromkeys(random, "n"),
        n_draws=draws,
        random_state=_SEED,
        num_hess=True,
        verbose=0,
    )
    if not model.convergence:
        raise NotEstimableError(f"the mixed logit did not converge: {model.estimation_message}")
    size = len(choices.names)
    scores = np.zeros((choices.respondents, len(model.coeff_)))
    np.add.at(scores, choices.respondent[choices.starts], model.grad_n)
    _refuse_away(model.hess_inv, scores.sum(axis=0))
    turned = np.concatenate([1 / scale, np.ones(len(random))])
    inverse = np.asarray(model.hess_inv, dtype=np.float64)
    inverse = (inverse + inverse.T) / 2
    rescaled = np.outer(turned, turned)
    named = [name.removeprefix("sd.") for name in model.coeff_names[size:]]
    spread = {
        name: abs(float(value)) / scale[choices.names.index(name)]
        for name, value in zip(named, model.coeff_[size:], strict=True)
    }
    return Estimate(
        model="mixed",
        group=choices.group,
        names=choices.names,
        coefficients=np.asarray(model.coeff_[:size]) / scale,
        covariance=(_robust(inverse, scores) * rescaled)[:size, :size],
        model_covariance=(inverse * rescaled)[:size, :size],
        sd=spread,
        log_likelihood=float(model.loglikelihood),
        draws=draws,
    )


def _scales(choices: Choices) -> Vector:
    """Return by what each column is divided, so that the coefficients are of like size."""
    scale = np.abs(choices.x).max(axis=0)
    return np.where(scale > 0, scale, 1.0)


def _refuse_indeterminate(choices: Choices) -> None:
    """Refuse columns that, within tasks, do not vary or determine one another."""
    sizes = np.diff(np.append(choices.starts, len(choices.task)))
    means = np.add.reduceat(choices.x, choices.starts) / sizes[:, None]
    within = (choices.x - means[choices.task]) / _scales(choices)
    if np.linalg.matrix_rank(within) < len(choices.names):
        raise NotEstimableError(
            f"group {choices.group}: the columns determine one another, or one does not vary within a "
            "task: leave one out, or take more tasks"
        )


def _climb(choices: Choices) -> tuple[Vector, Matrix, Matrix]:
    """Return the coefficients at the maximum, the information there, and the score of each task."""
    scale = _scales(choices)
    x = choices.x / scale

    def objective(b: Vector) -> float:
        return choices.log_likelihood(x @ b)

    at = np.zeros(x.shape[1])
    best = objective(at)
    for _ in range(_STEPS):
        p = choices.probabilities(x @ at)
        expected = np.add.reduceat(x * p[:, None], choices.starts)
        away = x - expected[choices.task]
        scores = x[choices.chosen] - expected
        information = (away.T * p) @ away
        change = solved(information, scores.sum(axis=0))
        if float(np.linalg.eigvalsh(information).min()) < _FLAT:
            break  # on the way to infinity, where nothing is left to be known
        if float(np.abs(change).max()) < _TOLERANCE * (1 + float(np.abs(at).max())):
            return at / scale, information * np.outer(scale, scale), scores * scale
        at, best = climbed(objective, at, change, best)
    raise NotEstimableError(
        f"group {choices.group}: the likelihood has no maximum: some answers can be predicted with "
        "certainty"
    )


def _refuse_away(inverse: Matrix, score: Vector) -> None:
    """Refuse a point that is no maximum: Newton would still gain from there."""
    eigenvalues = np.linalg.eigvalsh((inverse + inverse.T) / 2)
    if not bool(np.all(eigenvalues > 0)) or float(score @ inverse @ score) > _AT_MAXIMUM:
        raise NotEstimableError(
            "the likelihood has no maximum that was found: some answers may be predicted with "
            "certainty, or a coefficient is not determined by the choices"
        )


def _by_respondent(choices: Choices, scores: Matrix) -> Matrix:
    summed = np.zeros((choices.respondents, scores.shape[1]))
    np.add.at(summed, choices.respondent[choices.starts], scores)
    return summed


def _robust(inverse: Matrix, scores: Matrix) -> Matrix:
    """Return the covariance that holds though the answers of one respondent go together."""
    people = len(scores)
    found = inverse @ (scores.T @ scores) @ inverse * (people / max(1, people - 1))
    return np.asarray((found + found.T) / 2)


def _balanced(choices: Choices, scale: Vector) -> dict[str, Any]:
    """Lay the rows out as xlogit wants them: every task with every alternative, some not available."""
    labels = sorted(set(choices.alternative))
    column = {label: position for position, label in enumerate(labels)}
    at = choices.task * len(labels) + np.array([column[each] for each in choices.alternative])
    rows = choices.tasks * len(labels)
    x = np.zeros((rows, len(choices.names)))
    chosen, available = np.zeros(rows), np.zeros(rows)
    x[at], chosen[at], available[at] = choices.x / scale, choices.chosen, 1.0
    return {
        "X": x,
        "y": chosen,
        "alts": np.tile(labels, choices.tasks),
        "ids": np.repeat(np.arange(choices.tasks), len(labels)),
        "panels": np.repeat(choices.respondent[choices.starts], len(labels)),
        "avail": None if len(at) == rows else available,
    }

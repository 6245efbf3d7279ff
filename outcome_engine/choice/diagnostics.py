"""How far the estimates of a choice model can be trusted, and what they say of preferences.

Hauber AB et al., Value Health 2016;19:300-315; Tervonen T et al. Assessing rationality in discrete
choice experiments in health: an investigation into the use of dominance tests. Value Health
2018;21:1192-1197. Normalised importance is what Rivero-Arias et al. report (ISPOR 2023).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import log, sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcome_engine.choice.data import Choices
from outcome_engine.choice.estimation import Estimate

_DRAWS = 1000
_SEED = 20_240_510
_Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Sign:
    """The sign that a coefficient was expected to have (1 or -1), its estimate, and whether it fits."""

    name: str
    expected: int
    value: float
    standard_error: float

    @property
    def verdict(self) -> Literal["as expected", "not told from 0", "opposite"]:
        """`opposite` and `as expected` only where the 95% interval leaves 0 out."""
        if abs(self.value) <= _Z95 * self.standard_error:
            return "not told from 0"
        return "as expected" if self.value * self.expected > 0 else "opposite"


@dataclass(frozen=True, slots=True)
class Consistency:
    """How consistently people answered.

    dominated: tasks in which an alternative was no better in any respect and worse in one; repeated:
    pairs of the same alternatives asked of one person again.
    """

    dominated: int
    dominated_chosen: int
    respondents_who_did: int
    repeated: int
    repeated_alike: int


@dataclass(frozen=True, slots=True)
class Fit:
    """How the model fits; shares are by the name of an alternative, where it was offered."""

    log_likelihood: float
    log_likelihood_of_chance: float
    parameters: int
    tasks: int
    respondents: int
    shares: Mapping[str, tuple[float, float]]
    predicted_right: float

    @property
    def pseudo_r2(self) -> float:
        """McFadden's: 1 - LL / LL of equal chances."""
        return 1 - self.log_likelihood / self.log_likelihood_of_chance

    @property
    def adjusted_r2(self) -> float:
        """The same, each parameter costing 1 of log-likelihood."""
        return 1 - (self.log_likelihood - self.parameters) / self.log_likelihood_of_chance

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return 2 * self.parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """The Bayesian criterion; observations are tasks."""
        return self.parameters * log(self.tasks) - 2 * self.log_likelihood


@dataclass(frozen=True, slots=True)
class Importance:
    """The importance of an attribute relative to another's, with its 95% interval (delta method)."""

    name: str
    reference: str
    value: float
    lower: float
    upper: float


def fit(choices: Choices, estimate: Estimate) -> Fit:
    """Say how a model fits the choices that it was estimated from."""
    p = _probabilities(choices, estimate)
    offered = Counter(choices.alternative)
    names = np.array(choices.alternative)
    shares = {}
    for name in offered:
        own = names == name
        shares[name] = (float(choices.chosen[own].mean()), float(p[own].mean()))
    highest = np.maximum.reduceat(p, choices.starts)
    sizes = np.diff(np.append(choices.starts, len(p)))
    return Fit(
        log_likelihood=estimate.log_likelihood,
        log_likelihood_of_chance=-float(np.log(sizes).sum()),
        parameters=estimate.parameters,
        tasks=choices.tasks,
        respondents=choices.respondents,
        shares=shares,
        predicted_right=float((p[choices.chosen] == highest).mean()),
    )


def signs(estimate: Estimate, expected: Mapping[str, int]) -> list[Sign]:
    """Compare the signs of coefficients with those that are expected (1 better, -1 worse).

    Raises ValueError for a name that is no coefficient.
    """
    _known(estimate.names, expected)
    errors = dict(zip(estimate.names, estimate.standard_errors, strict=True))
    values = dict(zip(estimate.names, estimate.coefficients, strict=True))
    return [
        Sign(name, sign, float(values[name]), float(errors[name]))
        for name, sign in expected.items()
    ]


def consistency(choices: Choices, expected: Mapping[str, int]) -> Consistency:
    """Count dominated choices and repeated tasks.

    An alternative is dominated where another differs from it only in columns whose sign is expected,
    and is better there. Raises ValueError for a name that is no column.
    """
    _known(choices.names, expected)
    sign = np.array([expected.get(name, 0) for name in choices.names])
    dominated = chosen = 0
    who: set[int] = set()
    answers: dict[tuple[int, bytes], list[bytes]] = {}
    for rows in np.split(np.arange(len(choices.task)), choices.starts[1:]):
        x, is_chosen = choices.x[rows], choices.chosen[rows]
        is_worse = _dominated(x, sign)
        dominated += bool(is_worse.any())
        person = int(choices.respondent[rows[0]])
        if bool(is_worse[is_chosen].any()):
            chosen += 1
            who.add(person)
        asked = b"".join(sorted(row.tobytes() for row in x))
        answers.setdefault((person, asked), []).append(x[is_chosen][0].tobytes())
    again = [given for given in answers.values() if len(given) > 1]
    return Consistency(
        dominated=dominated,
        dominated_chosen=chosen,
        respondents_who_did=len(who),
        repeated=sum(len(given) - 1 for given in again),
        repeated_alike=sum(one == given[0] for given in again for one in given[1:]),
    )


def importance(estimate: Estimate, ranges: Mapping[str, float], reference: str) -> list[Importance]:
    """Compare what attributes are worth over their ranges (worst to best) with a reference's.

    A range is in the unit of the column, negative where less is better. Raises ValueError for a name
    that is no coefficient, a reference without a range, or one that is not told from 0.
    """
    _known(estimate.names, ranges)
    if reference not in ranges:
        raise ValueError(f"the reference {reference} has no range")
    at = {name: number for number, name in enumerate(estimate.names)}
    beta, covariance = estimate.coefficients, estimate.covariance
    base = beta[at[reference]] * ranges[reference]
    if abs(beta[at[reference]]) <= _Z95 * estimate.standard_errors[at[reference]]:
        raise ValueError(f"the reference {reference} is not told from 0: nothing is relative to it")
    found = []
    for name, span in ranges.items():
        value = float(beta[at[name]] * span / base)
        gradient = np.zeros(len(beta))
        gradient[at[name]] += span / base
        gradient[at[reference]] -= value * ranges[reference] / base
        error = sqrt(max(0.0, float(gradient @ covariance @ gradient)))
        found.append(Importance(name, reference, value, value - _Z95 * error, value + _Z95 * error))
    return found


def _probabilities(choices: Choices, estimate: Estimate) -> NDArray[np.float64]:
    """Return the model's probability of each row, respondents' differences averaged out."""
    if not estimate.sd:
        return choices.probabilities(choices.x @ estimate.coefficients)
    at = [estimate.names.index(name) for name in estimate.sd]
    spread = np.array(list(estimate.sd.values()))
    drawn = np.random.default_rng(_SEED).standard_normal((_DRAWS, len(at))) * spread
    utility = (choices.x @ estimate.coefficients)[:, None]
    total = np.zeros(len(choices.task))
    for part in np.array_split(drawn, max(1, _DRAWS * len(total) // 10**7)):
        total += choices.probabilities(utility + choices.x[:, at] @ part.T).sum(axis=1)
    return total / _DRAWS


def _dominated(x: NDArray[np.float64], sign: NDArray[np.intp]) -> NDArray[np.bool_]:
    found = np.zeros(len(x), dtype=bool)
    free = sign == 0
    for row, own in enumerate(x):
        gain = (x - own) * sign
        alike = (x[:, free] == own[free]).all(axis=1)
        found[row] = bool((alike & (gain >= 0).all(axis=1) & (gain > 0).any(axis=1)).any())
    return found


def _known(names: tuple[str, ...], given: Mapping[str, object]) -> None:
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no coefficient; there are {', '.join(names)}")

"""How sure a class is when the preferences behind a score are estimates: draws of the coefficients."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import nan
from random import Random  # noqa: TID251 - seeded draws
from statistics import NormalDist

from outcome_engine.methods.treatment_success import factor

DRAWS = 1000
SEED = 20240501
"""Of the draws that every child is judged by: the same on every machine and in every version."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A sum of coefficients: its exact value at the estimates; each one's place, and how often it counts.

    Coefficients that do not count are left out.
    """

    value: Fraction
    weights: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Probabilities:
    """The share of the draws in which a child is of each class; undefined: the scale has no span.

    good and not_good, and red, amber and green, each sum to 1 with undefined.
    """

    good: Fraction
    not_good: Fraction
    red: Fraction
    amber: Fraction
    green: Fraction
    undefined: Fraction
    draws: int
    seed: int


def deviations(
    covariance: Sequence[Sequence[Fraction]], draws: int = DRAWS, seed: int = SEED
) -> list[tuple[float, ...]]:
    """Draw how far the coefficients lie from their estimates, by the normal law of a covariance.

    Raises ValueError where it is not symmetric and positive semi-definite.
    """
    size = len(covariance)
    lower = factor(covariance, size)
    uniform, inverse = Random(seed).random, NormalDist().inv_cdf  # noqa: S311 - a simulation
    found = []
    for _ in range(draws):
        normal = [inverse(uniform()) for _ in range(size)]
        found.append(tuple(_dot(row, normal) for row in lower))
    return found


def probabilities(
    drawn: Sequence[tuple[float, ...]],
    span: Contrast,
    *,
    good: Contrast,
    amber: Contrast,
    green: Contrast,
) -> Probabilities:
    """Count the draws by class; a class holds where its contrast, utility less the cut's, is >= 0.

    span: the best outcome less palliation, which must be above 0 for a score to have a meaning.
    """
    defined = [draw for draw, at in zip(drawn, _along(span, drawn), strict=True) if at > 0]
    many = [sum(at >= 0 for at in _along(cut, defined)) for cut in (good, amber, green)]
    is_good, at_least_amber, is_green = (Fraction(count, len(drawn)) for count in many)
    whole = Fraction(len(defined), len(drawn))
    return Probabilities(
        good=is_good,
        not_good=whole - is_good,
        red=whole - at_least_amber,
        amber=at_least_amber - is_green,
        green=is_green,
        undefined=1 - whole,
        draws=len(drawn),
        seed=SEED,
    )


def scores(
    drawn: Sequence[tuple[float, ...]], span: Contrast, above_palliation: Contrast
) -> list[float]:
    """Return a child's score in each draw, NaN where the scale has no span.

    above_palliation: the child's utility less palliation's; over the span it is the score.
    """
    pairs = zip(_along(above_palliation, drawn), _along(span, drawn), strict=True)
    return [above / of if of > 0 else nan for above, of in pairs]


def _along(contrast: Contrast, drawn: Sequence[tuple[float, ...]]) -> list[float]:
    """Return a contrast in each draw."""
    found = [float(contrast.value)] * len(drawn)
    for place, weight in contrast.weights:
        found = [value + weight * draw[place] for value, draw in zip(found, drawn, strict=True)]
    return found


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))

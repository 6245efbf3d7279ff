"""The Treatment Success Score in numbers: the scale, exactly; and the same in integers, for tables.

The best outcome is 1, palliation is 0. Allin et al., Arch Dis Child 2024;109:377-386, doi
10.1136/archdischild-2023-326156 (the anchors).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from math import ceil, lcm
from typing import Literal

MICRO = 1_000_000
"""Into how many parts 1 of a published score is divided."""
LARGEST = 2**63 - 1
"""The greatest integer of a back end (BIGINT)."""

Light = Literal["red", "amber", "green"]


def score(utility: Fraction, best: Fraction, palliation: Fraction) -> Fraction:
    """Rescale a utility: `1 + (V(x) - V(best)) / (V(best) - V(palliation))`, exactly.

    Raises ValueError unless the best outcome is preferred to palliation.
    """
    if best <= palliation:
        raise ValueError("the best outcome must have a greater utility than palliation")
    return 1 + (utility - best) / (best - palliation)


@dataclass(frozen=True, slots=True)
class Level:
    """A utility that holds from a value on."""

    start: Fraction
    utility: Fraction


@dataclass(frozen=True, slots=True)
class Term:
    """What an attribute contributes: slope times the value held to its range; or, with levels, steps.

    Values are in the units that they are recorded in.
    """

    id: str
    minimum: Fraction = Fraction(0)
    maximum: Fraction = Fraction(0)
    slope: Fraction = Fraction(0)
    levels: tuple[Level, ...] = ()

    def ends(self) -> tuple[Fraction, Fraction]:
        """Return the least and the greatest utility."""
        found = [level.utility for level in self.levels] or [
            self.slope * self.minimum,
            self.slope * self.maximum,
        ]
        return min(found), max(found)


@dataclass(frozen=True, slots=True)
class IntegerTerm:
    """A Term on the common scale: steps are (from, utility), ascending; without any it is linear."""

    id: str
    minimum: int
    maximum: int
    slope: int
    steps: tuple[tuple[int, int], ...]

    def utility(self, value: int) -> int:
        """Return the utility of a value, scaled."""
        if not self.steps:
            return self.slope * min(max(value, self.minimum), self.maximum)
        reached = [utility for start, utility in self.steps if value >= start]
        return reached[-1] if reached else self.steps[0][1]


@dataclass(frozen=True, slots=True)
class Scored:
    """A child's score: micro-units (half-even), whether it is good, its light; utility scaled."""

    utility: int
    micro: int
    good: bool
    light: Light


@dataclass(frozen=True, slots=True)
class Scoring:
    """The score as integer arithmetic that no back end can round: all values fit into 64 bits.

    scale: what 1 of utility is; best and palliation: scaled; good, amber, green: the least scaled
    utility of each class; shift: an even number that makes the rounded quotient's dividend positive.
    """

    terms: tuple[IntegerTerm, ...]
    scale: int
    best: int
    palliation: int
    good: int
    amber: int
    green: int
    shift: int

    def score(self, values: Mapping[str, int]) -> Scored:
        """Score an outcome whose every attribute is known, each in the units it is recorded in."""
        utility = sum(term.utility(values[term.id]) for term in self.terms)
        light: Light = "amber" if utility >= self.amber else "red"
        return Scored(
            utility,
            self.micro(utility),
            utility >= self.good,
            "green" if utility >= self.green else light,
        )

    def micro(self, utility: int) -> int:
        """Return the published score of a scaled utility: micro-units, rounded half to even."""
        span = self.best - self.palliation
        dividend = (utility - self.palliation) * MICRO + self.shift * span
        quotient, remainder = divmod(dividend, span)
        up = 2 * remainder > span or (2 * remainder == span and quotient % 2 == 1)
        return quotient - self.shift + up


def scoring(
    terms: Sequence[Term],
    best: Fraction,
    palliation: Fraction,
    *,
    good: Fraction,
    amber: Fraction,
    green: Fraction,
) -> Scoring:
    """Put a score on one scale of integers; the cuts are scores.

    Raises ValueError where a range does not end at what can be recorded, and where an intermediate
    result may exceed 64 bits.
    """
    utilities = [level.utility for term in terms for level in term.levels]
    slopes = [term.slope for term in terms if not term.levels]
    scale = lcm(*(each.denominator for each in chain(utilities, slopes, (best, palliation))))

    def scaled(value: Fraction) -> int:
        return int(value * scale)

    def least(cut: Fraction) -> int:
        return ceil((palliation + cut * (best - palliation)) * scale)

    low = sum(scaled(term.ends()[0]) for term in terms)
    span = scaled(best) - scaled(palliation)
    made = Scoring(
        terms=tuple(_integers(term, scale) for term in terms),
        scale=scale,
        best=scaled(best),
        palliation=scaled(palliation),
        good=least(good),
        amber=least(amber),
        green=least(green),
        shift=max(0, 2 * ceil(Fraction((scaled(palliation) - low) * MICRO, 2 * span))),
    )
    _fits(made, [tuple(map(scaled, term.ends())) for term in terms])
    return made


def _integers(term: Term, scale: int) -> IntegerTerm:
    ends = (term.minimum, term.maximum)
    if any(end.denominator > 1 for end in ends):
        raise ValueError(f"{term.id}: the range must end at values that can be recorded")
    steps = tuple((ceil(level.start), int(level.utility * scale)) for level in term.levels)
    return IntegerTerm(term.id, int(ends[0]), int(ends[1]), int(term.slope * scale), steps)


def _fits(made: Scoring, ends: Sequence[tuple[int, ...]]) -> None:
    span = made.best - made.palliation
    greatest = sum(max(abs(low), abs(high)) for low, high in ends)
    moved = abs(made.shift * span - made.palliation * MICRO)
    if max(greatest * MICRO + moved, 2 * span, abs(made.good), abs(made.green)) > LARGEST:
        text = "the numbers do not fit into 64 bits on one scale: give them with fewer digits"
        raise ValueError(text)


def factor(covariance: Sequence[Sequence[Fraction]], size: int) -> list[list[float]]:
    """Factor a covariance matrix, S = F F', by exact elimination; F is lower triangular.

    Raises ValueError where it is not size x size, symmetric and positive semi-definite.
    """
    rows = [list(row) for row in covariance]
    if len(rows) != size or any(len(row) != size for row in rows):
        raise ValueError(f"covariance must be {size} x {size}: one row a coefficient")
    if any(rows[i][j] != rows[j][i] for i in range(size) for j in range(i)):
        raise ValueError("covariance must be symmetric")
    found = [[0.0] * size for _ in range(size)]
    for j in range(size):
        pivot = rows[j][j]
        below = [rows[i][j] for i in range(j + 1, size)]
        if pivot < 0 or (pivot == 0 and any(below)):
            raise ValueError("covariance must be positive semi-definite")
        if pivot == 0:
            continue
        root = float(pivot) ** 0.5
        found[j][j] = root
        for i in range(j + 1, size):
            times = rows[i][j] / pivot
            found[i][j] = float(times) * root
            for k in range(j + 1, size):
                rows[i][k] -= times * rows[j][k]
    return found

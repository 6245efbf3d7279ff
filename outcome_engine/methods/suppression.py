"""Secondary suppression: which further cells of published tables to mask so that none can be computed.

A reader knows every cell that is shown (to its rounding), what a mask may hide, and that parts add up.
A masked cell is safe while two whole numbers are left for it. Found by integer programming, as whole
numbers that fit everything known: Fischetti M, Salazar JJ. J Am Stat Assoc 2001;96:1116-1126.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

Floats = npt.NDArray[np.float64]

FAR = 10_000_000
"""More than any count that is looked for: where a reader knows no bound."""
SECONDS = 120.0
"""How long is looked for what to mask: the time grows with hospitals times strata, without a bound."""
_INFEASIBLE = 2


class UnsolvedError(Exception):
    """What to mask was not found in time: nothing of the tables may be shown."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A count of a table: what it is, and what a reader knows of it.

    shown: the least and the greatest it may be as shown; hidden: as masked. cost orders what is masked
    first, and None is a cell that cannot be; masked is a cell that the rule masks anyhow. count is None
    where it is not known to us either (an earlier version).
    """

    count: int | None
    shown: tuple[int, int]
    hidden: tuple[int, int] = (0, FAR)
    cost: int | None = None
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    """What a reader knows to hold: the sum of coefficient times cell is from least to most."""

    terms: Mapping[int, int]
    least: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Cells, by their positions in it, and their relations."""

    cells: Sequence[Cell]
    relations: Sequence[Relation]


@dataclass(frozen=True, slots=True)
class Suppression:
    """The cells to be masked; vague are those of which a reader may not even know what the rule hides."""

    masked: frozenset[int]
    vague: frozenset[int]


def suppressed(table: Table, seconds: float = SECONDS) -> Suppression:
    """Return the cells to be masked: those of the rule, and the further ones that keep them unknown.

    Of the cells that stand in one relation with a cell that could be computed, the one of least cost is
    added, until none can be. A cell that could be computed for all that can be masked (one child in all
    hospitals) is unknown as long as its mask may hide anything, as that of a further cell does. Raises
    UnsolvedError where so many seconds are not enough: what was found by then could depend on the machine.
    """
    until = monotonic() + seconds
    masked = frozenset(at for at, cell in enumerate(table.cells) if cell.masked)
    if not masked:
        return Suppression(masked, masked)
    everything = masked | {
        at for at, cell in enumerate(table.cells) if cell.cost is not None and cell.cost < FAR
    }
    vague = frozenset[int]()
    if pinned(table, masked, until):
        vague = frozenset(pinned(table, everything, until) & masked)
    cells = [
        replace(cell, hidden=(0, FAR)) if at in vague else cell
        for at, cell in enumerate(table.cells)
    ]
    open_table = Table(cells, table.relations)
    lost: set[int] = set()
    while found := sorted(pinned(open_table, masked, until) - lost):
        added: set[int] = set()
        for at in found:
            if {other for each in _with(table, at) for other in each.terms} & added:
                continue  # what was added for a neighbour may do for it as well
            candidate = _candidate(open_table, masked, at)
            if candidate is None:
                lost.add(at)
            else:
                added.add(candidate)
        masked |= added
    return Suppression(masked, vague)


def pinned(table: Table, masked: frozenset[int], until: float | None = None) -> set[int]:
    """Return the masked cells for which only one number fits what is known.

    Empty, too, where nothing fits at all (see `fits`). Raises UnsolvedError after a moment of the
    monotonic clock, by default in SECONDS.
    """
    problem = _Problem(table, masked, until)
    remaining = set(masked)
    rng = np.random.default_rng(0)
    for _ in range(6):
        weights = {at: float(rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1)) for at in remaining}
        other = problem.solve(weights)
        if other is None:
            return set()
        moved = problem.moved(other, remaining)
        if not moved:
            break
        remaining -= moved
    fixed = set()
    for at in sorted(remaining):
        if at in remaining and not _moves(problem, at, remaining):
            fixed.add(at)
    return fixed


def fits(table: Table, masked: frozenset[int]) -> bool:
    """Tell whether there are numbers that fit what a reader takes for known; may raise UnsolvedError."""
    return _Problem(table, masked).solve({}) is not None


def _moves(problem: "_Problem", at: int, remaining: set[int]) -> bool:
    for direction in (1.0, -1.0):
        other = problem.solve({at: direction})
        if other is not None:
            moved = problem.moved(other, remaining)
            remaining -= moved
            if at in moved:
                return True
    return False


class _Problem:
    """The whole numbers that fit what is known, near the truth where we know it."""

    def __init__(self, table: Table, masked: frozenset[int], until: float | None = None) -> None:
        self.until = monotonic() + SECONDS if until is None else until
        known = [_known(cell, at in masked) for at, cell in enumerate(table.cells)]
        self.truth = [cell.count for cell in table.cells]
        self.bounds = Bounds([each[0] for each in known], [each[1] for each in known])
        rows, columns, values = [], [], []
        for row, relation in enumerate(table.relations):
            for column, coefficient in relation.terms.items():
                rows.append(row)
                columns.append(column)
                values.append(float(coefficient))
        shape = (len(table.relations), len(table.cells))
        self.relations = LinearConstraint(
            csr_array((values, (rows, columns)), shape=shape),
            [each.least for each in table.relations],
            [each.most for each in table.relations],
        )

    def solve(self, weights: Mapping[int, float]) -> Floats | None:
        """Return numbers that fit and make the weighted sum least; None where none fit."""
        cost = np.zeros(len(self.truth))
        for at, weight in weights.items():
            cost[at] = weight
        left = self.until - monotonic()
        if left <= 0:
            raise UnsolvedError
        found = milp(
            cost,
            options={"time_limit": left},
            integrality=np.ones(len(cost)),
            bounds=self.bounds,
            constraints=self.relations if len(self.relations.lb) else (),
        )
        if found.status not in (0, _INFEASIBLE):
            raise UnsolvedError  # taken for "nothing fits", it would be taken for "nothing is told"
        return None if found.x is None else np.rint(found.x)

    def moved(self, numbers: Floats, among: set[int]) -> set[int]:
        """Return the cells whose numbers are others than the true ones."""
        return {at for at in among if self.truth[at] != int(numbers[at])}


_NEAR = 8


def _known(cell: Cell, masked: bool) -> tuple[int, int]:
    least, most = cell.hidden if masked else cell.shown
    if cell.count is None:
        return least, most
    # A second number is enough, and one near by is found sooner.
    return max(least, cell.count - _NEAR), min(most, cell.count + _NEAR)


def _with(table: Table, at: int) -> list[Relation]:
    return [each for each in table.relations if at in each.terms]


def _candidate(table: Table, masked: frozenset[int], at: int) -> int | None:
    found = [
        (cost, other)
        for relation in _pinning(table, masked, at) or _with(table, at)
        for other in relation.terms
        if other not in masked and (cost := table.cells[other].cost) is not None
    ]
    if not found:
        found = [
            (cost, other)
            for relation in _with(table, at)
            for other in relation.terms
            if other not in masked and (cost := table.cells[other].cost) is not None
        ]
    return min(found)[1] if found else None


def _pinning(table: Table, masked: frozenset[int], at: int) -> list[Relation]:
    """Return the relations that leave the cell one number already when looked at alone."""
    return [each for each in _with(table, at) if _leaves_one(table, masked, each, at)]


def _leaves_one(table: Table, masked: frozenset[int], relation: Relation, at: int) -> bool:
    least, most = relation.least, relation.most
    for other, coefficient in relation.terms.items():
        if other != at:
            cell = table.cells[other]
            ends = [coefficient * end for end in (cell.hidden if other in masked else cell.shown)]
            least, most = least - max(ends), most - min(ends)
    between = sorted(end / relation.terms[at] for end in (least, most))
    own = table.cells[at].hidden
    return min(between[1], own[1]) - max(between[0], own[0]) < 1

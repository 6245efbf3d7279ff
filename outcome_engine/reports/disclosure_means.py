"""Which means may not leave, so that no mean of fewer children can be computed from those that do.

A mean times its number is a sum, and sums add up: strata to their whole, hospitals to the nation. What a
reader can compute is what a combination of these equations leaves of the means that are hidden. Where
it is a sum over few children, a further mean of that combination is withheld, the one of the fewest children
first. The least number of children that a hidden part can be told of with is found by linear programming;
numbers of children are taken for known to the reader, whatever is shown of them.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog

from outcome_engine.reports.disclosure_places import NATION, counted, places
from outcome_engine.reports.groups import OBSERVATION
from r4.json import Resource

Floats = npt.NDArray[np.float64]
Place = tuple[int, str, str, str]
"""Of a group (position), a hospital or the nation, a stratum (stratifier, value)."""

_TINY = 1e-6


def withheld(reports: Sequence[tuple[str, Resource]], least: int) -> frozenset[Place]:
    """Return the places whose mean may not leave: of fewer than so many children, and those beside them.

    reports: exact ones of one measure and period that leave together, each with its hospital. Raises
    RuntimeError where a linear program has no solution, which none should.
    """
    numbers = _numbers(reports)
    matrix, sizes = _equations(numbers)
    hidden = sizes < least
    hidden[len(numbers) :] = True  # children of no hospital or stratum have no mean that is shown
    for target in np.flatnonzero(sizes < least):
        while (used := _combined(matrix, sizes, hidden, target, least)) is not None:
            shown = np.flatnonzero(~hidden & (abs(used) > _TINY))
            hidden[shown[np.argmin(sizes[shown])]] = True
    return frozenset(place for place, is_hidden in zip(numbers, hidden, strict=False) if is_hidden)


def _numbers(reports: Sequence[tuple[str, Resource]]) -> dict[Place, int]:
    """Return how many children each mean is of."""
    found: dict[Place, int] = {}
    for hospital, report in reports:
        for key, part in places(report, hospital):
            if number := counted(part).get(OBSERVATION):
                found.setdefault(key[:4], number)
    return dict(sorted(found.items()))


def _equations(numbers: dict[Place, int]) -> tuple[Floats, Floats]:
    """Return the sums, a row each: its whole less its parts; and the number of children of each column.

    Columns are the places, and after them the children of each sum who are in no part of it.
    """
    sums: dict[tuple[Place, str], list[Place]] = {}
    for place in numbers:
        at, hospital, code, stratum = place
        if code:
            sums.setdefault(((at, hospital, "", ""), code), []).append(place)
        if hospital != NATION:
            sums.setdefault(((at, NATION, code, stratum), "hospital"), []).append(place)
    columns = {place: column for column, place in enumerate(numbers)}
    listed = [(whole, parts) for (whole, _), parts in sums.items() if whole in numbers]
    matrix = np.zeros((len(listed), len(numbers)))
    for row, (whole, parts) in enumerate(listed):
        matrix[row, columns[whole]] = 1
        matrix[row, [columns[each] for each in parts]] = -1
    sizes = np.array(list(numbers.values()), dtype=np.float64)
    rest = matrix @ sizes
    outside = np.flatnonzero(rest)
    return (
        np.hstack([matrix, -np.eye(len(listed))[:, outside]]),
        np.concatenate([sizes, rest[outside]]),
    )


def _combined(
    matrix: Floats, sizes: Floats, hidden: npt.NDArray[np.bool_], target: np.int64, least: int
) -> Floats | None:
    """Return a combination of sums in which the target stands with fewer than so many hidden children.

    That is its coefficient of every column; None where there is none.
    """
    of_hidden = matrix[:, hidden]
    if not of_hidden.any():
        return None
    # Of at most least - 1 children: a coefficient below 1 is of a part of the target, which nobody knows.
    told = linprog(
        -matrix[:, target],
        A_ub=np.vstack([-of_hidden.T, of_hidden @ sizes[hidden]]),
        b_ub=[*[0] * of_hidden.shape[1], least - 1],
        bounds=(None, None),
    )
    if not told.success:
        raise RuntimeError("it is not known which means may be shown: " + told.message)
    return matrix.T @ told.x if -told.fun > 1 - _TINY else None

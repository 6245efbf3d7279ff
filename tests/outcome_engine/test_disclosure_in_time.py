"""What is to be masked is found in a bounded time, or nothing leaves."""

import pytest
from scipy.optimize import OptimizeResult

from outcome_engine.methods import suppression
from outcome_engine.methods.suppression import Cell, Relation, Table
from outcome_engine.reports.disclosure import disclose_all
from r4.issue import FhirError
from tests.outcome_engine.test_disclosure_together import report

TABLE = Table(
    (Cell(23, (23, 23)), Cell(3, (3, 3), (1, 7), masked=True), Cell(20, (18, 22), cost=20)),
    (Relation({0: 1, 1: -1, 2: -1}),),
)


def test_what_is_not_solved_in_time_is_refused_and_not_shown(monkeypatch):
    monkeypatch.setattr(suppression.suppressed, "__defaults__", (0.0,))
    cases = [("a", "x", "2018", "numerator")] * 3 + [("b", "x", "2018", "numerator")] * 20
    with pytest.raises(FhirError, match="ask for a shorter period") as refused:
        disclose_all([report(cases), report(cases, "a"), report(cases, "b")])
    assert (refused.value.status, refused.value.issues[0].code) == (422, "too-costly")


def test_a_solver_that_gives_up_has_not_found_that_nothing_is_told(monkeypatch):
    assert suppression.pinned(TABLE, frozenset({1})) == set()

    def given_up(*_, **__):
        return OptimizeResult(x=None, status=1)

    monkeypatch.setattr(suppression, "milp", given_up)
    with pytest.raises(suppression.UnsolvedError):
        suppression.pinned(TABLE, frozenset({1}))


def test_large_counts_are_no_reason_to_give_a_small_one_away():
    """A reader with the nation's 30,003 and the others' exact 30,000 would have the three."""
    large = 30_000
    cells = (Cell(large + 3, (large + 3, large + 3)), Cell(3, (3, 3), (1, 7), masked=True))
    cells += (Cell(large, (large, large), cost=large), Cell(large - 5, (large - 5, large - 5)))
    scored = Relation({2: 1, 3: -1}, 0, suppression.FAR)
    bad = Relation({2: 1, 1: -1}, 0, suppression.FAR)
    table = Table(cells, (Relation({0: 1, 1: -1, 2: -1}), scored, bad))
    assert suppression.suppressed(table).masked == {1, 2}

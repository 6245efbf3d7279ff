"""How well predicted chances tell children with the event from those without: the c-statistic.

Hanley JA, McNeil BJ. Radiology 1982;143:29-36. Its standard error: DeLong ER, DeLong DM,
Clarke-Pearson DL. Biometrics 1988;44:837-845, by mid-ranks (Sun X, Xu W. IEEE Signal Process Lett
2014;21:1389-1393).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata


@dataclass(frozen=True, slots=True)
class CStatistic:
    """The chance that a child with the event was given a greater chance than one without.

    Ties count one half. The standard error is None where one side has a single child.
    """

    value: float
    standard_error: float | None
    events: int
    non_events: int


def c_statistic(y: ArrayLike, predicted: ArrayLike) -> CStatistic:
    """Return the c-statistic of predictions for outcomes of 0 or 1.

    Raises ValueError unless there is a child with the event and one without.
    """
    outcome = np.asarray(y, dtype=np.float64)
    chances = np.asarray(predicted, dtype=np.float64)
    if outcome.shape != chances.shape or not bool(np.isin(outcome, (0.0, 1.0)).all()):
        raise ValueError("an outcome is 0 or 1, and each has its predicted chance")
    is_event = outcome == 1
    events, others = int(is_event.sum()), int((~is_event).sum())
    if not events or not others:
        raise ValueError("a c-statistic needs a child with the event and one without")
    ranks = rankdata(chances)
    above = (ranks[is_event] - rankdata(chances[is_event])) / others
    below = 1 - (ranks[~is_event] - rankdata(chances[~is_event])) / events
    error = None
    if events > 1 and others > 1:
        error = float(np.sqrt(above.var(ddof=1) / events + below.var(ddof=1) / others))
    return CStatistic(float(above.mean()), error, events, others)

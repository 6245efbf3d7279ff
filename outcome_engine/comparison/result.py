"""What goes into a comparison of hospitals and what comes out of it, as values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from outcome_engine.comparison.policy import Policy
from outcome_engine.methods.calibration import Calibration
from outcome_engine.methods.discrimination import CStatistic
from outcome_engine.methods.funnel import Limits
from outcome_engine.methods.overdispersion import Overdispersion
from outcome_engine.methods.shrinkage import Centre

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Hospital:
    """A hospital's children: 1 with the event, 0 without, None not known; and the risk of the event.

    Of a child whose outcome is not known the risk is given too.
    """

    id: str
    observed: Sequence[int | None]
    predicted: Sequence[float]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a hospital stands: within its limits, or beyond those of an alert or of an alarm."""

    stage: Literal["within", "alert", "alarm"]
    direction: Literal["better", "worse"] | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Missing:
    """What outcomes that are not known leave open: rates, and positions at either extreme.

    at_best and at_worst are the positions were all of them good, and bad. imputed is None where
    nothing is missing.
    """

    count: int
    known_only: float
    bounds: Interval
    imputed: Estimate | None
    at_best: Position
    at_worst: Position


@dataclass(frozen=True, slots=True)
class Compared:
    """One hospital's comparison with what was expected of its own children.

    known children; observed and expected events; ratio O/E; variance of O. alert and alarm are counts.
    shrunken is the ratio drawn towards the others'. power_of_alert and power_of_alarm are the chances
    that a true doubling (policy.odds_ratio) of the odds of a bad outcome would be beyond them.
    """

    id: str
    known: int
    observed: int
    expected: float
    ratio: float
    variance: float
    alert: Limits
    alarm: Limits
    others: Overdispersion | None
    tau2: float
    position: Position
    wilson: Interval
    exact: Interval
    mid_p: Interval
    shrunken: Estimate
    reliability: float
    children_for_reliability: float
    power_of_alert: float
    power_of_alarm: float
    missing: Missing
    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotCompared:
    """A hospital of too few children, with the sentence that says so."""

    id: str
    known: int
    missing: int
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every hospital's comparison in the order given, and what is true of all of them.

    together is the overdispersion of all hospitals; tau2 what reliability is computed with; centre the
    likeliest mean and deviation of their log-odds, beside the risks (empirical Bayes).
    calibration is None where outcomes and risks do not determine it, discrimination where every
    outcome is alike.
    """

    policy: Policy
    hospitals: tuple[Compared, ...]
    not_compared: tuple[NotCompared, ...]
    observed: int
    expected: float
    together: Overdispersion | None
    tau2: float
    centre: Centre
    calibration: Calibration | None
    discrimination: CStatistic | None
    statements: tuple[str, ...]

"""One hospital watched over time, child by child: VLAD and risk-adjusted CUSUM by a case-mix model.

A hospital's own instrument: HQIP's outlier policy compares hospitals in batches, and not by these.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from outcome_engine.case_mix.compared import chances, policy
from outcome_engine.case_mix.model import CaseMixModel
from outcome_engine.case_mix.rows import Rows
from outcome_engine.methods.cusum import cusum, limit_for, mix, run_length, signals
from outcome_engine.methods.vlad import vlad
from r4.issue import FhirError, error


@dataclass(frozen=True, slots=True)
class Step:
    """A child in the order of the cases' days, with its chance of a bad outcome and the charts after it.

    day is counted from 1970-01-01. vlad is bad outcomes expected less those observed. signal: the CUSUM
    rose above its limit with this child.
    """

    child: str
    day: int
    bad: bool
    chance: float
    vlad: float
    cusum: float
    signal: bool


@dataclass(frozen=True, slots=True)
class Monitored:
    """A hospital's charts; run lengths are mean numbers of children until the first signal.

    in_control: as the model expects; out_of_control: with the odds of a bad outcome times odds_ratio.
    not_known and not_predicted children are in neither chart.
    """

    hospital: str
    odds_ratio: float
    limit: float
    in_control: float
    out_of_control: float
    not_known: int
    not_predicted: int
    steps: tuple[Step, ...]


def monitor(
    rows: Rows, model: CaseMixModel, hospital: str, *, odds_ratio: float, in_control: float
) -> Monitored:
    """Chart a hospital's children whose outcome is known, in order of day and id.

    The limit is for the mix of risks of these children. The CUSUM is not set back after a signal. Raises
    FhirError 422 for a hospital without such children, odds that are not looked for, a run length that
    no limit gives, and what `policy` and `chances` refuse.
    """
    bad = policy(model).event == "bad"
    if not odds_ratio > 0 or odds_ratio == 1:
        raise _refused(f"The odds ratio {odds_ratio:g} is no worsening (above 1) or bettering.")
    if not in_control > 0:
        raise _refused(f"{in_control:g} is no number of children until a false signal.")
    own = rows.taken([at for at, each in enumerate(rows.hospital) if each == hospital])
    predicted = chances(own, model)
    at_known = [at for at, event in enumerate(own.event) if event is not None]
    charted = sorted(
        (own.day[at], own.child[at], own.event[at] == bad, chance if bad else 1 - chance)
        for at in at_known
        if (chance := predicted[at]) is not None
    )
    if not charted:
        raise _refused(f"{hospital} has no child in this period whose outcome is known.")
    events, risks = [each[2] for each in charted], [each[3] for each in charted]
    children = mix(risks)
    try:
        limit = limit_for(children, odds_ratio, in_control)
    except ValueError as none:
        raise _refused(f"For the children of {hospital}, {none}.") from none
    chart = cusum(events, risks, odds_ratio)
    return Monitored(
        hospital=hospital,
        odds_ratio=odds_ratio,
        limit=limit,
        in_control=in_control,
        out_of_control=run_length(children, odds_ratio, limit, odds_ratio),
        not_known=len(own.event) - len(at_known),
        not_predicted=len(at_known) - len(charted),
        steps=_steps(charted, vlad(events, risks).tolist(), chart.tolist(), signals(chart, limit)),
    )


def _steps(
    charted: Sequence[tuple[int, str, bool, float]],
    expected_less_observed: Sequence[float],
    chart: Sequence[float],
    signalled: Sequence[int],
) -> tuple[Step, ...]:
    return tuple(
        Step(child, day, bad, chance, ahead, level, at in signalled)
        for at, ((day, child, bad, chance), ahead, level) in enumerate(
            zip(charted, expected_less_observed, chart, strict=True)
        )
    )


def _refused(message: str) -> FhirError:
    return FhirError(422, [error("business-rule", message)])

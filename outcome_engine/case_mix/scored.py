"""From outcome rows with a score to hospitals compared by it.

There is no case-mix model of a score: of each child the mean of all children with its condition is
expected, its own hospital's included, and nothing else is allowed for.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType

import numpy as np

from outcome_engine.case_mix.rows import columns_due
from outcome_engine.comparison.result import Interval
from outcome_engine.comparison.scores import ScoredHospital
from outcome_engine.methods.treatment_success import MICRO
from outcome_engine.parameter_files.treatment_success import TreatmentSuccessFile

Levels = Mapping[str, int | None]

NOT_ADJUSTED = (
    "Not adjusted for case-mix: of each child the mean score of its condition over all hospitals is "
    "expected, whatever else it brought with it."
)
_ATTRIBUTE = "attribute_"


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A child whose outcome is due: its score in millionths, None where not known, and its attributes."""

    hospital: str
    condition: str
    score: int | None
    attributes: Levels


@dataclass(frozen=True, slots=True)
class Expected:
    """Hospitals in the order of their ids; alone: children left out, whose condition no other has."""

    hospitals: tuple[ScoredHospital, ...]
    alone: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Preferences:
    """How sure a hospital's result is where the preferences behind the score are estimates.

    good_could_flip and light_could_flip are the shares of the children with a score of whom more draws of
    the preferences than the interval leaves out give another class. difference is the interval, over
    the draws, of the mean of observed less expected.
    """

    good_could_flip: float
    light_could_flip: float
    difference: Interval


def read(file: Path, start: date, until: date) -> tuple[ScoredRow, ...]:
    """Read the children whose outcome is due, of cases that began from start to until, both included.

    Raises OSError, and ValueError for a file that is no table of outcomes, or has no score in it.
    """
    columns = columns_due(file, ("condition", "score"), start, until)
    if all(score is None for score in columns["score"]):
        raise ValueError(f"{file.name} has no score of a child in this period")
    attributes = {
        name.removeprefix(_ATTRIBUTE): values
        for name, values in columns.items()
        if name.startswith(_ATTRIBUTE)
    }
    return tuple(
        ScoredRow(
            hospital=str(hospital),
            condition=str(condition),
            score=score,
            attributes={name: values[at] for name, values in attributes.items()},
        )
        for at, (hospital, condition, score) in enumerate(
            zip(columns["hospital"], columns["condition"], columns["score"], strict=True)
        )
    )


def expected(rows: tuple[ScoredRow, ...]) -> Expected:
    """Expect of each child the mean of its condition; leave out conditions of one hospital alone."""
    known: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        if row.score is not None:
            known[row.condition].append(row.score)
    mean = {condition: sum(scores) / len(scores) / MICRO for condition, scores in known.items()}
    shared = _shared(rows)
    hospitals = sorted({row.hospital for row in rows})
    kept = {id: [r for r in rows if r.hospital == id and r.condition in shared] for id in hospitals}
    return Expected(
        tuple(
            ScoredHospital(
                id,
                [None if row.score is None else row.score / MICRO for row in own],
                [mean[row.condition] for row in own],
            )
            for id, own in kept.items()
        ),
        MappingProxyType(Counter(row.hospital for row in rows if row.condition not in shared)),
    )


def preferences(
    rows: tuple[ScoredRow, ...], file: TreatmentSuccessFile, level: float
) -> Mapping[str, Preferences]:
    """Return by hospital how sure its result is, over the draws of the parameters' coefficients.

    Raises ValueError for rows whose attributes or scores are not those of these parameters.
    """
    shared = _shared(rows)
    scored = [row for row in rows if row.score is not None and row.condition in shared]
    told = _told(scored, file, 1 - level)
    ahead = np.array([scores for scores, _, _ in told])
    for condition in shared:
        of = np.array([row.condition == condition for row in scored])
        ahead[of] -= ahead[of].mean(axis=0)
    tail = (1 - level) / 2
    found = {}
    for id in sorted({row.hospital for row in scored}):
        own = [at for at, row in enumerate(scored) if row.hospital == id]
        lower, upper = np.nanquantile(ahead[own].mean(axis=0), [tail, 1 - tail])
        found[id] = Preferences(
            good_could_flip=sum(told[at][1] for at in own) / len(own),
            light_could_flip=sum(told[at][2] for at in own) / len(own),
            difference=(float(lower), float(upper)),
        )
    return found


Told = tuple[list[float], bool, bool]
"""A child's scores over the draws, and whether its class, and its light, could flip."""


def _told(rows: Sequence[ScoredRow], file: TreatmentSuccessFile, least: float) -> list[Told]:
    known: dict[tuple[int | None, ...], Told] = {}  # children are often alike
    for row in rows:
        key = _key(row)
        if key not in known:
            known[key] = _told_of(row, file, least)
    return [known[_key(row)] for row in rows]


def _key(row: ScoredRow) -> tuple[int | None, ...]:
    return (row.score, *row.attributes.values())


def _told_of(row: ScoredRow, file: TreatmentSuccessFile, least: float) -> Told:
    try:
        found = file.scored(row.attributes)
        sure = file.probabilities(row.attributes)
        scores = file.drawn_scores(row.attributes)
    except KeyError as missing:
        raise ValueError(f"the rows have no column {_ATTRIBUTE}{missing.args[0]}") from missing
    if found is None or sure is None or scores is None or found.micro != row.score:
        raise ValueError("the rows' scores were computed with other parameters than these")
    same_light = {"red": sure.red, "amber": sure.amber, "green": sure.green}[found.light]
    same_class = sure.good if found.good else sure.not_good
    return scores, 1 - same_class > least, 1 - same_light > least


def _shared(rows: tuple[ScoredRow, ...]) -> frozenset[str]:
    """Return the conditions of which two hospitals have children with a score."""
    hospitals: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.score is not None:
            hospitals[row.condition].add(row.hospital)
    return frozenset(condition for condition, found in hospitals.items() if len(found) > 1)

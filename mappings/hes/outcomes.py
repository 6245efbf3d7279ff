"""What followed: emergency readmissions, deaths in hospital, reoperations; of one person's stays.

The rules are in docs/hes.md. HES has days and no times: what happens on the day of the index operation
is never a reoperation here.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta
from heapq import heappop, heappush
from typing import NamedTuple

from mappings.hes.spells import ContinuousSpell

EMERGENCY = frozenset({"21", "22", "23", "24", "25", "2A", "2B", "2C", "2D", "28"})
DIED = "4"
_NOT_ALIVE = frozenset({DIED, "5"})
_LAST_DAY = 29
_WITHIN = timedelta(days=30)


class Readmission(NamedTuple):
    """An emergency readmission: the stay before it, the stay, and the days between (0 to 29)."""

    before: ContinuousSpell
    stay: ContinuousSpell
    days: int


@dataclass(frozen=True, slots=True)
class Reoperation:
    """A reoperation: the day of the index operation, the day of this one, and its codes, sorted."""

    index: date
    day: date
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Codes:
    """OPCS-4 codes, undotted: of index operations, of reoperations, and those that make a day planned."""

    index: Set[str]
    reoperation: Set[str]
    planned: Set[str]


def readmissions(stays: Sequence[ContinuousSpell]) -> Iterator[Readmission]:
    """Yield the emergency readmissions among one person's stays, which are in order.

    Each is held against the last discharge alive before it, of the stays that come before it.
    """
    pending: list[tuple[date, int]] = []
    last: tuple[date, int] | None = None
    for number, stay in enumerate(stays):
        while pending and pending[0][0] <= stay.admitted:
            last = max(last or pending[0], heappop(pending))
        if last is not None and stay.spells[0].first.admimeth in EMERGENCY:
            days = (stay.admitted - last[0]).days
            if days <= _LAST_DAY:
                yield Readmission(stays[last[1]], stay, days)
        if stay.discharged is not None and stay.last.last.dismeth not in _NOT_ALIVE:
            heappush(pending, (stay.discharged, number))


def died(stay: ContinuousSpell, death: date | None = None) -> bool:
    """Tell whether somebody died in a stay: by its last episode, or by the day of death where known."""
    if stay.last.last.dismeth == DIED:
        return True
    left = stay.discharged
    return death is not None and left is not None and stay.admitted <= death <= left


def reoperations(stays: Sequence[ContinuousSpell], codes: Codes) -> Iterator[Reoperation]:
    """Yield one person's reoperations: for each day of an index operation, later days within 30.

    A day counts that has a code of a reoperation and none of what was planned.
    """
    days = sorted(_days(stays).items())
    for at, (index, done) in enumerate(days):
        if done.isdisjoint(codes.index):
            continue
        for day, after in days[at + 1 :]:
            if day - index > _WITHIN:
                break
            if not after.isdisjoint(codes.reoperation) and after.isdisjoint(codes.planned):
                yield Reoperation(index, day, tuple(sorted(after)))


def index_days(stays: Sequence[ContinuousSpell], codes: Codes) -> Iterator[date]:
    """Yield the days of one person's index operations, in order."""
    for day, done in sorted(_days(stays).items()):
        if not done.isdisjoint(codes.index):
            yield day


def _days(stays: Sequence[ContinuousSpell]) -> dict[date, set[str]]:
    """Return the codes of operations by their days; an operation without its day is of none."""
    found: dict[date, set[str]] = {}
    for stay in stays:
        for spell in stay.spells:
            for episode in spell.episodes:
                for operation in episode.operations:
                    if operation.day is not None:
                        found.setdefault(operation.day, set()).add(operation.code)
    return found

"""Care at other hospitals than the one that is answerable for a child's case.

The child is counted with the hospital of its case (EpisodeOfCare.managingOrganization); who else cared
for it is shown, from Encounter.serviceProvider, and changes no number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from outcome_engine.assessment.record import hospital
from outcome_engine.assessment.rows import Evidence, ordered
from r4.json import Resource

_DAY = len("2018-01-31")
NOT_HAPPENED = frozenset({"planned", "cancelled", "entered-in-error"})
"""Statuses of an Encounter that did not take place."""


@dataclass(frozen=True, slots=True)
class Care:
    """A hospital (a literal reference) and its stays and visits, earliest first."""

    hospital: str
    encounters: tuple[Evidence, ...]


def elsewhere(
    record: Sequence[Resource], answerable: str | None, begin: str, end: str
) -> tuple[Care, ...]:
    """List who else cared for a child between two days, both included, the earliest first.

    begin and end are full dates; an Encounter without a start, or that did not happen, is left out;
    one that has not ended goes on.
    """
    found: dict[str, list[Evidence]] = {}
    for encounter in record:
        where = provider(encounter) if encounter["resourceType"] == "Encounter" else None
        if where is not None and where != answerable:
            found.setdefault(where, []).extend(_within(encounter, begin, end))
    cared = [Care(where, ordered(stays)) for where, stays in found.items() if stays]
    return tuple(sorted(cared, key=lambda care: (care.encounters[0].date or "", care.hospital)))


def provider(encounter: Resource) -> str | None:
    """Return the hospital of an Encounter: one of this server without a version, another as it is named."""
    named = encounter.get("serviceProvider", {})
    return hospital(named) or named.get("reference")


def _within(encounter: Resource, begin: str, end: str) -> Iterator[Evidence]:
    period = encounter.get("period", {})
    start = period.get("start")
    if start is None or encounter.get("status") in NOT_HAPPENED:
        return
    ended = period.get("end", end)[:_DAY]
    if start[:_DAY] <= end and ended >= begin[: len(ended)]:
        yield Evidence(f"Encounter/{encounter['id']}", start)

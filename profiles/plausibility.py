"""Dates that cannot be: in the future, before the birth, or one that stands for an unknown date.

What is recorded of a child before the birth is not at fault: findings of the fetus stand in its record.
Null dates of Hospital Episode Statistics: https://github.com/HFAnalyticsLab/HES_pipeline
"""

from collections.abc import Iterator
from functools import partial

from profiles.by_hand import Holds, is_after
from profiles.findings import Run
from profiles.invariants import Invariant
from profiles.references import at_hand
from r4.json import Resource

_UNKNOWN = frozenset({"1800-01-01", "1801-01-01", "1600-01-01", "1582-10-15"})
_DAY = len("2026-11-23")
_BEGUN = frozenset({"arrived", "triaged", "in-progress", "onleave", "finished"})
_OBSERVED = frozenset({"preliminary", "final", "amended", "corrected"})
_NAMES = {
    "Patient": ("deceasedDateTime",),
    "Procedure": ("performedDateTime", "performedPeriod"),
    "Encounter": ("period",),
    "Condition": ("onsetDateTime", "onsetPeriod", "recordedDate"),
    "Observation": ("effectiveDateTime", "effectiveInstant", "effectivePeriod"),
}
"""The elements whose dates are looked at; of a Patient also the date of birth."""


def is_born(patient: Resource, run: Run) -> bool:
    """Hold a date of birth to the past."""
    return not is_after(patient.get("birthDate"), run.now)


def has_died_by_now(patient: Resource, run: Run) -> bool:
    """Hold a death to the past."""
    return not is_after(patient.get("deceasedDateTime"), run.now)


def has_died_later(patient: Resource, _: Run) -> bool:
    """Hold a death to the time from birth on."""
    return not is_after(patient.get("birthDate"), patient.get("deceasedDateTime"))


def is_performed(procedure: Resource, run: Run) -> bool:
    """Hold a procedure that is completed to the past."""
    if procedure.get("status") != "completed":
        return True
    return not any(is_after(moment, run.now) for moment in _moments(procedure))


def has_begun(encounter: Resource, run: Run) -> bool:
    """Hold the start of a stay that has begun, and the end of one that is finished, to the past."""
    period, status = encounter.get("period", {}), encounter.get("status")
    if status in _BEGUN and is_after(period.get("start"), run.now):
        return False
    return status != "finished" or not is_after(period.get("end"), run.now)


def has_set_in(condition: Resource, run: Run) -> bool:
    """Hold the onset of a condition, and when it was recorded, to the past."""
    begun = (each for name, each in _named(condition) if name != "end")
    return not any(is_after(moment, run.now) for moment in begun)


def is_observed(observation: Resource, run: Run) -> bool:
    """Hold an observation that has a result to the past."""
    if observation.get("status") not in _OBSERVED:
        return True
    return not any(is_after(moment, run.now) for moment in _moments(observation))


def is_after_birth(resource: Resource, run: Run, *, subject: str, years: int = 0) -> bool:
    """Hold what happened to a Patient that is at hand to the time from so many years before birth on."""
    patient = at_hand(resource.get(subject, {}).get("reference"), run)
    birth = patient and patient.get("birthDate")
    if not isinstance(birth, str) or not birth[:4].isdecimal():
        return True
    earliest = f"{int(birth[:4]) - years:04d}{birth[4:]}"
    return not any(is_after(earliest, moment) for moment in _moments(resource))


def is_known(resource: Resource, _: Run) -> bool:
    """Refuse a date that stands for an unknown one."""
    dates = (*_moments(resource), resource.get("birthDate", ""))
    return not any(moment[:_DAY] in _UNKNOWN for moment in dates)


def _moments(resource: Resource) -> list[str]:
    return [moment for _, moment in _named(resource)]


def _named(resource: Resource) -> Iterator[tuple[str, str]]:
    """Yield each moment of the elements that are looked at, by its element, start or end."""
    for name in _NAMES[resource["resourceType"]]:
        if name in resource:
            value = resource[name]
            if isinstance(value, str):
                yield name, value
            elif isinstance(value, dict):
                yield from ((end, value[end]) for end in ("start", "end") if end in value)


def _advice(holds: Holds, rule: str, human: str) -> Invariant:
    return Invariant(holds, rule, human, "warning", "business-rule")


_KNOWN = _advice(
    is_known,
    "csor-date-unknown",
    "The date is one that stands for an unknown date in national data: leave the element out",
)
_FETAL = partial(is_after_birth, subject="subject", years=1)
"""A finding of the fetus is recorded of the child: only a date that is no child's is at fault."""

ADVICE = {
    "Patient": (
        _advice(is_born, "csor-birth-in-future", "The date of birth is in the future: correct it"),
        _advice(
            has_died_by_now,
            "csor-death-in-future",
            "The death is in the future: correct its date",
        ),
        _advice(
            has_died_later,
            "csor-death-before-birth",
            "The death is before the birth: correct one of the two",
        ),
        _KNOWN,
    ),
    "Procedure": (
        _advice(
            is_performed,
            "csor-performed-in-future",
            "The procedure is completed, and its time is in the future: correct one of the two",
        ),
        _advice(
            partial(is_after_birth, subject="subject"),
            "csor-performed-before-birth",
            "The procedure is before the birth of its patient: correct one of the two dates",
        ),
        _KNOWN,
    ),
    "Encounter": (
        _advice(
            has_begun,
            "csor-period-in-future",
            "By its status the stay has begun, or is finished, and the time of that is in the future:"
            " correct one of the two",
        ),
        _advice(
            partial(is_after_birth, subject="subject"),
            "csor-period-before-birth",
            "The stay is before the birth of its patient: correct one of the two dates, or send the"
            " mother's stay under the mother",
        ),
        _KNOWN,
    ),
    "Condition": (
        _advice(
            has_set_in,
            "csor-onset-in-future",
            "The condition set in, or was recorded, in the future: correct the date",
        ),
        _advice(
            _FETAL,
            "csor-onset-before-birth",
            "The condition set in more than a year before the birth of its patient: correct one of"
            " the two dates",
        ),
        _KNOWN,
    ),
    "Observation": (
        _advice(
            is_observed,
            "csor-effective-in-future",
            "The observation has a result, and its time is in the future: correct one of the two",
        ),
        _advice(
            _FETAL,
            "csor-effective-before-birth",
            "The observation is more than a year before the birth of its patient: correct one of the"
            " two dates",
        ),
        _KNOWN,
    ),
}
"""The rules by the type that they are on; all of them warnings."""

"""From outcome rows and a case-mix model to what a comparison of hospitals takes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, cast

from outcome_engine.case_mix.model import CaseMixModel
from outcome_engine.case_mix.rows import Rows
from outcome_engine.comparison.policy import POLICY, Policy
from outcome_engine.comparison.result import Hospital
from r4.issue import FhirError, error

_EVENTS = ("good", "bad")


@dataclass(frozen=True, slots=True)
class Predicted:
    """Hospitals in the order of their ids, and how many children of each have no predicted chance.

    A child has none where a factor is missing whose rule is `refuse`; it is in no other number.
    """

    hospitals: tuple[Hospital, ...]
    not_predicted: Mapping[str, int]


def chances(rows: Rows, model: CaseMixModel) -> list[float | None]:
    """Predict the chance of each child in turn; None where a factor is missing whose rule is `refuse`.

    Raises FhirError 422 for a factor of the model that the rows do not have, or of another type.
    """
    try:
        return [model.chance(factors) for factors in rows.each()]
    except (KeyError, ValueError) as wrong:
        message = f"The case-mix model `{model.title}` does not fit the rows: {wrong}."
        raise FhirError(422, [error("business-rule", message)]) from wrong


def hospitals(rows: Rows, model: CaseMixModel) -> Predicted:
    """Predict each child's chance, outcomes that are not known included, and sort by hospital.

    Raises FhirError 422 as `chances` does.
    """
    observed: dict[str, list[int | None]] = {}
    predicted: dict[str, list[float]] = {}
    left_out: Counter[str] = Counter()
    for hospital, event, chance in zip(
        rows.hospital, rows.event, chances(rows, model), strict=True
    ):
        if chance is None:
            left_out[hospital] += 1
            continue
        observed.setdefault(hospital, []).append(None if event is None else int(event))
        predicted.setdefault(hospital, []).append(chance)
    return Predicted(
        tuple(Hospital(id, observed[id], predicted[id]) for id in sorted(observed)),
        MappingProxyType(dict(left_out)),
    )


def policy(model: CaseMixModel, base: Policy = POLICY) -> Policy:
    """Return the policy for the event that a model predicts; raises FhirError 422 for another."""
    event = model.parameters.event
    if event not in _EVENTS:
        message = f"A comparison counts good or bad outcomes; the model predicts `{event}`."
        raise FhirError(422, [error("business-rule", message)])
    return replace(base, event=cast(Literal["good", "bad"], event))

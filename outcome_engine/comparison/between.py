"""What every comparison of hospitals shares: the variance between them, and when they are too few."""

from collections.abc import Sequence

from outcome_engine.comparison.policy import Policy
from outcome_engine.comparison.result import NotCompared
from outcome_engine.methods.overdispersion import (
    Deviations,
    Overdispersion,
    leave_one_out,
    overdispersion,
    untrimmed,
)
from r4.issue import FhirError, error


def estimated(
    found: Deviations, policy: Policy
) -> tuple[Overdispersion | None, Sequence[Overdispersion | None]]:
    """Return the overdispersion of all, and for each hospital that its limits allow for.

    None where hospitals are fewer than the policy needs for it.
    """
    if len(found.z) < policy.hospitals_for_overdispersion:
        return None, [None] * len(found.z)
    together = overdispersion(found, untrimmed)
    if policy.leave_one_out:
        return together, leave_one_out(found, untrimmed)
    return together, [together] * len(found.z)


def tau2(of: Overdispersion | None, policy: Policy) -> float:
    """Return the variance between hospitals: the policy's, else the estimated, else none."""
    if policy.tau2 is not None:
        return policy.tau2
    return of.tau2 if of is not None else 0.0


def not_compared(id: str, what: str, known: int, missing: int, policy: Policy) -> NotCompared:
    """Return a hospital of too few children, known being those with a known `what`."""
    reason = (
        f"{id} has {known} children with a known {what}; hospitals are compared from "
        f"{policy.children} on. Pool more years."
    )
    return NotCompared(id, known, missing, reason)


def refuse_too_few(enough: int, few: Sequence[NotCompared], policy: Policy) -> None:
    """Raise FhirError 422 where hospitals are too few; their counts stand in issues after the first."""
    if enough >= policy.hospitals:
        return
    text = f"{enough} hospitals can be compared, and the policy needs {policy.hospitals}."
    reasons = [error("business-rule", each.reason) for each in few]
    raise FhirError(422, [error("business-rule", text), *reasons])

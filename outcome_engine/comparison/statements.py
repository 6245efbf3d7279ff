"""A comparison in sentences: what was found, what it means, and what could not have been found.

HQIP's outlier policy has two stages in both directions; a position is a trigger to look, not a verdict.
"""

from math import isinf

from outcome_engine.comparison.policy import Policy
from outcome_engine.comparison.result import Compared, Comparison, Missing
from outcome_engine.methods.funnel import Limits

NOT_SAFETY = "Being within the limits is not evidence of safety."


def of_hospital(compared: Compared, policy: Policy) -> tuple[str, ...]:
    """Return the sentences of one hospital: result, position, power, reliability, what is missing."""
    return (
        f"{compared.id}: {compared.observed} of {compared.known} children had a {policy.event} outcome; "
        f"{compared.expected:.1f} were expected of these children.",
        _position(compared, policy),
        *_power(compared, policy),
        _reliability(compared, policy),
        *_missing(compared.missing, policy),
    )


def of_all(comparison: Comparison, limits: Limits) -> tuple[str, ...]:
    """Return the sentences of a comparison; limits are those of all events together."""
    policy = comparison.policy
    sentences = [
        f"{len(comparison.hospitals)} hospitals are compared, each with what was expected of its own "
        "children. They are not ranked, and no two of them may be compared with each other: their "
        "children differ.",
        _overdispersion(comparison),
    ]
    if not limits.lower <= comparison.observed <= limits.upper:
        sentences.append(
            f"Of all children together {comparison.observed} had a {policy.event} outcome where "
            f"{comparison.expected:.1f} were expected, which chance does not explain: the case-mix model "
            "does not fit this period, and positions mean little until it is calibrated anew."
        )
    return (*sentences, *(each.reason for each in comparison.not_compared))


def _position(compared: Compared, policy: Policy) -> str:
    position = compared.position
    limits = compared.alarm if position.stage == "alarm" else compared.alert
    between = f"{limits.lower} to {limits.upper}"
    if position.stage == "within":
        return (
            f"This is within the limits ({between}), between which a hospital that does as expected "
            f"lies with a probability of at least {_percent(policy.alert)}."
        )
    if position.direction == "better":
        meaning = (
            "A trigger to look at the data, and then to learn from this hospital; not a verdict."
        )
    else:
        meaning = "A trigger to look at data, case-mix and care, in this order; not a verdict."
    stage = position.stage.capitalize()
    level = _percent(limits.level)
    return f"{stage}, {position.direction} than expected: beyond the {level} limits ({between}). {meaning}"


def _power(compared: Compared, policy: Policy) -> list[str]:
    sentences = [
        f"Were the odds of a bad outcome here {policy.odds_ratio:g} times what was expected, the chance "
        f"of finding this hospital beyond its alert limits would be {_percent(compared.power_of_alert)}, "
        f"and beyond its alarm limits {_percent(compared.power_of_alarm)}."
    ]
    if compared.position.stage == "within" and compared.power_of_alert < policy.power:
        sentences.append(NOT_SAFETY)
    return sentences


def _reliability(compared: Compared, policy: Policy) -> str:
    share = _percent(compared.reliability)
    said = (
        f"Reliability {compared.reliability:.2f}: of the differences between hospitals of this size, "
        f"{share} would be differences between hospitals, and the rest chance."
    )
    if compared.reliability >= policy.reliability:
        return said
    if isinf(compared.children_for_reliability):
        return f"{said} No more than chance is seen between hospitals."
    wanted = round(compared.children_for_reliability)
    return f"{said} {wanted} children would give {policy.reliability:g}."


def _missing(missing: Missing, policy: Policy) -> list[str]:
    if not missing.count:
        return ["No outcome is missing."]
    low, high = missing.bounds
    sentences = [
        f"{missing.count} outcomes are not known. Of those known {_percent(missing.known_only)} are "
        f"{policy.event}; of all it is between {_percent(low)} and {_percent(high)}, whatever is missing."
    ]
    if missing.at_best != missing.at_worst:
        sentences.append("The position depends on the outcomes that are missing.")
    return sentences


def _overdispersion(comparison: Comparison) -> str:
    policy, found = comparison.policy, comparison.together
    if policy.tau2 is not None:
        return f"The limits allow for a variance of {policy.tau2:g} between hospitals, given beforehand."
    if found is None:
        return (
            f"Of fewer than {policy.hospitals_for_overdispersion} hospitals the variance between them "
            "is not estimated: the limits allow for chance alone."
        )
    whose = "of the others" if policy.leave_one_out else "of all"
    return (
        f"Dispersion phi is {found.phi:.2f} over {found.n} hospitals, and the variance between them "
        f"{found.tau2:.3f} on the log-odds scale; each hospital's limits allow for that {whose}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"

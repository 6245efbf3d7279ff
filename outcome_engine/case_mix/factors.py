"""What a comparison of hospitals may adjust for: what is known of a child before it is treated.

To adjust for treatment, or for what follows from it, is to explain away the difference that is
looked for. When a factor is known is property `known` of CodeSystem case-mix, with its source; for
what the registry knows of a child without such an Observation it stands here. Whatever is in
neither is refused.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType

from r4 import artefacts
from r4.issue import FhirError, error
from terminology.systems import CSOR

CASE_MIX = f"{CSOR}/CodeSystem/case-mix"
BASELINE: Mapping[str, str] = MappingProxyType(
    {
        "gestation": "known at birth",
        "birth-weight": "known at birth",
        "sex": "known at birth",
        "condition": "what the child is treated for",
        "transferred": "whether the child came from another hospital, before the operation",
        "age-at-operation": "known when the operation begins",
        "weight-at-operation": "known when the operation begins",
        "symptom-duration": "torsion: from onset to arrival in the hospital that treats",
        "asa-grade": "appendicitis: given before the anaesthetic (CASAP)",
    }
)
"""Factors that are no code of case-mix, and why each is known before treatment."""
_TREATMENT = "it is treatment, or follows from it"
_AT_OPERATION = (
    "it is found at the operation: a child without one has none, and hospitals differ in it"
)
_UNDECIDED = (
    "it is reported and stratified by, and is not adjusted away without a decision of the registry"
)
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "patch": _TREATMENT,
        "silo": _TREATMENT,
        "stoma": _TREATMENT,
        "clip-and-drop": _TREATMENT,
        "parenteral-nutrition-duration": _TREATMENT,
        "parenteral-nutrition-at-28-days": _TREATMENT,
        "time-to-theatre": _TREATMENT,
        "length-of-stay": _TREATMENT,
        "surgical-technique": _TREATMENT,
        "hospital": "it is what is compared",
        "surgeon": "it is a part of what is compared",
        "degrees-of-torsion": _AT_OPERATION,
        "aast-grade": _AT_OPERATION,
        "peri-operative-oxygen": "the source does not say that it is known before the operation",
        "ethnicity": _UNDECIDED,
        "deprivation": _UNDECIDED,
    }
)
"""Factors that somebody may think of, and why each is refused."""
_OF_CODES = MappingProxyType(
    {
        "at-operation": _AT_OPERATION,
        "after-treatment": _TREATMENT,
        "": "CodeSystem case-mix does not say when it is known",
    }
)


def refusal(factor: str) -> str | None:
    """Return why a factor may not be adjusted for, None for one that may."""
    code = _codes().get(factor)
    if code is not None:
        known, why = code
        return None if known == "before-treatment" else f"{_OF_CODES[known]} ({why})"
    if factor in BASELINE:
        return None
    return REFUSED.get(
        factor,
        f"it is neither a code of {CASE_MIX} nor one of {', '.join(sorted(BASELINE))}: "
        "nothing says that it is known before treatment",
    )


def require_baseline(factors: Iterable[str], where: str = "Library.extension") -> None:
    """Refuse factors that are not known before treatment: FhirError 422, an Issue each, by name.

    `where` is the expression of the Issue.
    """
    issues = [
        error(
            "business-rule",
            f"Case-mix factor `{factor}` is refused: {why}.",
            where,
            rule="case-mix-baseline",
        )
        for factor in factors
        if (why := refusal(factor)) is not None
    ]
    if issues:
        raise FhirError(422, issues)


@cache
def _codes() -> Mapping[str, tuple[str, str]]:
    """Map each code of case-mix to when it is known ("" where it is not said), and why."""
    system = artefacts.by_url("terminology", "CodeSystem")[CASE_MIX]
    found = {}
    for concept in system["concept"]:
        said = {
            each["code"]: str(each.get("valueCode", each.get("valueString", "")))
            for each in concept.get("property", [])
        }
        found[concept["code"]] = (said.get("known", ""), said.get("known-by", "").rstrip("."))
    return MappingProxyType(found)

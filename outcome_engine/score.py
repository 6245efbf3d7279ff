"""The score of a proportion measure, with its interval.

https://hl7.org/fhir/R4/measurereport-definitions.html#MeasureReport.group.measureScore
"""

from collections.abc import Mapping
from decimal import Decimal

from outcome_engine.definition import EXTENSION
from outcome_engine.methods.intervals import wilson
from r4.json import Resource

_DIGITS = Decimal("0.0001")
_LEVEL = Decimal("0.95")


def scored(counts: Mapping[str, int]) -> int:
    """Return how many of a denominator are scored: its exclusions and exceptions are not."""
    left_out = counts["denominator-exclusion"] + counts["denominator-exception"]
    return counts["denominator"] - left_out


def measure_score(numerator: int, base: int, with_interval: bool) -> Resource:
    """Build the measureScore of a proportion; base must be greater than 0.

    With an interval, score and limits have four decimals; without one (a child's) it is 1 or 0.
    """
    value = Decimal(numerator) / Decimal(base)
    if not with_interval:
        return {"value": value}
    lower, upper = wilson(numerator, base, float(_LEVEL))
    parts = [
        {"url": "method", "valueCode": "wilson"},
        {"url": "level", "valueDecimal": _LEVEL},
        {"url": "lower", "valueDecimal": Decimal(lower).quantize(_DIGITS)},
        {"url": "upper", "valueDecimal": Decimal(upper).quantize(_DIGITS)},
    ]
    return {
        "extension": [{"url": EXTENSION + "outcome-interval", "extension": parts}],
        "value": value.quantize(_DIGITS),
    }

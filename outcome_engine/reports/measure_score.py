"""The score of a proportion, with its interval, and of a continuous variable.

https://hl7.org/fhir/R4/measurereport-definitions.html#MeasureReport.group.measureScore
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from outcome_engine.extensions import EXTENSION
from outcome_engine.methods.intervals import wilson
from r4.json import Resource
from terminology.systems import CSOR

_DIGITS = Decimal("0.0001")
_MEDIAN_DIGITS = Decimal("0.01")
_LEVEL = Decimal("0.95")


def scored(counts: Mapping[str, int]) -> int:
    """Return how many of a denominator are scored: its exclusions and exceptions are not.

    0 for a group that has no denominator.
    """
    if "denominator" not in counts:
        return 0
    left_out = counts.get("denominator-exclusion", 0) + counts.get("denominator-exception", 0)
    return counts["denominator"] - left_out


def measure_score(numerator: int, base: int, with_interval: bool) -> Resource:
    """Build the measureScore of a proportion; base must be greater than 0.

    With an interval, score and limits have four decimals; without one (a child's) it is 1 or 0.
    """
    value = Decimal(numerator) / Decimal(base)
    if not with_interval:
        return {"value": value}
    return {
        "extension": [interval("wilson", numerator, numerator, base)],
        "value": value.quantize(_DIGITS),
    }


def mean_score(values: Sequence[int], scale: int) -> Resource:
    """Build the measureScore of a continuous variable: the mean, with the median beside it.

    values, of which there must be one, are whole numbers of which `scale` make 1. Four decimals, and two of
    the median, which of an odd number is one child's value; the value of one child has all it has.
    """
    if len(values) == 1:
        return {"value": Decimal(values[0]) / scale}
    middle = sorted(values)[(len(values) - 1) // 2 : len(values) // 2 + 1]
    coding = {"system": f"{CSOR}/CodeSystem/report-statistic", "code": "median"}
    median = (Decimal(sum(middle)) / len(middle) / scale).quantize(_MEDIAN_DIGITS)
    parts = [{"url": "statistic", "valueCoding": coding}, {"url": "value", "valueDecimal": median}]
    return {
        "extension": [{"url": EXTENSION + "report-statistic", "extension": parts}],
        "value": (Decimal(sum(values)) / len(values) / scale).quantize(_DIGITS),
    }


def interval(method: str, least: int, most: int, base: int) -> Resource:
    """Build the 95% interval of a proportion whose numerator lies between least and most.

    Where the numerator is known the two are the same, and the interval is Wilson's; where it is
    masked, the interval holds Wilson's for every numerator that the mask may hide.
    """
    level = float(_LEVEL)
    parts = [
        {"url": "method", "valueCode": method},
        {"url": "level", "valueDecimal": _LEVEL},
        {"url": "lower", "valueDecimal": Decimal(wilson(least, base, level)[0]).quantize(_DIGITS)},
        {"url": "upper", "valueDecimal": Decimal(wilson(most, base, level)[1]).quantize(_DIGITS)},
    ]
    return {"url": EXTENSION + "outcome-interval", "extension": parts}

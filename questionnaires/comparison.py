"""Whether two answer values are the same, and which is the greater.

Codings are the same by system and code, references by their text, quantities in comparable units.
https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen.operator
"""

from decimal import Decimal
from typing import Any

from r4 import dates
from r4.fhirpath.quantities import Quantity
from r4.fhirpath.quantities import compare as compare_quantities
from terminology.sources import canonical


def same(value: Any, wanted: Any) -> bool:
    """Tell whether an answer is the wanted value."""
    if isinstance(value, dict) and isinstance(wanted, dict):
        if "reference" in wanted:
            return bool(value.get("reference") == wanted["reference"])
        if "value" in wanted:
            return compare(value, wanted) == 0
        return _identity(value) == _identity(wanted)
    return bool(value == wanted) or compare(value, wanted) == 0


def compare(value: Any, wanted: Any) -> int | None:
    """Order two values: -1, 0 or 1; None where they cannot be ordered.

    A date that lies within the wanted, less precise one equals it.
    """
    if _is_number(value) and _is_number(wanted):
        return int(value > wanted) - int(value < wanted)
    if isinstance(value, dict) and isinstance(wanted, dict):
        one, other = _quantity(value), _quantity(wanted)
        return None if one is None or other is None else compare_quantities(one, other)
    if isinstance(value, str) and isinstance(wanted, str):
        return _compare_texts(value, wanted)
    return None


def _identity(coding: dict[str, Any]) -> tuple[Any, Any]:
    return canonical(coding.get("system", "")), coding.get("code", coding.get("display"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _quantity(value: dict[str, Any]) -> Quantity | None:
    if "value" not in value or "comparator" in value:
        return None
    unit = value.get("code") or value.get("unit") or "1"
    return Quantity(Decimal(value["value"]), unit, of_fhir=True)


def _compare_texts(value: str, wanted: str) -> int | None:
    try:
        low, high = dates.interval(value)
        wanted_low, wanted_high = dates.interval(wanted)
    except ValueError:
        return (value > wanted) - (value < wanted)
    if high <= wanted_low:
        return -1
    if low >= wanted_high:
        return 1
    return 0 if wanted_low <= low and high <= wanted_high else None

"""What a profile says of one value: fixed[x], pattern[x], minValue[x], maxValue[x] and maxLength.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from profiles.findings import Check, Path, Run, shown
from r4.dates import interval
from r4.json import Resource, encode

Holds = Callable[[Any], bool]
"""Whether a value is one that is wanted."""

_LONGEST_SPELT = 200


def told(element: Resource, prefix: str) -> Any:
    """Return what an element says under fixed[x], pattern[x], minValue[x] or maxValue[x], or None."""
    return next((value for key, value in element.items() if _is_choice(key, prefix)), None)


def wanted(element: Resource) -> Holds | None:
    """Compile whether a value is the fixed one or has the pattern; None where neither is said."""
    if (fixed := told(element, "fixed")) is not None:
        return lambda value: is_same(value, fixed)
    if (pattern := told(element, "pattern")) is not None:
        return lambda value: has_pattern(value, pattern)
    return None


def checks(element: Resource) -> Iterator[Check]:
    """Compile what an element says of its values, a check for each rule."""
    if (fixed := told(element, "fixed")) is not None:
        yield _check(lambda value: is_same(value, fixed), f"must be {spelt(fixed)}", "fixed")
    if (pattern := told(element, "pattern")) is not None:
        said = f"must have what {spelt(pattern)} has"
        yield _check(lambda value: has_pattern(value, pattern), said, "pattern")
    if (lowest := told(element, "minValue")) is not None:
        said = f"must not be below {spelt(lowest)}"
        yield _check(lambda value: _order(value, lowest) in (None, 0, 1), said, "min-value")
    if (highest := told(element, "maxValue")) is not None:
        said = f"must not be above {spelt(highest)}"
        yield _check(lambda value: _order(value, highest) in (None, 0, -1), said, "max-value")
    if (longest := element.get("maxLength")) is not None:
        said = f"must have at most {longest} characters"
        yield _check(lambda v: not isinstance(v, str) or len(v) <= longest, said, "max-length")


def is_same(value: Any, fixed: Any) -> bool:
    """Tell whether a value is the same as another, to the last element; 1.0 is the same as 1."""
    if isinstance(fixed, dict):
        return (
            isinstance(value, dict)
            and value.keys() == fixed.keys()
            and all(is_same(value[key], each) for key, each in fixed.items())
        )
    if isinstance(fixed, list):
        return (
            isinstance(value, list) and len(value) == len(fixed) and all(map(is_same, value, fixed))
        )
    return _is_equal(value, fixed)


def has_pattern(value: Any, pattern: Any) -> bool:
    """Tell whether a value has all that a pattern has: for each entry of an array, one that fits."""
    if isinstance(pattern, dict):
        if not isinstance(value, dict):
            return False
        for key, each in pattern.items():
            if key not in value or not has_pattern(value[key], each):
                return False
        return True
    if isinstance(pattern, list):
        return isinstance(value, list) and all(
            any(has_pattern(held, each) for held in value) for each in pattern
        )
    return _is_equal(value, pattern)


def spelt(value: Any) -> str:
    """Write a value that is wanted, for a sentence."""
    if not isinstance(value, dict | list):
        return shown(value)
    text = encode(value).decode()
    return text if len(text) <= _LONGEST_SPELT else f"{text[:_LONGEST_SPELT]}…"


def _is_choice(key: str, prefix: str) -> bool:
    return key.startswith(prefix) and key[len(prefix) :][:1].isupper()


def _check(holds: Holds, said: str, rule: str) -> Check:
    def check(value: Any, path: Path, run: Run) -> None:
        if not holds(value):
            run.report("error", "value", f"{_found(value)} {said}.", path, rule)

    return check


def _found(value: Any) -> str:
    if value is None:
        return "The value is absent: it"
    return "The value" if isinstance(value, dict | list) else f"The value {shown(value)}"


def _is_equal(value: Any, fixed: Any) -> bool:
    if isinstance(value, bool) or isinstance(fixed, bool):
        return value is fixed
    if isinstance(fixed, float):  # the compiled definitions hold no Decimal
        fixed = Decimal(repr(fixed))
    return bool(value == fixed)


def _order(value: Any, limit: Any) -> int | None:
    """Return -1, 0 or 1 as a value is below, at or above a limit; None where that is not told."""
    if isinstance(limit, dict):
        if not isinstance(value, dict) or _unit(value) != _unit(limit):
            return None
        value, limit = value.get("value"), limit.get("value")
    if isinstance(limit, str):
        return _order_of_texts(value, limit) if isinstance(value, str) else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or limit is None:
        return None
    limit = Decimal(repr(limit)) if isinstance(limit, float) else limit
    return int(value > limit) - int(value < limit)


def _unit(quantity: Resource) -> tuple[Any, Any]:
    return quantity.get("system"), quantity.get("code")


def _order_of_texts(value: str, limit: str) -> int | None:
    try:
        (low, high), (lowest, highest) = interval(value), interval(limit)
    except ValueError:  # a time of day has two digits everywhere
        return (value > limit) - (value < limit)
    if low >= highest:
        return 1
    return -1 if high <= lowest else 0

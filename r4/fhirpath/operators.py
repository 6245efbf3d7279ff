"""Equality, equivalence, ordering, membership and arithmetic between collections.

https://hl7.org/fhirpath/N1/#operations
"""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from r4.fhirpath import quantities, temporal
from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.quantities import Quantity
from r4.fhirpath.temporal import Temporal
from r4.fhirpath.values import Node, plain, singleton, system, type_name

_NUMBERS = (int, Decimal)


def equal(left: list[Any], right: list[Any]) -> bool | None:
    """`=`: item by item, in order; None where either is empty or an answer is open."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    if len(left) == 1:
        return equal_items(left[0], right[0])
    answers = [equal_items(a, b) for a, b in zip(left, right, strict=True)]
    return False if False in answers else None if None in answers else True


def equal_items(left: Any, right: Any) -> bool | None:
    """Tell whether two items are equal; None where precision, zone or units leave it open."""
    one, other = system(left), system(right)
    kind = one.__class__
    if kind is other.__class__ and kind is not Temporal and kind is not Quantity:
        return _equal_nodes(one, other) if kind is Node else bool(one == other)
    one, other = _alike(one, other)
    if isinstance(one, Temporal) and isinstance(other, Temporal):
        return temporal.equal(one, other)
    if isinstance(one, Quantity) and isinstance(other, Quantity):
        order = quantities.compare(one, other)
        return None if order is None else order == 0
    if one is None or other is None:
        return None
    return _is_number(one) and _is_number(other) and bool(one == other)


def equivalent(left: list[Any], right: list[Any]) -> bool:
    """`~`: the same items in any order, strings without case and spaces, numbers to the coarser."""
    if len(left) != len(right):
        return False
    rest = list(right)
    for item in left:
        match = next((i for i, other in enumerate(rest) if equivalent_items(item, other)), None)
        if match is None:
            return False
        del rest[match]
    return True


def equivalent_items(left: Any, right: Any) -> bool:
    """Tell whether two items are equivalent."""
    one, other = _alike(system(left), system(right))
    if isinstance(one, Node) and isinstance(other, Node):
        return _equivalent_json(one.value, other.value)
    if isinstance(one, str) and isinstance(other, str):
        return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
    if isinstance(one, Quantity) and isinstance(other, Quantity):
        return _equivalent_quantities(one, other)
    if _is_number(one) and _is_number(other):
        return _equivalent_numbers(Decimal(one), Decimal(other))
    return one is other or equal_items(one, other) is True


def contains(items: list[Any], item: Any) -> bool:
    """Tell whether a collection has an item equal to this one."""
    return any(equal_items(item, other) is True for other in items)


def distinct(items: list[Any]) -> list[Any]:
    """Keep the first of equal items, in one pass: only items that may be equal are compared."""
    if len(items) <= 1:
        return items
    seen: set[tuple[type, Any]] = set()
    kept: list[Any] = []
    alike: dict[Any, list[Any]] = {}
    for item in items:
        value = system(item)
        if value.__class__ in (str, bool, int, Decimal):
            key = (bool if value.__class__ is bool else object, value)
            if key in seen:
                continue
            seen.add(key)
        else:
            others = alike.setdefault(_texts(value), [])
            if contains(others, item):
                continue
            others.append(item)
        kept.append(item)
    return kept


def _texts(value: Any) -> Any:
    """Return what equal complex items have in common: the texts of their elements."""
    if value.__class__ is Node and isinstance(value.value, dict):
        return frozenset(pair for pair in value.value.items() if pair[1].__class__ is str)
    return value.__class__


def order(left: list[Any], right: list[Any], operator: str) -> int | None:
    """Order two single items: -1, 0, 1, or None where either is empty or the order is open.

    Raises EvaluationError where the types have no order.
    """
    one, other = singleton(left, f"`{operator}`"), singleton(right, f"`{operator}`")
    if one is None or other is None:
        return None
    return order_values(one, other, operator)


def order_values(left: Any, right: Any, operator: str) -> int | None:
    """Order two System values like `order`."""
    one, other = _alike(left, right)
    if isinstance(one, Temporal) and isinstance(other, Temporal):
        return temporal.compare(one, other)
    if isinstance(one, Quantity) and isinstance(other, Quantity):
        return quantities.compare(one, other)
    texts = isinstance(one, str) and isinstance(other, str)
    if texts or (_is_number(one) and _is_number(other)):
        return int(one > other) - int(one < other)
    raise EvaluationError(f"`{operator}` cannot order {_named(left)} and {_named(right)}")


def arithmetic(operator: str, left: list[Any], right: list[Any]) -> list[Any]:
    """`+ - * / div mod &` on single items; empty where either is (but `&` reads it as '')."""
    one, other = singleton(left, f"`{operator}`"), singleton(right, f"`{operator}`")
    if operator == "&":
        return [_joined(one, other)]
    if one is None or other is None:
        return []
    value = _calculate(operator, one, other)
    return [] if value is None else [value]


def _calculate(operator: str, left: Any, right: Any) -> Any:
    if isinstance(right, Quantity) and isinstance(left, str):
        left = temporal.read(left) or left  # a caller's variable holds a date as text
    if isinstance(left, Temporal) and isinstance(right, Quantity) and operator in "+-":
        amount = right.value if operator == "+" else -right.value
        return temporal.add(left, amount, _duration_unit(right))
    if isinstance(left, str) and isinstance(right, str) and operator == "+":
        return left + right
    if _is_number(left) and _is_number(right):
        return _NUMERIC[operator](left, right)
    one, other = _alike(left, right)
    if isinstance(one, Quantity) and isinstance(other, Quantity) and operator in _QUANTITATIVE:
        return _QUANTITATIVE[operator](one, other)
    raise EvaluationError(f"`{operator}` cannot join {_named(left)} and {_named(right)}")


def _duration_unit(quantity: Quantity) -> str:
    if quantity.of_fhir:
        return {"a": "year", "mo": "month"}.get(quantity.unit, quantity.unit)
    return quantity.unit


def _divide(left: Any, right: Any) -> Decimal | None:
    return None if right == 0 else Decimal(left) / Decimal(right)


def _whole_divide(left: Any, right: Any) -> int | None:
    return None if right == 0 else int(Decimal(left) / Decimal(right))


def _modulo(left: Any, right: Any) -> Any:
    if right == 0:
        return None
    rest = Decimal(left) % Decimal(right)
    return int(rest) if isinstance(left, int) and isinstance(right, int) else rest


_NUMERIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "div": _whole_divide,
    "mod": _modulo,
}


def _add_quantities(left: Quantity, right: Quantity) -> Quantity | None:
    value = quantities.convert(right, left.unit, of_fhir=left.of_fhir)
    return None if value is None else Quantity(left.value + quantities.decimal(value), left.unit)


def _subtract_quantities(left: Quantity, right: Quantity) -> Quantity | None:
    return _add_quantities(left, Quantity(-right.value, right.unit, right.of_fhir))


_QUANTITATIVE: dict[str, Callable[[Quantity, Quantity], Quantity | None]] = {
    "+": _add_quantities,
    "-": _subtract_quantities,
    "*": quantities.multiply,
    "/": quantities.divide,
}


def _joined(left: Any, right: Any) -> str:
    for value in (left, right):
        if value is not None and not isinstance(value, str):
            raise EvaluationError(f"`&` joins strings, not {_named(value)}")
    return (left or "") + (right or "")


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    # Numbers become quantities beside a quantity (as the specification has it), and text a date
    # beside a date: a caller's variables hold dates as text.
    if isinstance(left, Quantity) and _is_number(right):
        return left, Quantity(Decimal(right))
    if isinstance(right, Quantity) and _is_number(left):
        return Quantity(Decimal(left)), right
    if isinstance(left, Temporal) and isinstance(right, str):
        return left, _read_like(left, right)
    if isinstance(right, Temporal) and isinstance(left, str):
        return _read_like(right, left), right
    return left, right


def _read_like(like: Temporal, text: str) -> Any:
    read = temporal.read_time if like.kind == "Time" else temporal.read
    return read(text) or text


def _equal_nodes(left: Node, right: Node) -> bool:
    return bool(left.value == right.value) and left.extra == right.extra


def _equivalent_json(left: Any, right: Any) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            _equivalent_json(left[key], right[key]) for key in left
        )
    if isinstance(left, list) and isinstance(right, list):
        nodes = [[plain(each) for each in side] for side in (left, right)]
        return len(left) == len(right) and _match_all(nodes[0], nodes[1])
    return equivalent_items(left, right)


def _match_all(left: list[Any], right: list[Any]) -> bool:
    for item in left:
        match = next((i for i, other in enumerate(right) if _equivalent_json(item, other)), None)
        if match is None:
            return False
        del right[match]
    return True


def _equivalent_numbers(left: Decimal, right: Decimal) -> bool:
    step = Decimal(1).scaleb(-min(_places(left), _places(right)))
    try:
        return left.quantize(step) == right.quantize(step)
    except InvalidOperation:  # more digits than the context holds: only the exact values decide
        return left == right


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _equivalent_quantities(left: Quantity, right: Quantity) -> bool:
    one, other = _calendar(left), _calendar(right)
    unit = quantities.convert(Quantity(Decimal(1), one.unit), other.unit)
    if unit is None:
        return False
    coarse, fine = (one, other) if unit >= 1 else (other, one)
    converted = quantities.convert(fine, coarse.unit)
    if converted is None:
        return False
    places = min(_places(coarse.value), _places(fine.value))
    step = Decimal(1).scaleb(-places)
    return coarse.value.quantize(step) == quantities.decimal(converted).quantize(step)


def _calendar(quantity: Quantity) -> Quantity:
    unit = {"a": "year", "mo": "month"}.get(quantity.unit, quantity.unit)
    return Quantity(quantity.value, unit)


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and value.__class__ is not bool


def _named(value: Any) -> str:
    return ".".join(type_name(value))

"""Quantities as rows: as written, and in the base unit of their kind.

https://hl7.org/fhir/R4/search.html#quantity
"""

from decimal import Decimal
from functools import lru_cache
from typing import Any

from fhir_server.store.search.keys import digest
from fhir_server.store.search.values import bounded, quantities, scaled, unit_text

NO_UNIT = 0

Row = tuple[int, float, float, int]


def measured(prefix: str, param: int, value: Any) -> list[Row]:
    """Return the rows of a quantity below a parameter, or below a composite's first component.

    prefix stands before the text of a coded unit; param is the key of the value as it is written.
    """
    rows: list[Row] = []
    for system, code, text, low, high in quantities(value):
        least, greatest = bounded(low, high)
        for named in _units(code, text):
            rows.append((param, least, greatest, named))
        if code:
            coded, is_base = _coded(prefix, system, code)
            if not is_base:
                least, greatest = bounded(_scaled(system, code, low), _scaled(system, code, high))
            rows.append((coded, least, greatest, NO_UNIT))
    return rows


def _scaled(system: str, code: str, value: Decimal | int | None) -> Decimal | None:
    return None if value is None else scaled(system, code, Decimal(value))


@lru_cache(maxsize=2048)
def _coded(prefix: str, system: str, code: str) -> tuple[int, bool]:
    """Return the key of values in a unit's base unit, and whether it is the unit itself."""
    is_base = all(scaled(system, code, one) == one for one in (Decimal(0), Decimal(1)))
    return digest(prefix + unit_text(system, code)), is_base


@lru_cache(maxsize=2048)
def _units(code: str, text: str) -> tuple[int, ...]:
    """Return the keys of the names of a unit, each once; where it has none, that of no unit."""
    return tuple(unit(name) for name in dict.fromkeys((code, text)) if name) or (NO_UNIT,)


def unit(name: str) -> int:
    """Return the key of a unit's name."""
    return digest(f"unit\x1f{name}") if name else NO_UNIT

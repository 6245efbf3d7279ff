"""Quantities as rows: as written, and in the base unit of their kind.

https://hl7.org/fhir/R4/search.html#quantity
"""

from decimal import Decimal
from functools import lru_cache
from typing import Any

from fhir_server.store.search.keys import digest
from fhir_server.store.search.values import INFINITE, bounded, quantities, scaled, unit_text

NO_UNIT = 0

Row = tuple[int, float, float, int]


def measured(prefix: str, param: int, value: Any) -> list[Row]:
    """Return the rows of a quantity below a parameter, or below a composite's first component.

    prefix stands before the text of a coded unit; param is the key of the value as it is written.
    """
    rows: list[Row] = []
    for system, code, text, low, high in quantities(value):
        written = bounded(low, high)
        rows += [(param, *written, named) for named in _units(code, text)]
        if code:
            coded = _coded(prefix, system, code)
            least = INFINITE[0] if low is None else _scaled(system, code, low)
            if high is low:
                greatest = INFINITE[1] if high is None else least
            else:
                greatest = INFINITE[1] if high is None else _scaled(system, code, high)
            rows.append((coded, least, greatest, NO_UNIT))
    return rows


def _scaled(system: str, code: str, value: Decimal | int) -> float:
    return float(scaled(system, code, Decimal(value)))


@lru_cache(maxsize=2048)
def _coded(prefix: str, system: str, code: str) -> int:
    return digest(prefix + unit_text(system, code))


@lru_cache(maxsize=2048)
def _units(code: str, text: str) -> tuple[int, ...]:
    """Return the keys of the names of a unit, each once; where it has none, that of no unit."""
    return tuple(unit(name) for name in dict.fromkeys((code, text)) if name) or (NO_UNIT,)


def unit(name: str) -> int:
    """Return the key of a unit's name."""
    return digest(f"unit\x1f{name}") if name else NO_UNIT

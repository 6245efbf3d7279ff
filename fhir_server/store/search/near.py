"""`near`: positions within a radius on the earth's surface, by the haversine formula.

https://hl7.org/fhir/R4/location.html#search
"""

import math
from decimal import Decimal

from fhir_server.store.search import comparisons
from fhir_server.store.search.sql import Sql
from fhir_server.store.search.texts import split, unescape
from r4.quantity import canonical

_EARTH_METRES = 6_371_008.8
_DEFAULT_KM = "10"
_LATITUDE, _LONGITUDE = 90, 180
_MOST_PARTS = 4
_MILES = {"[mi_us]": 5280 * 1200 / 3937, "[nmi_i]": 1852.0, "mi_us": 5280 * 1200 / 3937}
"""Units of distance, in metres, that the general table of units does not have."""


def near(name: str, value: str) -> Sql:
    """Return the condition on latitude (`low`) and longitude (`high`) of `lat|long|distance|unit`."""
    parts = [unescape(part) for part in split(value, "|")]
    if not 2 <= len(parts) <= _MOST_PARTS:  # noqa: PLR2004 - latitude and longitude
        raise comparisons.refused(
            name, f"{name} takes latitude|longitude|distance|units: {value!r}."
        )
    latitude, longitude = (float(comparisons.number(name, part).value) for part in parts[:2])
    if abs(latitude) > _LATITUDE or abs(longitude) > _LONGITUDE:
        raise comparisons.refused(name, f"{name}={value}: this is no place on the earth.")
    number, unit, *_ = [*parts[2:], "", ""]
    distance = _metres(name, comparisons.number(name, number or _DEFAULT_KM).value, unit or "km")
    reach = math.degrees(distance / _EARTH_METRES) + 1e-9
    text = (
        "low BETWEEN ? AND ? AND pow(sin(radians(low - ?) / 2), 2)"
        " + cos(radians(?)) * cos(radians(low)) * pow(sin(radians(high - ?) / 2), 2) <= ?"
    )
    angle = min(distance / _EARTH_METRES, math.pi)
    around = (latitude - reach, latitude + reach)
    haversine = math.sin(angle / 2) ** 2 + 1e-15
    return Sql(text, (*around, latitude, latitude, longitude, haversine))


def _metres(name: str, distance: Decimal, unit: str) -> float:
    if unit in _MILES:
        return float(distance) * _MILES[unit]
    found = canonical(distance, unit)
    if found is None or found[1] != "m":
        raise comparisons.refused(
            name, f"{name}: {unit!r} is not a unit of length that is known here."
        )
    return float(found[0])

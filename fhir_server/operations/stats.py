"""Observation/$stats: statistics of the measurements of one subject, for each code and kind of unit.

https://hl7.org/fhir/R4/observation-operation-stats.html
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Context as Precision
from decimal import Decimal
from fractions import Fraction
from typing import Any

from fhir_server.context import Context, instant, microseconds
from fhir_server.store import read as store
from fhir_server.store.search import comparisons, values
from fhir_server.store.search.criteria import token
from fhir_server.store.search.parse import Around, parse
from fhir_server.store.search.refusal import bad
from fhir_server.store.search.texts import escape
from fhir_server.store.told import tells
from r4.issue import FhirError, error
from r4.json import Resource, decode
from r4.quantity import canonical
from terminology.systems import UCUM

MOST = 10_000
"""Most observations that are read."""
_DIGITS = Precision(prec=15)
_LONGEST_DURATION = Decimal(24 * 366 * 200)
_LARGEST = 60
"""Most digits before or after the point of what is taken for a measurement."""
_CODES = "http://terminology.hl7.org/CodeSystem/observation-statistics"
_NAMES = (
    "subject", "code", "system", "coding", "duration", "period", "statistic", "include", "limit",
)  # fmt: skip
_SEVERAL = frozenset({"code", "coding", "statistic"})
_NO_RESULT = frozenset({"entered-in-error", "cancelled"})

Given = list[tuple[str, Any]]
Key = tuple[str, str, str]
"""System and code of what was measured, and the base unit of its kind ("" where there is none)."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """One measurement: its code as it was given, its value in UCUM units or None, and its source."""

    coding: Resource
    value: Decimal | None
    unit: str
    base: str
    source: int


def of_query(pairs: Iterable[tuple[str, str]]) -> Given:
    """Read the pairs of a query; a coding is `system|code` there, and a period cannot be given."""
    given: Given = []
    for name, value in pairs:
        if name == "coding":
            system, _, code = value.rpartition("|")
            given.append((name, {"system": system, "code": code}))
        elif name == "period":
            raise bad(name, "A period is sent by POST, in a Parameters resource.")
        elif name not in ("_format", "_pretty"):
            given.append((name, value))
    return given


def of_resource(body: Resource) -> Given:
    """Read a Parameters resource; raises FhirError 400 for another one."""
    listed = body.get("parameter", [])
    is_list = isinstance(listed, list) and all(isinstance(each, dict) for each in listed)
    if body.get("resourceType") != "Parameters" or not is_list:
        raise FhirError(400, [error("structure", "Send a Parameters resource.", "Parameters")])
    return [
        (str(each.get("name")), value)
        for each in listed
        for key, value in each.items()
        if key.startswith("value")
    ]


def stats(context: Context, given: Given) -> Resource:
    """Return Parameters: `statistics`, an Observation for each code and kind of unit, and `source`.

    Raises FhirError 400 for parameters or statistics that are not served, or more than MOST
    observations.
    """
    asked = _asked(given)
    codings = tuple(_codings(asked))
    wanted = [_statistic(code) for code in asked["statistic"]]
    criteria, period = _criteria(context, asked, codings)
    around = Around(None, microseconds(context.now()), context.base_url)
    found = store.first(context.database, parse("Observation", criteria, around), MOST + 1)
    if len(found) > MOST:
        raise bad("$stats", f"$stats reads at most {MOST} observations: narrow the period.")
    tells(found)
    bodies = [decode(stored.body) for stored in found]
    groups: dict[Key, list[_Measured]] = {}
    for at, body in enumerate(bodies):
        for each in _measured(body, codings, at):
            key = (each.coding.get("system", ""), each.coding.get("code", ""), each.base)
            groups.setdefault(key, []).append(each)
    head = {"subject": {"reference": _text(asked, "subject")}, **period}
    made = [
        {"name": "statistics", "resource": _observation(key, listed, groups, wanted) | head}
        for key, listed in groups.items()
        if key[2] or not _has_values(key, groups)
    ]
    sources = _sources(asked, groups, bodies)
    return {"resourceType": "Parameters", "parameter": [*made, *sources]}


def _asked(given: Given) -> dict[str, list[Any]]:
    """Gather the values of each parameter; raises FhirError 400 for what is unknown or missing."""
    asked: dict[str, list[Any]] = {}
    for name, value in given:
        if name not in _NAMES:
            raise bad(name, f"$stats has no parameter {name}; it has: {', '.join(_NAMES)}.")
        asked.setdefault(name, []).append(value)
    for name, listed in asked.items():
        if len(listed) > 1 and name not in _SEVERAL:
            raise bad(name, f"{name} is given once.")
    for name in ("subject", "statistic"):
        if name not in asked:
            raise bad(name, f"The parameter {name} is required.")
    return asked


def _text(asked: dict[str, list[Any]], name: str) -> str:
    found = asked.get(name, [""])[0]
    if not isinstance(found, str) or (name in asked and not found):
        raise bad(name, f"{name} is a text.")
    return found


def _codings(asked: dict[str, list[Any]]) -> Iterator[tuple[str, str]]:
    """Yield system and code of each coding that is asked for."""
    system = _text(asked, "system")
    for code in asked.get("code", ()):
        if not (isinstance(code, str) and code and system):
            raise bad("code", "A code is given with its system, or as a coding.")
        yield values.known(system), code
    for coding in asked.get("coding", ()):
        if not (isinstance(coding, dict) and isinstance(coding.get("code"), str)):
            raise bad("coding", "A coding has a system and a code.")
        if not (isinstance(coding.get("system"), str) and coding["system"] and coding["code"]):
            raise bad("coding", "A coding has a system and a code.")
        yield values.known(coding["system"]), coding["code"]
    if not {"code", "coding"} & set(asked):
        raise bad("code", "Say which codes: by code and system, or by coding.")


def _criteria(
    context: Context, asked: dict[str, list[Any]], codings: Sequence[tuple[str, str]]
) -> tuple[list[tuple[str, str]], Resource]:
    """Return the search for the observations, and the period that it is of."""
    period = _period(context, asked)
    codes = ",".join(token(*each) for each in codings)
    subject = _text(asked, "subject")
    criteria = [("subject", escape(subject)), ("combo-code", codes)]
    for name, prefix in (("start", "ge"), ("end", "le")):
        if name in period:
            _date(period[name])
            criteria.append(("date", f"{prefix}{period[name]}"))
    return criteria, {"effectivePeriod": period} if period else {}


def _date(value: Any) -> None:
    if not isinstance(value, str):
        raise bad("period", "A period has a start and an end, which are dates.")
    comparisons.date("period", value, None)


def _period(context: Context, asked: dict[str, list[Any]]) -> Resource:
    if "duration" in asked and "period" in asked:
        raise bad("duration", "Give a duration or a period, not both.")
    if "period" in asked:
        period = asked["period"][0]
        if not isinstance(period, dict) or not {"start", "end"} & set(period):
            raise bad("period", "A period has a start or an end.")
        return {name: period[name] for name in ("start", "end") if name in period}
    if "duration" not in asked:
        return {}
    hours = comparisons.number("duration", str(asked["duration"][0])).value
    if not 0 < hours <= _LONGEST_DURATION:
        raise bad("duration", f"duration is a number of hours, at most {_LONGEST_DURATION}.")
    now = context.now()
    return {"start": instant(now - timedelta(hours=float(hours))), "end": instant(now)}


def _measured(
    observation: Resource, codings: Sequence[tuple[str, str]], at: int
) -> Iterator[_Measured]:
    """Yield the measurements of one observation: its own, and those of its components.

    Of a panel that is asked for, the components are there by their own codes.
    """
    if observation.get("status") in _NO_RESULT or "modifierExtension" in observation:
        return
    own = _meant(observation, codings)
    components = observation.get("component", [])
    if own and (not components or "valueQuantity" in observation):
        yield _measurement(own, observation, at)
    for component in components:
        if coding := _meant(component, codings) or (own and _first(component)):
            yield _measurement(coding, component, at)


def _meant(node: Resource, codings: Sequence[tuple[str, str]]) -> Resource | None:
    """Return the coding of an observation or component that is asked for."""
    for coding in node.get("code", {}).get("coding", ()):
        if (values.known(coding.get("system")), coding.get("code", "")) in codings:
            return _plain(coding)
    return None


def _first(node: Resource) -> Resource | None:
    return next((_plain(each) for each in node.get("code", {}).get("coding", ())), None)


def _plain(coding: Resource) -> Resource:
    return {**coding, "system": values.known(coding.get("system"))}


def _measurement(coding: Resource, node: Resource, at: int) -> _Measured:
    quantity = node.get("valueQuantity", {})
    value, unit = quantity.get("value"), quantity.get("code", "")
    usable = value is not None and quantity.get("system") == UCUM and "comparator" not in quantity
    usable = usable and abs(Decimal(value).adjusted()) < _LARGEST
    found = canonical(value, unit) if usable else None
    if found is None:
        return _Measured(coding, None, "", "", at)
    return _Measured(coding, Decimal(value), unit, found[1], at)


def _has_values(key: Key, groups: Mapping[Key, object]) -> bool:
    return any(other[:2] == key[:2] and other[2] for other in groups)


def _observation(
    key: Key, listed: list[_Measured], groups: Mapping[Key, list[_Measured]], wanted: list[str]
) -> Resource:
    """Return the statistics of one code in one kind of unit."""
    numbers, unit = _in_one_unit([each for each in listed if each.value is not None])
    total = len(numbers) + sum(
        len(others) for other, others in groups.items() if other[:2] == key[:2] and not other[2]
    )
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [listed[0].coding]},
        "component": [_component(code, sorted(numbers), unit, total) for code in wanted],
    }


def _in_one_unit(listed: list[_Measured]) -> tuple[list[Fraction], str]:
    """Return the values as they are, where all have one unit, or else in the base unit of its kind."""
    units = {each.unit for each in listed}
    if len(units) <= 1:
        return [Fraction(each.value) for each in listed if each.value is not None], "".join(units)
    found = (canonical(each.value, each.unit) for each in listed if each.value is not None)
    return [Fraction(each[0]) for each in found if each is not None], listed[0].base


def _component(code: str, numbers: list[Fraction], unit: str, total: int) -> Resource:
    component: Resource = {"code": {"coding": [{"system": _CODES, "code": code}]}}
    if code in ("count", "total-count"):
        many = len(numbers) if code == "count" else total
        return component | {"valueQuantity": {"value": many, "system": UCUM, "code": "1"}}
    found = _STATISTICS[code](numbers) if numbers else None
    if found is None:
        absent = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
        reason = {"system": absent, "code": "not-applicable"}
        return component | {"dataAbsentReason": {"coding": [reason]}}
    named = f"({unit}).({unit})" if code == "variance" else unit
    value = {"value": found, "system": UCUM, "code": named}
    return component | {"valueQuantity": value}


def _decimal(number: Fraction) -> Decimal:
    """Write a fraction exactly where 15 digits suffice, or else rounded to them."""
    return _plain_digits(_DIGITS.divide(Decimal(number.numerator), Decimal(number.denominator)))


def _plain_digits(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    whole = isinstance(exponent, int) and exponent > 0
    return number.quantize(Decimal(1)) if whole else number


def _variance(numbers: list[Fraction]) -> Fraction | None:
    """Return the variance of a sample; None of a single number."""
    if len(numbers) < 2:  # noqa: PLR2004 - one value does not vary
        return None
    mean = sum(numbers) / Fraction(len(numbers))
    return sum((each - mean) ** 2 for each in numbers) / Fraction(len(numbers) - 1)


def _of_variance(numbers: list[Fraction]) -> Decimal | None:
    found = _variance(numbers)
    return None if found is None else _decimal(found)


def _deviation(numbers: list[Fraction]) -> Decimal | None:
    found = _variance(numbers)
    if found is None:
        return None
    exact = Precision(prec=40).divide(Decimal(found.numerator), Decimal(found.denominator))
    return _plain_digits(_DIGITS.sqrt(exact))


def _at(numbers: list[Fraction], share: Fraction) -> Fraction:
    """Return a quantile: between the two nearest numbers, in proportion."""
    place = share * (len(numbers) - 1)
    low = int(place)
    high = min(low + 1, len(numbers) - 1)
    return numbers[low] + (numbers[high] - numbers[low]) * (place - low)


def _quantile(share: Fraction) -> Callable[[list[Fraction]], Decimal]:
    return lambda numbers: _decimal(_at(numbers, share))


def _quartile_deviation(numbers: list[Fraction]) -> Decimal:
    return _decimal((_at(numbers, Fraction(3, 4)) - _at(numbers, Fraction(1, 4))) / 2)


_STATISTICS: dict[str, Callable[[list[Fraction]], Decimal | None]] = {
    "average": lambda numbers: _decimal(sum(numbers) / Fraction(len(numbers))),
    "maximum": lambda numbers: _decimal(numbers[-1]),
    "minimum": lambda numbers: _decimal(numbers[0]),
    "median": _quantile(Fraction(1, 2)),
    "std-dev": _deviation,
    "sum": lambda numbers: _decimal(sum(numbers, Fraction(0))),
    "variance": _of_variance,
    "20-percent": _quantile(Fraction(1, 5)),
    "80-percent": _quantile(Fraction(4, 5)),
    "4-lower": _quantile(Fraction(1, 4)),
    "4-upper": _quantile(Fraction(3, 4)),
    "4-dev": _quartile_deviation,
    "5-1": _quantile(Fraction(1, 5)),
    "5-2": _quantile(Fraction(2, 5)),
    "5-3": _quantile(Fraction(3, 5)),
    "5-4": _quantile(Fraction(4, 5)),
}
"""Each of numbers in order, of which there is at least one; None where it is not defined."""

STATISTICS = ("count", "total-count", *_STATISTICS)
_ALSO = {"max": "maximum", "min": "minimum"}
"""Short names, which the definition of the parameter has beside those of the code system."""


def _statistic(code: Any) -> str:
    name = _ALSO.get(code, code) if isinstance(code, str) else ""
    if name not in STATISTICS:
        known = ", ".join(STATISTICS)
        raise bad("statistic", f"The statistic {code!r} is not supported; supported: {known}.")
    return name


def _sources(
    asked: dict[str, list[Any]], groups: Mapping[Key, list[_Measured]], bodies: list[Resource]
) -> list[Resource]:
    """List the observations that were measured by, newest first, where they are to be included."""
    include = asked.get("include", [False])[0]
    if include not in (True, False, "true", "false"):
        raise bad("include", "include is true or false.")
    if include in (False, "false"):
        return []
    text = str(asked.get("limit", [MOST])[0])
    if not (text.isascii() and text.isdecimal() and int(text[:9])):
        raise bad("limit", f"limit is a whole number above 0, not {text!r}.")
    places = sorted({each.source for listed in groups.values() for each in listed})
    return [{"name": "source", "resource": bodies[at]} for at in places[: int(text[:9])]]

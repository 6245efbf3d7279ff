"""A value as an element's type wants it: a Coding as a CodeableConcept, a number as a Quantity.

https://hl7.org/fhir/uv/sdc/extraction.html#definition-based-extraction
"""

from collections.abc import Callable, Iterable
from typing import Any

from r4.issue import FhirError, error

_TEXTS = ("string", "markdown", "code", "id", "uri", "url", "canonical", "oid", "uuid")
_MOMENTS = ("dateTime", "date", "instant")
_INTEGERS = ("integer", "positiveInt", "unsignedInt")
_NUMBERS = (*_INTEGERS, "decimal")
_QUANTITIES = ("Quantity", "SimpleQuantity", "Age", "Duration", "Count", "Distance")
_WITH_ZONE = 20
"""The fewest characters of an instant."""

_Cast = Callable[[Any], Any]


def as_type(
    kind: str | None, value: Any, types: Iterable[str], unit: dict[str, Any]
) -> tuple[str, Any]:
    """Return the type of an element that a value can have, and the value as that type has it.

    kind: the value's FHIR type, None where it is not known; unit: the parts of a Quantity that the
    question gives to a number. Raises FhirError (422) where no type of the element can hold it.
    """
    offered = tuple(types)
    if kind is None:
        kind = _of_json(value)
    if kind in offered:
        return kind, value
    for type in offered:
        cast = _CASTS.get((kind, type))
        made = cast(value) if cast is not None else None
        if made is not None:
            return type, {**made, **unit} if kind in _NUMBERS and type in _QUANTITIES else made
    if isinstance(value, dict) and not kind and len(offered) == 1:
        return offered[0], value
    text = f"Extraction: a {kind or 'value'} cannot be put where {' or '.join(offered)} is wanted"
    raise FhirError(422, [error("processing", text, rule="definition-extract")])


def _of_json(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, str):
        return "string"
    return "" if isinstance(value, dict) else "decimal"


def _in(name: str) -> _Cast:
    return lambda value: {name: value}


def _from(name: str) -> _Cast:
    return lambda value: value.get(name)


def _same(value: Any) -> Any:
    return value


def _day(value: Any) -> Any:
    return value[:10]


def _instant(value: Any) -> Any:
    return value if len(value) >= _WITH_ZONE else None


def _shown(coding: Any) -> Any:
    return coding.get("display") or coding.get("code")


def _concept(coding: Any) -> Any:
    return {"coding": [coding]}


def _first_coding(concept: Any) -> Any:
    return next(iter(concept.get("coding", ())), None)


def _first_code(concept: Any) -> Any:
    return (_first_coding(concept) or {}).get("code")


def _casts() -> dict[tuple[str, str], _Cast]:
    made: dict[tuple[str, str], _Cast] = {}
    for text in _TEXTS:
        for type in (*_TEXTS, *_MOMENTS, "time"):
            made[text, type] = _same
        for type in ("CodeableConcept", "Annotation", "HumanName", "Address"):
            made[text, type] = _in("text")
        made[text, "Reference"] = _in("reference")
        made[text, "Identifier"] = made[text, "ContactPoint"] = _in("value")
        made["Coding", text] = _shown
    for moment in _MOMENTS:
        made[moment, "dateTime"] = _same
        made[moment, "date"] = _day
        made[moment, "instant"] = _instant
    for number in _INTEGERS:
        for type in _NUMBERS:
            made[number, type] = _same
    for type in _QUANTITIES:
        for number in _NUMBERS:
            made[number, type] = _in("value")
        for other in _QUANTITIES:
            made[other, type] = _same
        made[type, "decimal"] = _from("value")
    made["Coding", "CodeableConcept"] = _concept
    made["Coding", "code"] = _from("code")
    made["CodeableConcept", "Coding"] = _first_coding
    made["CodeableConcept", "code"] = _first_code
    return made


_CASTS = _casts()

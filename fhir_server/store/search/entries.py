"""From a parameter's value to index entries: one small function for each parameter type."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fhir_server.store.search import keys, values
from fhir_server.store.search.parameters import Parameter

NO_UNIT = 0


@dataclass(slots=True)
class Collected:
    """What has been found in one resource so far, each entry once."""

    words: dict[int, None] = field(default_factory=dict)
    dates: dict[tuple[int, int, int], None] = field(default_factory=dict)
    numbers: dict[tuple[int, float, float, int], None] = field(default_factory=dict)
    strings: dict[tuple[int, str], None] = field(default_factory=dict)
    references: dict[tuple[int, int], None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Column:
    """A parameter, hashed beforehand: what stands before its values, its keys, its own word."""

    type: str
    code: str
    prefix: str
    present: int
    param: int
    text: int


def column(resource_type: str, parameter: Parameter) -> Column:
    """Hash what every value of a parameter shares."""
    code = parameter.code
    return Column(
        resource_type,
        code,
        keys.prefix(resource_type, code),
        keys.key(resource_type, f"{code}:present"),
        keys.key(resource_type, code),
        keys.key(resource_type, f"{code}:text"),
    )


def enter_token(collected: Collected, into: Column, value: Any, kind: str) -> None:
    """Enter the forms of each coding, its texts, and an identifier by its type."""
    words = collected.words
    words[into.present] = None
    for system, code in values.tokens(value, kind):
        for form in values.forms(system, code):
            words[keys.number(into.prefix + form)] = None
    if value.__class__ is dict:
        for text in values.displays(value, kind):
            collected.strings[into.text, keys.fold(text)] = None
        if kind == "Identifier" and "type" in value:
            for system, code in values.tokens(value["type"], "CodeableConcept"):
                text = f"{system}|{code}|{value.get('value', '')}"
                words[keys.key(into.type, f"{into.code}:of-type", text)] = None


def enter_reference(collected: Collected, into: Column, value: Any, kind: str) -> None:
    """Enter where a reference points, of which type that is, and the identifier it names."""
    words = collected.words
    words[into.present] = None
    if isinstance(value, dict) and isinstance(identifier := value.get("identifier"), dict):
        for system, code in values.tokens(identifier, "Identifier"):
            for form in values.forms(system, code):
                words[keys.key(into.type, f"{into.code}:identifier", form)] = None
    found = values.target(value)
    if found is None or found.base is not None:
        enter_uri(
            collected, into, value if isinstance(value, str) else value.get("reference"), kind
        )
    else:
        place = keys.place(found.type, found.id)
        words[keys.link(into.param, place)] = None
        collected.references[into.param, place] = None
    if found is not None:
        words[keys.number(f"{into.prefix}{found.type}/")] = None


def enter_uri(collected: Collected, into: Column, value: Any, _kind: str) -> None:
    """Enter a uri, without its version too, and the uris above it."""
    collected.words[into.present] = None
    for uri in values.uris(value):
        collected.words[keys.number(into.prefix + uri)] = None
    if isinstance(value, str):
        for uri in values.ancestors(value):
            collected.words[keys.key(into.type, f"{into.code}:below", uri)] = None


def enter_string(collected: Collected, into: Column, value: Any, kind: str) -> None:
    """Enter each text, folded for the order and as it is for :exact."""
    collected.words[into.present] = None
    for text in values.strings(value, kind):
        collected.strings[into.param, keys.fold(text)] = None
        collected.words[keys.key(into.type, f"{into.code}:exact", text)] = None


def enter_date(collected: Collected, into: Column, value: Any, _kind: str) -> None:
    """Enter the bounds of a date or period."""
    collected.words[into.present] = None
    for low, high in values.periods(value):
        collected.dates[into.param, low, high] = None


def enter_number(collected: Collected, into: Column, value: Any, _kind: str) -> None:
    """Enter a number, or the bounds of a Range."""
    collected.words[into.present] = None
    for low, high in values.numbers(value):
        collected.numbers[into.param, low, high, NO_UNIT] = None


def enter_quantity(collected: Collected, into: Column, value: Any, _kind: str) -> None:
    """Enter a quantity as written, with each name of its unit, and in the base unit of its kind."""
    collected.words[into.present] = None
    add_quantity(collected, (into.type, into.code, ""), into.param, value)


def add_quantity(collected: Collected, place: tuple[str, str, str], param: int, value: Any) -> None:
    """Add the rows of a quantity below a parameter, or below a composite's first component."""
    resource_type, code, before = place
    for system, unit_code, text, low, high in values.quantities(value):
        written = values.bounded(low, high)
        for name in {unit_code, text} - {""} or {""}:
            collected.numbers[param, *written, unit(name)] = None
        if unit_code:
            coded = keys.key(resource_type, code, before + values.unit_text(system, unit_code))
            ends = (_scaled(system, unit_code, low), _scaled(system, unit_code, high))
            collected.numbers[coded, *values.bounded(*ends), NO_UNIT] = None


def unit(name: str) -> int:
    """Return the key of a unit's name."""
    return keys.number(f"unit\x1f{name}") if name else NO_UNIT


def _scaled(system: str, code: str, value: Decimal | int | None) -> Decimal | None:
    return None if value is None else values.scaled(system, code, Decimal(value))


def enter_position(collected: Collected, into: Column, value: Any, _kind: str) -> None:
    """Enter a position as one row: latitude, longitude."""
    if "latitude" in value and "longitude" in value:
        collected.words[into.present] = None
        place = (float(value["latitude"]), float(value["longitude"]))
        collected.numbers[into.param, *place, NO_UNIT] = None


ENTER: dict[str, Callable[[Collected, Column, Any, str], None]] = {
    "token": enter_token,
    "reference": enter_reference,
    "uri": enter_uri,
    "string": enter_string,
    "date": enter_date,
    "number": enter_number,
    "quantity": enter_quantity,
    "special": enter_position,
}

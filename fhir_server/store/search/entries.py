"""From a parameter's values to index entries: what enters them is made once for each way to them.

Here is what every written resource goes through, so a coding's keys are kept when they are known and
nothing is yielded value by value. https://hl7.org/fhir/R4/search.html#ptypes
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from fhir_server.store.search import keys, values
from fhir_server.store.search.keys import digest, fold
from fhir_server.store.search.parameters import Parameter
from fhir_server.store.search.quantities import NO_UNIT, measured
from r4.reference import here, literal
from terminology.systems import ALIASES

_SHORT = 64
"""Characters of a text that may be met again: a given name, a town."""
_IDENTIFIERS = frozenset({"Identifier", "ContactPoint"})
_FREE = frozenset({"string", "id", "uri"})
"""Types whose values are hardly met twice: like those of identifiers, their keys are not kept."""


class Collected(msgspec.Struct):
    """What has been found in one resource so far; the same row may be there more than once."""

    words: set[int] = msgspec.field(default_factory=set)
    dates: list[tuple[int, int, int]] = []
    numbers: list[tuple[int, float, float, int]] = []
    strings: list[tuple[int, str]] = []
    references: list[tuple[int, int]] = []
    identifiers: list[int] = []


Enter = Callable[[Collected, Sequence[Any]], None]
"""Enters the values of one parameter that one resource has in one place; there is at least one."""


@dataclass(frozen=True, slots=True)
class Column:
    """A parameter of a type, with what every value shares: what stands before it, the keys.

    present says that there is a value; param and text are the rows' own, of the values and of `:text`.
    """

    type: str
    code: str
    prefix: str
    present: int
    param: int
    text: int

    def before(self, modifier: str) -> str:
        """Return what stands before the values that a modifier asks for."""
        return keys.prefix(self.type, f"{self.code}:{modifier}")


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


@lru_cache(maxsize=8192)
def coded(prefix: str, system: str, code: str, implied: str = "") -> tuple[int, ...]:
    """Return the keys of the forms of a coding, which many resources share: the last ones are kept.

    implied is the system of a code that has none of its own.
    """
    forms = values.forms(values.known(system), code, implied)
    return tuple(digest(prefix + form) for form in forms)


@lru_cache(maxsize=4096)
def shown(display: str) -> str:
    """Fold the display of a coding, which many resources share: the last ones are kept."""
    return fold(display)


@lru_cache(maxsize=8192)
def spelt(exact: str, text: str) -> tuple[str, int]:
    """Return a text folded, and the key of it as it is written; the last short ones are kept."""
    return fold(text), digest(exact + text)


def of_tokens(into: Column, kind: str, implied: str) -> Enter:
    """Enter the forms of each coding, its texts, and an identifier by its type."""
    if kind == "CodeableConcept":
        return _of_concepts(into)
    if kind in _IDENTIFIERS:
        return _of_identifiers(into, kind)
    if kind == "Extension":
        return _of_extensions(into)
    prefix, present, text_param = into.prefix, into.present, into.text
    keyed = coded.__wrapped__ if kind in _FREE else coded

    def enter(found: Collected, listed: Sequence[Any]) -> None:
        found.words.add(present)
        for value in listed:
            if value.__class__ is dict:
                found.words.update(coded(prefix, value.get("system", ""), value.get("code", "")))
                if "display" in value:
                    found.strings.append((text_param, shown(value["display"])))
            elif value.__class__ is bool:
                found.words.update(coded(prefix, "", "true" if value else "false"))
            else:
                found.words.update(keyed(prefix, "", str(value), implied))

    return enter


def _of_concepts(into: Column) -> Enter:
    prefix, present, text_param = into.prefix, into.present, into.text

    def enter(found: Collected, listed: Sequence[Any]) -> None:
        found.words.add(present)
        for value in listed:
            if "text" in value:
                text = value["text"]
                found.strings.append((text_param, (shown if len(text) <= _SHORT else fold)(text)))
            for coding in value.get("coding", ()):
                keys_of_it = coded(prefix, coding.get("system", ""), coding.get("code", ""))
                found.words.update(keys_of_it)
                if "display" in coding:
                    found.strings.append((text_param, shown(coding["display"])))

    return enter


def _of_identifiers(into: Column, kind: str) -> Enter:
    prefix, present, text_param = into.prefix, into.present, into.text
    typed = into.before("of-type") if kind == "Identifier" else ""
    are_own = typed and into.code == "identifier"

    def enter(found: Collected, listed: Sequence[Any]) -> None:
        found.words.add(present)
        for value in listed:
            whole = _enter_identifier(found, prefix, value)
            if are_own and whole is not None:
                found.identifiers.append(whole)
            if typed and "type" in value:
                concept, number = value["type"], value.get("value", "")
                for text in values.displays(concept):
                    found.strings.append((text_param, fold(text)))
                for system, code in values.tokens(concept, "CodeableConcept"):
                    found.words.add(digest(f"{typed}{system}|{code}|{number}"))

    return enter


def _enter_identifier(found: Collected, prefix: str, identifier: Any) -> int | None:
    """Enter the forms of an identifier; returns the key of the one with both system and value."""
    system, number = identifier.get("system", ""), identifier.get("value", "")
    if system:
        found.words.update(coded(prefix, system, ""))
    if not number:
        return None
    whole = digest(f"{prefix}{ALIASES.get(system, system)}|{number}")
    found.words.add(digest(f"{prefix}*|{number}"))
    found.words.add(whole)
    return whole if system else None


def _of_extensions(into: Column) -> Enter:
    present = into.present

    def enter(found: Collected, listed: Sequence[Any]) -> None:
        found.words.add(present)
        for extension in listed:
            for value, kind in values.extended(extension):
                of_tokens(into, kind, "")(found, (value,))

    return enter


def of_references(into: Column, _kind: str, _implied: str) -> Enter:
    """Enter where a reference points, of which type that is, and the identifier it names.

    A canonical is entered with and without its version, and by the versions above that.
    """
    prefix, present, param = into.prefix, into.present, into.param
    identified, below = into.before("identifier"), into.before("below")

    def enter(found: Collected, listed: Sequence[Any]) -> None:
        words = found.words
        words.add(present)
        for value in listed:
            text = value
            if value.__class__ is dict:
                text = values.points_at(value)
                named = value.get("identifier")
                if named.__class__ is dict:  # a resource has a list of them
                    _enter_identifier(found, identified, named)
            if text.__class__ is not str:
                continue
            target = text if (resource_type := here(text)) else ""
            if not target and (other := literal(text)) is not None:
                resource_type = other.type
                target = f"{other.type}/{other.id}" if other.base is None else ""
            if resource_type:
                words.add(_of_type(prefix, resource_type))
            if target:
                place = digest(target)
                words.add(param ^ place)
                found.references.append((param, place))
            else:
                words.update(digest(prefix + uri) for uri in values.uris(text))
                if value.__class__ is str:
                    words.update(digest(below + name) for name in values.names(text))

    return enter


@lru_cache(maxsize=4096)
def _of_type(prefix: str, resource_type: str) -> int:
    return digest(f"{prefix}{resource_type}/")


def of_uris(into: Column, _kind: str, _implied: str) -> Enter:
    """Enter a uri, without its version too, and the uris above it."""
    prefix, present, below = into.prefix, into.present, into.before("below")

    def enter(found: Collected, listed: Sequence[Any]) -> None:
        found.words.add(present)
        for value in listed:
            if isinstance(value, str):
                found.words |= {digest(prefix + uri) for uri in values.uris(value)}
                found.words |= {digest(below + uri) for uri in values.uris(value)}
                found.words |= {digest(below + uri) for uri in values.ancestors(value)}

    return enter


def of_strings(into: Column, kind: str, _implied: str) -> Enter:
    """Enter each text, folded for the order and as it is for :exact."""
    present, param, exact = into.present, into.param, into.before("exact")

    def enter(found: Collected, listed: Sequence[Any]) -> None:
        found.words.add(present)
        for value in listed:
            texts = (value,) if value.__class__ is str else values.strings(value, kind)
            for text in texts:
                known = spelt if len(text) <= _SHORT else spelt.__wrapped__
                folded, key = known(exact, text)
                found.strings.append((param, folded))
                found.words.add(key)

    return enter


def of_dates(into: Column, _kind: str, _implied: str) -> Enter:
    """Enter the bounds of a date or period."""
    present, param = into.present, into.param

    def enter(found: Collected, listed: Sequence[Any]) -> None:
        found.words.add(present)
        for value in listed:
            for low, high in values.periods(value):
                found.dates.append((param, low, high))

    return enter


def of_numbers(into: Column, _kind: str, _implied: str) -> Enter:
    """Enter a number, or the bounds of a Range."""
    present, param = into.present, into.param

    def enter(found: Collected, listed: Sequence[Any]) -> None:
        found.words.add(present)
        for value in listed:
            for low, high in values.numbers(value):
                found.numbers.append((param, low, high, NO_UNIT))

    return enter


def of_quantities(into: Column, _kind: str, _implied: str) -> Enter:
    """Enter a quantity as written, with each name of its unit, and in the base unit of its kind."""
    present, param, prefix = into.present, into.param, into.prefix

    def enter(found: Collected, listed: Sequence[Any]) -> None:
        found.words.add(present)
        for value in listed:
            found.numbers += measured(prefix, param, value)

    return enter


def of_positions(into: Column, _kind: str, _implied: str) -> Enter:
    """Enter a position as one row: latitude, longitude."""
    present, param = into.present, into.param

    def enter(found: Collected, listed: Sequence[Any]) -> None:
        for value in listed:
            if "latitude" in value and "longitude" in value:
                found.words.add(present)
                place = (float(value["latitude"]), float(value["longitude"]))
                found.numbers.append((param, *place, NO_UNIT))

    return enter


OF: dict[str, Callable[[Column, str, str], Enter]] = {
    "token": of_tokens,
    "reference": of_references,
    "uri": of_uris,
    "string": of_strings,
    "date": of_dates,
    "number": of_numbers,
    "quantity": of_quantities,
    "special": of_positions,
}
"""What makes an Enter for a column, a FHIR type and the system that a code there implies (or "")."""

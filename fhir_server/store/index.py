"""A resource's index rows: what its search parameters find in it.

https://hl7.org/fhir/R4/search.html#ptypes
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from fhir_server.store.search.keys import bounds, fold, key
from fhir_server.store.search.parameters import Parameter, parameters
from r4 import fhirpath
from r4.json import Resource
from r4.reference import literal
from terminology.systems import ALIASES


class Rows(msgspec.Struct, frozen=True):
    """The index rows of one resource: keys; (parameter, low, high); (parameter, folded text)."""

    keys: list[int]
    dates: list[tuple[int, int, int]]
    strings: list[tuple[int, str]]


EMPTY = Rows([], [], [])
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Rows)


def pack(rows: Rows) -> bytes:
    """Write rows as bytes, kept with the resource so that its successor can remove them."""
    return _encoder.encode(rows)


def unpack(packed: bytes) -> Rows:
    """Read rows back."""
    return _decoder.decode(packed)


@dataclass(frozen=True, slots=True)
class _Compiled:
    parameter: Parameter
    evaluate: fhirpath.Compiled
    param: int


def rows(resource: Resource) -> Rows:
    """Index a resource whose references are literal; a value that is not well-formed is left out."""
    resource_type = resource["resourceType"]
    environment = fhirpath.Environment(resource=resource, root_resource=resource, resolve=_target)
    keys: set[int] = set()
    found_dates: set[tuple[int, int, int]] = set()
    strings: set[tuple[int, str]] = set()
    for compiled in _compiled(resource_type):
        code, kind = compiled.parameter.code, compiled.parameter.type
        for value, value_type in compiled.evaluate.typed(resource, environment):
            if kind == "date":
                found_dates.update((compiled.param, *period) for period in periods(value))
            elif kind == "string":
                for text in _strings(value):
                    strings.add((compiled.param, fold(text)))
                    keys.add(key(resource_type, f"{code}:exact", text))
            else:
                texts = _TEXTS[kind](value, value_type)
                keys.update(key(resource_type, code + suffix, text) for suffix, text in texts)
    return Rows(sorted(keys), sorted(found_dates), sorted(strings))


@cache
def _compiled(resource_type: str) -> tuple[_Compiled, ...]:
    return tuple(
        _Compiled(parameter, fhirpath.compile(parameter.expression), key(resource_type, code))
        for code, parameter in parameters(resource_type).items()
    )


def _target(reference: str) -> Resource | None:
    """Stand in for the target of a reference: search expressions ask only for its type."""
    found = literal(reference)
    return None if found is None else {"resourceType": found.type, "id": found.id}


def _tokens(value: Any, value_type: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if "coding" in value:
            for coding in value["coding"]:
                yield from _system_and_code(coding.get("system"), coding.get("code"))
        elif value_type == "ContactPoint":
            yield from _system_and_code(value.get("system"), value.get("value"))
        else:
            yield from _system_and_code(value.get("system"), value.get("code", value.get("value")))
    elif isinstance(value, bool):
        yield from _system_and_code(None, "true" if value else "false")
    else:
        yield from _system_and_code(None, str(value))


def _system_and_code(system: str | None, code: str | None) -> Iterator[tuple[str, str]]:
    system = ALIASES.get(system, system) if system else None
    if system:
        yield "", f"{system}|"
    if code:
        yield "", f"*|{code}"
        yield "", f"{system or ''}|{code}"


def _references(value: Any, _value_type: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield from _uris(value, _value_type)
        return
    if isinstance(identifier := value.get("identifier"), dict):
        for _, text in _system_and_code(identifier.get("system"), identifier.get("value")):
            yield ":identifier", text
    if reference := value.get("reference"):
        if (found := literal(reference)) and found.base is None:
            yield "", f"{found.type}/{found.id}"
            yield "", found.id
        else:
            yield "", reference


def _uris(value: Any, _value_type: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield "", value
        if "|" in value:
            yield "", value.partition("|")[0]


def _strings(value: Any) -> Iterator[str]:
    """Yield the texts of a string, or of a HumanName's or Address's parts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part, text in value.items():
            if part not in ("use", "type", "period", "extension", "id"):
                yield from _strings(text)
    elif isinstance(value, list):
        for text in value:
            yield from _strings(text)


FOREVER = (-(1 << 62), 1 << 62)


def periods(value: Any) -> Iterator[tuple[int, int]]:
    """Yield the inclusive bounds, in microseconds, of a date, dateTime, instant, Period or Timing."""
    if isinstance(value, str):
        if period := _interval(value):
            yield period
    elif isinstance(value, dict) and ("start" in value or "end" in value):
        start, end = _interval(value.get("start")), _interval(value.get("end"))
        yield (start[0] if start else FOREVER[0], end[1] if end else FOREVER[1])
    elif isinstance(value, dict):
        for event in value.get("event", ()):
            yield from periods(event)


def _interval(text: str | None) -> tuple[int, int] | None:
    if not text:
        return None
    try:
        return bounds(text)
    except ValueError:
        return None


_TEXTS: dict[str, Callable[[Any, str], Iterator[tuple[str, str]]]] = {
    "token": _tokens,
    "reference": _references,
    "uri": _uris,
}

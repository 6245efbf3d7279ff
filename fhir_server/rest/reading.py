"""Bytes as one FHIR resource, or a refusal that says what is wrong with them: JSON, its depth, its keys.

https://hl7.org/fhir/R4/json.html
"""

import json
from collections.abc import Iterable
from decimal import DecimalException
from typing import Any

import msgspec

from r4.issue import FhirError, error
from r4.json import Resource, decode, encode

DEEPEST = 100
"""Most objects and arrays inside one another; the deepest of the standard's examples has under 30."""


def resource(raw: bytes) -> Resource:
    """Read bytes as one FHIR resource; raises FhirError 400 saying where they are not JSON.

    Raises FhirError 400 for what is nested too deep, and for an object with the same key twice.
    """
    try:
        found = decode(raw)
    except RecursionError:
        raise _too_deep() from None
    except DecimalException:
        text = "A number's exponent is larger than can be read."
        raise FhirError(400, [error("structure", text)]) from None
    except ValueError as failure:
        raise FhirError(400, [error("structure", f"This is not JSON: {failure}")]) from None
    if not isinstance(found, dict) or not isinstance(found.get("resourceType"), str):
        text = "The body is one JSON object with a resourceType."
        raise FhirError(400, [error("structure", text, "resourceType")])
    if raw.count(b"{") + raw.count(b"[") > DEEPEST:  # with fewer, none can be nested too deep
        _refuse_depth(found)
    written = encode(found)
    if written != raw:  # what is sent as it would be written here has lost nothing
        _refuse_twice(raw, written)
    return found


_NESTING = frozenset({dict, list})


def _refuse_depth(found: Resource) -> None:
    """Measure level by level, without recursion."""
    level: list[Iterable[Any]] = [found.values()]
    for _ in range(DEEPEST):
        level = [
            child.values() if type(child) is dict else child
            for node in level
            for child in node
            if type(child) in _NESTING
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> FhirError:
    text = f"The JSON has more than {DEEPEST} objects and arrays inside one another."
    return FhirError(400, [error("structure", text, rule="depth")])


def _refuse_twice(raw: bytes, written: bytes) -> None:
    """Raise FhirError 400 where a key is given twice in one object: one value would be lost.

    What was read, written again, is what was sent if nothing was lost; only where a spelling differs
    (an escape, an exponent) are the keys themselves looked at, which takes longer.
    """
    if msgspec.json.format(raw, indent=-1) == written:
        return
    try:
        json.loads(raw, object_pairs_hook=_once, parse_int=str, parse_float=str)
    except _TwiceError as twice:
        text = f"The key {twice.args[0]!r} is given twice in one object."
        raise FhirError(400, [error("structure", text, rule="duplicate-key")]) from None


class _TwiceError(Exception):
    """A key is given twice."""


def _once(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _TwiceError(key)
        seen.add(key)

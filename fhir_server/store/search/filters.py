"""`_filter`: an expression of comparisons, `and`, `or`, `not` and parentheses, as a condition.

`not` binds closest, then `and`, then `or`. https://hl7.org/fhir/R4/search_filter.html
"""

import json
import re
from dataclasses import replace

from fhir_server.store.search.criteria import Around, condition
from fhir_server.store.search.query import (
    All,
    Chained,
    Condition,
    Criterion,
    Either,
    Named,
    Naming,
    Not,
    Reverse,
)
from fhir_server.store.search.refusal import bad, too_much
from fhir_server.store.search.texts import escape

_TOKEN = re.compile(
    r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<sign>[()\[\]])|(?P<word>[^\s()\[\]"]+))'
)
LONGEST = 8000
"""Most characters of an expression."""
DEEPEST = 20
"""Most parentheses, and `not`s, inside one another."""
MOST = 200
"""Most comparisons of an expression: each is a condition of its own."""
_PREFIXES = frozenset({"gt", "lt", "ge", "le", "sa", "eb", "ap"})
_BY_MODIFIER = {"in": "in", "ni": "not-in", "ss": "above", "sb": "below"}
_OF_STRINGS = {"co": "contains", "sw": "", "ew": "ends", "eq": "equals"}


class _Reader:
    """The tokens of one expression, read from the left."""

    def __init__(self, types: tuple[str, ...], text: str, around: Around) -> None:
        self.types = types
        self.text = text
        self.around = around
        self.tokens = _tokens(text)
        self.at = self.compared = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        if not token:
            raise _refused(self.text, "it ends too early")
        self.at += 1
        return token


def read(types: tuple[str, ...], text: str, around: Around) -> Condition:
    """Read an expression; raises FhirError 400 that says what is wrong with it, 422 for too much."""
    reader = _Reader(types, text, around)
    found = _either(reader, 0)
    if reader.peek():
        raise _refused(text, f"{reader.peek()!r} is not expected there")
    return found


def _either(reader: _Reader, depth: int) -> Condition:
    parts = [_every(reader, depth)]
    while reader.peek() == "or":
        reader.take()
        parts.append(_every(reader, depth))
    return parts[0] if len(parts) == 1 else Either(tuple(parts))


def _every(reader: _Reader, depth: int) -> Condition:
    parts = [_one(reader, depth)]
    while reader.peek() == "and":
        reader.take()
        parts.append(_one(reader, depth))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _one(reader: _Reader, depth: int) -> Condition:
    if depth > DEEPEST:
        raise too_much("_filter", f"_filter is nested at most {DEEPEST} deep.")
    first = reader.take()
    if first == "not":
        part = _one(reader, depth + 1)
        return part.part if isinstance(part, Not) else Not(part)
    if first != "(":
        return _comparison(reader, first)
    found = _either(reader, depth + 1)
    if reader.take() != ")":
        raise _refused(reader.text, "a parenthesis is not closed")
    return found


def _comparison(reader: _Reader, path: str) -> Condition:
    if reader.peek() == "[":
        raise _refused(reader.text, "filters in brackets are not supported")
    reader.compared += 1
    if reader.compared > MOST:
        raise too_much("_filter", f"_filter has at most {MOST} comparisons.")
    operator, value = reader.take(), reader.take()
    types, around = reader.types, reader.around
    if value.startswith('"'):
        value = _text(value, reader.text)
    if operator == "pr":
        if value not in ("true", "false"):
            raise _refused(reader.text, "pr is followed by true or false")
        missing = "false" if value == "true" else "true"
        return condition(types, f"{path}:missing", missing, around)
    if operator == "ne":
        return Not(_compared(types, path, "eq", value, around))
    if operator in _BY_MODIFIER:
        return condition(types, f"{path}:{_BY_MODIFIER[operator]}", value, around)
    return _compared(types, path, operator, value, around)


def _text(quoted: str, whole: str) -> str:
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        raise _refused(whole, f"{quoted} is not a text") from None


def _compared(
    types: tuple[str, ...], path: str, operator: str, value: str, around: Around
) -> Condition:
    """Compare by what the parameter at the end of the path is."""
    if operator not in {*_PREFIXES, *_OF_STRINGS, "re", "po"}:
        raise bad("_filter", f"_filter: {operator!r} is not an operator that is supported.")
    # The value is one, whatever it holds; systems and units are still told apart by their bars.
    text = value.replace("\\", "\\\\").replace(",", "\\,")
    return _ended(condition(types, path, text, around), operator, value)


def _ended(found: Condition, operator: str, value: str) -> Condition:
    """Put the operator where the chain ends."""
    if isinstance(found, Chained | Reverse | Named | Naming):
        return replace(found, inner=_ended(found.inner, operator, value))
    if isinstance(found, Either):
        return Either(tuple(_ended(part, operator, value) for part in found.parts))
    if isinstance(found, Criterion):
        return _criterion(found, operator, value)
    if operator == "eq":
        return found
    raise bad("_filter", f"_filter: the operator {operator} is not supported there.")


def _criterion(found: Criterion, operator: str, value: str) -> Criterion:
    kind = found.parameter.type
    if kind == "string" and operator in _OF_STRINGS:
        return Criterion(found.parameter, _OF_STRINGS[operator], (escape(value),))
    if kind in ("date", "number", "quantity") and operator in {*_PREFIXES, "eq"}:
        return replace(found, values=tuple(f"{operator}{each}" for each in found.values))
    if kind == "date" and operator == "po":
        return replace(found, modifier="overlaps")
    if operator == "eq" or (operator == "re" and kind in ("reference", "uri")):
        return found
    text = f"_filter: the operator {operator} is not supported on {found.parameter.code} ({kind})."
    raise bad("_filter", text)


def _tokens(text: str) -> list[str]:
    if len(text) > LONGEST:
        raise too_much("_filter", f"_filter has at most {LONGEST} characters.")
    found, at, stripped = [], 0, text.rstrip()
    while at < len(stripped):
        match = _TOKEN.match(stripped, at)
        if match is None:
            raise _refused(text, f"{stripped[at : at + 20]!r} cannot be read")
        found.append(match["string"] or match["sign"] or match["word"])
        at = match.end()
    return found


def _refused(text: str, why: str) -> Exception:
    return bad("_filter", f"_filter={text}: {why}.")

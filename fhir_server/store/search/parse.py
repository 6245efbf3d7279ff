"""A search query, read: what is asked for, or a 400 that says what is wrong with it.

https://hl7.org/fhir/R4/search.html#parameters
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fhir_server.store.search.parameters import Parameter, parameters
from r4.issue import FhirError, error

MODIFIERS = {
    "token": frozenset({""}),
    "reference": frozenset({"", "identifier"}),
    "string": frozenset({"", "exact", "contains"}),
    "date": frozenset({""}),
    "uri": frozenset({""}),
}
RESULT_PARAMETERS = ("_count", "_sort", "_summary", "_total", "_format", "_pretty", "_after")
PAGE = 50
LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter with its modifier and its values, any of which may match."""

    parameter: Parameter
    modifier: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A search of one type: criteria that must all match, ids, and how the answer is cut."""

    type: str
    criteria: tuple[Criterion, ...] = ()
    ids: tuple[str, ...] | None = None
    updated: tuple[str, ...] = ()
    count: int = PAGE
    only_count: bool = False
    newest_first: bool = True
    after: int | None = None


def parse(resource_type: str, pairs: str | Iterable[tuple[str, str]]) -> Query:
    """Read the pairs of a query string; raises FhirError 400 for anything that is not served."""
    if isinstance(pairs, str):
        pairs = parse_qsl(pairs, keep_blank_values=True)
    fields: dict[str, object] = {"type": resource_type}
    criteria: list[Criterion] = []
    updated: list[str] = []
    for name, value in pairs:
        if name in RESULT_PARAMETERS:
            fields |= _result(name, value)
        elif name == "_id":
            fields["ids"] = tuple(split(value, ","))
        elif name == "_lastUpdated":
            updated.append(value)
        else:
            criteria.append(_criterion(resource_type, name, value))
    return Query(**fields, criteria=tuple(criteria), updated=tuple(updated))  # type: ignore[arg-type]


def split(text: str, separator: str) -> list[str]:
    """Split at a separator that no backslash escapes; the parts keep their escapes."""
    return re.split(rf"(?<!\\){re.escape(separator)}", text)


def unescape(text: str) -> str:
    r"""Undo the escapes of a search value: `\,` `\|` `\$` and `\\`."""
    return re.sub(r"\\([,|$\\])", r"\1", text)


def _criterion(resource_type: str, name: str, value: str) -> Criterion:
    code, _, modifier = name.partition(":")
    known = parameters(resource_type)
    if code not in known:
        raise _bad(name, _unknown(resource_type, code, [*known, "_id", "_lastUpdated"]))
    parameter = known[code]
    if modifier not in MODIFIERS[parameter.type]:
        served = ", ".join(f":{m}" for m in sorted(MODIFIERS[parameter.type]) if m) or "none"
        raise _bad(
            name, f"The modifier :{modifier} is not supported on {code}; supported here: {served}."
        )
    if not value:
        raise _bad(name, f"The search parameter {name} has no value.")
    return Criterion(parameter, modifier, tuple(split(value, ",")))


def _unknown(resource_type: str, code: str, known: list[str]) -> str:
    if "." in code or code == "_has":
        return f"Chained search ({code}) is not supported."
    near = difflib.get_close_matches(code, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    listed = ", ".join(sorted(known))
    return f"{resource_type} has no search parameter {code}.{hint} Supported here: {listed}."


def _result(name: str, value: str) -> dict[str, object]:
    if name == "_count":
        if not value.isdecimal():
            raise _bad(name, f"_count is a whole number, not {value!r}.")
        count = int(value)
        return {"count": min(count, LARGEST_PAGE)} if count else {"only_count": True}
    if name == "_summary":
        if value not in ("count", "false"):
            raise _bad(name, f"_summary={value} is not supported; supported here: count, false.")
        return {"only_count": value == "count"}
    if name == "_sort":
        if value not in ("_lastUpdated", "-_lastUpdated"):
            raise _bad(name, f"_sort={value} is not supported; supported here: _lastUpdated.")
        return {"newest_first": value.startswith("-")}
    if name == "_total":
        if value not in ("accurate", "none", "estimate"):
            raise _bad(name, f"_total is accurate, estimate or none, not {value!r}.")
    elif name == "_after":
        if not value.isdecimal():
            raise _bad(name, "_after is taken from a page's next link.")
        return {"after": int(value)}
    return {}


def _bad(name: str, diagnostics: str) -> FhirError:
    return FhirError(400, [error("not-supported", diagnostics, f"http.{name}", "search")])

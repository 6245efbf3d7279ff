"""A query as SQL: every criterion becomes a set of row ids, and the sets are intersected."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_server.store.search.keys import bounds, fold, key
from fhir_server.store.search.parse import Criterion, Query, split, unescape
from r4.issue import FhirError, error
from r4.reference import literal
from terminology.systems import ALIASES


@dataclass(frozen=True, slots=True)
class Sql:
    """SQL text with its parameters."""

    text: str
    parameters: tuple[Any, ...]


def select(query: Query, columns: str) -> Sql:
    """Select columns of the current resources that match, in the query's order, one page."""
    where, parameters = _where(query)
    order = "DESC" if query.newest_first else "ASC"
    if query.after is not None:
        where += f" AND r.rid {'<' if query.newest_first else '>'} ?"
        parameters = (*parameters, query.after)
    text = f"SELECT {columns} FROM resource AS r WHERE {where} ORDER BY r.rid {order} LIMIT ?"
    return Sql(text, (*parameters, query.count))


def count(query: Query) -> Sql:
    """Count the current resources that match."""
    where, parameters = _where(query)
    return Sql(f"SELECT count(*) FROM resource AS r WHERE {where}", parameters)


def _where(query: Query) -> tuple[str, tuple[Any, ...]]:
    narrowed = any(criterion.parameter.type in _NARROW for criterion in query.criteria)
    parts = [_condition(query.type, criterion, narrowed) for criterion in query.criteria]
    conditions = [part.text for part in parts]
    parameters = [value for part in parts for value in part.parameters]
    if not parts:
        # An index row exists for current resources alone, and its key holds the type.
        conditions += ["r.type = ?", "r.superseded IS NULL", "r.deleted = 0"]
        parameters.append(query.type)
    if query.ids is not None:
        conditions.append(f"r.id IN ({_marks(query.ids)})")
        parameters.extend(query.ids)
    for value in query.updated:
        condition, bound = _comparison("_lastUpdated", value, "r.updated", "r.updated")
        conditions.append(condition)
        parameters.extend(bound)
    return " AND ".join(conditions), tuple(parameters)


_NARROW = frozenset({"token", "reference", "uri"})
"""The types of criteria that find few rows: a date beside one of them is looked up row by row."""


def _condition(resource_type: str, criterion: Criterion, narrowed: bool) -> Sql:
    part = _CONDITIONS[criterion.parameter.type](resource_type, criterion)
    if narrowed and criterion.parameter.type == "date":
        return Sql(f"EXISTS ({part.text} AND rid = r.rid)", part.parameters)
    return Sql(f"r.rid IN ({part.text})", part.parameters)


def _by_key(resource_type: str, code: str, texts: list[str]) -> Sql:
    keys = tuple(key(resource_type, code, text) for text in texts)
    return Sql(f"SELECT rid FROM search_key WHERE key IN ({_marks(keys)})", keys)


def _token(resource_type: str, criterion: Criterion) -> Sql:
    return _by_key(
        resource_type, criterion.parameter.code, [_token_text(value) for value in criterion.values]
    )


def _token_text(value: str) -> str:
    parts = [unescape(part) for part in split(value, "|")]
    if len(parts) == 1:
        return f"*|{parts[0]}"
    system = ALIASES.get(parts[0], parts[0])
    return f"{system}|{'|'.join(parts[1:])}"


def _reference(resource_type: str, criterion: Criterion) -> Sql:
    code = criterion.parameter.code
    if criterion.modifier == "identifier":
        texts = [_token_text(value) for value in criterion.values]
        return _by_key(resource_type, f"{code}:identifier", texts)
    return _by_key(resource_type, code, [_reference_text(value) for value in criterion.values])


def _reference_text(value: str) -> str:
    text = unescape(value)
    found = literal(text)
    return f"{found.type}/{found.id}" if found and found.base is None else text


def _uri(resource_type: str, criterion: Criterion) -> Sql:
    return _by_key(resource_type, criterion.parameter.code, [unescape(v) for v in criterion.values])


def _string(resource_type: str, criterion: Criterion) -> Sql:
    code = criterion.parameter.code
    texts = [unescape(value) for value in criterion.values]
    if criterion.modifier == "exact":
        return _by_key(resource_type, f"{code}:exact", texts)
    param = key(resource_type, code)
    folded = [fold(text) for text in texts]
    if criterion.modifier == "contains":
        condition, flat = "instr(value, ?) > 0", folded
    else:
        condition = "value >= ? AND value < ?"
        flat = [bound for text in folded for bound in (text, text + "\U0010ffff")]
    alternatives = " OR ".join([f"({condition})"] * len(texts))
    return Sql(
        f"SELECT rid FROM search_string WHERE param = ? AND ({alternatives})", (param, *flat)
    )


def _date(resource_type: str, criterion: Criterion) -> Sql:
    code = criterion.parameter.code
    conditions, parameters = [], []
    for value in criterion.values:
        condition, bound = _comparison(code, value, "low", "high")
        conditions.append(f"({condition})")
        parameters.extend(bound)
    text = f"SELECT rid FROM search_date WHERE param = ? AND ({' OR '.join(conditions)})"
    return Sql(text, (key(resource_type, code), *parameters))


_PREFIXED = re.compile(r"^(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)$")


def _comparison(code: str, value: str, low: str, high: str) -> tuple[str, list[int]]:
    """Compare a stored period [low, high] with a searched one, by the specification's table."""
    match = _PREFIXED.match(value)
    prefix, text = (match[1] or "eq", match[2]) if match else ("eq", value)
    try:
        start, end = bounds(text)
    except ValueError:
        raise _refused(code, f"{code}={value}: {text!r} is not a FHIR date.") from None
    conditions = {
        "eq": (f"{low} >= ? AND {high} <= ?", [start, end]),
        "ne": (f"NOT ({low} >= ? AND {high} <= ?)", [start, end]),
        "gt": (f"{high} > ?", [end]),
        "ge": (f"{high} >= ?", [start]),
        "lt": (f"{low} < ?", [start]),
        "le": (f"{low} <= ?", [end]),
        "sa": (f"{low} > ?", [end]),
        "eb": (f"{high} < ?", [start]),
    }
    if prefix not in conditions:
        raise _refused(code, f"{code}={value}: the prefix {prefix} is not supported.")
    return conditions[prefix]


def _refused(code: str, diagnostics: str) -> FhirError:
    return FhirError(400, [error("value", diagnostics, f"http.{code}", "search")])


def _marks(values: tuple[Any, ...]) -> str:
    return ",".join("?" * len(values))


_CONDITIONS: dict[str, Callable[[str, Criterion], Sql]] = {
    "token": _token,
    "reference": _reference,
    "string": _string,
    "date": _date,
    "uri": _uri,
}

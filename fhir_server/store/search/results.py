"""Result parameters: how an answer is ordered, cut, counted, included and abridged.

https://hl7.org/fhir/R4/search.html#Summary
"""

import base64
import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec

from fhir_server.store.search.criteria import known
from fhir_server.store.search.parameters import Parameter, parameters
from fhir_server.store.search.query import Include, Page, Sort
from fhir_server.store.search.refusal import bad, unknown
from r4 import definitions

LARGEST_PAGE = 1000
_BEYOND = 1 << 62
"""More than any row or count."""
_MOST_KEYS = 20
Fields = dict[str, Any]
_INCLUDES = {
    "_include": (False, False),
    "_include:iterate": (False, True),
    "_include:recurse": (False, True),
    "_revinclude": (True, False),
    "_revinclude:iterate": (True, True),
    "_revinclude:recurse": (True, True),
}
"""Whether the references are followed back, and from what was included too."""


def is_result(name: str) -> bool:
    """Tell whether a name is a result parameter's."""
    return name in _READ or name in _INCLUDES


def result(types: tuple[str, ...], name: str, value: str, fields: Fields) -> None:
    """Read a result parameter into a query's fields; FhirError 400 for what is not served."""
    if name in _INCLUDES:
        made = _include(types, name, value)
        fields["includes"] = (*fields.get("includes", ()), made)
    else:
        fields.update(_READ[name](types, value))


def _count(_types: tuple[str, ...], value: str) -> Fields:
    if not value.isdecimal():
        raise bad("_count", f"_count is a whole number, not {value!r}.")
    number = min(int(value[:9]), LARGEST_PAGE)
    return {"count": number} if number else {"only_count": True}


def _summary(_types: tuple[str, ...], value: str) -> Fields:
    if value not in ("true", "text", "data", "count", "false"):
        text = f"_summary={value} is not supported; supported: true, text, data, count, false."
        raise bad("_summary", text)
    return {"only_count": True} if value == "count" else {"summary": value}


def _total(_types: tuple[str, ...], value: str) -> Fields:
    if value not in ("accurate", "none", "estimate"):
        raise bad("_total", f"_total is accurate, estimate or none, not {value!r}.")
    return {"total": value}


def _elements(_types: tuple[str, ...], value: str) -> Fields:
    return {"elements": tuple(name.strip() for name in value.split(",") if name.strip())}


def _sort(types: tuple[str, ...], value: str) -> Fields:
    if value.count(",") >= _MOST_KEYS:
        raise bad("_sort", f"_sort takes at most {_MOST_KEYS} keys.")
    keys = tuple(_sort_key(types, each) for each in value.split(","))
    newest_first = keys[0].name != "_lastUpdated" or keys[0].descending
    return {"sort": keys, "newest_first": newest_first}


def _sort_key(types: tuple[str, ...], text: str) -> Sort:
    code = text.removeprefix("-")
    if code in ("_id", "_lastUpdated"):
        return Sort(code, None, text.startswith("-"))
    served = known(types)
    if code not in served:
        raise bad("_sort", unknown("_sort", code, [*served, "_id", "_lastUpdated"]))
    if served[code].type in ("composite", "special"):
        raise bad("_sort", f"_sort={code} is not supported: it has no order.")
    return Sort(code, served[code], text.startswith("-"))


def _include(types: tuple[str, ...], name: str, value: str) -> Include:
    backwards, iterate = _INCLUDES[name]
    source, _, rest = value.partition(":")
    code, _, target = rest.partition(":")
    if value == "*":
        return Include("*", "*", "", backwards, iterate)
    for kind in {source, target} - {""}:
        if kind not in definitions.resource_types():
            raise bad(name, f"{name}={value}: {kind} is not a resource type of FHIR R4.")
    if code != "*":
        _check(name, value, parameters(source).get(code), (source, code))
    if not backwards and not iterate and source not in types:
        text = f"{name}={value}: what is searched is {' or '.join(types)}; use :iterate for others."
        raise bad(name, text)
    return Include(source, code, target, backwards, iterate)


def _check(name: str, value: str, parameter: Parameter | None, place: tuple[str, str]) -> None:
    source, code = place
    if parameter is None:
        raise bad(name, unknown(source, code, parameters(source)))
    if parameter.type != "reference":
        raise bad(name, f"{name}={value}: {code} is no reference.")


def _page(_types: tuple[str, ...], value: str) -> Fields:
    try:
        raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        page = msgspec.msgpack.decode(raw, type=Page)
    except (ValueError, msgspec.DecodeError):
        page = None
    if page is None or not all(0 <= (n or 0) < _BEYOND for n in dataclasses.astuple(page)):
        raise bad("_page", "_page is taken from a link of a page.")
    return {"page": page}


def page_token(page: Page) -> str:
    """Write where a page stands, for a link."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(page)).decode().rstrip("=")


def _form(_types: tuple[str, ...], _value: str) -> Fields:
    return {}


def _contained(_types: tuple[str, ...], value: str) -> Fields:
    if value != "false":
        raise bad("_contained", "_contained=false is what is supported.")
    return {}


_READ: dict[str, Callable[[tuple[str, ...], str], Fields]] = {
    "_count": _count,
    "_sort": _sort,
    "_summary": _summary,
    "_total": _total,
    "_elements": _elements,
    "_page": _page,
    "_contained": _contained,
    "_format": _form,
    "_pretty": _form,
}
RESULT_PARAMETERS = (*_READ, *_INCLUDES)

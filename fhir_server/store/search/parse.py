"""A search query, read: what is asked for, or a 400 that says what is wrong with it.

https://hl7.org/fhir/R4/search.html#parameters
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from fhir_server.store.search import filters
from fhir_server.store.search.criteria import OWN, Around, check_links, condition, known
from fhir_server.store.search.query import PAGE, Condition, Criterion, Ids, Query
from fhir_server.store.search.refusal import bad, too_much
from fhir_server.store.search.results import LARGEST_PAGE, RESULT_PARAMETERS, is_result, result
from fhir_server.store.search.texts import split, unescape
from r4 import definitions

__all__ = [
    "LARGEST_PAGE", "PAGE", "RESULT_PARAMETERS", "Around", "Criterion", "Query", "parse", "split",
    "unescape",
]  # fmt: skip


MOST_PAIRS = 100
_HALF = re.compile("[\ud800-\udfff]")


def parse(
    resource_type: str, pairs: str | Iterable[tuple[str, str]], around: Around | None = None
) -> Query:
    """Read the pairs of a query string; FhirError 400 for anything that is not served, 422 for too much.

    Without a resource type the search is of every type, or of those that `_type` names. Where
    handling is lenient, unknown parameters are left out, and named in `Query.ignored`.
    """
    listed = parse_qsl(pairs, keep_blank_values=True) if isinstance(pairs, str) else list(pairs)
    around = around or Around()
    _check(listed)
    types = (resource_type,) if resource_type else _types(listed)
    fields: dict[str, Any] = {"types": types, "now": around.now}
    criteria: list[Condition] = []
    ignored: list[str] = []
    for name, value in listed:
        if name == "_type" and not resource_type:
            continue
        if around.lenient and not _is_known(types, name):
            ignored.append(name)
        elif is_result(name):
            result(types, name, value, fields)
        else:
            _criterion(types, (name, value), around, fields, criteria)
    check_links("url", criteria)
    return Query(resource_type, tuple(criteria), ignored=tuple(ignored), **fields)


def _check(pairs: list[tuple[str, str]]) -> None:
    """Raise FhirError 422 for more pairs than are answered, 400 for what is no text."""
    if len(pairs) > MOST_PAIRS:
        raise too_much("url", f"A query has at most {MOST_PAIRS} parameters.")
    for name, value in pairs:
        if not (name.isascii() and value.isascii()) and _HALF.search(name + value):
            raise bad("url", "A query is Unicode text; half a surrogate pair is none.")


def _criterion(
    types: tuple[str, ...],
    pair: tuple[str, str],
    around: Around,
    fields: dict[str, Any],
    criteria: list[Condition],
) -> None:
    name, value = pair
    if name == "_filter":
        criteria.append(filters.read(types, value, around))
    elif name == "_lastUpdated" and "," not in value and value:
        fields["updated"] = (*fields.get("updated", ()), value)
    else:
        found = condition(types, name, value, around)
        if isinstance(found, Ids) and "ids" not in fields:
            fields["ids"] = found.ids
        else:
            criteria.append(found)


def _is_known(types: tuple[str, ...], name: str) -> bool:
    code = name.partition(".")[0].partition(":")[0]
    return is_result(name) or code in OWN or code in known(types)


def _types(pairs: list[tuple[str, str]]) -> tuple[str, ...]:
    """Return the types that `_type` names, or all."""
    wanted = [kind for name, value in pairs if name == "_type" for kind in value.split(",")]
    every = definitions.resource_types()
    for kind in wanted:
        if kind not in every:
            raise bad("_type", f"_type={kind}: this is not a resource type of FHIR R4.")
    return tuple(dict.fromkeys(wanted)) or every

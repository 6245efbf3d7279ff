"""What else a request reaches than the type that it names, and whether its asker's scopes reach there.

A search reaches the types that it chains to or includes; a write, by its criteria and conditional
references, what these look for; a Bundle, what its entries would reach alone.
https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import parse_qsl

from fhir_server.access import admit
from fhir_server.access.scopes import EVERY, InsufficientScopeError, Need, covers, require_each
from fhir_server.context import Context, microseconds
from fhir_server.interactions.entries import Entry
from fhir_server.store.search.criteria import hierarchies
from fhir_server.store.search.parameters import parameters
from fhir_server.store.search.parse import Around, parse
from fhir_server.store.search.query import (
    All,
    Chained,
    Condition,
    Criterion,
    Either,
    Ids,
    Include,
    Listed,
    Named,
    Naming,
    Not,
    Query,
    Reverse,
    Updated,
    Within,
    Words,
)
from r4.issue import FhirError, Issue
from r4.reference import conditional, references

_WRITES = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_FURTHER: dict[str, Need] = {"Subscription": ("rs", EVERY)}
"""What writing a type needs besides: a Subscription sends whatever its criteria match."""


def asked(
    context: Context,
    resource_type: str,
    pairs: str | Sequence[tuple[str, str]],
    *,
    lenient: bool = False,
) -> Query:
    """Read a query for who asks; raises FhirError 400 for what is not served, 403 for what is not reached."""
    around = Around(context.terminology, microseconds(context.now()), context.base_url, lenient)
    query = parse(resource_type, pairs, around)
    principal = context.principal
    if principal.scopes is not None and not _reach_everything(principal.scopes):
        require_each(principal.name, principal.scopes, _reached(query))
    return query


def _reach_everything(scopes: tuple[str, ...]) -> bool:
    """Tell whether nothing that is looked for besides can be missing: no need here is for more."""
    return covers(scopes, "rs", EVERY)


def _reached(query: Query) -> Iterator[Need]:
    """Yield what a query needs besides searching its own types."""
    for condition in query.criteria:
        yield from _of(condition)
    for include in query.includes:
        yield from (("r", kind) for kind in _included(include))


def _of(condition: Condition) -> Iterator[Need]:
    """Yield what a condition needs; one that is not known here, everything."""
    match condition:
        case Criterion() | Ids() | Updated() | Words():
            return
        case Not(part=part):
            yield from _of(part)
        case All(parts=parts) | Either(parts=parts):
            for part in parts:
                yield from _of(part)
        case Chained(target=kind, inner=inner) | Named(target=kind, inner=inner):
            yield "s", kind
            yield from _of(inner)
        case Reverse(type=kind, inner=inner) | Naming(type=kind, inner=inner):
            yield "s", kind
            yield from _of(inner)
        case Listed():
            yield "r", "List"
        case Within(parameter=parameter):
            yield from (("s", kind) for kind in hierarchies(parameter))
        case _:
            yield "rs", EVERY


def _included(include: Include) -> tuple[str, ...]:
    """Return the types that an include may bring."""
    if include.reversed:
        return (include.type,)
    if EVERY in (include.type, include.parameter):
        return (EVERY,)
    found = parameters(include.type)[include.parameter]
    return (include.target,) if include.target else found.targets


def refuse(context: Context, listed: Sequence[Entry]) -> None:
    """Raise FhirError 403, with the issues of all entries, unless each would be admitted alone."""
    issues: list[Issue] = []
    missing: dict[str, None] = {}
    for each in listed:
        try:
            admitted(context, each)
        except FhirError as refusal:
            issues += [replace(issue, expression=each.place) for issue in refusal.issues]
            if isinstance(refusal, InsufficientScopeError):
                missing |= dict.fromkeys(refusal.scope.split())
    if missing:
        raise InsufficientScopeError(issues, missing)
    if issues:
        raise FhirError(403, issues)


def code(entry: Entry) -> str:
    """Return the interaction that an entry of a Bundle is."""
    if entry.method == "GET":
        return "search-type" if entry.id is None else "read"
    return _WRITES[entry.method]


def admitted(context: Context, entry: Entry) -> None:
    """Raise FhirError 403 unless an entry of a Bundle would be admitted as a request of its own."""
    principal = context.principal
    admit(principal, code(entry), entry.type)
    if entry.method != "GET":
        conditions(context, entry)
    elif entry.id is None and principal.scopes is not None:
        asked(context, entry.type, parse_qsl(entry.query or "", keep_blank_values=True))


def conditions(context: Context, entry: Entry) -> None:
    """Raise FhirError 403 where a write looks for what its asker's scopes do not let be searched."""
    principal = context.principal
    if principal.scopes is None or _reach_everything(principal.scopes):
        return
    needs = [_FURTHER[entry.type]] if entry.type in _FURTHER and entry.method != "DELETE" else []
    if entry.query is not None:
        needs.append(("s", entry.type))
    for text in references(entry.resource):
        if (wanted := conditional(text)) is not None:
            needs.append(("s", wanted.type))
    require_each(principal.name, principal.scopes, needs)

"""The search interactions: a searchset, stored bytes spliced into it without being decoded.

https://hl7.org/fhir/R4/http.html#search
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.interactions import audit_events, audit_search, permitted, subset
from fhir_server.store import read as store
from fhir_server.store.include import MOST, MOST_STEPS, included
from fhir_server.store.read import Stored
from fhir_server.store.search import order
from fhir_server.store.search.query import Condition, Page, Query
from fhir_server.store.search.results import page_token
from fhir_server.store.told import tells
from r4.issue import Issue, operation_outcome
from r4.json import decode, encode

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Found:
    """One page: its matches, whether there are more after and before them, and of which snapshot."""

    stored: Sequence[Stored]
    after: bool
    before: bool
    snapshot: int


@dataclass(frozen=True, slots=True)
class Scope:
    """Where else than at a type is searched: a path, a condition (a compartment), what links show."""

    path: str
    within: Condition
    shown: Pairs


def search(
    context: Context,
    resource_type: str,
    pairs: Pairs,
    *,
    lenient: bool = False,
    scope: Scope | None = None,
) -> bytes:
    """Return the searchset Bundle of a query, as JSON; raises FhirError 400, 403 or 422 as `asked` does.

    Without a resource type the search is of every type, or of those that `_type` names. Where
    handling is lenient, unknown parameters are left out, and the self link does not show them.
    """
    if resource_type == audit_events.TYPE:
        of = [("patient", scope.path.rpartition("/")[0])] if scope else []
        return audit_search.search(context, [*pairs, *of], lenient=lenient)
    query = permitted.asked(context, resource_type, pairs, lenient=lenient)
    query = replace(query, criteria=(*query.criteria, scope.within)) if scope else query
    if page := query.page:
        query = replace(
            query, snapshot=page.snapshot, after=page.after, before=page.before, offset=page.offset
        )
    shown = scope.shown if scope else pairs
    kept = [pair for pair in shown if pair[0] not in query.ignored]
    place = f"{context.base_url}/{scope.path if scope else resource_type}".rstrip("/")
    if query.only_count:
        counted = store.count(context.database, query)
        return _searchset(counted, [_link("self", place, kept)], iter(()))
    found = _page(context, query)
    query = replace(query, snapshot=found.snapshot)
    total = _total(context, query, found)
    links = [_link("self", place, kept), *_links(place, kept, query, (found, total))]
    return _searchset(total, links, _entries(context, query, found.stored))


def _total(context: Context, query: Query, found: _Found) -> int | None:
    """Return how many match: as an earlier page counted, as a page that is all of them shows, as asked.

    To count what is on other pages takes as long as finding it all, so that is done when asked for.
    """
    if query.page is not None and query.page.total is not None:
        return query.page.total
    if query.total == "none":
        return None
    if not found.before and not found.after:
        return len(found.stored)
    return store.count(context.database, query) if query.total else None


def _page(context: Context, query: Query) -> _Found:
    """Read one row more than a page, which says whether another one follows."""
    rows, snapshot = store.page(context.database, replace(query, count=query.count + 1))
    if query.before is not None:
        after = query.before != _end(query)
        return _Found(rows[-query.count :], after, len(rows) > query.count, snapshot)
    before = query.after is not None or query.offset > 0
    return _Found(rows[: query.count], len(rows) > query.count, before, snapshot)


def _links(
    place: str, pairs: Pairs, query: Query, answer: tuple[_Found, int | None]
) -> Iterator[dict[str, str]]:
    found, total = answer
    if not found.before and not found.after:
        return
    page = Page(query.snapshot or 0, total)
    rest = place + "?" + urlencode([*(pair for pair in pairs if pair[0] != "_page"), ("_page", "")])
    yield {"relation": "first", "url": rest + page_token(page)}
    if not found.stored:
        return
    if order.by_rid(query):
        before = replace(page, before=found.stored[0].rid)
        after = replace(page, after=found.stored[-1].rid)
    else:
        before = replace(page, offset=max(0, query.offset - query.count))
        after = replace(page, offset=query.offset + query.count)
    if found.before:
        yield {"relation": "previous", "url": rest + page_token(before)}
    if found.after:
        yield {"relation": "next", "url": rest + page_token(after)}
        if last := _last(page, query):
            yield {"relation": "last", "url": rest + page_token(last)}


def _end(query: Query) -> int:
    """Return the row that all matches are before, in an order by rows."""
    return 0 if query.newest_first else (query.snapshot or 0) + 1


def _last(page: Page, query: Query) -> Page | None:
    """Return where the last page is, which by rows is a full one; None where that is not known."""
    if order.by_rid(query):
        return replace(page, before=_end(query))
    if page.total is None:
        return None
    return replace(page, offset=(page.total - 1) // query.count * query.count)


def _link(relation: str, place: str, pairs: Pairs) -> dict[str, str]:
    return {"relation": relation, "url": place + (f"?{urlencode(pairs)}" if pairs else "")}


def _entries(context: Context, query: Query, found: Sequence[Stored]) -> Iterator[bytes]:
    abridged = _abridged(query)
    tells(found)
    for stored in found:
        yield entry(context, stored, abridged(stored), b"match")
    if not query.includes:
        return
    others, all_of_them = included(context.database, query, found)
    tells(others)
    for stored in others:
        yield entry(context, stored, abridged(stored), b"include")
    if not all_of_them:
        text = (
            f"More than {MOST} resources, or more than {MOST_STEPS} steps of :iterate, would be included: "
            "ask for fewer by _count, or in turn."
        )
        outcome = operation_outcome([Issue("warning", "incomplete", text)])
        yield b'{"resource":%s,"search":{"mode":"outcome"}}' % encode(outcome)


def entry(context: Context, stored: Stored, body: bytes, mode: bytes) -> bytes:
    """Return the bytes of a searchset's entry: a version, with the body that is shown of it."""
    place = encode(f"{context.base_url}/{stored.type}/{stored.id}")
    return b'{"fullUrl":%s,"resource":%s,"search":{"mode":"%s"}}' % (place, body, mode)


def _abridged(query: Query) -> Callable[[Stored], bytes]:
    """Return what makes the bytes of an entry: those stored, or of a part of the elements."""
    if query.elements:
        return lambda stored: encode(subset.elements(decode(stored.body), query.elements))
    if query.summary in ("true", "text", "data"):
        return lambda stored: encode(subset.summary(decode(stored.body), query.summary))
    return lambda stored: stored.body


def searchset(total: int, place: str, pairs: Pairs, entries: Iterator[bytes]) -> bytes:
    """Return a searchset Bundle of one page, as JSON."""
    return _searchset(total, [_link("self", place, pairs)], entries)


def _searchset(total: int | None, links: list[dict[str, str]], entries: Iterator[bytes]) -> bytes:
    counted = {} if total is None else {"total": total}
    head = encode({"resourceType": "Bundle", "type": "searchset", **counted, "link": links})
    joined = b",".join(entries)
    return head[:-1] + (b',"entry":[' + joined + b"]" if joined else b"") + b"}"

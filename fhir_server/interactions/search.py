"""The search-type interaction: a searchset, stored bytes spliced into it without being decoded.

https://hl7.org/fhir/R4/http.html#search
"""

from collections.abc import Iterable
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.store import read as store
from fhir_server.store.search.parse import Query, parse
from r4.json import encode

Pairs = list[tuple[str, str]]


def search(context: Context, resource_type: str, pairs: Pairs) -> bytes:
    """Return the searchset Bundle of a query, as JSON; raises FhirError 400 for what is not served."""
    query = parse(resource_type, pairs)
    total = store.count(context.database, _whole(query))
    found = [] if query.only_count else store.search(context.database, query)
    links = [{"relation": "self", "url": _url(context, resource_type, pairs)}]
    if len(found) == query.count and _more(context, query, found[-1].rid):
        following = [pair for pair in pairs if pair[0] != "_after"] + [
            ("_after", str(found[-1].rid))
        ]
        links.append({"relation": "next", "url": _url(context, resource_type, following)})
    entries = (
        b'{"fullUrl":%s,"resource":%s,"search":{"mode":"match"}}'
        % (encode(f"{context.base_url}/{stored.type}/{stored.id}"), stored.body)
        for stored in found
    )
    return _searchset(total, links, entries)


def _whole(query: Query) -> Query:
    return Query(query.type, query.criteria, query.ids, query.updated)


def _more(context: Context, query: Query, last: int) -> bool:
    rest = Query(
        query.type, query.criteria, query.ids, query.updated, 1,
        newest_first=query.newest_first, after=last,
    )  # fmt: skip
    return bool(store.search(context.database, rest))


def _url(context: Context, resource_type: str, pairs: Pairs) -> str:
    return f"{context.base_url}/{resource_type}" + (f"?{urlencode(pairs)}" if pairs else "")


def _searchset(total: int, links: list[dict[str, str]], entries: Iterable[bytes]) -> bytes:
    head = encode({"resourceType": "Bundle", "type": "searchset", "total": total, "link": links})
    joined = b",".join(entries)
    return head[:-1] + (b',"entry":[' + joined + b"]" if joined else b"") + b"}"

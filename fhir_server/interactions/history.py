"""The history interactions: of one resource, of a type, of everything.

https://hl7.org/fhir/R4/http.html#history
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urlencode

from fhir_server.context import Context, instant
from fhir_server.interactions.read import LONGEST_NUMBER
from fhir_server.store import history as store
from fhir_server.store.history import Span
from fhir_server.store.read import Stored
from fhir_server.store.search.keys import bounds
from fhir_server.store.told import tells
from r4.issue import FhirError, error
from r4.json import encode

Pairs = list[tuple[str, str]]
PAGE = 50
LARGEST_PAGE = 1000
PARAMETERS = ("_count", "_since", "_at", "_before", "_format", "_pretty")


def history(
    context: Context, pairs: Pairs, resource_type: str | None = None, resource_id: str | None = None
) -> bytes:
    """Return one page of the history Bundle, newest first, as JSON.

    Raises FhirError 404 for a resource that never was, 400 for a parameter that is not one of
    _count, _since and _at, or is not well-formed.
    """
    given = _given(pairs)
    span = Span(resource_type, resource_id, _since(given.get("_since")), _at(given.get("_at")))
    total = store.count(context.database, span)
    if resource_id is not None and not total:
        ever = store.count(context.database, Span(resource_type, resource_id))
        if not ever:
            text = f"{resource_type}/{resource_id} is not known here."
            raise FhirError(404, [error("not-found", text)])
    count = min(_whole("_count", given.get("_count")) or PAGE, LARGEST_PAGE)
    before = _whole("_before", given.get("_before"))
    found = store.versions(context.database, span, count + 1, before)
    page = found[:count]
    place = "/".join(part for part in (resource_type, resource_id, "_history") if part)
    links = [{"relation": "self", "url": _url(context, place, pairs)}]
    if len(found) > count:
        following = [pair for pair in pairs if pair[0] != "_before"]
        following.append(("_before", str(page[-1].rid)))
        links.append({"relation": "next", "url": _url(context, place, following)})
    tells(page)
    head = {"resourceType": "Bundle", "type": "history", "total": total, "link": links}
    return _bundle(head, (_entry(context, stored) for stored in page))


def _given(pairs: Pairs) -> dict[str, str]:
    for name, _ in pairs:
        if name not in PARAMETERS:
            served = ", ".join(PARAMETERS[:3])
            text = f"History has no parameter {name}; it has: {served}."
            raise FhirError(400, [error("not-supported", text, f"http.{name}")])
    return dict(pairs)


def _since(text: str | None) -> int | None:
    return None if text is None else _bounds("_since", text)[0]


def _at(text: str | None) -> tuple[int, int] | None:
    return None if text is None else _bounds("_at", text)


def _bounds(name: str, text: str) -> tuple[int, int]:
    try:
        return bounds(text.replace(" ", "+"))  # a plus sign that was not escaped in the URL
    except ValueError:
        wrong = error(
            "value", f"{name}={text}: this is not a FHIR date or instant.", f"http.{name}"
        )
        raise FhirError(400, [wrong]) from None


def _whole(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or len(text) > LONGEST_NUMBER:
        raise FhirError(400, [error("value", f"{name} is a whole number.", f"http.{name}")])
    return int(text)


def _url(context: Context, place: str, pairs: Pairs) -> str:
    return f"{context.base_url}/{place}" + (f"?{urlencode(pairs)}" if pairs else "")


def _entry(context: Context, stored: Stored) -> bytes:
    place = f"{stored.type}/{stored.id}"
    method, status = "PUT", "200 OK"
    if stored.deleted:
        method, status = "DELETE", "204 No Content"
    elif stored.version == 1:
        method, status = "POST", "201 Created"
    request = {"method": method, "url": stored.type if method == "POST" else place}
    moment = instant(datetime.fromtimestamp(stored.updated / 1_000_000, UTC))
    response = {"status": status, "etag": f'W/"{stored.version}"', "lastModified": moment}
    body = b"" if stored.deleted else b'"resource":' + stored.body + b","
    return b'{"fullUrl":%s,%s"request":%s,"response":%s}' % (
        encode(f"{context.base_url}/{place}"),
        body,
        encode(request),
        encode(response),
    )


def _bundle(head: dict[str, object], entries: Iterable[bytes]) -> bytes:
    joined = b",".join(entries)
    return encode(head)[:-1] + (b',"entry":[' + joined + b"]" if joined else b"") + b"}"

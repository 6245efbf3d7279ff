"""What a Subscription asks for, read from the resource; or what is wrong with it, before it is stored.

R4: https://hl7.org/fhir/R4/subscription.html; topics: the R5 Backport,
http://hl7.org/fhir/uv/subscriptions-backport/
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import profiles
from fhir_server.access import is_local
from fhir_server.context import Context, Principal, microseconds
from fhir_server.interactions.topics import TOPICS, Topic
from fhir_server.settings import Settings
from fhir_server.store.read import Stored
from fhir_server.store.search.parse import Around, parse
from fhir_server.store.search.query import Query
from fhir_server.store.search.results import is_result
from r4 import definitions
from r4.dates import interval
from r4.issue import FhirError, Issue, error
from r4.json import Resource, decode

NOTIFIER = Principal("subscriptions", frozenset({"notifier"}))
"""Who changes the status of a Subscription on the server's behalf."""
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
JSON = "application/fhir+json"
XML = "application/fhir+xml"
CONTENTS = ("empty", "id-only", "full-resource")
MOST = 100
"""Most events in one notification."""
LONGEST = 60
"""Most seconds that an endpoint is waited for."""
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_OURS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A Subscription, read: where to notify, of what, and how much to say.

    payload: its media type, None for a notification without body; topic: None for R4 criteria; most:
    events in one notification; heartbeat and timeout: seconds; end: microseconds.
    """

    id: str
    endpoint: str
    headers: tuple[tuple[str, str], ...]
    payload: str | None
    query: Query
    topic: Topic | None
    content: str
    heartbeat: int | None
    timeout: int
    most: int
    end: int | None


def issues(context: Context, resource: Resource, current: Stored | None) -> list[Issue]:
    """Say what keeps a Subscription from being stored: its criteria, its channel, its status."""
    if context.principal == NOTIFIER:
        return []
    if unsaid := profiles.unsaid(resource):
        return unsaid
    found = list(_status(resource, current))
    try:
        read(context, resource)
    except FhirError as refusal:
        found += refusal.issues
    return found


def read(context: Context, resource: Resource) -> Subscribed:
    """Read a valid Subscription; raises FhirError 422 with everything that is not served."""
    channel = resource["channel"]
    found = [*_channel(channel), *refused_endpoint(context.settings, channel.get("endpoint", ""))]
    topic = TOPICS.get(resource["criteria"])
    settings = _extensions(channel)
    content = payload_content(resource)
    try:
        query = _filtered(context, resource, topic) if topic else _criteria(context, resource)
    except FhirError as refusal:
        found += refusal.issues
    if topic is not None and (content not in CONTENTS or "payload" not in channel):
        text = f"A topic needs a payload, and {BACKPORT}/backport-payload-content of {CONTENTS}."
        found.append(error("required", text, "Subscription.channel.payload"))
    if found:
        raise FhirError(422, found)
    headers = (_HEADER.fullmatch(each) for each in channel.get("header", ()))
    return Subscribed(
        resource["id"],
        channel["endpoint"],
        tuple((each[1], each[2]) for each in headers if each),
        channel.get("payload"),
        query,
        topic,
        content,
        _whole(settings, "backport-heartbeat-period"),
        min(_whole(settings, "backport-timeout") or LONGEST, LONGEST),
        min(_whole(settings, "backport-max-count") or 1, MOST) if topic else 1,
        interval(resource["end"])[0] if "end" in resource else None,
    )


def payload_content(resource: Resource) -> str:
    """Return how much a topic's notifications are to say: empty, id-only, full-resource; "" of none."""
    said = _extensions(resource["channel"].get("_payload")).get("backport-payload-content")
    return said if isinstance(said, str) else ""


def _status(resource: Resource, current: Stored | None) -> Iterator[Issue]:
    """Refuse a status that is the server's to give, unless it has given it to the same channel."""
    status = resource["status"]
    if status in ("requested", "off"):
        return
    before = decode(current.body) if current is not None and not current.deleted else {}
    same = ("status", "criteria", "_criteria", "channel")
    if all(before.get(name) == resource.get(name) for name in same):
        return
    text = f"A client asks for status requested or off; {status} is the server's to say."
    yield error("business-rule", text, "Subscription.status")


def _channel(channel: Resource) -> Iterator[Issue]:
    if channel["type"] != "rest-hook":
        text = f"The channel {channel['type']} is not supported; rest-hook is."
        yield error("not-supported", text, "Subscription.channel.type")
    if channel.get("payload", JSON) not in (JSON, XML):
        text = f"The payload {channel['payload']} is not supported; {JSON} and {XML} are, or none."
        yield error("not-supported", text, "Subscription.channel.payload")
    for number, header in enumerate(channel.get("header", ())):
        read = _HEADER.fullmatch(header or "")
        if read is None or not read[2].isascii() or read[1].lower() in _OURS:
            text = "A header is `Name: value`, in ASCII, and none that HTTP itself sets."
            yield error("value", text, f"Subscription.channel.header[{number}]")


def refused_endpoint(settings: Settings, endpoint: str) -> Iterator[Issue]:
    """Say why an endpoint may not be called: only those that the operator allows are."""
    at = "Subscription.channel.endpoint"
    try:
        place = urlsplit(endpoint)
        _address(place)
    except ValueError:
        place = urlsplit("")
    path = unquote(place.path)
    if place.scheme not in _PORTS or not place.hostname or "@" in place.netloc or ".." in path:
        yield error("value", "The endpoint is an http or https URL.", at)
        return
    allowed = [each.strip() for each in settings.subscription_endpoints.split(",") if each.strip()]
    if allowed:
        if not any(_within(place, urlsplit(each)) for each in allowed):
            text = f"The endpoint {place.scheme}://{place.netloc} is not one that may be notified."
            yield error("forbidden", f"{text} The operator lists them.", at)
    elif not (is_local(settings.fhir_host) and is_local(place.hostname)):
        text = f"The endpoint {place.scheme}://{place.netloc} is not one that may be notified."
        yield error(
            "forbidden", f"{text} The operator allows it in CSOR_SUBSCRIPTION_ENDPOINTS.", at
        )


def _within(place: SplitResult, allowed: SplitResult) -> bool:
    if _address(place) != _address(allowed):
        return False
    folder = allowed.path.rstrip("/")
    return place.path == folder or place.path.startswith(f"{folder}/")


def _address(place: SplitResult) -> tuple[str, str | None, int | None]:
    return place.scheme, place.hostname, place.port or _PORTS.get(place.scheme)


def _criteria(context: Context, resource: Resource) -> Query:
    """Read R4 criteria, `Type?search`."""
    at = "Subscription.criteria"
    kind, _, search = resource["criteria"].partition("?")
    if kind not in definitions.resource_types():
        topics = ", ".join(TOPICS)
        text = f"Criteria are `Type?search`, or a topic: {topics}; {kind!r} is neither."
        raise FhirError(422, [error("not-supported", text, at)])
    if "_criteria" in resource and "backport-filter-criteria" in _extensions(resource["_criteria"]):
        text = "backport-filter-criteria belong to a topic; R4 criteria hold all of theirs."
        raise FhirError(422, [error("business-rule", text, at)])
    return _query(context, kind, search, at)


def _filtered(context: Context, resource: Resource, topic: Topic) -> Query:
    """Read a topic's filters, `Type?search` or `search`, all of which must be met."""
    at = "Subscription.criteria.extension"
    said = [
        each.get("valueString", "")
        for each in resource.get("_criteria", {}).get("extension", ())
        if each["url"] == f"{BACKPORT}/backport-filter-criteria"
    ]
    searches = []
    for text in said:
        kind, mark, search = text.partition("?")
        if mark and kind != topic.type:
            wrong = f"The filter is about {kind}; the topic {topic.url} is about {topic.type}."
            raise FhirError(422, [error("value", wrong, at)])
        searches.append(search if mark else text)
    return _query(context, topic.type, "&".join(searches), at, topic.filters)


def _query(
    context: Context, kind: str, search: str, at: str, filters: tuple[str, ...] | None = None
) -> Query:
    names = [pair.partition("=")[0] for pair in search.split("&") if pair]
    codes = [unquote(name).partition(":")[0].partition(".")[0] for name in names]
    for name, code in zip(names, codes, strict=True):
        if is_result(name) or (filters is not None and code not in filters):
            served = "search parameters alone" if filters is None else ", ".join(filters)
            text = f"{name} cannot be a criterion of a subscription; served: {served}."
            raise FhirError(422, [error("not-supported", text, at)])
    around = Around(context.terminology, microseconds(context.now()), context.base_url)
    try:
        return parse(kind, search, around)
    except FhirError as refusal:
        raise FhirError(422, [error(i.code, i.diagnostics, at) for i in refusal.issues]) from None


def _whole(settings: dict[str, Any], name: str) -> int | None:
    """Return a number that is greater than nought, else None."""
    value = settings.get(name)
    return value if isinstance(value, int) and value > 0 else None


def _extensions(element: Resource | None) -> dict[str, Any]:
    """Map the backport's extensions of an element to their values, by the ends of their URLs."""
    return {
        each["url"].rpartition("/")[2]: next(
            (value for key, value in each.items() if key.startswith("value")), None
        )
        for each in (element or {}).get("extension", ())
        if each["url"].startswith(f"{BACKPORT}/")
    }

"""Notifications as the R5 Backport has them in R4: a history Bundle whose first entry is the status.

http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-notification-r4
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fhir_server.context import Context, instant
from fhir_server.interactions.subscriptions import BACKPORT
from fhir_server.store.read import Stored
from r4.json import Resource, decode


@dataclass(frozen=True, slots=True)
class Standing:
    """What a status says of a subscription: its id, topic, status, events so far, and last error."""

    id: str
    topic: str | None
    status: str
    events: int
    error: str | None = None


Happened = tuple[int, Stored]
"""An event: its number, and the version that it is about."""


def notification(
    context: Context,
    standing: Standing,
    kind: str,
    happened: Sequence[Happened] = (),
    content: str = "empty",
) -> Resource:
    """Return the Bundle of a handshake, a heartbeat, events, or a query for events.

    content: empty says that something happened, id-only to what, full-resource what that is now.
    """
    url = f"{context.base_url}/Subscription/{standing.id}/$status"
    status = status_resource(context, standing, kind, happened, content)
    first = {
        "fullUrl": f"urn:uuid:{status['id']}",
        "resource": status,
        "request": {"method": "GET", "url": url},
        "response": {"status": "200"},
    }
    shown = happened if content == "full-resource" else ()
    return {
        "resourceType": "Bundle",
        "id": context.new_id(),
        "meta": {"profile": [f"{BACKPORT}/backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": instant(context.now()),
        "entry": [first, *(_entry(context, stored) for _, stored in shown)],
    }


def status_resource(
    context: Context,
    standing: Standing,
    kind: str,
    happened: Sequence[Happened] = (),
    content: str = "empty",
) -> Resource:
    """Return the Parameters of a subscription's status, with the events that it tells of."""
    place = f"{context.base_url}/Subscription/{standing.id}"
    parameters: list[Resource] = [
        {"name": "subscription", "valueReference": {"reference": place}},
        *([{"name": "topic", "valueCanonical": standing.topic}] if standing.topic else []),
        {"name": "status", "valueCode": standing.status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(standing.events)},
        *(_event(context, each, content) for each in happened),
    ]
    if standing.error:
        parameters.append({"name": "error", "valueCodeableConcept": {"text": standing.error}})
    return {
        "resourceType": "Parameters",
        "id": context.new_id(),
        "meta": {"profile": [f"{BACKPORT}/backport-subscription-status-r4"]},
        "parameter": parameters,
    }


def _event(context: Context, happened: Happened, content: str) -> Resource:
    number, stored = happened
    moment = instant(datetime.fromtimestamp(stored.updated / 1_000_000, UTC))
    parts: list[Resource] = [
        {"name": "event-number", "valueString": str(number)},
        {"name": "timestamp", "valueInstant": moment},
    ]
    if content != "empty":
        place = f"{context.base_url}/{stored.type}/{stored.id}"
        parts.append({"name": "focus", "valueReference": {"reference": place}})
    return {"name": "notification-event", "part": parts}


def _entry(context: Context, stored: Stored) -> Resource:
    """Return the version that an event is about, as it was written."""
    place = f"{stored.type}/{stored.id}"
    created = stored.version == 1
    return {
        "fullUrl": f"{context.base_url}/{place}",
        "resource": decode(stored.body),
        "request": {
            "method": "POST" if created else "PUT",
            "url": stored.type if created else place,
        },
        "response": {"status": "201" if created else "200", "etag": f'W/"{stored.version}"'},
    }

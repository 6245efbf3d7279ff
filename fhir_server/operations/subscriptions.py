"""How a subscription stands ($status), what it has told ($events), and a dead letter sent again.

http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-status
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from httpx import AsyncClient

from fhir_server.context import Context
from fhir_server.interactions.read import read
from fhir_server.interactions.subscriptions import CONTENTS, payload_content
from fhir_server.interactions.subscriptions import read as subscribed
from fhir_server.interactions.topics import TOPICS
from fhir_server.operations import rest_hook
from fhir_server.operations.follower import message
from fhir_server.operations.notifications import Standing, notification, status_resource
from fhir_server.store import read as store
from fhir_server.store import subscriptions as cursors
from fhir_server.store.seen import used
from fhir_server.store.subscriptions import DeadLetter
from fhir_server.store.uses import MEASURING
from r4.issue import FhirError, error
from r4.json import Resource, decode

MOST = 1000
"""Most events in one answer of $events."""
_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Range:
    """Which events, by their numbers as text, both ends included; and how much of each."""

    since: str | None = None
    until: str | None = None
    content: str | None = None


def status(context: Context, subscription: str) -> Resource:
    """Return a searchset of one subscription's status; raises FhirError 404 or 410."""
    stored = read(context, "Subscription", subscription)
    return _statuses(context, [decode(stored.body)])


def statuses(context: Context, ids: Collection[str], states: Collection[str]) -> Resource:
    """Return a searchset of the status of each Subscription that has one of the ids and states."""
    every = (decode(stored.body) for stored in store.every(context.database, "Subscription"))
    wanted = [
        each
        for each in every
        if (not ids or each["id"] in ids) and (not states or each["status"] in states)
    ]
    return _statuses(context, wanted)


def _statuses(context: Context, resources: list[Resource]) -> Resource:
    entries = []
    for resource in resources:
        status = status_resource(context, _standing(context, resource), "query-status")
        url = f"{context.base_url}/Subscription/{resource['id']}/$status"
        entry = {"fullUrl": url, "resource": status, "search": {"mode": "match"}}
        entries.append(entry)
    bundle: Resource = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
    return {**bundle, "entry": entries} if entries else bundle


def _standing(context: Context, resource: Resource) -> Standing:
    found = cursors.cursor(context.database, resource["id"])
    said = resource.get("error") or (found.error if found else None)
    topic = resource["criteria"] if resource["criteria"] in TOPICS else None
    return Standing(resource["id"], topic, resource["status"], found.events if found else 0, said)


def events(context: Context, subscription: str, wanted: Range) -> Resource:
    """Return the notification of events that a subscription has dealt with, the first ones of many.

    Raises FhirError 400 for a number or content that is none, 404 or 410 where there is no subscription.
    """
    resource = decode(read(context, "Subscription", subscription).body)
    since = _number("eventsSinceNumber", wanted.since, 1)
    until = _number("eventsUntilNumber", wanted.until, 10**_DIGITS)
    if wanted.content is not None and wanted.content not in CONTENTS:
        text = f"content is one of {', '.join(CONTENTS)}."
        raise FhirError(400, [error("value", text, "http.content")])
    content = wanted.content or payload_content(resource) or "id-only"
    found = cursors.events(context.database, subscription, since, until, MOST)
    left = used(context.database, MEASURING)
    versions = store.by_rid(left, [event.rid for event in found])
    stored = {version.rid: version for version in versions}  # what has been purged is not told
    happened = [(event.number, stored[event.rid]) for event in found if event.rid in stored]
    return notification(context, _standing(context, resource), "query-event", happened, content)


def _number(name: str, text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not text.isdecimal() or len(text) > _DIGITS:
        raise FhirError(400, [error("value", f"{name} is a whole number.", f"http.{name}")])
    return int(text)


async def send_again(context: Context, http: AsyncClient, letter: DeadLetter) -> str | None:
    """Send a dead letter once more, under its number; returns why that failed, None where it did not."""
    try:
        resource = decode(read(context, "Subscription", letter.subscription).body)
        asked = subscribed(context, resource)
    except FhirError as refusal:
        return str(refusal)
    standing = replace(_standing(context, resource), events=letter.number, error=None)
    versions = store.by_rid(used(context.database, MEASURING), [letter.rid])
    if not versions:
        return "what it was about has been purged, or is objected to"
    sent = message(context, asked, standing, versions)
    failed = await rest_hook.send(http, asked, sent, context.now())
    if failed is not None:
        return failed.reason
    await cursors.delivered(context.database, letter.id)
    return None

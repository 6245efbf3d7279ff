"""One subscription on its way through the history: in order, from where it stands, until it is off.

The cursor is moved, durably, after the endpoint has accepted what lies before it: what is being sent
when the server is killed is sent again, under the same number. https://hl7.org/fhir/R4/subscription.html
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import httpx

from fhir_server.context import Context, microseconds
from fhir_server.interactions.subscriptions import NOTIFIER, Subscribed, read
from fhir_server.interactions.update import update
from fhir_server.operations import rest_hook
from fhir_server.operations.notifications import Standing, notification
from fhir_server.operations.rest_hook import Failed, Message
from fhir_server.store import read as store
from fhir_server.store import subscriptions as cursors
from fhir_server.store.connection import reading
from fhir_server.store.failure import place
from fhir_server.store.read import Stored
from fhir_server.store.seen import used
from fhir_server.store.subscriptions import Cursor, DeadLetter, Event
from fhir_server.store.uses import MEASURING
from r4.issue import FhirError
from r4.json import Resource, decode

logger = logging.getLogger("csor.subscriptions")

IDLE = 1.0
"""Most seconds that nothing is looked at."""
UNSAVED = 10_000
"""Rows without an event after which a position is saved all the same."""
LONGEST_WAIT = 3600.0
"""Most seconds that an endpoint may ask to be left alone."""
_SECOND = 1_000_000
_CHANGED = (409, 412)
_AT_ONCE = 0.0


def events_among(context: Context, subscribed: Subscribed, rids: Sequence[int]) -> list[int]:
    """Return those of the rows that match a query which are events of the subscription's topic."""
    topic = subscribed.topic
    if topic is None or not rids:
        return list(rids)
    kept = list(rids)
    if not topic.updates:
        fresh = cursors.created(context.database, kept)
        kept = [rid for rid in kept if rid in fresh]
    if topic.elements:
        wanted = topic.elements.items()
        kept = [
            stored.rid
            for stored in store.by_rid(context.database, kept)
            if wanted
            <= {k: v for k, v in decode(stored.body).items() if isinstance(v, str)}.items()
        ]
    return kept


def message(
    context: Context, subscribed: Subscribed, standing: Standing, versions: Sequence[Stored]
) -> Message:
    """Return the notification of events, the last of which is the newest that there has been."""
    if subscribed.topic is None:
        return rest_hook.of_version(subscribed, versions[0])
    first = standing.events - len(versions) + 1
    happened = list(enumerate(versions, first))
    bundle = notification(context, standing, "event-notification", happened, subscribed.content)
    return rest_hook.of_bundle(subscribed, bundle)


@dataclass(slots=True)
class Follower:
    """Follows one subscription; `stale` is set from outside when it has been changed."""

    context: Context
    http: httpx.AsyncClient
    id: str
    stale: bool = True
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _newest: int = 0
    _wrong: str | None = None
    _resource: Resource = field(default_factory=dict)
    _subscribed: Subscribed | None = None
    _cursor: Cursor = field(default_factory=lambda: Cursor("", 0))
    _looked: int = 0
    _found: deque[int] = field(default_factory=deque)
    _said: int = 0

    def tell(self, previous: int, newest: int, types: frozenset[str]) -> None:
        """Say how far the history goes, and of which types the versions behind `previous` are."""
        asked = self._subscribed
        if asked is not None and asked.query.type not in types and self._looked == previous:
            self._looked = newest
        self._newest = newest
        if self.stale or self._looked < newest:
            self._news.set()

    async def run(self) -> None:
        """Follow until the subscription is off, in error or deleted."""
        while True:
            try:
                wait = await self._step()
            except Exception as failure:
                logger.error("subscription %s stumbled: %s", self.id, place(failure))  # noqa: TRY400 - no content
                wait, self.stale = IDLE, True
                await asyncio.sleep(wait)
            if wait is None:
                return
            if wait == _AT_ONCE:
                await asyncio.sleep(0)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()
            self._news.clear()

    async def _step(self) -> float | None:
        """Do the next thing that is due; returns how long to wait for another, None at the end."""
        while self.stale:
            self.stale = False
            await reading(self.context.database, self._load)
        if not self._resource:
            if self._cursor.id:
                await cursors.forget(self.context.database, self.id)
            return None
        if self._resource["status"] not in ("requested", "active"):
            return None
        subscribed = self._subscribed
        if subscribed is None:
            return await self._say("error", self._wrong)
        now = microseconds(self.context.now())
        if subscribed.end is not None and now >= subscribed.end:
            return await self._say("off")
        if self._cursor.next_attempt is not None and now < self._cursor.next_attempt:
            return min(IDLE, (self._cursor.next_attempt - now) / _SECOND)
        if self._resource["status"] == "requested":
            return await self._activate(subscribed)
        return await self._advance(subscribed)

    def _load(self) -> None:
        """Read the current version, and where the subscription stands."""
        found = store.current(self.context.database, "Subscription", self.id)
        known = cursors.cursor(self.context.database, self.id)
        self._cursor = known or Cursor("", 0)
        self._found.clear()
        if found is None or found.deleted:
            self._resource = {}
            return
        self._resource = decode(found.body)
        self._cursor = known or Cursor(self.id, found.rid)
        if self._resource["status"] == "requested":
            self._cursor = replace(self._cursor, failures=0, dead=0, next_attempt=None)
        self._looked = self._cursor.position
        self._said = microseconds(self.context.now())
        try:
            self._subscribed, self._wrong = read(self.context, self._resource), None
        except FhirError as refusal:  # what the operator allows has changed since
            self._subscribed, self._wrong = None, str(refusal)

    async def _activate(self, subscribed: Subscribed) -> float:
        """Shake hands where a topic is subscribed to, then say that the subscription is active."""
        if subscribed.topic is not None:
            bundle = notification(self.context, self._standing(), "handshake")
            failed = await self._send(rest_hook.of_bundle(subscribed, bundle))
            if failed is not None:
                return await self._failed_handshake(failed)
        self._cursor = replace(self._cursor, failures=0, dead=0, next_attempt=None, error=None)
        await cursors.keep(self.context.database, self._cursor)
        return await self._say("active")

    async def _failed_handshake(self, failed: Failed) -> float:
        if self._postponed(failed):
            await cursors.keep(self.context.database, self._cursor)
            return _AT_ONCE
        await cursors.keep(self.context.database, replace(self._cursor, next_attempt=None))
        return await self._say("error", f"The handshake failed. {failed.reason}")

    async def _advance(self, subscribed: Subscribed) -> float:
        """Deliver the next events, or look for them."""
        if not self._found and self._looked < self._newest:
            await reading(self.context.database, self._look)
        if self._found:
            return await self._deliver(subscribed)
        if self._looked < self._newest:
            return _AT_ONCE
        if self._looked - self._cursor.position > UNSAVED:
            self._cursor = replace(self._cursor, position=self._looked)
            await cursors.keep(self.context.database, self._cursor)
        return await self._rest(subscribed)

    def _look(self) -> None:
        if self._subscribed is None:
            return
        database = used(self.context.database, MEASURING)
        rids, until = cursors.matches(database, self._subscribed.query, self._looked, self._newest)
        self._found.extend(events_among(self.context, self._subscribed, rids))
        self._looked = until

    async def _rest(self, subscribed: Subscribed) -> float:
        """Send a heartbeat where nothing has been sent for so long; returns how long to wait."""
        if subscribed.topic is None or subscribed.heartbeat is None:
            return IDLE
        now = microseconds(self.context.now())
        left = subscribed.heartbeat - (now - self._said) / _SECOND
        if left > 0:
            return min(IDLE, left)
        bundle = notification(self.context, self._standing(), "heartbeat")
        failed = await self._send(rest_hook.of_bundle(subscribed, bundle))
        if failed is not None:
            logger.warning("subscription %s: heartbeat: %s", self.id, failed.reason)
        return _AT_ONCE

    async def _deliver(self, subscribed: Subscribed) -> float:
        """Make one attempt at the next notification, and record what came of it."""
        rids = list(self._found)[: subscribed.most]
        versions = await reading(self.context.database, partial(self._versions, rids))
        if len(versions) < len(rids):  # purged meanwhile, or somebody has come to object
            left = {each.rid for each in versions}
            self._found = deque(each for each in self._found if each in left or each not in rids)
            return _AT_ONCE
        number = self._cursor.events + len(rids)
        standing = replace(self._standing(), events=number)
        failed = await self._send(message(self.context, subscribed, standing, versions))
        if failed is not None and self._postponed(failed):
            logger.info("subscription %s: event %d: %s", self.id, number, failed.reason)
            await cursors.keep(self.context.database, self._cursor)
            return _AT_ONCE
        await self._dealt_with(rids, failed)
        if failed is not None and self._cursor.dead >= self._most_dead():
            return await self._say("error", failed.reason)
        return _AT_ONCE

    def _versions(self, rids: Sequence[int]) -> list[Stored]:
        return store.by_rid(used(self.context.database, MEASURING), rids)

    async def _dealt_with(self, rids: list[int], failed: Failed | None) -> None:
        """Move the cursor behind the events, which are delivered or have become dead letters."""
        first = self._cursor.events + 1
        events = [Event(number, rid) for number, rid in enumerate(rids, first)]
        letters = []
        if failed is not None:
            moment = microseconds(self.context.now())
            logger.warning("subscription %s: dead letter %d: %s", self.id, first, failed.reason)
            letters = [
                DeadLetter(0, self.id, each.number, each.rid, moment, failed.reason, failed.status)
                for each in events
            ]
        for _ in rids:
            self._found.popleft()
        self._cursor = replace(
            self._cursor,
            position=rids[-1] if self._found else self._looked,
            events=events[-1].number,
            failures=0,
            dead=self._cursor.dead + 1 if failed else 0,
            next_attempt=None,
            error=failed.reason if failed else None,
        )
        await cursors.keep(self.context.database, self._cursor, events, letters)

    def _postponed(self, failed: Failed) -> bool:
        """Note a failed attempt and when the next one is due; False where there is to be none."""
        settings = self.context.settings
        failures = self._cursor.failures + 1
        if not failed.again or failures >= settings.subscription_attempts:
            return False
        delay = settings.subscription_delay * 2 ** min(failures - 1, 60)
        delay = max(min(delay, settings.subscription_longest_delay), min(failed.wait, LONGEST_WAIT))
        due = microseconds(self.context.now()) + int(delay * _SECOND)
        self._cursor = replace(
            self._cursor, failures=failures, next_attempt=due, error=failed.reason
        )
        return True

    def _most_dead(self) -> int:
        return self.context.settings.subscription_dead_letters

    def _standing(self) -> Standing:
        topic = self._subscribed.topic.url if self._subscribed and self._subscribed.topic else None
        return Standing(self.id, topic, self._resource["status"], self._cursor.events)

    async def _send(self, message: Message) -> Failed | None:
        if self._subscribed is None:
            raise AssertionError("nothing is sent before the subscription is read")
        failed = await rest_hook.send(self.http, self._subscribed, message, self.context.now())
        self._said = microseconds(self.context.now())
        return failed

    async def _say(self, status: str, error: str | None = None) -> float:
        """Give the Subscription a status, unless it has been changed meanwhile."""
        said = {**self._resource, "status": status}
        said.pop("error", None)
        if error is not None:
            said["error"] = error
        version = f'W/"{self._resource["meta"]["versionId"]}"'
        context = self.context.asked_by(NOTIFIER)
        self.stale = True
        try:
            await context.database.driven(update(context, said, self.id, version))
        except FhirError as refusal:
            if refusal.status not in _CHANGED:
                raise
        return _AT_ONCE

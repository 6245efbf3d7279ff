"""The rest-hook channel: one attempt to notify one endpoint, and what came of it.

Nothing of what is sent, and no header, is ever logged. https://hl7.org/fhir/R4/subscription.html
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from fhir_server.access import outbound
from fhir_server.interactions.subscriptions import XML, Subscribed
from fhir_server.store.read import Stored
from r4 import xml
from r4.json import Resource, decode, encode

_AGAIN = frozenset({408, 429})
_SERVER_ERROR = 500
_KEPT = 100
_LONG = 64 * 1024


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt that failed: why, the status answered if there was one, whether to try again, when.

    wait: seconds that the endpoint asked for.
    """

    reason: str
    status: int | None = None
    again: bool = True
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: method, URL and body."""

    method: str
    url: str
    body: bytes = b""


def client() -> httpx.AsyncClient:
    """Return a client that follows no redirects and takes no proxies from the environment.

    Its connections are not limited: those that wait for slow endpoints would hold up the others.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT)
    return outbound.client(None, limits=limits)


def of_version(subscribed: Subscribed, stored: Stored) -> Message:
    """Return the notification of R4: a POST without body or, with a payload, an update (PUT)."""
    if subscribed.payload is None:
        return Message("POST", subscribed.endpoint)
    place = f"{subscribed.endpoint.rstrip('/')}/{stored.type}/{stored.id}"
    written = xml.encode(decode(stored.body)) if subscribed.payload == XML else stored.body
    return Message("PUT", place, written)


def of_bundle(subscribed: Subscribed, bundle: Resource) -> Message:
    """Return a notification of a topic: its Bundle."""
    written = xml.encode(bundle) if subscribed.payload == XML else encode(bundle)
    return Message("POST", subscribed.endpoint, written)


async def send(
    http: httpx.AsyncClient, subscribed: Subscribed, message: Message, now: datetime
) -> Failed | None:
    """Make one attempt; returns None where it was accepted with a 2xx."""
    headers = list(subscribed.headers)
    if message.body and subscribed.payload:
        headers.append(("Content-Type", subscribed.payload))
    try:
        async with (
            asyncio.timeout(subscribed.timeout),
            http.stream(
                message.method, message.url, content=message.body, headers=headers, timeout=None
            ) as answer,
        ):
            await _finish(answer)
    except TimeoutError:
        return Failed(f"The endpoint did not answer within {subscribed.timeout} seconds.")
    except (httpx.HTTPError, httpx.InvalidURL) as failure:
        return Failed(f"The endpoint could not be reached: {type(failure).__name__}.")
    if answer.is_success:
        return None
    status = answer.status_code
    again = status in _AGAIN or status >= _SERVER_ERROR
    wait = _wait(answer.headers.get("retry-after"), now)
    return Failed(f"The endpoint answered {status}.", status, again, wait)


async def _finish(answer: httpx.Response) -> None:
    """Read what is left of an answer, unless it is long: the connection can then be used again."""
    size = 0
    async for chunk in answer.aiter_raw():
        size += len(chunk)
        if size > _LONG:
            return


def _wait(header: str | None, now: datetime) -> float:
    """Read Retry-After: seconds or a date."""
    if header is None:
        return 0.0
    if header.isdecimal():
        return float(header[:9])
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())

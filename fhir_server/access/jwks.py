"""What is published at a URL, clients' keys above all: fetched so that no one is asked who must not be.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#registering-a-client-communicating-public-keys
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, Protocol

import httpx

from fhir_server.access import outbound, public_keys
from fhir_server.access.clients import Client
from fhir_server.access.public_keys import Key
from r4.json import decode

SECONDS = 5.0
LARGEST = 64 * 1024
"""Most bytes of an answer."""
USUAL, LEAST, LONGEST = 300, 60, 3600
"""Seconds that a JWKS is remembered: where nothing is said, at least, and at most."""
AGAIN = timedelta(seconds=60)
"""How long after a fetch none follows, whatever kid is asked for."""
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})\b", re.IGNORECASE)
_OK = 200


class UnreachableError(Exception):
    """What is published cannot be had; says why."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL answers, as JSON, and for how many seconds it may be remembered."""

    content: Any
    seconds: int


class Fetch(Protocol):
    """Asks a URL, by POST where there is a form, as the bearer of a token where there is one."""

    async def __call__(
        self, url: str, *, form: Mapping[str, str] | None = None, token: str | None = None
    ) -> Fetched:
        """Return what it answers; raises UnreachableError."""
        ...


def fetcher(private_hosts: str, context: ssl.SSLContext | None = None) -> Fetch:
    """Return what asks by https; private_hosts, by commas, may have private addresses."""
    listed = frozenset(each.strip().lower() for each in private_hosts.split(",") if each.strip())
    return partial(_fetch, private_hosts=listed, context=context)


async def _fetch(
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    token: str | None = None,
    private_hosts: frozenset[str],
    context: ssl.SSLContext | None,
) -> Fetched:
    """Ask a URL: no redirect, no proxy, no compression, one address that was looked at before.

    Raises UnreachableError.
    """
    try:
        parts = httpx.URL(url)
        if parts.scheme != "https":
            raise UnreachableError("its URL is not https")
        async with asyncio.timeout(SECONDS):
            address = await outbound.public_address(parts.host, parts.port or 443, private_hosts)
            return await _answered(_Asked(parts, address, form, token), context)
    except outbound.PrivateAddressError:
        text = "its host has a private address: CSOR_JWKS_PRIVATE_HOSTS allows it"
        raise UnreachableError(text) from None
    except (TimeoutError, OSError, httpx.HTTPError, httpx.InvalidURL) as failure:
        raise UnreachableError(f"its URL cannot be reached ({type(failure).__name__})") from None
    except (ValueError, RecursionError, ArithmeticError):
        raise UnreachableError("what its URL answers is not JSON") from None


class _Asked(NamedTuple):
    """What is asked, and at which address of its host."""

    url: httpx.URL
    address: str
    form: Mapping[str, str] | None
    token: str | None


async def _answered(asked: _Asked, context: ssl.SSLContext | None) -> Fetched:
    headers = {"Host": asked.url.netloc.decode("ascii"), "Accept-Encoding": "identity"}
    headers["Accept"] = "application/jwk-set+json, application/json"
    if asked.token is not None:
        headers["Authorization"] = f"Bearer {asked.token}"
    method, url = "GET" if asked.form is None else "POST", asked.url.copy_with(host=asked.address)
    extensions = {"sni_hostname": asked.url.host}  # by which the certificate is checked, too
    given: dict[str, Any] = {"data": asked.form, "headers": headers, "extensions": extensions}
    raw = bytearray()
    async with (
        outbound.client(SECONDS, context=context) as http,
        http.stream(method, url, **given) as answer,
    ):
        if answer.status_code != _OK or "content-encoding" in answer.headers:
            raise UnreachableError(f"its URL answers {answer.status_code}, not a plain 200")
        async for piece in answer.aiter_raw():
            raw += piece
            if len(raw) > LARGEST:
                raise UnreachableError(f"what its URL answers is larger than {LARGEST} bytes")
    return Fetched(decode(bytes(raw)), remembered(answer.headers.get("cache-control", "")))


def remembered(cache_control: str) -> int:
    """Return for how many seconds a Cache-Control lets a JWKS be remembered, within our bounds."""
    said = _MAX_AGE.search(cache_control)
    if "no-store" in cache_control.lower() or "no-cache" in cache_control.lower():
        return LEAST
    return min(max(int(said[1]), LEAST), LONGEST) if said else USUAL


@dataclass(frozen=True, slots=True)
class _Held:
    """What a URL answered: its keys, or why there are none; when, and until when that holds."""

    keys: tuple[Key, ...]
    problem: str
    fetched: datetime
    until: datetime


class KeySets:
    """The keys of clients, those at a URL remembered for as long as it says, within our bounds."""

    def __init__(self, fetch: Fetch, now: Callable[[], datetime]) -> None:
        self._fetch, self._now = fetch, now
        self._held: dict[str, _Held] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def key(self, client: Client, kid: str, algorithm: str) -> Key | None:
        """Return the key that a client signs with, or None; raises UnreachableError.

        A kid that is not known has the keys fetched anew, once a minute at most.
        """
        if client.jwks is not None:
            return public_keys.named(public_keys.of_json(client.jwks), kid, algorithm)
        if client.jwks_url is None:
            return None
        async with self._turns.setdefault(client.jwks_url, asyncio.Lock()):
            held = self._held.get(client.jwks_url)
            if held is None or self._is_due(held, kid, algorithm):
                held = self._held[client.jwks_url] = await self._asked(client.jwks_url)
        if held.problem:
            raise UnreachableError(held.problem)
        return public_keys.named(held.keys, kid, algorithm)

    def _is_due(self, held: _Held, kid: str, algorithm: str) -> bool:
        """Tell whether keys are fetched anew: too old, or without the one that is asked for."""
        now = self._now()
        is_missing = public_keys.named(held.keys, kid, algorithm) is None
        return held.until <= now or (is_missing and held.fetched + AGAIN <= now)

    async def _asked(self, url: str) -> _Held:
        now = self._now()
        try:
            fetched = await self._fetch(url)
        except UnreachableError as failure:
            return _Held((), str(failure), now, now + AGAIN)
        until = now + timedelta(seconds=fetched.seconds)
        return _Held(public_keys.usable(fetched.content), "", now, until)

"""What is on its way through another system and comes back to a browser: by a `state` that is good once.

https://www.rfc-editor.org/rfc/rfc9700#section-2.1
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

WITHIN = timedelta(minutes=10)
"""How long it may take, somebody's sign-in included."""
_MOST = 10_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    """Something on its way. browser: the SHA-256 of the cookie's value."""

    what: T
    browser: bytes
    began: datetime


class Pending(Generic[T]):
    """What is on its way, each by its state and for one browser; in memory, as sessions are."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._kept: dict[str, _Kept[T]] = {}

    def add(self, what: T, browser: str | None) -> tuple[str, str]:
        """Keep something; returns its state, and the value of the browser's cookie from now on."""
        now = self._now()
        known = {each.browser for each in self._kept.values()}
        if browser is None or _digest(browser) not in known:
            browser = secrets.token_urlsafe(32)
        self._kept = {k: each for k, each in self._kept.items() if now < each.began + WITHIN}
        while len(self._kept) >= _MOST:
            del self._kept[next(iter(self._kept))]
        state = secrets.token_urlsafe(32)
        self._kept[state] = _Kept(what, _digest(browser), now)
        return state, browser

    def take(self, state: str, browser: str | None) -> T | None:
        """Return what is on its way by a state, once; None for another browser's, and what is too old."""
        kept = self._kept.pop(state, None)
        if kept is None or self._now() >= kept.began + WITHIN:
            return None
        is_its = hmac.compare_digest(kept.browser, _digest(browser or ""))
        return kept.what if is_its else None


def challenge(verifier: str) -> str:
    """Return the PKCE challenge (S256) of a verifier (RFC 7636)."""
    digest = hashlib.sha256(verifier.encode("latin-1", "replace")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("latin-1", "replace")).digest()

"""Access tokens: opaque, good for five minutes, held as hashes in the memory of the process that serves.

https://www.rfc-editor.org/rfc/rfc6749#section-1.4
"""

import hashlib
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fhir_server.access.clients import Client

LIFE = timedelta(minutes=5)
MOST = 256
"""Most tokens of one client that are good at a time; the oldest one ends."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token is good for: its client as it was registered then, scopes, and from when to when."""

    client: Client
    scopes: tuple[str, ...]
    issued: datetime
    expires: datetime


class Tokens:
    """The tokens that are good now, by the SHA-256 of each, in hex."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._held: dict[str, Token] = {}
        self._of: dict[str, deque[str]] = {}

    def issue(self, client: Client, scopes: tuple[str, ...]) -> str:
        """Make a token of 256 random bits."""
        now = self._now()
        while self._held and next(iter(self._held.values())).expires <= now:
            self.end(next(iter(self._held)))  # the oldest one ends first
        mine = self._of.setdefault(client.name, deque())
        if len(mine) >= MOST:
            self.end(mine[0])
        value = secrets.token_urlsafe(32)
        digest = hashlib.sha256(value.encode()).hexdigest()
        self._held[digest] = Token(client, scopes, now, now + LIFE)
        mine.append(digest)
        return value

    def of(self, digest: str) -> Token | None:
        """Return the token of a hash, or None where none is good."""
        found = self._held.get(digest)
        return found if found is not None and self._now() < found.expires else None

    def end(self, digest: str) -> None:
        """End a token; nothing where there is none."""
        found = self._held.pop(digest, None)
        if found is not None:
            self._of[found.client.name].remove(digest)

"""Access tokens: opaque, good for minutes, held as hashes in the memory of the process that serves.

https://www.rfc-editor.org/rfc/rfc6749#section-1.4
"""

import hashlib
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fhir_server.access.clients import Client
from fhir_server.access.grants import Grant
from fhir_server.access.sessions import Login

LIFE = timedelta(minutes=5)
APP_LIFE = timedelta(minutes=15)
"""How long the token of an app is good, whose person would have to be asked again."""
MOST = 256
"""Most tokens of one client that are good at a time; the oldest one ends."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token is good for: its client as it was registered then, scopes, and from when to when.

    grant: what a person has granted, where an app acts for one.
    """

    client: Client
    scopes: tuple[str, ...]
    issued: datetime
    expires: datetime
    grant: Grant | None = None

    @property
    def holder(self) -> str:
        """Whose tokens it is counted among."""
        return self.client.name if self.grant is None else self.grant.principal(()).name


class Tokens:
    """The tokens that are good now, by the SHA-256 of each, in hex."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._held: dict[str, Token] = {}
        self._of: dict[str, deque[str]] = {}

    def issue(self, client: Client, scopes: tuple[str, ...], grant: Grant | None = None) -> str:
        """Make a token of 256 random bits."""
        now = self._now()
        while self._held and next(iter(self._held.values())).expires <= now:
            self.end(next(iter(self._held)))  # the oldest one ends first
        life = LIFE if grant is None else APP_LIFE
        made = Token(client, scopes, now, now + life, grant)
        if len(self._of.get(made.holder, ())) >= MOST:
            self.end(self._of[made.holder][0])
        value = secrets.token_urlsafe(32)
        digest = hashlib.sha256(value.encode()).hexdigest()
        self._held[digest] = made
        self._of.setdefault(made.holder, deque()).append(digest)
        return value

    def of(self, digest: str) -> Token | None:
        """Return the token of a hash, or None where none is good."""
        found = self._held.get(digest)
        if found is None or self._now() >= found.expires:
            return None
        return found if found.grant is None or found.grant.is_good else None

    def log_out(self, ended: Login) -> None:
        """End the tokens of apps whose user's sign-in has ended at its provider."""
        for each in self._held.values():
            if each.grant is not None:
                each.grant.log_out(ended)

    def end(self, digest: str) -> None:
        """End a token; nothing where there is none."""
        found = self._held.pop(digest, None)
        if found is not None:
            mine = self._of[found.holder]
            mine.remove(digest)
            if not mine:
                del self._of[found.holder]

"""What people have granted to apps: codes, which are good once, and tokens by which an app goes on.

In the memory of the process that serves, as hashes; https://www.rfc-editor.org/rfc/rfc6749#section-4.1,
https://www.rfc-editor.org/rfc/rfc7636, https://www.rfc-editor.org/rfc/rfc9700#section-2.2.2
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fhir_server.access import app_scopes
from fhir_server.access.clients import Client
from fhir_server.access.pending import challenge
from fhir_server.access.roles import APP
from fhir_server.access.sessions import Login, Session
from fhir_server.context import Principal

CODE_LIFE = timedelta(seconds=60)
_REMEMBERED = timedelta(minutes=10)
"""How long a code that was used is known, so that it is seen when it comes again."""
_MOST = 10_000


@dataclass(slots=True, eq=False)
class Grant:
    """What a person has granted to an app, in a session; patient: the id of the child that was chosen.

    user: the FHIR resource of the person, as a URL. ended: whether nothing of it is good any more.
    """

    client: Client
    session: Session
    scopes: tuple[str, ...]
    patient: str | None = None
    user: str | None = None
    nonce: str | None = None
    ended: bool = False

    @property
    def is_offline(self) -> bool:
        """Whether it outlives the session of its person."""
        return "offline_access" in self.scopes

    @property
    def is_good(self) -> bool:
        """Whether it has not been taken back: by signing out, unless it outlives that, or by misuse."""
        return not self.ended and (self.is_offline or not self.session.ended)

    @property
    def subject(self) -> str:
        """The person, for apps: the same for each of them, and no number of the provider's."""
        return hashlib.sha256(self.session.principal.name.encode()).hexdigest()

    def log_out(self, ended: Login) -> None:
        """End it, if it was made in a session whose sign-in has ended at its provider."""
        self.ended = self.ended or self.session.is_of(ended)

    def principal(self, scopes: tuple[str, ...]) -> Principal:
        """Return whom the app acts as, with scopes of the grant."""
        person = self.session.principal
        return replace(
            person,
            name=f"{person.name} by {self.client.name}",
            roles=person.roles | {APP},
            scopes=app_scopes.of_resources(scopes),
            scoped=app_scopes.narrowed(scopes),
            only=None if self.patient is None else f"Patient/{self.patient}",
        )


class SpentError(Exception):
    """What is no good for a grant; says why. client: whose it was, where that is known."""


@dataclass(slots=True)
class _Code:
    grant: Grant
    redirect: str
    challenge: str
    until: datetime
    is_used: bool = False


@dataclass(slots=True)
class _Refresh:
    grant: Grant
    until: datetime
    is_used: bool = False


class Grants:
    """The codes and refresh tokens that are good now, each by its SHA-256."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._codes: dict[str, _Code] = {}
        self._refreshes: dict[str, _Refresh] = {}

    def code(self, grant: Grant, redirect: str, challenge: str) -> str:
        """Return a code for a grant, good for a minute, once, and for whoever knows the verifier."""
        now, value = self._now(), secrets.token_urlsafe(32)
        held = {k: c for k, c in self._codes.items() if now < c.until + _REMEMBERED}
        while len(held) >= _MOST:
            del held[next(iter(held))]
        self._codes = {**held, _digest(value): _Code(grant, redirect, challenge, now + CODE_LIFE)}
        return value

    def redeemed(self, code: str, client: Client, redirect: str, verifier: str) -> Grant:
        """Return the grant of a code; raises SpentError.

        A code that comes again ends all that it was good for: two know it.
        """
        found = self._codes.get(_digest(code))
        if found is None or found.grant.client != client:
            raise SpentError("This code is not known here, or is another client's.")
        if found.is_used:
            found.grant.ended = True
            raise SpentError("This code was used before: what it was good for has ended.")
        found.is_used = True
        if self._now() >= found.until or not found.grant.is_good:
            raise SpentError("This code has expired: it is good for 60 seconds.")
        if redirect != found.redirect:
            raise SpentError("The redirect_uri is another than the code was sent to.")
        if not hmac.compare_digest(challenge(verifier), found.challenge):
            raise SpentError("The code_verifier is not that of the code_challenge.")
        return found.grant

    def refresh(self, grant: Grant) -> str:
        """Return a refresh token for a grant, good once, and no longer than a session is."""
        now, value = self._now(), secrets.token_urlsafe(32)
        until = grant.session.latest
        held = {k: r for k, r in self._refreshes.items() if now < r.until and not r.grant.ended}
        while len(held) >= _MOST:
            del held[next(iter(held))]
        self._refreshes = {**held, _digest(value): _Refresh(grant, until)}
        return value

    def refreshed(self, token: str, client: Client) -> Grant:
        """Return the grant of a refresh token; raises SpentError, and ends the grant as `redeemed` does."""
        found = self._refreshes.get(_digest(token))
        if found is None or found.grant.client != client:
            raise SpentError("This refresh_token is not known here, or is another client's.")
        if found.is_used:
            found.grant.ended = True
            raise SpentError(
                "This refresh_token was used before: all tokens of its grant have ended."
            )
        if self._now() >= found.until or not found.grant.is_good:
            raise SpentError("This refresh_token has expired: let the user sign in again.")
        found.is_used = True
        return found.grant

    def log_out(self, ended: Login) -> None:
        """End what was granted by whose sign-in has ended at its provider, offline access too."""
        codes, refreshes = self._codes.values(), self._refreshes.values()
        for grant in (*(each.grant for each in codes), *(each.grant for each in refreshes)):
            grant.log_out(ended)

    def of(self, digest: str) -> Grant | None:
        """Return the grant of a refresh token, by its SHA-256 in hex; None where there is none."""
        found = self._refreshes.get(digest)
        return found.grant if found is not None else None


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()

"""What a provider says of a sign-in that has ended there: the claims of a logout token, each good once.

https://openid.net/specs/openid-connect-backchannel-1_0.html#Validation
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.access.sessions import Login
from r4.issue import FhirError, error

EVENT = "http://schemas.openid.net/event/backchannel-logout"
FRESH = timedelta(minutes=10)
"""How long after it was issued a token is taken, and so how long it is remembered."""
_LONGEST = 255


class Logouts:
    """The logout tokens that were taken of late; in memory, as the sessions that they end."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._taken: dict[tuple[str, str], datetime] = {}

    def read(self, provider: str, claims: Mapping[str, Any]) -> Login:
        """Return which sign-ins have ended, by verified claims; raises FhirError 400."""
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
            raise wrong("its events do not say that a sign-in has ended")
        subject, sid = (_text(claims, name) for name in ("sub", "sid"))
        if subject is None and sid is None:
            raise wrong("it has neither sub nor sid")
        self._take(provider, _text(claims, "jti"), float(claims["iat"]))
        return Login(provider, subject, sid)

    def _take(self, provider: str, number: str | None, issued: float) -> None:
        now = self._now()
        if issued < (now - FRESH).timestamp():
            raise wrong("it was issued too long ago")
        if number is None:
            raise wrong("it has no jti")
        self._taken = {key: until for key, until in self._taken.items() if now < until}
        if (provider, number) in self._taken:
            raise wrong("its jti was used before")
        until = datetime.fromtimestamp(issued, UTC) + FRESH + timedelta(seconds=1)
        self._taken[provider, number] = until


def wrong(why: str) -> FhirError:
    """Return the refusal of a logout token."""
    return FhirError(400, [error("security", f"This logout token does not hold: {why}.")])


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    found = claims.get(name)
    if found is None:
        return None
    if not isinstance(found, str) or not 0 < len(found) <= _LONGEST:
        raise wrong(f"its {name} is no text of up to {_LONGEST} characters")
    return found

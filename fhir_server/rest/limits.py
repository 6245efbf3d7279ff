"""How much may be asked by HTTP beside /fhir and /hl7v2: tokens, sessions, pages, by address.

Nobody is known there before the answer, so that the address is what is counted.
"""

from typing import Any

from fhir_server.access import FORWARDED
from fhir_server.access.rates import Rates, ThrottledError
from fhir_server.rest import errors, sending
from fhir_server.rest.answers import Answer
from fhir_server.rest.request import Headers, Receive, Scope, Send, request
from r4.json import encode

_OAUTH = frozenset({"token", "introspect", "revoke"})
_SIGNING_IN = _OAUTH | {"sign-in", "authorize", "apps", "launch", "callback"}
"""The first segments of the paths by which somebody gets in: what is tried there is kept, or recorded."""


def ask_unknown(
    rates: Rates, address: str | None, headers: Headers, *, signs_in: bool = False
) -> None:
    """Count what somebody unknown asks for; raises ThrottledError."""
    forwarded = not FORWARDED.isdisjoint(headers)
    rates.ask_unknown(address, forwarded=forwarded, signs_in=signs_in)


class Limited:
    """An application whose requests are counted by address, and answered with 429 beyond the limit."""

    def __init__(self, application: Any, rates: Rates) -> None:
        self.application, self.rates = application, rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            asked = request(scope)
            first = asked.path.split("/")[1]
            try:
                ask_unknown(self.rates, asked.client, asked.headers, signs_in=first in _SIGNING_IN)
            except ThrottledError as refusal:
                answer = oauth(refusal) if first in _OAUTH else errors.refusal(asked, refusal)
                await sending.send(asked, answer, {}, send)
                return
        await self.application(scope, receive, send)


def oauth(refusal: ThrottledError) -> Answer:
    """Return a refusal as RFC 6749 writes it, which libraries of OAuth read."""
    said = {"error": "temporarily_unavailable", "error_description": str(refusal)}
    return Answer(
        encode(said), refusal.status, errors.headers_of(refusal), media_type="application/json"
    )

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

_OAUTH = frozenset({"/token", "/introspect", "/revoke"})


def ask_unknown(rates: Rates, address: str | None, headers: Headers) -> None:
    """Count what somebody unknown asks for; raises ThrottledError."""
    rates.ask_unknown(address, forwarded=not FORWARDED.isdisjoint(headers))


class Limited:
    """An application whose requests are counted by address, and answered with 429 beyond the limit."""

    def __init__(self, application: Any, rates: Rates) -> None:
        self.application, self.rates = application, rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            asked = request(scope)
            try:
                ask_unknown(self.rates, asked.client, asked.headers)
            except ThrottledError as refusal:
                answer = errors.refusal(asked, refusal)
                if asked.path in _OAUTH:
                    answer = _oauth(refusal)
                await sending.send(asked, answer, {}, send)
                return
        await self.application(scope, receive, send)


def _oauth(refusal: ThrottledError) -> Answer:
    """Return a refusal as RFC 6749 writes it, which libraries of OAuth read."""
    said = {"error": "temporarily_unavailable", "error_description": str(refusal)}
    headers = {**errors.headers_of(refusal), "Cache-Control": "no-store"}
    return Answer(encode(said), refusal.status, headers, "application/json")

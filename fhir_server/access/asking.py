"""Asking an EPR over HTTP: in time, without redirects, and no more than can be read.

What goes wrong is a FhirError 502 that names neither the child nor a token.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import httpx

from fhir_server.access import outbound
from r4.issue import FhirError, error
from r4.json import Resource, decode

SECONDS = 10.0
LARGEST = 8 * 1024 * 1024
"""Most bytes of an answer."""
_JSON = "application/fhir+json, application/json;q=0.9"
_OK = (200, 201)


class Ask(Protocol):
    """Asks a URL, by GET or with a form or a resource by POST; returns the JSON object it answers.

    once: criteria (If-None-Exist) by which the EPR may know a resource that it has already.
    """

    async def __call__(
        self,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        resource: bytes | None = None,
        token: str | None = None,
        once: str | None = None,
    ) -> Mapping[str, Any]:
        """Ask; raises RefusedError where the status is no success, FhirError 502 where there is no answer."""
        ...


class RefusedError(FhirError):
    """An EPR refused what it was asked; `answered` is its status."""

    def __init__(self, answered: int, text: str) -> None:
        super().__init__(502, [error("processing", text)])
        self.answered = answered


async def ask(
    url: str,
    *,
    query: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    resource: bytes | None = None,
    token: str | None = None,
    once: str | None = None,
) -> Mapping[str, Any]:
    """Ask a URL as `Ask` says."""
    headers = {"Accept": _JSON}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if resource is not None:
        headers["Content-Type"] = "application/fhir+json"
    if once is not None:
        headers["If-None-Exist"] = once
    method = "GET" if form is None and resource is None else "POST"
    request = {"params": query, "data": form, "content": resource, "headers": headers}
    given = {name: value for name, value in request.items() if value is not None}
    try:
        async with (
            asyncio.timeout(SECONDS),
            outbound.client(SECONDS, proxied=True) as http,
        ):
            status, raw = await _answered(http, method, url, given)
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL):
        text = "The hospital's system cannot be reached, or does not answer in time. Try again."
        raise FhirError(502, [error("transient", text)]) from None
    found = _object(raw)
    if status not in _OK:
        said = str((found or {}).get("error", ""))[:40]
        reason = f" ({said})" if said.replace("_", "").isalpha() else ""
        text = f"The hospital's system answered with status {status}{reason}. Launch again."
        raise RefusedError(status, text)
    if found is None:
        text = "The hospital's system answered with something that is not JSON."
        raise FhirError(502, [error("processing", text)])
    return found


async def _answered(
    http: httpx.AsyncClient, method: str, url: str, given: Mapping[str, Any]
) -> tuple[int, bytes]:
    raw = bytearray()
    async with http.stream(method, url, **given) as answer:
        async for piece in answer.aiter_bytes():
            raw += piece
            if len(raw) > LARGEST:
                text = f"The hospital's system answered with more than {LARGEST} bytes."
                raise FhirError(502, [error("too-long", text)])
    return answer.status_code, bytes(raw)


def _object(raw: bytes) -> Resource | None:
    try:
        found = decode(raw)
    except (ValueError, RecursionError, ArithmeticError):
        return None
    return found if isinstance(found, dict) else None

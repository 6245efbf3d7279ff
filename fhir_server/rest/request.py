"""One HTTP request as ASGI tells it, without a framework between: what it asks, and reading its body.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from r4.issue import FhirError, error

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Request:
    """Method, path, query string, headers by their lower-case names, the peer's address."""

    method: str
    path: str
    query: bytes
    headers: Headers
    client: str | None = None

    def header(self, name: str) -> str | None:
        """Return a header; one that is sent several times as one, joined by commas."""
        value = self.headers.get(name.lower().encode())
        return None if value is None else value.decode("latin-1")


def request(scope: Scope) -> Request:
    """Return the request that an ASGI scope describes."""
    client = scope.get("client")
    return Request(
        scope["method"],
        scope["path"],
        scope["query_string"],
        _headers(scope["headers"]),
        client[0] if client else None,
    )


def _headers(listed: Sequence[tuple[bytes, bytes]]) -> Headers:
    found = dict(listed)
    if len(found) < len(listed):
        found.clear()
        for name, value in listed:
            found[name] = found[name] + b", " + value if name in found else value
    return found


async def body(receive: Receive, headers: Headers, largest: int, raw: bytearray) -> None:
    """Read the body into `raw`; raises FhirError 413 as soon as it is larger than is taken.

    Raises FhirError 400 where the sender went away before all of it had arrived.
    """
    more = b"content-length" in headers or b"transfer-encoding" in headers
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            text = "The connection was closed before the whole body had arrived."
            raise FhirError(400, [error("incomplete", text, "http.body")])
        raw += event.get("body", b"")
        if len(raw) > largest:
            raise too_large(largest)
        more = event.get("more_body", False)


def too_large(largest: int) -> FhirError:
    """Return the refusal of a body that is larger than is taken."""
    text = f"The body is larger than the {largest} bytes that are taken at once."
    return FhirError(413, [error("too-long", text, "http.body")])

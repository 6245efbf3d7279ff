"""The least that an ASGI server can do, for the ratios: GET answers `?bytes`, POST echoes."""

from typing import Any

FILLING = b"x" * (1 << 22)
HEADERS = [(b"content-type", b"application/fhir+json")]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer one request."""
    if scope["method"] == "POST":
        body, more = b"", True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
    else:
        body = FILLING[: int(scope["query_string"] or b"0")]
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, length]})
    await send({"type": "http.response.body", "body": body})

"""The registry's HTTP doors, asked in this process by a caller on this machine."""

from typing import Any

import httpx


def local_client(app: Any) -> httpx.AsyncClient:
    """Return a client of an ASGI application, to be entered; its URLs are paths, as `/fhir/metadata`."""
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 0))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

"""An answer as the two events of ASGI, or as many as a file takes; gzipped where that is accepted.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

import asyncio
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from fhir_server.rest import content_encoding
from fhir_server.rest.answers import Answer
from fhir_server.rest.negotiate import JSON
from fhir_server.rest.request import Request, Send

_Header = tuple[bytes, bytes]
_UNKEPT = (b"cache-control", b"no-store")
_CHUNK = 256 * 1024
_BODILESS = frozenset({204, 304})
_COMPRESSED = ("application/fhir+", "application/json", "application/hl7-v2", "text/")
"""How the media types begin that gzip makes smaller."""


async def send(request: Request, answer: Answer, shared: Mapping[str, str], send: Send) -> None:
    """Send an answer, with the headers shared by all; to a HEAD, without its content.

    No cache keeps it: what is told may be a child's.
    """
    kind = answer.media_type or JSON
    headers = [*_lines(answer.headers), _UNKEPT]
    if shared:
        headers += _lines(shared)
    if request_id := request.headers.get(b"x-request-id"):
        headers.append((b"x-request-id", request_id))
    if answer.file is not None:
        await _file(request, answer.file, (answer.status, kind, headers), send)
        return
    content = answer.content
    if len(content) >= content_encoding.SMALLEST and kind.startswith(_COMPRESSED):
        headers.append((b"vary", b"Accept-Encoding"))
        if content_encoding.is_accepted(request.headers.get(b"accept-encoding")):
            headers.append((b"content-encoding", b"gzip"))
            content = await content_encoding.compressed(content)
    if content:
        headers.append((b"content-type", _type(kind)))
    if answer.status not in _BODILESS:
        headers.append((b"content-length", b"%d" % len(content)))
    body = b"" if request.method == "HEAD" else content
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _file(
    request: Request, file: Path, start: tuple[int, str, list[_Header]], send: Send
) -> None:
    """Send a file piece by piece, each read by another thread."""
    status, kind, headers = start
    with await asyncio.to_thread(file.open, "rb") as opened:
        left = (await asyncio.to_thread(file.stat)).st_size
        headers += [(b"content-type", _type(kind)), (b"content-length", b"%d" % left)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if request.method == "HEAD":
            left = 0
        while left > 0 and (piece := await asyncio.to_thread(opened.read, min(left, _CHUNK))):
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _type(kind: str) -> bytes:
    charset = "; charset=utf-8" if kind.startswith("text/") and "charset" not in kind else ""
    return (kind + charset).encode("latin-1")


def _lines(headers: Mapping[str, str]) -> list[_Header]:
    return [(_name(name), value.encode("latin-1")) for name, value in headers.items()]


@cache
def _name(name: str) -> bytes:
    """Write a header's name as ASGI wants it; there are few, and all are the server's own."""
    return name.lower().encode("latin-1")

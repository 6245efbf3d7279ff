"""How requests arrive, and answers leave: uvicorn's HTTP/1.1 with limits, and in fewer system calls.

uvicorn waits for ever for the rest of a request, and takes a head of any length. It writes the head of an
answer and its content apart, and uvloop sends what is written at once.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from r4.issue import error, operation_outcome
from r4.json import encode

_LOOKED = 1.0
"""Seconds between two looks for requests that arrive too slowly."""
_MOST_HEADERS = 100
_REASONS = {400: "Bad Request", 408: "Request Timeout", 414: "URI Too Long"}
_REASONS[431] = "Request Header Fields Too Large"


@dataclass(frozen=True, slots=True)
class Arriving:
    """What a request may take: seconds until all of it has arrived; bytes of its URL and headers."""

    seconds: float
    url: int
    headers: int


class _Late:
    """Ends the connections of one server whose request has not arrived in time.

    One timer looks after all of them: one for each request would cost more than it guards.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[LimitedProtocol, float] = {}
        self._looked: float | None = None

    def begin(self, protocol: "LimitedProtocol") -> None:
        """Wait for the rest of a request, from now on if it was not waited for."""
        if protocol in self._since:
            return
        self._since[protocol] = protocol.loop.time()
        if self._looked is None:
            self._look_later(protocol.loop)

    def end(self, protocol: "LimitedProtocol") -> None:
        """Wait for nothing more."""
        self._since.pop(protocol, None)

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._looked = loop.time()
        loop.call_later(_LOOKED, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        was_held_up = now - (self._looked or now) > 2 * _LOOKED
        if not was_held_up:  # what had arrived while the server stood still is to be read first
            late = [each for each, since in self._since.items() if now - since > self._seconds]
            for each in late:
                each.is_late(self._seconds)
        self._looked = None
        if self._since:
            self._look_later(loop)


def protocol(arriving: Arriving) -> type[HttpToolsProtocol]:
    """Return the protocol of one server."""

    class Protocol(LimitedProtocol):
        limits = arriving
        late = _Late(arriving.seconds)

    return Protocol


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1: requests within limits, answers gathered."""

    limits: Arriving
    late: _Late

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection, and wait for its first request."""
        super().connection_made(_Gathering(transport, self.loop))  # type: ignore[arg-type]
        self._is_arriving, self._is_head, self._has_begun = True, True, False
        self._unread = self._listed = 0
        self._refusal: tuple[int, str] | None = None
        self.late.begin(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self.late.end(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and see whether a whole request has arrived, or a head that is too long."""
        super().data_received(data)
        if not self._is_arriving:
            self.late.end(self)
            return
        if self._is_head:
            self._unread += len(data)
            if self._unread > self.limits.url + self.limits.headers:
                self._refuse(431, self._long_head())
                self.send_400_response("")
        self.late.begin(self)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._is_arriving = self._is_head = self._has_begun = True
        self._unread = self._listed = 0

    def on_url(self, url: bytes) -> None:
        """Read a part of the URL; raises ValueError, which ends the connection, where it is too long."""
        super().on_url(url)
        if len(self.url) > self.limits.url:
            text = (
                f"The URL is longer than {self.limits.url} bytes: search by POST, for less at once."
            )
            raise self._refuse(414, text)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read a header; raises ValueError where they are too long together, or too many."""
        super().on_header(name, value)
        self._listed += len(name) + len(value)
        if self._listed > self.limits.headers or len(self.headers) > _MOST_HEADERS:
            raise self._refuse(431, self._long_head())

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        self._is_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Take note that all of a request has arrived."""
        self._is_arriving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Say why what arrives is not read, and end the connection."""
        status, text = self._refusal or (400, msg)
        self._say(status, "structure" if status == 400 else "too-long", text)  # noqa: PLR2004

    def is_late(self, seconds: float) -> None:
        """End a connection that is waited for no longer; not while it is answered."""
        is_answered = getattr(self.cycle, "response_complete", True) is False
        if self.transport.is_closing() or (is_answered and (self._is_head or self.pipeline)):
            return
        self.late.end(self)
        if is_answered and self.cycle.response_started:
            self.transport.close()
            return
        if self._has_begun and (self._is_head or is_answered):
            text = f"The request has not arrived within {seconds:g} seconds."
            self._say(408, "timeout", text)
        else:
            self.transport.close()
        if is_answered:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _refuse(self, status: int, text: str) -> ValueError:
        self._refusal = status, text
        return ValueError(text)

    def _long_head(self) -> str:
        most = self.limits.headers
        return f"The headers are longer than {most} bytes, or more than {_MOST_HEADERS}."

    def _say(self, status: int, code: str, text: str) -> None:
        content = encode(operation_outcome([error(code, text, "http")]))
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/fhir+json\r\n"
            f"content-length: {len(content)}\r\nconnection: close\r\n"
        )
        shared = (b"%b: %b\r\n" % each for each in self.server_state.default_headers)
        self.transport.write(head.encode() + b"".join(shared) + b"\r\n" + content)
        self.transport.close()


class _Gathering:
    """A transport that writes what it is given at the end of the turn, or before it is closed."""

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held and not self._transport.is_closing():
            self._transport.write(b"".join(self._held))
        self._held.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def headers(base_url: str) -> list[tuple[str, str]]:
    """Return the headers of every answer: a browser takes it as what it says that it is.

    Where there is https, it keeps to that for a year.
    """
    told = [("x-content-type-options", "nosniff")]
    if base_url.startswith("https://"):
        told.append(("strict-transport-security", "max-age=31536000"))
    return told

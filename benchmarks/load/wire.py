"""HTTP/1.1 as cheap as asyncio allows: requests are bytes made beforehand, answers are cut by hand.

A client library on the hot path would be measured instead of the server. Keep-alive only; no
redirects, no TLS, no compression.
"""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """A response: its status, its head in bytes, and its body."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header's value, or None."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


@dataclass(frozen=True)
class Peer:
    """A FHIR base URL, taken apart; makes the bytes of requests to it."""

    host: str
    port: int
    path: str
    headers: bytes = b""

    @classmethod
    def of(cls, url: str, headers: tuple[str, ...] = ()) -> "Peer":
        """Read `http://host[:port]/path`; raises ValueError for any other scheme."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{url} is not an http:// URL; put a peer's TLS proxy aside")
        extra = "".join(f"{header}\r\n" for header in headers).encode()
        return cls(parts.hostname, parts.port or 80, parts.path.rstrip("/"), extra)

    def get(self, target: str) -> bytes:
        """Return the bytes of a GET of a target below the base."""
        return self._head("GET", target, b"") + b"\r\n"

    def post(self, target: str, body: bytes, extra: str = "") -> bytes:
        """Return the bytes of a POST of FHIR JSON."""
        more = b"Content-Type: application/fhir+json\r\nContent-Length: %d\r\n" % len(body)
        return self._head("POST", target, more + extra.encode()) + b"\r\n" + body

    def below(self, url: str) -> str:
        """Return the target below the base of an absolute or relative URL, as of a next link."""
        parts = urlsplit(url)
        path = parts.path.removeprefix(self.path)
        return f"{path}?{parts.query}" if parts.query else path

    def _head(self, method: str, target: str, more: bytes) -> bytes:
        line = f"{method} {self.path}{target} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
        return line.encode() + b"Accept: application/fhir+json\r\n" + self.headers + more


@dataclass
class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    whole: int | None = None
    head: bytes = b""
    transport: asyncio.Transport | None = None
    waiting: "asyncio.Future[Answer] | None" = None

    @classmethod
    async def to(cls, peer: Peer) -> "Connection":
        """Open a connection; raises OSError where nobody listens."""
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(cls, peer.host, peer.port)
        return made

    def exchange(self, request: bytes) -> "asyncio.Future[Answer]":
        """Send a request; the future is its answer, or ConnectionError where the peer hangs up."""
        self.waiting = asyncio.get_running_loop().create_future()
        if self.transport is None or self.transport.is_closing():
            self.waiting.set_exception(ConnectionResetError("the server closed the connection"))
        else:
            self.transport.write(request)
        return self.waiting

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(exc or ConnectionResetError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        self.chunks.append(data)
        self.size += len(data)
        if self.whole is None:
            self._begin()
        if self.whole is not None and self.size >= self.whole:
            self._finish(b"".join(self.chunks)[len(self.head) :])
        elif self.whole == -1 and b"".join(self.chunks[-5:]).endswith(b"\r\n0\r\n\r\n"):
            self._finish(_unchunked(b"".join(self.chunks)[len(self.head) :]))

    def _begin(self) -> None:
        """Cut the head off, once it is whole, and learn from it how long the answer is."""
        raw = b"".join(self.chunks)
        end = raw.find(b"\r\n\r\n")
        if end < 0:
            return
        self.head = raw[: end + 4]
        lower = self.head.lower()
        at = lower.find(b"\r\ncontent-length:")
        if at >= 0:
            self.whole = end + 4 + int(lower[at + 17 : lower.index(b"\r\n", at + 2)])
        elif b"\r\ntransfer-encoding: chunked" in lower:
            self.whole, self.size = -1, -(1 << 60)
        else:
            self.whole = end + 4

    def _finish(self, body: bytes) -> None:
        answer = Answer(int(self.head[9:12]), self.head, body)
        self.chunks, self.size, self.whole, self.head = [], 0, None, b""
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(answer)


def _unchunked(raw: bytes) -> bytes:
    parts, at = [], 0
    while size := int(raw[at : (line := raw.index(b"\r\n", at))].partition(b";")[0], 16):
        parts.append(raw[line + 2 : line + 2 + size])
        at = line + 4 + size
    return b"".join(parts)

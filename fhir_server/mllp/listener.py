"""An MLLP listener: messages off its connections, answers back in the order of arrival.

Whoever connects when all connections are taken waits in the system's queue until one is free; a TLS
handshake takes none of them, and the longest one that is under way gives way to new ones. Messages
are handed on in the order of arrival, may be worked through in any order, and are answered in the
order of arrival: first whatever says that a message was received, then, in an order of its own, what
has become of those that asked for it.
"""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from fhir_server.access.senders import Peer
from fhir_server.mllp import tls
from fhir_server.mllp.framing import Counts, Deframer, Frame, framed
from fhir_server.mllp.room import Room
from fhir_server.operations.acknowledge import Reply

MEBIBYTE = 1024 * 1024
_BEFORE_MSH = b"\xef\xbb\xbf\r\n\t "
"""What may stand before MSH and says nothing: a byte order mark and blanks."""
_XML = b"<"
_QUEUE = 128
"""How many connections the system keeps waiting for us to accept them."""
_HANDSHAKES = 64
"""How many TLS handshakes may be under way; one more, and the oldest of them is dropped."""
_RETRY_SECONDS = 1.0
_GATHERED_SECONDS = 1.0
"""For how long connections that fail are gathered: where the writer ends, all of them do."""
_CLOSING_SECONDS = 10.0
"""How long a peer has to take its last answer, and to take leave where there is TLS."""

Handle = Callable[[bytes, Peer], Reply]
"""Takes a message and who sends it; called in the order of arrival."""
Pace = Callable[[Peer], Awaitable[None]]
"""Waits until the next message of who sends may be taken: meanwhile its connection is not read."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listener allows."""

    frame: int = 16 * MEBIBYTE
    connections: int = 256
    idle_seconds: float = 3600.0
    handshake_seconds: float = 10.0
    pipelined: int = 32
    """Messages of one connection that are not answered yet, beyond which it is not read."""
    pipelined_bytes: int = 32 * MEBIBYTE
    """The same, in bytes."""
    in_work: int = 256
    """Messages of all connections that are not worked through yet, beyond which none is read."""
    in_work_bytes: int = 256 * MEBIBYTE
    """The same, in bytes."""
    pace: Pace | None = None


@dataclass(slots=True)
class _Talk:
    """One connection: its two ends, who is there, what waits to be written, room for more."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    peer: Peer
    room: Room
    replies: asyncio.Queue[tuple[Reply, int] | None] = field(default_factory=asyncio.Queue)
    later: asyncio.Queue[tuple[Awaitable[bytes | None], int] | None] = field(
        default_factory=asyncio.Queue
    )
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def write(self, content: bytes | None) -> None:
        """Write an answer, where there is one."""
        if content is not None:
            async with self.turn:
                self.writer.write(framed(content))
                await self.writer.drain()


@dataclass(slots=True)
class Server:
    """A listener that runs until it is closed."""

    handle: Handle
    on_oversize: Handle
    limits: Limits
    files: tls.Files | None = None
    counts: Counts = field(default_factory=Counts)
    _tls: ssl.SSLContext | None = None
    _sockets: list[socket.socket] = field(default_factory=list)
    _accepting: list[asyncio.Task[None]] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _shaking: dict[asyncio.Task[None], None] = field(default_factory=dict)
    _working: set[asyncio.Future[bytes]] = field(default_factory=set)
    _failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    _turns: Room = field(init=False)
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Count from what the limits allow; raises ValueError where the files for TLS are no good."""
        self._turns = Room(self.limits.in_work, self.limits.in_work_bytes)
        self._tls = tls.context(self.files) if self.files is not None else None

    @property
    def port(self) -> int:
        """Return the port that is listened on, also where port 0 was asked for."""
        return int(self._sockets[0].getsockname()[1]) if self._sockets else 0

    @property
    def address(self) -> str:
        """Return host and port as they are listened on; of several addresses, the first."""
        host = str(self._sockets[0].getsockname()[0]) if self._sockets else ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    async def start(self, host: str, port: int) -> None:
        """Begin to listen. Raises OSError where the address cannot be had."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        try:
            for family, address in dict.fromkeys((each[0], each[4]) for each in found):
                listener = socket.create_server(address, family=family, backlog=_QUEUE)
                listener.setblocking(False)
                self._sockets.append(listener)
        except OSError:
            self._close_sockets()
            raise
        self._room.set()
        self._accepting = [asyncio.create_task(self._accept(each)) for each in self._sockets]

    def renew(self) -> None:
        """Shake hands by what the files for TLS hold now; raises ValueError as they are no good."""
        if self.files is not None and self._tls is not None:
            tls.context(self.files)  # the context in use is only touched where this one is made
            tls.renew(self._tls, self.files)

    def _close_sockets(self) -> None:
        for listener in self._sockets:
            listener.close()
        self._sockets.clear()

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Stop: no new connections, no more reading; messages that were read are answered."""
        self._stopping.set()
        opening = [*self._accepting, *self._shaking]
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        self._close_sockets()
        await self._finish(grace_seconds)
        self._tell_failures()

    async def _finish(self, grace_seconds: float) -> None:
        left: set[asyncio.Future[Any]] = {*self._tasks, *self._working}
        if not left:
            return
        _, late = await asyncio.wait(left, timeout=grace_seconds)
        for each in late:
            each.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        """Accept connections while there is room; the others stay where the system keeps them."""
        loop = asyncio.get_running_loop()
        while True:
            await self._room.wait()
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as failure:  # no file descriptor is left, or the peer has gone
                _log.error("mllp connection not accepted: %s", failure)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        self.counts.connections += 1
        task = asyncio.create_task(self._serve(connection))
        if self._tls is None:
            self._seat(task)
            return
        while len(self._shaking) >= _HANDSHAKES:
            oldest = next(iter(self._shaking))
            del self._shaking[oldest]
            oldest.cancel()
        self._shaking[task] = None
        task.add_done_callback(self._ended)

    def _seat(self, task: "asyncio.Task[None]") -> None:
        """Count a connection as one of those that are served."""
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if len(self._tasks) >= self.limits.connections:
            self._room.clear()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._shaking.pop(task, None)
        self._tasks.discard(task)
        if len(self._tasks) < self.limits.connections:
            self._room.set()

    async def _serve(self, connection: socket.socket) -> None:
        try:
            reader, writer = await self._opened(connection)
        except (OSError, asyncio.CancelledError) as failure:
            self.counts.handshakes_failed += 1
            why = getattr(failure, "verify_message", "") or getattr(failure, "reason", None)
            _log.warning("mllp connection not opened: %s", why or type(failure).__name__)
            connection.close()
            return
        if self._tls is not None:
            try:
                await self._seated()
            except asyncio.CancelledError:
                writer.transport.abort()
                raise
        await self._converse(reader, writer)

    async def _seated(self) -> None:
        """Wait for one of the connections that may be served, and take it."""
        while len(self._tasks) >= self.limits.connections:
            await self._room.wait()
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._shaking.pop(task, None)
        self._seat(task)

    async def _opened(
        self, connection: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Shake hands where the listener has TLS; raises OSError (SSLError, TimeoutError) if not."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MEBIBYTE)
        protocol = asyncio.StreamReaderProtocol(reader)
        wait = self.limits.handshake_seconds if self._tls is not None else None
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, connection, ssl=self._tls, ssl_handshake_timeout=wait
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read and answer at the same time; too many unanswered messages stop the reading."""
        limits = self.limits
        talk = _Talk(reader, writer, _peer(writer), Room(limits.pipelined, limits.pipelined_bytes))
        reading, *answering = working = [
            asyncio.create_task(each)
            for each in (self._read(talk), self._answer(talk), self._answer_later(talk))
        ]
        try:
            await asyncio.gather(*answering)
            await reading
        except ConnectionError:
            _log.info("mllp connection lost: %s", talk.peer.address)
        except Exception as failure:  # whatever failed, nothing was acknowledged
            self._note_failure(type(failure).__name__, talk.peer.address)
        finally:
            for each in working:
                each.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            await _closed(writer)

    def _note_failure(self, name: str, address: str) -> None:
        """Have it logged, in one line for all connections, that one was closed after a failure."""
        if not self._failed:
            asyncio.get_running_loop().call_later(_GATHERED_SECONDS, self._tell_failures)
        self._failed[name, address] += 1

    def _tell_failures(self) -> None:
        if self._failed:
            told = (f"{name}: {many} of {at}" for (name, at), many in sorted(self._failed.items()))
            _log.error("mllp connections closed after a failure: %s", ", ".join(told))
            self._failed.clear()

    async def _read(self, talk: _Talk) -> None:
        deframer = Deframer(self.limits.frame, self.counts)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while piece := await self._piece(talk.reader, stopping):
                for frame in filter(self._is_answered, deframer.feed(piece)):
                    size = len(frame.content)
                    if self.limits.pace is not None:
                        await self.limits.pace(talk.peer)
                    await talk.room.enter(size)
                    talk.replies.put_nowait((await self._handed_on(frame, talk.peer), size))
        finally:
            stopping.cancel()
            talk.replies.put_nowait(None)

    def _is_answered(self, frame: Frame) -> bool:
        """Tell whether a frame is answered: of an oversize one, the MSH must have been seen."""
        self.counts.frames += 1
        self.counts.oversize += frame.is_oversize
        head = frame.content.lstrip(_BEFORE_MSH)
        return not frame.is_oversize or head.startswith((b"MSH", _XML))

    async def _handed_on(self, frame: Frame, peer: Peer) -> Reply:
        """Begin with a message; its turn ends when it is worked through, be it answered or not."""
        size = len(frame.content)
        await self._turns.enter(size)
        try:
            reply = (self.on_oversize if frame.is_oversize else self.handle)(frame.content, peer)
        except BaseException:
            self._turns.leave(size)
            raise

        def worked(work: "asyncio.Future[bytes]") -> None:
            self._turns.leave(size)
            self._working.discard(work)
            if not work.cancelled():
                work.exception()  # whoever waits for the answer, if anybody still does, is told

        self._working.add(reply.work)
        reply.work.add_done_callback(worked)
        return reply

    async def _piece(self, reader: asyncio.StreamReader, stopping: "asyncio.Task[bool]") -> bytes:
        """Return the next bytes; none at the end, after a long silence, and when the server stops."""
        reading = asyncio.create_task(reader.read(64 * 1024))
        await asyncio.wait(
            {reading, stopping},
            timeout=self.limits.idle_seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not reading.done():
            reading.cancel()
            return b""
        try:
            return reading.result()
        except OSError:
            return b""

    async def _answer(self, talk: _Talk) -> None:
        """Write the answers in the order of arrival; those that come later have their own order."""
        try:
            while (waiting := await talk.replies.get()) is not None:
                reply, size = waiting
                await talk.write(await asyncio.shield(reply.answer))
                if reply.later is None:
                    talk.room.leave(size)
                else:
                    talk.later.put_nowait((reply.later, size))
        finally:
            talk.later.put_nowait(None)

    async def _answer_later(self, talk: _Talk) -> None:
        while (waiting := await talk.later.get()) is not None:
            later, size = waiting
            await talk.write(await asyncio.shield(later))
            talk.room.leave(size)


async def serve(
    host: str,
    port: int,
    handle: Handle,
    *,
    on_oversize: Handle,
    limits: Limits | None = None,
    files: tls.Files | None = None,
) -> Server:
    """Listen for MLLP connections, with TLS where files are given, and answer each message by `handle`.

    `on_oversize` gets the first 64 KiB of a frame over the limit, where they begin with a header. An
    exception of a handler closes its connection, so that the sender repeats what was not answered.
    Raises OSError where the address cannot be had, ValueError where the files are no good.
    """
    server = Server(handle, on_oversize, limits or Limits(), files)
    await server.start(host, port)
    return server


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Close a connection once its peer has taken what was written, or has had time to."""
    writer.close()
    try:
        await asyncio.wait_for(writer.wait_closed(), _CLOSING_SECONDS)
    except (OSError, TimeoutError):
        pass
    finally:
        writer.transport.abort()


def _peer(writer: asyncio.StreamWriter) -> Peer:
    name = writer.get_extra_info("peername")
    shown = tls.fingerprint(writer.get_extra_info("ssl_object"))
    return Peer("mllp", str(name[0]) if name else "unknown", shown)

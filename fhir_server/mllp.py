"""MLLP framing: bytes on a socket to messages, answers back in the order of arrival.

HL7 MLLP release 1: `0B message 1C 0D`. A frame may be split and joined by TCP in any way; bytes
outside a frame are skipped and counted; a frame that ends `1C` without `0D` is accepted; a frame over
the limit is dropped, answered where its MSH was seen, and does not disturb the next one. Whoever
connects when all connections are taken waits in the system's queue until one is free. What a message
means is not known here: messages are handed on in the order of arrival, may be worked through in any
order, and are answered in the order of arrival.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

START, END, RETURN = 0x0B, 0x1C, 0x0D
MEBIBYTE = 1024 * 1024
_HEAD = 4096
"""How much of an oversize frame is kept, so that its MSH can be answered."""
_BEFORE_MSH = b"\xef\xbb\xbf\r\n\t "
"""What may stand before MSH and says nothing: a byte order mark and blanks."""
_QUEUE = 128
"""How many connections the system keeps waiting for us to accept them."""
_RETRY_SECONDS = 1.0

Answer = asyncio.Future[bytes]
"""The answer to a message, without framing, once it is there."""
Handle = Callable[[bytes, str], Answer]
"""Takes a message and the peer's address; called in the order of arrival."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listener allows."""

    frame: int = 16 * MEBIBYTE
    connections: int = 256
    idle_seconds: float = 3600.0
    pipelined: int = 32
    """Messages of one connection that are not answered yet, beyond which it is not read."""
    in_work: int = 256
    """Messages of all connections that are not worked through yet, beyond which none is read."""


@dataclass(slots=True)
class Counts:
    """What a listener has seen; read by whoever watches the server."""

    connections: int = 0
    frames: int = 0
    oversize: int = 0
    skipped_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """A message without its framing; of an oversize one, only the beginning."""

    content: bytes
    is_oversize: bool = False


class Deframer:
    """Bytes in any pieces to frames; keeps what is not finished."""

    def __init__(self, limit: int, counts: Counts) -> None:
        self._limit = limit
        self._counts = counts
        self._buffer = bytearray()
        self._inside = False
        self._dropped = 0

    def feed(self, piece: bytes) -> list[Frame]:
        """Take a piece and return the frames that it completes."""
        frames: list[Frame] = []
        at = 0
        while at < len(piece):
            at = self._fill(piece, at, frames) if self._inside else self._enter(piece, at)
        return frames

    def _enter(self, piece: bytes, at: int) -> int:
        start = piece.find(START, at)
        between = piece[at:] if start < 0 else piece[at:start]
        self._counts.skipped_bytes += len(between) - between.count(RETURN)
        if start < 0:
            return len(piece)
        self._inside = True
        return start + 1

    def _fill(self, piece: bytes, at: int, frames: list[Frame]) -> int:
        end = piece.find(END, at)
        again = piece.find(START, at, end if end >= 0 else len(piece))
        if again >= 0:  # a second start: what came before it was never a message
            self._counts.skipped_bytes += len(self._buffer) + self._dropped + again - at + 1
            self._reset()
            return again + 1
        stop = end if end >= 0 else len(piece)
        self._keep(piece[at:stop])
        if end < 0:
            return stop
        frames.append(Frame(bytes(self._buffer), self._dropped > 0))
        self._reset()
        self._inside = False
        return end + 1

    def _keep(self, piece: bytes) -> None:
        if self._dropped or len(self._buffer) + len(piece) > self._limit:
            whole = len(self._buffer) + len(piece)
            self._buffer += piece[: max(0, _HEAD - len(self._buffer))]
            del self._buffer[_HEAD:]
            self._dropped += whole - len(self._buffer)
        else:
            self._buffer += piece

    def _reset(self) -> None:
        self._buffer.clear()
        self._dropped = 0


@dataclass(slots=True)
class Server:
    """A listener that runs until it is closed."""

    handle: Handle
    on_oversize: Handle
    limits: Limits
    counts: Counts = field(default_factory=Counts)
    _sockets: list[socket.socket] = field(default_factory=list)
    _accepting: list[asyncio.Task[None]] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _working: set[Answer] = field(default_factory=set)
    _turns: asyncio.Semaphore = field(init=False)
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Count from what the limits allow."""
        self._turns = asyncio.Semaphore(self.limits.in_work)

    @property
    def port(self) -> int:
        """Return the port that is listened on, also where port 0 was asked for."""
        return int(self._sockets[0].getsockname()[1]) if self._sockets else 0

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

    def _close_sockets(self) -> None:
        for listener in self._sockets:
            listener.close()
        self._sockets.clear()

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Stop: no new connections, no more reading; messages that were read are answered."""
        self._stopping.set()
        for accepting in self._accepting:
            accepting.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        self._close_sockets()
        if not self._tasks | self._working:
            return
        _, late = await asyncio.wait(self._tasks | self._working, timeout=grace_seconds)
        for task in late:
            task.cancel()
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
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if len(self._tasks) >= self.limits.connections:
            self._room.clear()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._room.set()

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection, limit=MEBIBYTE)
        await self._converse(reader, writer)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read and answer at the same time; too many unanswered messages stop the reading."""
        peer = _address(writer)
        queue: asyncio.Queue[Answer | None] = asyncio.Queue()
        room = asyncio.Semaphore(self.limits.pipelined)
        reading = asyncio.create_task(self._read(reader, queue, room, peer))
        try:
            await self._answer(queue, room, writer)
            await reading
        except ConnectionError:
            _log.info("mllp connection lost: %s", peer)
        except Exception as failure:  # whatever failed, nothing was acknowledged
            _log.error("mllp connection closed after %s: %s", type(failure).__name__, peer)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            writer.close()

    async def _read(
        self,
        reader: asyncio.StreamReader,
        queue: asyncio.Queue[Answer | None],
        room: asyncio.Semaphore,
        peer: str,
    ) -> None:
        deframer = Deframer(self.limits.frame, self.counts)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while piece := await self._piece(reader, stopping):
                for frame in filter(self._is_answered, deframer.feed(piece)):
                    await room.acquire()
                    queue.put_nowait(await self._handed_on(frame, peer))
        finally:
            stopping.cancel()
            queue.put_nowait(None)

    def _is_answered(self, frame: Frame) -> bool:
        """Tell whether a frame is answered: of an oversize one, the MSH must have been seen."""
        self.counts.frames += 1
        self.counts.oversize += frame.is_oversize
        return not frame.is_oversize or frame.content.lstrip(_BEFORE_MSH).startswith(b"MSH")

    async def _handed_on(self, frame: Frame, peer: str) -> Answer:
        """Begin with a message; its turn ends when it is worked through, be it answered or not."""
        await self._turns.acquire()
        try:
            answer = (self.on_oversize if frame.is_oversize else self.handle)(frame.content, peer)
        except BaseException:
            self._turns.release()
            raise
        self._working.add(answer)
        answer.add_done_callback(self._worked)
        return answer

    def _worked(self, answer: Answer) -> None:
        self._turns.release()
        self._working.discard(answer)
        if not answer.cancelled():
            answer.exception()  # whoever waits for the answer, if anybody still does, is told

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

    async def _answer(
        self,
        queue: asyncio.Queue[Answer | None],
        room: asyncio.Semaphore,
        writer: asyncio.StreamWriter,
    ) -> None:
        while (answer := await queue.get()) is not None:
            content = await asyncio.shield(answer)
            writer.write(bytes([START]) + content + bytes([END, RETURN]))
            await writer.drain()
            room.release()


async def serve(
    host: str,
    port: int,
    handle: Handle,
    *,
    on_oversize: Handle,
    limits: Limits | None = None,
) -> Server:
    """Listen for MLLP connections and answer each message by `handle`.

    `on_oversize` gets the first 4 KiB of a frame over the limit, where they begin with MSH. An
    exception of a handler closes its connection, so that the sender repeats what was not answered.
    """
    server = Server(handle, on_oversize, limits or Limits())
    await server.start(host, port)
    return server


def _address(writer: asyncio.StreamWriter) -> str:
    name = writer.get_extra_info("peername")
    return f"{name[0]}:{name[1]}" if name else "unknown"

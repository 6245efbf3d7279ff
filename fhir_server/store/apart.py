"""The writer in a process of its own, so that planning and committing each have a processor.

Both ends send frames: eight bytes of length, then a pickle. What is sent are lists of (number, job);
what comes back, after each commit, lists of (number, result, failure). The writer ends with its socket.
"""

import asyncio
import contextlib
import logging
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from fhir_server.store.connection import Connection
from fhir_server.store.group import Done, Job
from fhir_server.store.writer import GROUP, Committer, Listeners

T = TypeVar("T")
logger = logging.getLogger("csor.writer")

_LENGTH = 8
_READ = 1 << 20
_BUFFER = 1 << 22
"""Bytes that a socket should hold; the system may allow less."""
_TOGETHER = 8
"""Jobs of one turn of the event loop after which the writer is to begin, the turn not being over."""
_PATIENCE = 60.0
"""Seconds for which the end of the writer is waited for."""
_Numbered = tuple[int, Job]
_Answer = tuple[int, Any, Exception | None]


class WriterEndedError(OSError):
    """The writer's process ended: whether what it was asked for is stored, nobody knows."""


class ProcessWriter:
    """Commits in a process that is started for it; one event loop asks it."""

    def __init__(self, where: str, listeners: Listeners) -> None:
        self._where, self._listeners = where, listeners
        self._link: _Link | None = None
        self._process, self._socket = _started(where)
        self._connecting = asyncio.Lock()

    async def write(self, job: Callable[[Connection], T]) -> T:
        """Run a job in the next commit; raises WriterEndedError where nobody knows."""
        link = self._link
        if link is None or link.ended:
            link = await self._connected()
        answer: T = await link.ask(job)
        return answer

    def close(self) -> None:
        """Let the writer end; whoever writes has been answered by now."""
        with contextlib.suppress(OSError):  # it may have ended before
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._link is not None:
            self._link.end()
        self._socket.close()
        self._process.wait(_PATIENCE)

    async def _connected(self) -> "_Link":
        async with self._connecting:
            if self._link is not None and not self._link.ended:
                return self._link
            if self._link is not None or self._process.poll() is not None:
                self._socket.close()
                self._process.wait(_PATIENCE)
                logger.error("the writer's process ended (%d): another", self._process.returncode)
                self._process, self._socket = _started(self._where)
            loop = asyncio.get_running_loop()
            made = _Link(self._listeners)
            await loop.create_connection(lambda: made, sock=self._socket)
            self._link = made
            return made


class _Link(asyncio.Protocol):
    """This end of the socket: jobs of one turn of the event loop are sent together, some at a time.

    A turn may plan what many messages say, and the writer commits meanwhile.
    """

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._loop = asyncio.get_running_loop()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._unsent: list[_Numbered] = []
        self._frames = _Frames()
        self._next = 0
        self._transport: asyncio.WriteTransport | None = None
        self.ended = False

    def ask(self, job: Job) -> asyncio.Future[Any]:
        """Send a job; returns what will be its result."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._next += 1
        self._unsent.append((self._next, job))
        self._asked[self._next] = future
        if len(self._unsent) == _TOGETHER:
            self._send()
        return future

    def end(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the socket."""
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait that nobody knows."""
        del exc
        self.ended = True
        for future in self._asked.values():
            if not future.done():
                future.set_exception(WriterEndedError("the writer's process ended"))
        self._asked.clear()

    def data_received(self, data: bytes) -> None:
        """Hand over results."""
        for done in self._frames.of(data):
            for number, result, failure in done:
                future = self._asked.pop(number)
                if future.done():
                    continue
                if failure is None:
                    future.set_result(result)
                else:
                    future.set_exception(failure)
            for listener in self._listeners:
                listener()

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if not unsent:
            return
        if self.ended or self._transport is None:
            self.connection_lost(None)
            return
        for frame in self._written(unsent):
            self._transport.write(frame)

    def _written(self, unsent: list[_Numbered]) -> Iterator[bytes]:
        """Yield the frame of jobs; one that cannot be pickled fails alone."""
        try:
            yield _frame(unsent)
        except Exception as failure:
            if len(unsent) > 1:
                for each in unsent:
                    yield from self._written([each])
            else:
                self._asked.pop(unsent[0][0]).set_exception(failure)


class _Frames:
    """Cuts what arrives into the values that were sent."""

    def __init__(self) -> None:
        self._held = bytearray()

    def of(self, data: bytes) -> Iterator[Any]:
        """Yield each value that is complete."""
        self._held += data
        start = 0
        while len(self._held) - start >= _LENGTH:
            end = start + _LENGTH + int.from_bytes(self._held[start : start + _LENGTH])
            if len(self._held) < end:
                break
            with memoryview(self._held) as view:
                yield pickle.loads(view[start + _LENGTH : end])  # noqa: S301 - our own process
            start = end
        del self._held[:start]


def _frame(value: Any) -> bytes:
    content = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return len(content).to_bytes(_LENGTH) + content


def _started(where: str) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
    command = [sys.executable, "-m", "fhir_server.store.committing", str(theirs.fileno())]
    around = {**os.environ, "CSOR_DATABASE": where}  # not an argument: it may hold a password
    with theirs:
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=around)  # noqa: S603 - our own module
    ours.setblocking(False)
    return process, ours


def serve(end: socket.socket, committer: Committer) -> None:
    """Commit what comes over a socket, in groups, until it is closed."""
    frames, waiting = _Frames(), list[_Numbered]()
    while data := end.recv(_READ):
        for jobs in frames.of(data):
            waiting += jobs
        while waiting:
            group, waiting = waiting[:GROUP], waiting[GROUP:]
            done = _committed(committer, [job for _, job in group])
            numbers = [number for number, _ in group]
            end.sendall(
                _answered([(number, *each) for number, each in zip(numbers, done, strict=True)])
            )


def _committed(committer: Committer, jobs: Sequence[Job]) -> list[Done]:
    try:
        return committer.commit(jobs)
    except Exception as failure:
        return [(None, failure)] * len(jobs)


def _answered(answers: list[_Answer]) -> bytes:
    """Return the frame of answers; what cannot be sent is the failure of its job alone."""
    try:
        if any(failure is not None for _, _, failure in answers):
            pickle.loads(pickle.dumps(answers))  # noqa: S301 - what was just made here
        return _frame(answers)
    except Exception:
        if len(answers) > 1:
            return _frame([pickle.loads(_answered([each])[_LENGTH:])[0] for each in answers])  # noqa: S301
        ((number, _, failure),) = answers
        kind = "a result" if failure is None else type(failure).__name__
        return _frame([(number, None, RuntimeError(f"{kind} that cannot be sent"))])

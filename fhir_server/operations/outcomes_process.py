"""Who finds outcomes anew: a process of its own beside a server, or a thread where nobody is served.

The process is given the settings, then one stretch of the history after the other, over a socket; frames
are eight bytes of length, then a pickle. It ends with its socket.
"""

import asyncio
import contextlib
import pickle
import signal
import socket
import subprocess
import sys
import threading
from typing import Any, Protocol

from fhir_server.context import Context, Knowledge
from fhir_server.operations.outcomes_rescored import Asked, Rescored, Source, left_over, rescored
from fhir_server.settings import Settings
from fhir_server.store.database import open_database
from outcome_engine.parameter_files.watched import Watched
from r4.issue import FhirError

_LENGTH = 8
_PATIENCE = 10.0
"""Seconds for which the end of the process is waited for."""


class Finder(Protocol):
    """Finds outcomes, one request at a time."""

    async def ask(self, asked: Asked) -> Rescored:
        """Find the outcomes of a stretch anew; raises what hinders it."""
        ...

    async def close(self) -> None:
        """End it; what is under way is lost."""
        ...


class InThread:
    """Finds outcomes in a thread of this process: for tests and commands."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def ask(self, asked: Asked) -> Rescored:
        """Find the outcomes of a stretch anew, in a thread."""
        return await asyncio.to_thread(self._answer, asked)

    async def close(self) -> None:
        """Do nothing: a thread ends with its work."""

    def _answer(self, asked: Asked) -> Rescored:
        context = self._context
        source = Source(context.database, context.terminology, context.parameters.now())
        return answer(source, asked)


class InProcess:
    """Finds outcomes in a process, which is started when the first are asked for, until it is closed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._turn = threading.Lock()
        self._changing = threading.Lock()
        self._is_closed = False

    async def ask(self, asked: Asked) -> Rescored:
        """Find the outcomes of a stretch anew; raises OSError where the process has ended."""
        return await asyncio.to_thread(self._ask, asked)

    async def close(self) -> None:
        """End the process; nothing can be asked any more."""
        self._is_closed = True
        await asyncio.to_thread(self._end)

    def _ask(self, asked: Asked) -> Rescored:
        with self._turn:
            try:
                end = self._socket or self._start()
                _send(end, asked)
                found = _receive(end)
            except (OSError, EOFError):
                self._end()
                raise
        if isinstance(found, BaseException):
            raise found
        answered: Rescored = found
        return answered

    def _start(self) -> socket.socket:
        with self._changing:
            if self._is_closed:
                raise EOFError("closed")
            ours, theirs = socket.socketpair()
            command = [sys.executable, "-m", __name__, str(theirs.fileno())]
            with theirs:
                self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])  # noqa: S603 - our own module
            self._socket = ours
        _send(ours, self._settings)
        return ours

    def _end(self) -> None:
        with self._changing:
            end, process = self._socket, self._process
            self._socket = self._process = None
        if end is not None:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        if process is not None:
            process.terminate()  # while it imports; later its socket ends it
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def answer(source: Source, asked: Asked) -> Rescored:
    """Find the outcomes of a stretch; at the end of all cases, those too that no child has any more."""
    if asked.cases and asked.after == asked.until:
        return left_over(source.database, asked)
    return asyncio.run(rescored(source, asked))


def _send(end: socket.socket, value: object) -> None:
    content = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    end.sendall(len(content).to_bytes(_LENGTH) + content)


def _receive(end: socket.socket) -> Any:
    length = int.from_bytes(_exactly(end, _LENGTH))
    return pickle.loads(_exactly(end, length))  # noqa: S301 - our own process


def _exactly(end: socket.socket, many: int) -> bytes:
    held = bytearray()
    while len(held) < many:
        if not (part := end.recv(many - len(held))):
            raise EOFError("the other end has gone")
        held += part
    return bytes(held)


def serve(end: socket.socket) -> None:
    """Answer what comes over a socket, until it is closed: settings first, then what is asked."""
    settings: Settings = _receive(end)
    database = open_database(settings.database, upgraded=False)
    knowledge = Knowledge(database)
    parameters = Watched(settings.parameters, settings.signatories)
    try:
        while True:
            asked: Asked = _receive(end)
            knowledge.renew()
            found: Rescored | Exception
            try:
                found = answer(Source(database, knowledge.terminology, parameters.now()), asked)
            except FhirError as refusal:
                found = RuntimeError(str(refusal))
            except Exception as failure:
                found = RuntimeError(f"{type(failure).__name__}: {failure}")
            _send(end, found)
    finally:
        database.close()


def main(descriptor: str) -> None:
    """Be the process that finds outcomes, as `InProcess` starts it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server ends it, with its socket
    with (
        socket.socket(fileno=int(descriptor)) as end,
        contextlib.suppress(ConnectionError, EOFError),
    ):
        serve(end)


if __name__ == "__main__":
    main(*sys.argv[1:])

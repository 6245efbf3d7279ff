"""A subscriber: an HTTP server of its own that keeps what it is sent, and answers as it is told."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.serving import served

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    moment: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Endpoint:
    """Answers each request with the next status of `statuses`, then with 200; `delay` in seconds.

    Its path is its own: a port may have been another endpoint's, which somebody still notifies.
    """

    path: str = field(default_factory=lambda: f"/hook{next(_NUMBERS)}")
    url: str = ""
    port: int = 0
    received: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0

    def wait_for(self, many: int, within: float = 20.0) -> list[Received]:
        """Return what has been received once it is so many; fails when it takes too long."""
        self.wait_until(lambda: len(self.received) >= many, within)
        return self.received

    def wait_until(self, there: Callable[[], bool], within: float = 20.0) -> None:
        deadline = time.monotonic() + within
        while not there():
            assert time.monotonic() < deadline, f"only {len(self.received)} arrived"
            time.sleep(0.005)


@contextmanager
def listening(endpoint: Endpoint | None = None, port: int = 0) -> Iterator[Endpoint]:
    """Listen on a port until left."""
    made = endpoint or Endpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            announced = int(self.headers.get("content-length", 0))
            body = self.rfile.read(announced)
            if len(body) < announced:  # its sender has died: nothing has been received
                return self.say(400)
            if not f"{self.path}/".startswith(f"{made.path}/"):
                return self.say(410)
            time.sleep(made.delay)
            status = made.statuses.pop(0) if made.statuses else 200
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.received.append(
                Received(self.command, self.path, headers, body, time.perf_counter())
            )
            return self.say(status)

        def say(self, status: int) -> None:
            self.send_response(status)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_PUT = answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    made.port = server.server_address[1]
    made.url = f"http://127.0.0.1:{made.port}{made.path}"
    with served(server):
        yield made

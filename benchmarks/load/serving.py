"""Start what is measured: this project's server and the bare echo, each a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from benchmarks.load.databases import Database
from benchmarks.load.wire import Peer

ROOT = Path(__file__).parent.parent.parent


class NotServedError(Exception):
    """A server that did not start, or did not use the database it was given; the message says."""


@dataclass(frozen=True)
class Served:
    """A running server: its base, its own process first and its database's after, its profiles.

    mllp: the port on which it takes HL7 v2, if it does.
    """

    peer: Peer
    processes: tuple[int, ...]
    profile: Path | None = None
    mllp: int = 0

    def profiled(self, name: str) -> None:
        """Have the server write the profile of what it did since the last time, under a name."""
        if self.profile is not None:
            (self.profile / "next").write_text(name)
            os.kill(self.processes[0], signal.SIGUSR1)
            deadline = time.monotonic() + 10
            while (self.profile / "next").exists() and time.monotonic() < deadline:
                time.sleep(0.02)


@contextmanager
def server(
    database: Database,
    profile: Path | None = None,
    module: str = "fhir_server",
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Served]:
    """Serve from an empty database until left; raises NotServedError where it cannot.

    module: whose `serve` is run; settings: further ones, as the environment has them.
    """
    port, mllp = free_port(), free_port()
    environment = {
        **os.environ,
        **settings,
        "CSOR_DATABASE": database.url,
        "CSOR_FHIR_PORT": str(port),
        "CSOR_MLLP_PORT": str(mllp),
    }
    run = [module] if profile is None else ["benchmarks.load.profiled", str(profile)]
    command = [sys.executable, "-m", *run, "serve"]
    with _running(command, environment, port) as process:
        if not database.used():
            raise NotServedError(f"the server did not use {database.url}")
        peer = Peer.of(f"http://127.0.0.1:{port}/fhir")
        yield Served(peer, (process, *database.processes), profile, mllp)


@contextmanager
def echo() -> Iterator[Served]:
    """Serve the bare echo until left."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.load.echo:app", "--port", str(port)]
    command += ["--no-access-log", "--log-level", "warning", "--lifespan", "off"]
    with _running(command, dict(os.environ), port) as process:
        yield Served(Peer.of(f"http://127.0.0.1:{port}"), (process,))


@contextmanager
def _running(command: list[str], environment: dict[str, str], port: int) -> Iterator[int]:
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotServedError(f"did not start: {' '.join(command)}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

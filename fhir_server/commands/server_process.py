"""`serve` as a process of its own, on this machine, for commands that are its clients."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping

import httpx

from fhir_server.settings import Settings

START_SECONDS = 120


def base(settings: Settings) -> str:
    """Return the base URL of the FHIR endpoint on this machine."""
    return f"http://127.0.0.1:{settings.fhir_port}/fhir"


def start(settings: Settings, changed: Mapping[str, str | None]) -> "subprocess.Popen[bytes]":
    """Start a server with some environment variables changed, or taken away (None).

    Raises OSError where it does not come up.
    """
    refuse_taken(settings)
    given = {**os.environ, **changed}
    environment = {name: value for name, value in given.items() if value is not None}
    server = subprocess.Popen([sys.executable, "-m", "fhir_server", "serve"], env=environment)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            health = f"http://127.0.0.1:{settings.fhir_port}/health"
            if httpx.get(health, timeout=2).is_success:
                time.sleep(0.1)
                if server.poll() is None:
                    return server
        except httpx.TransportError:
            time.sleep(0.1)
    server.kill()
    raise OSError("the server did not come up; what it said stands above")


def end(server: "subprocess.Popen[bytes]") -> None:
    """End a server, and wait until it has."""
    server.terminate()
    server.wait()


def refuse_taken(settings: Settings) -> None:
    """Raise OSError where a port of the server is taken."""
    for port in (settings.fhir_port, settings.mllp_port):
        _refuse_taken(port)


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            text = f"port {port} is taken; CSOR_FHIR_PORT and CSOR_MLLP_PORT choose others"
            raise OSError(text) from None

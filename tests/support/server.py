"""A whole server on real sockets: in a thread of this process, or as a process of its own."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from fhir_server.app import alone, context, running
from fhir_server.commands.load import load_artefacts
from fhir_server.context import Context
from fhir_server.settings import Settings
from r4.json import encode
from tests.support.databases import new_database

ROOT = Path(__file__).parent.parent.parent
STARTS_WITHIN = 120
"""Seconds that a server may take to start on a busy machine; no statement about its speed."""


def free_port() -> int:
    """Return a port below those that connections are given: a server that is killed gets it again."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", 12_000 + secrets.randbelow(20_000)))
            return int(probe.getsockname()[1])


def loaded(where: str) -> None:
    """Fill a database with this release's artefacts."""
    asyncio.run(alone(Settings(database=where), load_artefacts))


@dataclass(frozen=True)
class Served:
    base_url: str
    mllp_port: int
    context: Context
    http: httpx.Client


@contextmanager
def served(folder: Path, kind: str = "sqlite", **settings: object) -> Iterator[Served]:
    """Serve from a thread of this process, artefacts loaded, until left."""
    database = new_database(kind, folder, loaded)
    beside = {
        "audit_journal": folder / "journal",
        "bulk_folder": folder / "bulk",
        "signing_key": folder / "signing.pem",
    }
    ports = {"fhir_port": free_port(), "mllp_port": free_port()}
    chosen = Settings(database=database, **{**beside, **ports, **settings})
    ready, stop = threading.Event(), threading.Event()
    found: list[Context] = []
    failed: list[BaseException] = []

    async def serve() -> None:
        made = context(chosen)
        try:
            async with running(made):
                found.append(made)
                ready.set()
                while not stop.is_set():
                    await asyncio.sleep(0.02)
        finally:
            made.database.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as failure:
            failed.append(failure)
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(STARTS_WITHIN), "the server did not start"
    if failed:
        raise failed[0]
    base_url = f"http://127.0.0.1:{chosen.fhir_port}/fhir"
    with httpx.Client(base_url=base_url, timeout=30) as http:
        try:
            yield Served(base_url, chosen.mllp_port, found[0], http)
        finally:
            stop.set()
            thread.join(30)
    if failed:
        raise failed[0]


class Process:
    """`python -m fhir_server serve` as a process of its own, which can be killed.

    outcomes: whether it keeps the children's outcomes, by a further process that takes its time to start.
    """

    def __init__(self, folder: Path, kind: str = "sqlite", *, outcomes: bool = False) -> None:
        self.database = new_database(kind, folder, loaded)
        self.fhir_port, self.mllp_port = free_port(), free_port()
        self.base_url = f"http://127.0.0.1:{self.fhir_port}/fhir"
        self.journal = folder / "journal"
        self._environment = {
            **os.environ,
            "CSOR_DATABASE": self.database,
            "CSOR_AUDIT_JOURNAL": str(self.journal),
            "CSOR_BULK_FOLDER": str(folder / "bulk"),
            "CSOR_SIGNING_KEY": str(folder / "signing.pem"),
            "CSOR_FHIR_PORT": str(self.fhir_port),
            "CSOR_MLLP_PORT": str(self.mllp_port),
            "CSOR_OUTCOMES": str(outcomes).lower(),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fhir_server", "serve"],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + STARTS_WITHIN
        with httpx.Client(timeout=2) as http:  # one: each makes a TLS context, which takes its time
            while time.monotonic() < deadline:
                try:
                    http.get(f"http://127.0.0.1:{self.fhir_port}/health")
                except httpx.TransportError:
                    assert self._process.poll() is None, "the server ended"
                    time.sleep(0.05)
                else:
                    return
        raise AssertionError("the server did not start")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: no warning, no clean-up."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)


def put(server: Served, *resources: dict[str, Any]) -> None:
    """Store resources, each under its own id, by one transaction."""
    entries = [
        {
            "resource": each,
            "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"},
        }
        for each in resources
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = server.http.post(
        "/", content=encode(bundle), headers={"Content-Type": "application/fhir+json"}
    )
    assert answer.status_code == 200, answer.text

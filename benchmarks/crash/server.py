"""This project's server as a process that is killed, with its writer or alone, and started again."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.load.driving import resident_bytes
from benchmarks.load.serving import ROOT, NotServedError, free_port, listens

_STARTS_WITHIN = 120.0


class Server:
    """A server that keeps its database and its ports through all its lives."""

    def __init__(self, database: str) -> None:
        self.port, self.mllp = free_port(), free_port()
        self._environment = {
            **os.environ,
            "CSOR_DATABASE": database,
            "CSOR_FHIR_PORT": str(self.port),
            "CSOR_MLLP_PORT": str(self.mllp),
        }
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start, and return once it listens; raises NotServedError where it does not."""
        command = [sys.executable, "-m", "fhir_server", "serve"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=self._environment, stdout=subprocess.DEVNULL
        )
        async with asyncio.timeout(_STARTS_WITHIN):
            while not (listens(self.port) and listens(self.mllp)):
                if self._process.poll() is not None:
                    raise NotServedError("the server did not start")
                await asyncio.sleep(0.05)

    @property
    def pid(self) -> int:
        """Return the number of the server's process."""
        assert self._process is not None
        return self._process.pid

    def mebibytes(self) -> float:
        """Return the memory that the server and its writer hold."""
        return (resident_bytes((self.pid,)) or 0) / 2**20

    def kill(self) -> None:
        """Kill the server: no warning, no clean-up."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def kill_writer(self) -> None:
        """Kill the process that commits for the server, its first child; needs /proc."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        os.kill(int(listed[0]), signal.SIGKILL)

    def stop(self) -> None:
        """End the server as an operator does."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)

"""The writer's process and the server are killed in the middle of 2,000 messages: none lost, none doubled."""

import asyncio
import contextlib
import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from fhir_server.store.database import open_database
from tests.support.databases import KINDS
from tests.support.feed import ODS, admit, code, numbers
from tests.support.server import Process

MESSAGES, CHILDREN, CONNECTIONS, KILLS = 2000, 500, 8, 3
EACH = MESSAGES // CHILDREN


class Sender:
    """Sends each child's messages in order, each until it is accepted, over several connections."""

    def __init__(self, port: int) -> None:
        self.port = port
        found = numbers()
        self.children = [next(found) for _ in range(CHILDREN)]
        self.accepted: list[bytes] = []

    async def send(self) -> None:
        await asyncio.gather(*(self._connection(at) for at in range(CONNECTIONS)))

    async def _connection(self, at: int) -> None:
        for turn in range(EACH):
            for child in self.children[at::CONNECTIONS]:
                family = f"Testchild-{turn}"
                await self._persist(admit(f"K-{child}-{turn}", child, family))

    async def _persist(self, message: bytes) -> None:
        while True:
            try:
                answer = await self._answer(message)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.05)
                continue
            if code(answer) == "AA":
                self.accepted.append(message)
                return

    async def _answer(self, message: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"\x0b" + message + b"\x1c\x0d")
            return await asyncio.wait_for(reader.readuntil(b"\x1c\x0d"), 60)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _writer_of(server: int) -> int:
    """Return the process that commits for a server: its only child."""
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return int(children[0])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to find the writer")
@pytest.mark.parametrize("kind", KINDS)
def test_none_is_lost_and_none_doubled(kind: str, tmp_path: Path) -> None:
    server = Process(tmp_path, kind)
    server.start()
    body = {"resourceType": "Organization", "identifier": [{"system": ODS, "value": "RTH"}]}
    url = f"{server.base_url}/Organization?identifier={ODS}|RTH"
    assert httpx.put(url, json=body, timeout=60).status_code == 201
    sender = Sender(server.mllp_port)
    sending = threading.Thread(target=lambda: asyncio.run(sender.send()))
    sending.start()
    for number in range(1, 2 * KILLS + 1):
        while len(sender.accepted) < MESSAGES * number // (2 * KILLS + 1):
            assert sending.is_alive()
            time.sleep(0.01)
        if number % 2:
            os.kill(_writer_of(server.pid), signal.SIGKILL)
        else:
            server.kill()
            server.start()
    sending.join(600)
    assert not sending.is_alive()
    server.stop()
    assert len(set(sender.accepted)) == MESSAGES
    _agrees(server, sender)


def _agrees(server: Process, sender: Sender) -> None:
    database = open_database(server.database)
    try:
        kept = database.read("SELECT raw, status FROM inbox WHERE door = 'mllp'")
        rows = database.read(
            "SELECT type, id, version, body FROM resource JOIN content USING (rid)"
            " WHERE type IN ('Patient', 'Encounter') ORDER BY rid"
        )
    finally:
        database.close()
    assert Counter(bytes(raw) for raw, _ in kept) == Counter(sender.accepted), "each once"
    assert {status for _, status in kept} == {"processed"}
    records = Counter((kind, key) for kind, key, _, _ in rows)
    assert sum(kind == "Patient" for kind, _ in records) == CHILDREN
    assert sum(kind == "Encounter" for kind, _ in records) == CHILDREN
    families: dict[str, list[str]] = {}
    for kind, key, _, body in rows:
        if kind == "Patient":
            families.setdefault(key, []).append(json.loads(body)["name"][0]["family"])
    one_by_one = [f"Testchild-{turn}" for turn in range(EACH)]
    assert all(told == one_by_one for told in families.values())

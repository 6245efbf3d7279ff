"""Every answer is in the audit once, whichever process is killed at whichever moment."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from secrets import SystemRandom

import httpx
import pytest

from fhir_server.store import audit
from tests.support.databases import KINDS, opened
from tests.support.server import Process

pytestmark = pytest.mark.postgresql_slow

CLIENTS = 4
CHILD = {"resourceType": "Patient", "id": "a", "name": [{"family": "Wren"}]}


class Load:
    """Clients that ask, each time of another id: what they asked, and of that what was answered."""

    def __init__(self, server: Process, name: str = "r") -> None:
        self.server, self.name = server, name
        self.asked: list[str] = []
        self.answered: Counter[str] = Counter()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._clients = [self._pool.submit(self._ask, number) for number in range(CLIENTS)]

    def _ask(self, client: int) -> None:
        number = 0
        with httpx.Client(base_url=self.server.base_url, timeout=30) as http:
            while not self._stop.is_set():
                number += 1
                name = f"{self.name}-{client}-{number}"
                self.asked.append(name)
                kind = ("Patient", "Observation", "Encounter")[number % 3]
                try:
                    http.get(f"/{kind}/{name}")
                except httpx.TransportError:
                    time.sleep(0.01)
                else:
                    self.answered[name] += 1

    def go_on(self, seconds: float) -> None:
        """Wait until some more are answered, and for a while then."""
        before = len(self.answered)
        while len(self.answered) < before + 20:
            assert not any(client.done() for client in self._clients)
            time.sleep(0.01)
        time.sleep(seconds)

    def end(self) -> None:
        self._stop.set()
        for client in self._clients:
            client.result()
        self._pool.shutdown()


def recorded(where: str) -> Counter[str]:
    """Count how often each id that was asked for is in the audit."""
    with opened(where) as database:
        found = (each.key for each in audit.accesses(database) if each.interaction == "read")
        return Counter(key for key in found if key is not None)


def rows(where: str) -> int:
    with opened(where) as database:
        return sum(1 for _ in audit.accesses(database))


def writer_of(pid: int) -> int:
    """Return the process that commits for a server; after one was killed, the next, once needed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError, ProcessLookupError):  # of what ends meanwhile
            for task in Path(f"/proc/{pid}/task").iterdir():
                for child in (task / "children").read_text().split():
                    called = Path(f"/proc/{child}/cmdline").read_bytes()
                    if b"fhir_server.store.committing" in called:
                        return int(child)
        time.sleep(0.01)
    raise AssertionError("the server has no writer")


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path, request.param)
    made.start()
    yield made
    made.stop()


def test_what_a_server_answered_before_it_was_killed_is_in_the_audit_once(server: Process) -> None:
    asked: set[str] = set()
    answered: set[str] = set()
    for number in range(3):
        load = Load(server, f"r{number}")
        load.go_on(SystemRandom().uniform(0, 0.5))
        server.kill()
        load.end()
        asked |= set(load.asked)
        answered |= set(load.answered)
        server.start()
    server.stop()
    found = recorded(server.database)
    assert answered - set(found) == set()
    assert set(found) - asked == set()
    assert set(found.values()) == {1}
    assert list(server.journal.iterdir()) == []


def test_a_writer_that_is_killed_loses_nothing_and_doubles_nothing(server: Process) -> None:
    load = Load(server)
    for _ in range(3):
        load.go_on(SystemRandom().uniform(0, 0.5))
        os.kill(writer_of(server.pid), signal.SIGKILL)
    load.go_on(0)
    load.end()
    server.stop()
    assert recorded(server.database) == load.answered


def test_there_are_as_many_events_as_requests(server: Process) -> None:
    before = rows(server.database)

    def ask(client: int) -> int:
        named = {**CHILD, "id": f"c{client}"}
        many = 0
        with httpx.Client(base_url=server.base_url, timeout=30) as http:
            http.put(f"/Patient/c{client}", json=named).raise_for_status()
            for _ in range(40):
                answers = [
                    http.get(f"/Patient/c{client}"),
                    http.get("/Patient", params={"family": "Wren"}),
                    http.post("/Patient/_search", data={"family": "Wren"}),
                    http.get(f"/Patient/c{client}/_history"),
                    http.get("/metadata"),
                    http.get("/Patient/nobody"),
                    http.get("/Patient", params={"nothing": "known"}),
                    http.get("/a/b/c/d/e"),
                    http.put(f"/Patient/c{client}", json=named),  # which changes nothing
                    http.post("/Patient", json=CHILD, headers={"If-None-Exist": f"_id=c{client}"}),
                    http.post("/Patient", content=b"{"),
                    http.delete("/Patient/nobody"),
                ]
                assert not any(each.status_code >= 500 for each in answers)
                many += len(answers)
        return many + 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        asked = sum(pool.map(ask, range(CLIENTS)))
    server.stop()
    assert rows(server.database) - before == asked
    assert list(server.journal.iterdir()) == []

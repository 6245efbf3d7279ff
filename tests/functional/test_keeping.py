"""A refused write is kept until the same write succeeds, whenever that is and whoever else writes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.app import application, context
from fhir_server.context import Context
from fhir_server.rest import audit
from fhir_server.settings import Settings
from fhir_server.store import inbox
from fhir_server.store.audit_row import Agent
from tests.support.databases import new_database

WEIGHT = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "weight"},
    "subject": {"reference": "Patient/later"},
}
CHILD = {"resourceType": "Patient", "id": "later", "name": [{"family": "Testchild"}]}


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Context, httpx.AsyncClient]]:
    """Start a server on the folder's database, and stop it when left."""
    made = context(Settings(database=new_database("sqlite", folder)))
    transport = httpx.ASGITransport(application(made), client=("127.0.0.1", 1))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost/fhir") as http:
            yield made, http
    finally:
        made.database.close()


def tally(made: Context) -> dict[str, int]:
    return inbox.tally(made.database)


async def test_a_refused_write_that_succeeds_later_is_settled(tmp_path: Path) -> None:
    async with opened(tmp_path) as (made, http):
        assert (await http.post("/Observation", json=WEIGHT)).status_code == 422
        assert tally(made) == {"refused": 1}
        assert (await http.put("/Patient/later", json=CHILD)).status_code == 201
        assert tally(made) == {"refused": 1}
        assert (await http.post("/Observation", json=WEIGHT)).status_code == 201
        assert tally(made) == {"processed": 1}


async def test_it_is_settled_after_a_restart_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, http):
        assert (await http.post("/Observation", json=WEIGHT)).status_code == 422
    async with opened(tmp_path) as (made, http):
        assert (await http.put("/Patient/later", json=CHILD)).status_code == 201
        assert tally(made) == {"refused": 1}
        assert (await http.post("/Observation", json=WEIGHT)).status_code == 201
        assert tally(made) == {"processed": 1}


async def test_refused_again_after_it_was_settled_it_is_kept_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as (made, http):
        wrong = {**CHILD, "id": "other"}
        for _ in range(2):
            assert (await http.put("/Patient/later", json=wrong)).status_code == 400
            assert tally(made) == {"refused": 1}


async def test_an_entry_of_a_batch_settles_what_was_refused_alone(tmp_path: Path) -> None:
    entry = {"resource": WEIGHT, "request": {"method": "POST", "url": "Observation"}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    async with opened(tmp_path) as (made, http):
        await http.post("/", json=batch)
        assert tally(made) == {"refused": 1}
        await http.put("/Patient/later", json=CHILD)
        answer = await http.post("/", json=batch)
        assert answer.json()["entry"][0]["response"]["status"] == "201 Created"
        assert tally(made) == {"processed": 1}


async def test_a_body_that_breaks_off_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    whole = b'{"resourceType":"Patient","id":"later"}'
    events = [
        {"type": "http.request", "body": whole, "more_body": True},
        {"type": "http.disconnect"},
    ]
    made = context(Settings(database=new_database("sqlite", tmp_path)))
    answered: list[Any] = []

    async def receive() -> Any:
        return events.pop(0)

    async def send(event: Any) -> None:
        answered.append(event)

    headers = [
        (b"host", b"localhost"),
        (b"content-type", b"application/fhir+json"),
        (b"transfer-encoding", b"chunked"),
    ]
    path = "/fhir/Patient/later"
    scope = {
        "type": "http", "method": "PUT", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": headers, "client": ("127.0.0.1", 1),
    }  # fmt: skip
    try:
        await application(made)(scope, receive, send)
        assert answered[0]["status"] == 400
        assert made.database.read("SELECT count(*) FROM resource WHERE id = 'later'") == [(0,)]
        assert tally(made) == {"refused": 1}
    finally:
        made.database.close()


@dataclass
class Trail:
    """What was recorded, in order."""

    recorded: list[tuple[Any, ...]] = field(default_factory=list)

    def record(self, agent: Agent, *what: Any, **told: Any) -> None:
        self.recorded.append((agent.name, *what))


async def test_every_read_and_every_refusal_is_told_to_the_audit_trail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = Trail()
    record = audit.record

    @dataclass
    class Audited:
        audit: Trail

    monkeypatch.setattr(audit, "record", lambda _, *what: record(Audited(trail), *what))  # type: ignore[arg-type]
    async with opened(tmp_path) as (_, http):
        await http.put("/Patient/later", json=CHILD)
        await http.get("/Patient/later")
        await http.get("/Patient")
        await http.get("/Patient/nobody")
        await http.post("/Observation", json=WEIGHT | {"status": "done"})
        await http.get("/Patient", headers={"Authorization": "Bearer wrong"})
        await http.get("/Patient/later", headers={"Accept": "text/turtle"})
        await http.get("/a/b/c/d/e")
    assert trail.recorded == [
        ("local", "read", "Patient", "later", 200),
        ("local", "search-type", "Patient", None, 200),
        ("local", "read", "Patient", "nobody", 404),
        ("local", "create", "Observation", None, 422),
        ("unknown", "search-type", "Patient", None, 401),
        ("local", "read", "Patient", "later", 406),
        ("local", "unknown", None, None, 404),
    ]

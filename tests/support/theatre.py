"""A registry with a browser on its machine, in which a surgeon has a session of one child."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from fhir_server.access import SURGEON
from fhir_server.access.sessions import Session, Sessions
from fhir_server.app import application, context
from fhir_server.context import Context, Principal
from fhir_server.settings import Settings
from tests.support.databases import new_database

HERE = "http://localhost"
FORM = "https://csor.example/fhir/Questionnaire/operative-note-hirschsprung"


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime(2026, 11, 23, 9, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Theatre:
    """A registry with two children, and a browser on the same machine that holds a session of one."""

    http: httpx.AsyncClient
    sessions: Sessions
    clock: Clock
    places: dict[str, str]

    @contextmanager
    def open(self, child: str = "ann", surgeon: str = "surgeon") -> Iterator[Session]:
        principal = Principal(
            self.places[surgeon],
            frozenset({SURGEON}),
            self.places[child],
            self.places[surgeon],
            self.places["hospital"],
        )
        told = {"patient": {"reference": self.places[child]}, "form": None}
        value, session = self.sessions.open(principal, told)
        self.http.cookies.set("csor", value, domain="localhost.local")
        self.http.headers["X-CSRF-Token"] = session.csrf
        self.http.headers["Origin"] = HERE
        yield session
        self.http.cookies.clear()
        del self.http.headers["X-CSRF-Token"], self.http.headers["Origin"]

    def draft(self, child: str = "ann", **more: Any) -> dict[str, Any]:
        return {
            "resourceType": "QuestionnaireResponse",
            "status": "in-progress",
            "questionnaire": FORM,
            "subject": {"reference": self.places[child]},
            "author": {"reference": self.places["surgeon"]},
            "authored": "2026-11-23T09:00:00Z",
            **more,
        }

    async def stored(self, resource: dict[str, Any]) -> str:
        answer = await self.http.post(f"/fhir/{resource['resourceType']}", json=resource)
        assert answer.status_code == 201, answer.text
        return f"{resource['resourceType']}/{answer.json()['id']}"


@contextmanager
def registry(folder: Path) -> Iterator[Context]:
    """Open a registry whose clock stands still."""
    database = new_database("sqlite", folder)
    settings = Settings(database=database, signing_key=folder / "signing.pem")
    found = context(settings, now=Clock())
    try:
        yield found
    finally:
        found.database.close()


@asynccontextmanager
async def theatre(made: Context) -> AsyncIterator[Theatre]:
    """Open a registry on another day, with two children of its own and no session."""
    clock = made.now
    assert isinstance(clock, Clock)
    clock.now = Clock().now
    door = application(made)
    assert door.callers.sessions is not None
    transport = httpx.ASGITransport(door, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as http:
        found = Theatre(http, door.callers.sessions, clock, {})
        for name, resource in {
            "ann": {"resourceType": "Patient", "name": [{"family": "Ann"}]},
            "bob": {"resourceType": "Patient", "name": [{"family": "Bob"}]},
            "surgeon": {"resourceType": "Practitioner", "name": [{"family": "Surgeon"}]},
            "other surgeon": {"resourceType": "Practitioner", "name": [{"family": "Other"}]},
            "hospital": {"resourceType": "Organization", "name": "Hospital"},
        }.items():
            found.places[name] = await found.stored(resource)
        yield found

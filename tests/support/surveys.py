"""A registry with two children of whom one's parent is asked a survey, and a browser at home."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from fhir_server.app import application, context
from fhir_server.context import Context
from fhir_server.operations.invitations import link
from fhir_server.settings import Settings
from r4.json import Resource, decode
from tests.support.databases import new_database
from tests.support.server import ROOT

HERE = "http://localhost"
API = "/survey/api"
SURVEY = "parent-survey-hirschsprung-5-years"
FORM = f"https://csor.example/fhir/Questionnaire/{SURVEY}|0.1.0"
BORN, OTHER_BORN = "2021-10-01", "2021-11-02"
STREAMS = ("health-record", "national-data", "parent-reported")


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime(2026, 11, 23, 20, 15, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def made(folder: Path, kind: str = "sqlite", **settings: Any) -> Iterator[Context]:
    beside = {"signing_key": folder / "signing.pem"}
    chosen = Settings(database=new_database(kind, folder), **{**beside, **settings})
    found = context(chosen, now=Clock())
    try:
        yield found
    finally:
        found.database.close()


@dataclass
class Home:
    """The server's doors, a parent's browser, and what the registry holds, by name."""

    context: Context
    http: httpx.AsyncClient
    places: dict[str, str]

    @property
    def clock(self) -> Clock:
        assert isinstance(self.context.now, Clock)
        return self.context.now

    async def link(self, task: str = "task", days: int = 14) -> str:
        """Return the token of a new link."""
        until = self.context.now() + timedelta(days=days)
        place = self.places[task].partition("/")[2]
        url = await self.context.database.driven(link(self.context, place, until))
        page, _, token = url.partition("#")
        assert page.endswith("/survey")
        return token

    async def enter(self, token: str, born: str = BORN) -> httpx.Response:
        sent = {"token": token, "birthDate": born}
        return await self.http.post(f"{API}/sitting", json=sent)

    async def sit(self) -> dict[str, Any]:
        """Begin a sitting with a new link; returns what the page shows."""
        answer = await self.enter(await self.link())
        assert answer.status_code == 204, answer.text
        return await self.shown()

    async def shown(self) -> dict[str, Any]:
        answer = await self.http.get(f"{API}/form")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def decide(self, decision: str = "permit", *streams: str) -> httpx.Response:
        chosen = streams or STREAMS
        sent = {"streams": [{"code": each, "decision": decision} for each in chosen]}
        return await self.http.post(f"{API}/consent", json=sent)

    async def keep(self, response: Resource, etag: str) -> httpx.Response:
        return await self.http.put(f"{API}/response", json=response, headers={"If-Match": etag})

    async def read(self, name: str) -> dict[str, Any]:
        return dict((await self.fhir("GET", self.places[name])).json())

    async def fhir(self, method: str, url: str, **more: Any) -> httpx.Response:
        """Ask the FHIR endpoint as a program of the registry, not as the browser."""
        transport = self.http._transport
        async with httpx.AsyncClient(transport=_Shared(transport), base_url=HERE) as http:
            return await http.request(method, f"/fhir/{url}", **more)

    async def stored(self, name: str, resource: dict[str, Any]) -> None:
        answer = await self.fhir("POST", resource["resourceType"], json=resource)
        assert answer.status_code == 201, answer.text
        self.places[name] = f"{resource['resourceType']}/{answer.json()['id']}"


class _Shared(httpx.AsyncBaseTransport):
    """A transport that stays open when its client is closed."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)


@asynccontextmanager
async def home(found: Context) -> AsyncIterator[Home]:
    """The registry of a context, with children of this test's own."""
    assert isinstance(found.now, Clock)
    found.now.now = Clock().now
    transport = httpx.ASGITransport(application(found), client=("127.0.0.1", 1))
    headers = {"Origin": HERE}
    async with httpx.AsyncClient(transport=transport, base_url=HERE, headers=headers) as http:
        made = Home(found, http, {})
        for name, born in (("child", BORN), ("other child", OTHER_BORN)):
            named = [{"given": ["Wren", "Middle"], "family": "Testchild"}]
            await made.stored(name, {"resourceType": "Patient", "name": named, "birthDate": born})
            child = {"reference": made.places[name]}
            parent = name.replace("child", "parent")
            await made.stored(parent, {"resourceType": "RelatedPerson", "patient": child})
            number = f"{made.places[name].partition('/')[2]}.{SURVEY}"
            owner = {"reference": made.places[parent]}
            await made.stored(name.replace("child", "task"), task(number, child, owner))
        yield made


def task(number: str, child: Resource, owner: Resource, until: str = "2026-12-31") -> Resource:
    """Return the Task of a survey that is due."""
    return {
        "resourceType": "Task",
        "identifier": [{"system": "https://csor.example/fhir/sid/survey", "value": number}],
        "status": "ready",
        "intent": "order",
        "code": {
            "coding": [{"system": "https://csor.example/fhir/CodeSystem/task", "code": "survey"}]
        },
        "for": child,
        "owner": owner,
        "authoredOn": "2026-11-01T08:00:00Z",
        "restriction": {"period": {"start": "2026-11-01", "end": until}},
        "input": [{"type": {"text": "Form"}, "valueCanonical": FORM}],
    }


def answers(case: str = "continent-child") -> list[Resource]:
    """Return the items of one of the form's examples."""
    file = ROOT / "questionnaires" / "examples" / SURVEY / f"{case}.response.json"
    items: list[Resource] = decode(file.read_bytes())["item"]
    return items


def expected(kind: str, case: str = "continent-child") -> list[Resource]:
    """Return the resources of a type that an example's answers yield."""
    file = ROOT / "questionnaires" / "examples" / SURVEY / f"{case}.bundle.json"
    entries = decode(file.read_bytes())["entry"]
    return [each["resource"] for each in entries if each["resource"]["resourceType"] == kind]


def said(answer: httpx.Response) -> str:
    """Return what a refusal tells the parent."""
    [issue] = answer.json()["issue"]
    return str(issue["details"]["text"])

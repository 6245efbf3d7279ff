"""Two hospitals whose systems ask at the FHIR door, and what they send."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx

from fhir_server.context import Context, Principal

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
NORTH, SOUTH, REGISTRY = "RN1", "RS2", "registry"
NUMBERS = {"mia": "9449305552", "tom": "9449310602", "zoe": "9449304130", "new": "9449306621"}
VISIT = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
SEALED = "Nobody at the other hospital is to read this"


class Callers:
    """Who calls is said by a header: how somebody proves who he is is another test's matter."""

    sessions = sittings = None

    def identify(self, _host: Any, headers: Any, _method: str = "GET") -> Principal:
        name = headers.get(b"x-client", b"registry").decode()
        if name == REGISTRY:
            return Principal(name, frozenset({REGISTRY}))
        return Principal(f"epr {name}", frozenset({"hospital"}), hospitals=frozenset({name}))


@dataclass
class Asking:
    """The door, and whoever asks at it."""

    made: Context
    runner: asyncio.Runner
    http: httpx.AsyncClient

    def __call__(self, who: str, method: str, url: str, **more: Any) -> httpx.Response:
        headers = {"X-Client": who, **more.pop("headers", {})}
        return self.runner.run(self.http.request(method, f"/fhir{url}", headers=headers, **more))

    def get(self, who: str, url: str, **more: Any) -> httpx.Response:
        return self(who, "GET", url, **more)

    def send(self, who: str, *entries: dict[str, Any]) -> httpx.Response:
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}
        return self(who, "POST", "/", json=bundle)

    def ids(self, who: str, query: str) -> set[str]:
        answer = self.get(who, query)
        assert answer.status_code == 200, answer.text
        return {each["resource"]["id"] for each in answer.json().get("entry", ())}


def by_number(child: str) -> str:
    return f"Patient?identifier={NHS}|{NUMBERS[child]}"


def patient(child: str, **more: Any) -> dict[str, Any]:
    number = [{"system": NHS, "value": NUMBERS[child]}]
    told = {"resourceType": "Patient", "identifier": number, "name": [{"family": SEALED}], **more}
    criteria = f"identifier={NHS}|{NUMBERS[child]}"
    asked = {"method": "POST", "url": "Patient", "ifNoneExist": criteria}
    return {"fullUrl": f"urn:uuid:{child}", "resource": told, "request": asked}


def visit(subject: str, hospital: str, **more: Any) -> dict[str, Any]:
    told = {
        "resourceType": "Encounter", "status": "finished", "class": VISIT,
        "subject": {"reference": subject},
        "serviceProvider": {"reference": f"Organization?identifier={ODS}|{hospital}"}, **more,
    }  # fmt: skip
    return {"resource": told, "request": {"method": "POST", "url": "Encounter"}}


def weight(subject: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final", "code": {"text": "weight"},
        "subject": {"reference": subject}, "valueString": SEALED, **more,
    }  # fmt: skip


def post(told: dict[str, Any]) -> dict[str, Any]:
    return {"resource": told, "request": {"method": "POST", "url": told["resourceType"]}}


def place(answer: httpx.Response, number: int) -> str:
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["entry"][number]["response"]["location"]
    return found.partition("/_history")[0]


@dataclass
class Ward:
    """A child of the north and one of the south, each with a visit and an observation: their places."""

    mia: str
    mia_visit: str
    mia_weight: str
    tom: str
    tom_visit: str
    tom_weight: str

"""The terminology operations as a client asks them, and what it has stored for them."""

from typing import Any

import httpx

from tests.support.server import Served

HL7 = "http://hl7.org/fhir"
STATUS = f"{HL7}/observation-status"
STATUSES = f"{HL7}/ValueSet/observation-status"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
CLINICALS = f"{HL7}/ValueSet/condition-clinical"
GENDER = f"{HL7}/administrative-gender"
OURS = "https://example.org"

COLOURS = {
    "resourceType": "CodeSystem",
    "url": f"{OURS}/colours",
    "status": "active",
    "content": "complete",
    "concept": [
        {"code": "red", "display": "Red", "concept": [{"code": "pink", "display": "Pink"}]}
    ],
}
REDS = {
    "resourceType": "ValueSet",
    "url": f"{OURS}/vs/reds",
    "version": "3",
    "status": "active",
    "compose": {"include": [{"system": f"{OURS}/colours", "concept": [{"code": "red"}]}]},
}
MAP = {
    "resourceType": "ConceptMap",
    "url": f"{OURS}/cm/colours",
    "status": "active",
    "group": [
        {
            "source": f"{OURS}/colours",
            "target": STATUS,
            "element": [{"code": "red", "target": [{"code": "final", "equivalence": "wider"}]}],
        }
    ],
}


def sent(server: Served, path: str, *parameters: dict[str, Any]) -> httpx.Response:
    body = {"resourceType": "Parameters", "parameter": list(parameters)}
    return server.http.post(path, json=body)


def named(answer: httpx.Response) -> dict[str, Any]:
    """The parameters of an answer by their names; of one that repeats, the last."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["resourceType"] == "Parameters"
    return {
        each["name"]: next((v for k, v in each.items() if k.startswith("value")), each.get("part"))
        for each in body["parameter"]
    }


def refused(answer: httpx.Response) -> tuple[int, str, str | None]:
    issue = answer.json()["issue"][0]
    return answer.status_code, issue["code"], (issue.get("expression") or [None])[0]


def coding(system: str, code: str, **more: str) -> dict[str, Any]:
    return {"name": "coding", "valueCoding": {"system": system, "code": code, **more}}


def url(text: str) -> dict[str, Any]:
    return {"name": "url", "valueUri": text}

"""What tests of bulk data do over HTTP: kick off, wait, read the files."""

import json
import time
from typing import Any

import httpx

ASYNC = {"Prefer": "respond-async"}


def kick_off(http: httpx.Client, path: str, **given: Any) -> str:
    """GET an operation and return the URL of the job's status."""
    answer = http.get(path, headers=ASYNC, **given)
    assert answer.status_code == 202, answer.text
    return answer.headers["Content-Location"]


def manifest(http: httpx.Client, status: str) -> Any:
    """Wait for a job to complete and return its manifest."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = http.get(status)
        if answer.status_code != 202:
            assert answer.status_code == 200, answer.text
            return answer.json()
        assert answer.headers["X-Progress"]
        time.sleep(0.02)
    raise AssertionError("the job did not end")


def lines(http: httpx.Client, entries: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the resources of each file by type; each file holds as many as its manifest says."""
    found: dict[str, list[Any]] = {}
    for entry in entries:
        answer = http.get(entry["url"], headers={"Accept": "application/fhir+ndjson"})
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"].startswith("application/fhir+ndjson")
        read = [json.loads(line) for line in answer.text.splitlines()]
        assert len(read) == entry["count"]
        assert {each["resourceType"] for each in read} == {entry["type"]}
        found[entry["type"]] = read
    return found


def exported(http: httpx.Client, path: str, **given: Any) -> dict[str, list[Any]]:
    """Export, and return the resources of each type."""
    return lines(http, manifest(http, kick_off(http, path, **given))["output"])


def put(http: httpx.Client, resource: dict[str, Any]) -> dict[str, Any]:
    """Store a resource under its id."""
    answer = http.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def patient(key: str, **elements: Any) -> dict[str, Any]:
    """Return a Patient."""
    return {"resourceType": "Patient", "id": key, **elements}


def observation(key: str, subject: str | None, code: str = "a") -> dict[str, Any]:
    """Return an Observation about a patient, or nobody."""
    about = {"subject": {"reference": f"Patient/{subject}"}} if subject else {}
    coded = {"coding": [{"system": "https://codes.example", "code": code}]}
    return {
        "resourceType": "Observation", "id": key, "status": "final", "code": coded, **about
    }  # fmt: skip

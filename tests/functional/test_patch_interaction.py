"""Patch: the current version, changed, is the next one. https://hl7.org/fhir/R4/http.html#patch."""

import asyncio
import json
from base64 import b64encode
from typing import Any

import httpx
import pytest

from tests.support.server import Served

JSON_PATCH = "application/json-patch+json"
FAMILY = "Testchild-Dipper"


@pytest.fixture
def child(server: Served) -> str:
    body = {"resourceType": "Patient", "name": [{"family": FAMILY}], "birthDate": "2020-01-01"}
    return str(server.http.post("/Patient", json=body).json()["id"])


def json_patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"content": json.dumps(operations), "headers": {"Content-Type": JSON_PATCH}}


def parameters(kind: str, path: str, **value: str) -> dict[str, Any]:
    parts = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    parts += [{"name": "value", name: given} for name, given in value.items()]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


def test_json_patch(server: Served, child: str) -> None:
    asked = json_patch({"op": "add", "path": "/gender", "value": "female"})
    answer = server.http.patch(f"/Patient/{child}", **asked)
    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
    assert answer.json()["gender"] == "female"
    assert answer.json()["name"] == [{"family": FAMILY}]


def test_fhirpath_patch(server: Served, child: str) -> None:
    asked = parameters("replace", "Patient.birthDate", valueDate="2020-02-02")
    headers = {"Content-Type": "application/fhir+json"}
    answer = server.http.patch(f"/Patient/{child}", content=json.dumps(asked), headers=headers)
    assert answer.json()["birthDate"] == "2020-02-02", answer.text


def test_xml_patch(server: Served, child: str) -> None:
    body = (
        '<diff xmlns:f="http://hl7.org/fhir">'
        '<replace sel="f:Patient/f:birthDate/@value">2020-03-03</replace></diff>'
    )
    headers = {"Content-Type": "application/xml-patch+xml"}
    answer = server.http.patch(f"/Patient/{child}", content=body, headers=headers)
    assert answer.json()["birthDate"] == "2020-03-03", answer.text


def test_a_conditional_patch_finds_its_resource(server: Served, child: str) -> None:
    asked = json_patch({"op": "add", "path": "/active", "value": True})
    assert server.http.patch(f"/Patient?_id={child}", **asked).json()["active"] is True
    assert server.http.patch("/Patient?_id=nobody", **asked).status_code == 404
    assert server.http.patch("/Patient", **asked).status_code == 400


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"op": "replace", "path": "/birthDate", "value": "yesterday"}, 422),
        ({"op": "test", "path": "/birthDate", "value": "1999-01-01"}, 422),
        ({"op": "remove", "path": "/photo"}, 422),
        ({"op": "replace", "path": "/id", "value": "other"}, 422),
        ({"op": "replace", "path": "/resourceType", "value": "Person"}, 422),
        ({"op": "swap", "path": "/birthDate"}, 400),
    ],
)
def test_a_patch_that_cannot_be_applied_changes_nothing(
    server: Served, child: str, operation: dict[str, Any], status: int
) -> None:
    answer = server.http.patch(f"/Patient/{child}", **json_patch(operation))
    assert answer.status_code == status, answer.text
    assert server.http.get(f"/Patient/{child}").headers["ETag"] == 'W/"1"'


def test_what_is_no_patch_is_refused(server: Served, child: str) -> None:
    answer = server.http.patch(
        f"/Patient/{child}", content=b"x", headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 415
    body = {"resourceType": "Patient", "id": child}
    assert server.http.patch(f"/Patient/{child}", json=body).status_code == 400
    asked = json_patch({"op": "add", "path": "/active", "value": True})
    assert server.http.patch("/Patient/nobody", **asked).status_code == 404


def test_a_stale_if_match_is_refused(server: Served, child: str) -> None:
    asked = json_patch({"op": "add", "path": "/active", "value": True})
    asked["headers"] |= {"If-Match": 'W/"7"'}
    assert server.http.patch(f"/Patient/{child}", **asked).status_code == 412


def test_patches_that_race_are_all_applied(server: Served, child: str) -> None:
    async def race() -> list[int]:
        async with httpx.AsyncClient(base_url=server.base_url, timeout=30) as http:
            tries = (
                http.patch(
                    f"/Patient/{child}",
                    **json_patch(
                        {"op": "add", "path": "/name/-", "value": {"family": f"Testchild-{n}"}}
                    ),
                )
                for n in range(30)
            )
            return [answer.status_code for answer in await asyncio.gather(*tries)]

    assert asyncio.run(race()) == [200] * 30
    names = server.http.get(f"/Patient/{child}").json()["name"]
    assert len({name["family"] for name in names}) == 31


@pytest.mark.parametrize("kind", ["Parameters", "Binary"])
def test_a_transaction_patches(server: Served, child: str, kind: str) -> None:
    operations = json.dumps([{"op": "add", "path": "/gender", "value": "male"}]).encode()
    add = parameters("add", "Patient", valueCode="male")
    add["parameter"][0]["part"].append({"name": "name", "valueString": "gender"})
    data = {
        "resourceType": "Binary",
        "contentType": JSON_PATCH,
        "data": b64encode(operations).decode(),
    }
    resource = add if kind == "Parameters" else data
    entry = {"resource": resource, "request": {"method": "PATCH", "url": f"Patient/{child}"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    answer = server.http.post("/", json=bundle)
    assert answer.status_code == 200, answer.text
    assert server.http.get(f"/Patient/{child}").json()["gender"] == "male"


def test_a_transaction_with_a_bad_patch_names_its_entry(server: Served, child: str) -> None:
    resource = {"resourceType": "Binary", "contentType": JSON_PATCH, "data": "!"}
    entry = {"resource": resource, "request": {"method": "PATCH", "url": f"Patient/{child}"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    answer = server.http.post("/", json=bundle)
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[0].resource.data"]

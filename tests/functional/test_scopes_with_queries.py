"""SMART scopes with queries: what they let be read, found, stored and changed.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.access import token_hash
from fhir_server.store import inbox
from tests.support.backend import CLIENTS, Backend, backend, bearer

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
LAB, VITAL = f"{CATEGORY}|laboratory", f"{CATEGORY}|vital-signs"
MINE = f"system/Observation.cruds?category={LAB}"
REST = "system/Patient.rs system/DiagnosticReport.cruds"
NARROW = f"""
[[client]]
name = "laboratory"
scopes = "{MINE} {REST}"
jwks = "epr.jwks.json"

[[client]]
name = "screen"
scopes = "system/Observation.rs?category={LAB} {REST}"
token_sha256 = "{token_hash("the screen's")}"
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Backend]:
    async with backend(tmp_path, CLIENTS + NARROW) as found:
        found.name = "everything"
        yield found


async def ask(
    server: Backend, scope: str, method: str, path: str, body: Any = None, **headers: str
) -> httpx.Response:
    server.scope = scope
    given = {**bearer(await server.token()), **headers}
    return await server.http.request(method, f"/fhir{path}", json=body, headers=given)


def observed(category: str, **more: Any) -> dict[str, Any]:
    system, _, code = category.partition("|")
    return {
        "resourceType": "Observation", "status": "final", "code": {"text": "potassium"},
        "category": [{"coding": [{"system": system, "code": code}]}], **more,
    }  # fmt: skip


async def store(server: Backend, *resources: dict[str, Any]) -> list[str]:
    """Store resources; returns the place of each."""
    found = []
    for each in resources:
        answer = await ask(server, "system/*.c", "POST", f"/{each['resourceType']}", each)
        assert answer.status_code == 201, answer.text
        found.append(f"{each['resourceType']}/{answer.json()['id']}")
    return found


async def change(server: Backend, place: str, resource: dict[str, Any]) -> None:
    body = {**resource, "id": place.partition("/")[2]}
    answer = await ask(server, "system/*.u", "PUT", f"/{place}", body)
    assert answer.status_code == 200, answer.text


def places(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    listed = (each["resource"] for each in answer.json().get("entry", ()) if "resource" in each)
    return [f"{each['resourceType']}/{each['id']}" for each in listed]


def refused(answer: httpx.Response, text: str) -> None:
    assert answer.status_code == 403, answer.text
    assert text in answer.text


async def test_the_answer_and_introspection_say_the_query_as_it_is_granted(server: Backend) -> None:
    wanted = f"system/Observation.rs?category={LAB}"
    answer = await server.ask(scope=wanted)
    assert answer.json()["scope"] == wanted
    token = answer.json()["access_token"]
    told = await server.http.post("/introspect", data={"token": token}, headers=bearer(token))
    assert told.json()["scope"] == wanted
    server.name = "laboratory"
    answer = await server.ask(scope="system/Observation.rs")
    assert answer.json()["scope"] == wanted
    answer = await server.ask(scope=f"system/Observation.rs?category={VITAL}")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    answer = await server.ask(scope="system/Observation.rs?colour=red")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    assert "colour" in answer.json()["error_description"]


async def test_what_does_not_match_is_not_there_to_be_read(server: Backend) -> None:
    lab, vital = await store(server, observed(LAB), observed(VITAL))
    unknown = await ask(server, MINE, "GET", "/Observation/unknown")
    hidden = await ask(server, MINE, "GET", f"/{vital}")
    assert (hidden.status_code, unknown.status_code) == (404, 404)
    assert hidden.text.replace(vital, "Observation/unknown") == unknown.text
    assert (await ask(server, MINE, "GET", f"/{lab}")).status_code == 200
    for path in ("", "/_history/1", "/_history"):
        assert (await ask(server, MINE, "GET", f"/{vital}{path}")).status_code == 404
    screen = {"headers": bearer("the screen's")}
    assert (await server.http.get(f"/fhir/{lab}", **screen)).status_code == 200  # type: ignore[arg-type]
    assert (await server.http.get(f"/fhir/{vital}", **screen)).status_code == 404  # type: ignore[arg-type]


async def test_searches_counts_includes_and_chains_find_what_matches(server: Backend) -> None:
    lab, vital = await store(server, observed(LAB), observed(VITAL))
    report = {
        "resourceType": "DiagnosticReport", "status": "final", "code": {"text": "panel"},
        "result": [{"reference": lab}, {"reference": vital}],
    }  # fmt: skip
    of_both, of_vital = await store(server, report, {**report, "result": [{"reference": vital}]})
    scope = f"{MINE} {REST}"
    for query, wanted in (
        ("/Observation", [lab]),
        (f"/Observation?_id={vital.partition('/')[2]}", []),
        ("/Observation?code:text=potassium&_sort=date", [lab]),
        ("/DiagnosticReport?_include=DiagnosticReport:result:Observation&_sort=_id", None),
        ("/Observation?_revinclude=DiagnosticReport:result", [lab, of_both]),
        ("/DiagnosticReport?result.status=final", [of_both]),
        ("/Observation?_has:DiagnosticReport:result:status=final", [lab]),
        (f"/DiagnosticReport?result.category={VITAL}", []),
    ):
        found = places(await ask(server, scope, "GET", query))
        if wanted is None:
            assert set(found) == {of_both, of_vital, lab}
        else:
            assert sorted(found) == sorted(wanted), query
    counted = await ask(server, scope, "GET", "/Observation?_summary=count")
    assert counted.json()["total"] == 1
    both = f"{scope} system/Observation.rs?category={VITAL}"
    counted = await ask(server, both, "GET", "/Observation?_summary=count")
    assert counted.json()["total"] == 2
    sent = {"resourceType": "Bundle", "type": "batch", "entry": []}
    sent["entry"] = [{"request": {"method": "GET", "url": each}} for each in (lab, vital)]
    answer = await ask(server, scope, "POST", "", sent)
    assert [e["response"]["status"][:3] for e in answer.json()["entry"]] == ["200", "404"]


async def test_a_childs_compartment_and_latest_values_are_what_matches(server: Backend) -> None:
    child = (await store(server, {"resourceType": "Patient"}))[0]
    subject = {"subject": {"reference": child}}
    lab, vital = await store(server, observed(LAB, **subject), observed(VITAL, **subject))
    scope = f"{MINE} {REST}"
    latest = (
        f"/Observation/$lastn?patient={child}&category=laboratory,vital-signs&code:missing=false"
    )
    assert places(await ask(server, scope, "GET", f"/{child}/Observation")) == [lab]
    assert set(places(await ask(server, "system/*.s", "GET", latest))) >= {lab}
    assert places(await ask(server, scope, "GET", latest)) == [lab]
    claimed = await server.http.post(
        "/fhir/Observation/_search", data={"_id": vital[12:]}, headers=bearer(await server.token())
    )
    assert claimed.json()["total"] == 0


async def test_a_scope_without_a_query_gives_all_of_what_its_letters_say(server: Backend) -> None:
    lab, vital = await store(server, observed(LAB), observed(VITAL))
    scope = f"system/Observation.rs {MINE}"
    assert sorted(places(await ask(server, scope, "GET", "/Observation"))) == sorted([lab, vital])
    scope = f"system/Observation.r {MINE}"
    assert places(await ask(server, scope, "GET", "/Observation")) == [lab]
    assert (await ask(server, scope, "GET", f"/{vital}")).status_code == 200
    assert (await ask(server, scope, "DELETE", f"/{vital}")).status_code == 200
    assert (await ask(server, "system/*.r", "GET", f"/{vital}")).status_code == 200


async def test_a_version_is_shown_that_matches_and_whose_resource_does(server: Backend) -> None:
    place = (await store(server, observed(VITAL)))[0]
    await change(server, place, observed(LAB))
    await change(server, place, observed(LAB, status="amended"))
    found = await ask(server, MINE, "GET", f"/{place}/_history")
    versions = [each["resource"]["meta"]["versionId"] for each in found.json()["entry"]]
    assert (found.json()["total"], versions) == (2, ["3", "2"])
    found = await ask(server, MINE, "GET", "/Observation/_history")
    assert found.json()["total"] == 2
    assert (await ask(server, MINE, "GET", f"/{place}/_history/1")).status_code == 404
    assert (await ask(server, MINE, "GET", f"/{place}/_history/2")).status_code == 200
    await change(server, place, observed(VITAL))
    for path in (f"/{place}", f"/{place}/_history", f"/{place}/_history/2"):
        assert (await ask(server, MINE, "GET", path)).status_code == 404
    assert (await ask(server, MINE, "GET", "/Observation/_history")).json()["total"] == 0


async def test_what_is_created_matches(server: Backend) -> None:
    assert (await ask(server, MINE, "POST", "/Observation", observed(LAB))).status_code == 201
    answer = await ask(server, MINE, "POST", "/Observation", observed(VITAL))
    refused(answer, f"Observation.c?category={LAB}")
    assert answer.json()["issue"][0]["code"] == "forbidden"
    counted = await ask(server, "system/*.s", "GET", "/Observation?_summary=count")
    assert counted.json()["total"] == 1
    assert list(inbox.refusals(server.made.database, "http")) == []


async def test_what_is_updated_matches_before_and_after(server: Backend) -> None:
    lab, vital = await store(server, observed(LAB), observed(VITAL))
    amended = {**observed(LAB), "status": "amended", "id": lab.partition("/")[2]}
    assert (await ask(server, MINE, "PUT", f"/{lab}", amended)).status_code == 200
    moved = {**observed(VITAL), "id": lab.partition("/")[2]}
    refused(await ask(server, MINE, "PUT", f"/{lab}", moved), f"Observation.u?category={LAB}")
    for place in (vital, "Observation/unknown"):
        claimed = {**observed(LAB), "id": place.partition("/")[2]}
        answer = await ask(server, MINE, "PUT", f"/{place}", claimed)
        assert answer.status_code == 404, answer.text
    operation = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Observation.status"},
        {"name": "value", "valueCode": "corrected"},
    ]
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": operation}]}
    assert (await ask(server, MINE, "PATCH", f"/{vital}", patch)).status_code == 404
    answer = await ask(server, MINE, "PATCH", f"/{lab}", patch)
    assert answer.json()["status"] == "corrected"
    unread = f"system/Observation.u system/Observation.r?category={LAB}"
    answer = await ask(server, unread, "PATCH", f"/{vital}", patch)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_what_is_deleted_matches(server: Backend) -> None:
    lab, vital = await store(server, observed(LAB), observed(VITAL))
    for place in (lab, vital, "Observation/unknown"):
        assert (await ask(server, MINE, "DELETE", f"/{place}")).status_code == 200
    assert (await ask(server, "system/*.r", "GET", f"/{lab}")).status_code == 410
    assert (await ask(server, "system/*.r", "GET", f"/{vital}")).status_code == 200
    assert (await ask(server, MINE, "GET", f"/{lab}")).status_code == 404
    answer = await ask(server, MINE, "DELETE", "/Observation?status=final")
    assert answer.status_code in (200, 204), answer.text
    assert (await ask(server, "system/*.r", "GET", f"/{vital}")).status_code == 200


async def test_conditions_and_references_mean_what_matches(server: Backend) -> None:
    number = [{"system": "urn:lab", "value": "1"}]
    vital = (await store(server, observed(VITAL, identifier=number)))[0]
    once = {"If-None-Exist": "identifier=urn:lab|1"}
    answer = await ask(
        server, MINE, "POST", "/Observation", observed(LAB, identifier=number), **once
    )
    assert answer.status_code == 201
    lab = f"Observation/{answer.json()['id']}"
    answer = await ask(
        server, MINE, "POST", "/Observation", observed(LAB, identifier=number), **once
    )
    assert (answer.status_code, f"Observation/{answer.json()['id']}") == (200, lab)
    path = "/Observation?identifier=urn:lab|1"
    amended = observed(LAB, identifier=number, status="amended")
    answer = await ask(server, MINE, "PUT", path, amended)
    assert (answer.status_code, f"Observation/{answer.json()['id']}") == (200, lab)
    report = {
        "resourceType": "DiagnosticReport", "status": "final", "code": {"text": "panel"},
        "result": [{"reference": lab}],
    }  # fmt: skip
    scope = f"{MINE} {REST}"
    assert (await ask(server, scope, "POST", "/DiagnosticReport", report)).status_code == 201
    for place in (vital, "Observation/unknown"):
        wrong = {**report, "result": [{"reference": place}]}
        answer = await ask(server, scope, "POST", "/DiagnosticReport", wrong)
        assert (answer.status_code, f"{place} is not known here." in answer.text) == (422, True)


async def test_a_deletion_names_nothing_that_does_not_match(server: Backend) -> None:
    place = (await store(server, {"resourceType": "Patient"}))[0]
    subject = {"reference": place}
    (vital,) = await store(server, observed(VITAL, subject=subject))
    answer = await ask(server, f"system/Patient.d {MINE}", "DELETE", f"/{place}")
    assert (answer.status_code, vital in answer.text) == (409, False)
    answer = await ask(server, "system/*.rds", "DELETE", f"/{place}")
    assert (answer.status_code, vital in answer.text) == (409, True)


async def test_a_transaction_is_stored_if_all_of_it_matches(server: Backend) -> None:
    def bundle(*categories: str) -> dict[str, Any]:
        request = {"method": "POST", "url": "Observation"}
        entries = [{"resource": observed(each), "request": request} for each in categories]
        return {"resourceType": "Bundle", "type": "transaction", "entry": entries}

    answer = await ask(server, MINE, "POST", "", bundle(LAB, VITAL))
    refused(answer, f"Observation.c?category={LAB}")
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1].resource"]
    counted = await ask(server, "system/*.s", "GET", "/Observation?_summary=count")
    assert counted.json()["total"] == 0
    assert (await ask(server, MINE, "POST", "", bundle(LAB, LAB))).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "scope", "reason"),
    [
        ("GET", "/$export", MINE, "system/*.rs"),
        ("GET", "/Patient/1/$everything", MINE, "system/*.rs"),
        ("GET", "/Composition/1/$document", MINE, "system/*.rs"),
        ("GET", "/?_type=Observation", MINE, "system/*.s"),
        ("GET", "/Observation?_include=*", MINE, "system/*.r"),
        ("POST", "/Observation/$validate", MINE, "$validate: it cannot be confined"),
        ("POST", "/Observation/$validate", f"system/Observation.r {MINE}", "cannot be confined"),
        ("GET", "/AuditEvent", f"system/AuditEvent.s {MINE}", "search-type: it cannot be confined"),
        ("GET", "/Subscription/1/$status", f"system/Subscription.r {MINE}", "cannot be confined"),
        ("GET", "/ValueSet/$expand?url=u", "system/ValueSet.r?status=active", "cannot be confined"),
        ("GET", "/$export", f"system/*.s {MINE}", "system/*.rs"),
    ],
)  # fmt: skip
async def test_what_cannot_be_confined_is_refused_by_name(
    server: Backend, method: str, path: str, scope: str, reason: str
) -> None:
    body = {"resourceType": "Observation"} if method == "POST" else None
    refused(await ask(server, scope, method, path, body), reason)


async def test_who_writes_by_queries_and_reads_all_reads_by_every_way(server: Backend) -> None:
    lab, vital = await store(server, observed(LAB), observed(VITAL))
    scope = f"system/*.rs system/Observation.cud?category={LAB}"
    assert sorted(places(await ask(server, scope, "GET", "/?_type=Observation"))) == sorted(
        [lab, vital]
    )
    stats = await ask(server, scope, "GET", "/Observation?_include=*")
    assert stats.json()["total"] == 2
    answer = await ask(server, scope, "POST", "/Observation", observed(VITAL))
    refused(answer, f"Observation.c?category={LAB}")
    claimed = {**observed(LAB), "id": vital.partition("/")[2]}
    assert (await ask(server, scope, "PUT", f"/{vital}", claimed)).status_code == 404

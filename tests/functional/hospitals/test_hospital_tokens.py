"""Two hospitals' systems with keys of their own: each gets tokens, and sees its own children."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.backend import CLIENTS, Backend, backend, bearer
from tests.support.hospitals import NORTH, ODS, SOUTH, by_number, patient, post, visit, weight

HOSPITALS = "".join(
    f"""
[[client]]
name = "{hospital}"
hospitals = ["{hospital}"]
scopes = "system/*.crus"
jwks = "epr.jwks.json"
"""
    for hospital in (NORTH, SOUTH)
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Backend]:
    async with backend(tmp_path, CLIENTS + HOSPITALS) as found:
        for hospital in (NORTH, SOUTH):
            told = {
                "resourceType": "Organization",
                "identifier": [{"system": ODS, "value": hospital}],
            }
            answer = await ask(found, "everything", "POST", "/Organization", told)
            assert answer.status_code == 201, answer.text
        yield found


async def ask(
    server: Backend,
    who: str,
    method: str,
    path: str,
    body: Any = None,
    scope: str = "system/*.crus",
) -> httpx.Response:
    server.name, server.scope = who, scope
    return await server.http.request(
        method, f"/fhir{path}", json=body, headers=bearer(await server.token())
    )


async def send(server: Backend, who: str, *entries: dict[str, Any]) -> httpx.Response:
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}
    return await ask(server, who, "POST", "/", bundle)


async def brought(server: Backend, who: str, child: str) -> str:
    """Bring a child with a visit and a weight; returns where the child is."""
    url = f"urn:uuid:{child}"
    answer = await send(server, who, patient(child), visit(url, who), post(weight(url)))
    assert answer.status_code == 200, answer.text
    place: str = answer.json()["entry"][0]["response"]["location"]
    return "/" + "/".join(place.split("/")[:2])


async def test_each_sees_its_own_child_and_nothing_of_the_others(server: Backend) -> None:
    mia, tom = await brought(server, NORTH, "mia"), await brought(server, SOUTH, "tom")
    for who, own, other in ((NORTH, mia, tom), (SOUTH, tom, mia)):
        assert (await ask(server, who, "GET", own)).status_code == 200
        missed = await ask(server, who, "GET", other)
        assert missed.status_code == 404
        for query in ("/Patient?_total=accurate", "/Observation?_total=accurate"):
            assert (await ask(server, who, "GET", query)).json()["total"] == 1
    both = await ask(server, "everything", "GET", "/Patient?_total=accurate")
    assert both.json()["total"] == 2


async def test_a_scope_narrows_what_a_hospital_may_do_with_its_own(server: Backend) -> None:
    mia = await brought(server, NORTH, "mia")
    narrow = "system/Observation.rs"
    assert (await ask(server, NORTH, "GET", mia, scope=narrow)).status_code == 403
    found = await ask(server, NORTH, "GET", "/Observation", scope=narrow)
    assert len(found.json()["entry"]) == 1


async def test_what_no_hospital_may_is_refused_with_every_scope(server: Backend) -> None:
    mia = await brought(server, NORTH, "mia")
    for method, path in (("POST", f"{mia}/$purge"), ("GET", "/Measure/$evaluate")):
        answer = await ask(server, NORTH, method, path)
        assert answer.status_code == 403, answer.text


async def test_a_child_who_is_transferred_is_shared_from_then_on(server: Backend) -> None:
    mia = await brought(server, NORTH, "mia")
    assert (await ask(server, SOUTH, "GET", mia)).status_code == 404
    answer = await send(server, SOUTH, visit(by_number("mia"), SOUTH))
    assert answer.status_code == 200, answer.text
    assert (await ask(server, SOUTH, "GET", mia)).status_code == 200
    assert (await ask(server, NORTH, "GET", mia)).status_code == 200


async def test_what_each_did_is_audited_by_its_name(server: Backend) -> None:
    mia = await brought(server, NORTH, "mia")
    await ask(server, SOUTH, "GET", mia)
    assert (SOUTH, "read", 404) in await server.audited()

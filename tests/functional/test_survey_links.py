"""A link opens one survey once, with the child's date of birth; every other key is refused alike."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fhir_server.access.keys import Keys
from fhir_server.access.links import MOST, WITHIN, Attempts, Link, written
from fhir_server.context import Context
from fhir_server.rest.surveys import FLOOR
from fhir_server.store.links import WRONG
from tests.support.databases import KINDS
from tests.support.surveys import API, BORN, HERE, OTHER_BORN, Home, home, made, said

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.postgresql_slow]


@pytest.fixture(scope="module", params=KINDS)
def registry_at_home(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Context]:
    with made(tmp_path_factory.mktemp("links"), request.param) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def parent(registry_at_home: Context) -> AsyncIterator[Home]:
    async with home(registry_at_home) as found:
        yield found


def part(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_a_link_opens_its_survey_once(parent: Home) -> None:
    token = await parent.link()
    assert (await parent.enter(token)).status_code == 204
    assert (await parent.shown())["child"] == {"given": "Wren"}
    parent.http.cookies.clear()
    assert (await parent.enter(token)).status_code == 403
    assert (await parent.http.get("/survey/api/form")).status_code == 401


async def test_of_two_who_come_together_one_is_let_in(parent: Home) -> None:
    token = await parent.link()
    answers = await asyncio.gather(*(parent.enter(token) for _ in range(4)))
    assert sorted(each.status_code for each in answers) == [204, 403, 403, 403]


async def test_every_other_key_is_refused_in_the_same_words_and_no_sooner(parent: Home) -> None:
    token = await parent.link()
    head, body, signature = token.split(".")
    used, late, foreign = (
        await parent.link(),
        await parent.link(days=1),
        await parent.link("other task"),
    )
    await parent.enter(used)
    parent.http.cookies.clear()
    changed = part({"exp": 4_000_000_000, "jti": "x", "sub": "z", "task": "y", "use": "survey"})
    forged = {
        "no token": "",
        "no text": 7,
        "no signature": f"{head}.{body}.",
        "another's content": f"{head}.{changed}.{signature}",
        "no algorithm": f"{part({'alg': 'none'})}.{body}.",
        "an algorithm by a shared secret": f"{part({'alg': 'HS256'})}.{body}.{signature}",
        "used": used,
        "another child's link": foreign,
    }
    began, refused = monotonic(), []
    refused += await asyncio.gather(*(parent.enter(each) for each in forged.values()))
    refused.append(await parent.enter(token, OTHER_BORN))
    parent.clock.now += timedelta(days=2)
    refused.append(await parent.enter(late))
    assert monotonic() - began >= 3 * FLOOR.total_seconds()  # three one after another
    assert [each.status_code for each in refused] == [403] * (len(forged) + 2)
    assert len({said(each) for each in refused}) == 1
    assert "birth" in said(refused[0])
    assert "set-cookie" not in "".join(name for each in refused for name in each.headers)


@pytest.mark.slow
async def test_a_key_of_another_server_opens_nothing(
    parent: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    theirs = Keys(tmp_path_factory.mktemp("keys") / "theirs.pem")
    task = parent.places["task"].partition("/")[2]
    token = written(Link("number", task, parent.places["parent"], 4_000_000_000), theirs.seal)
    assert (await parent.enter(token)).status_code == 403


async def test_a_signature_that_is_not_of_a_link_opens_nothing(parent: Home) -> None:
    content = json.dumps({"resourceType": "Bundle", "type": "document"}).encode()
    head, _, signature = parent.context.seal(content).split(".")
    body = urlsafe_b64encode(content).rstrip(b"=").decode()
    assert (await parent.enter(f"{head}.{body}.{signature}")).status_code == 403


async def test_a_link_and_a_sitting_are_those_of_who_is_asked_and_of_nobody_after(
    parent: Home,
) -> None:
    before = await parent.link()
    await parent.sit()
    given = {**await parent.read("task"), "owner": {"reference": parent.places["other parent"]}}
    assert (await parent.fhir("PUT", parent.places["task"], json=given)).status_code == 200
    assert (await parent.http.get(f"{API}/form")).status_code == 410
    assert (await parent.http.get(f"{API}/form")).status_code == 401
    assert (await parent.enter(before)).status_code == 403
    assert (await parent.enter(await parent.link())).status_code == 204


async def test_some_wrong_dates_kill_a_link_and_no_other(parent: Home) -> None:
    token, another = await parent.link(), await parent.link()
    dates = [f"2020-01-{day:02}" for day in range(1, WRONG + 1)]
    answers = await asyncio.gather(*(parent.enter(token, each) for each in dates))
    assert {each.status_code for each in answers} == {403}
    assert (await parent.enter(token)).status_code == 403
    assert (await parent.enter(another)).status_code == 204


@pytest.mark.slow
async def test_fewer_wrong_dates_do_not(parent: Home) -> None:
    token = await parent.link()
    await asyncio.gather(*(parent.enter(token, "") for _ in range(WRONG - 1)))
    assert (await parent.enter(token)).status_code == 204


async def test_an_address_may_try_so_many_links_a_minute(parent: Home) -> None:
    tries = await asyncio.gather(*(parent.enter("forged") for _ in range(MOST)))
    assert {each.status_code for each in tries} == {403}
    token = await parent.link()
    answer = await parent.enter(token)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (429, "throttled")
    parent.clock.now += WITHIN
    assert (await parent.enter(token)).status_code == 204


async def test_whoever_has_a_prefix_of_ipv6_is_one_address() -> None:
    attempts = Attempts(lambda: datetime(2026, 11, 23, tzinfo=UTC))
    tries = [attempts.allow(f"2001:db8::{number:x}") for number in range(MOST + 1)]
    assert tries == [True] * MOST + [False]
    assert attempts.allow("2001:db8:0:1::1")


async def test_a_page_of_another_site_opens_nothing(parent: Home) -> None:
    token = await parent.link()
    parent.http.headers["Origin"] = "https://elsewhere.example"
    assert (await parent.enter(token)).status_code == 403
    parent.http.headers["Origin"] = HERE
    assert (await parent.enter(token)).status_code == 204


async def test_who_is_no_longer_a_parent_is_let_in_by_no_link_and_no_sitting(parent: Home) -> None:
    token = await parent.link()
    await parent.sit()
    person = await parent.read("parent")
    gone = await parent.fhir("PUT", parent.places["parent"], json={**person, "active": False})
    assert gone.status_code == 200
    assert (await parent.http.get("/survey/api/form")).status_code == 410
    assert (await parent.decide()).status_code == 410
    assert (await parent.enter(token)).status_code == 410


async def test_a_body_that_is_nested_too_deep_is_refused(parent: Home) -> None:
    answer = await parent.http.post("/survey/api/sitting", content=b"[" * 100_000)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "structure")


async def test_following_a_link_spends_nothing(parent: Home) -> None:
    token = await parent.link()
    for method in ("GET", "HEAD"):  # what a scanner of mails does
        await parent.http.request(method, f"/survey#{token}")
    assert (await parent.enter(token, BORN)).status_code == 204


async def test_a_sitting_is_no_caller_of_fhir_on_this_machine(parent: Home) -> None:
    await parent.sit()
    answer = await parent.http.get(f"/fhir/{parent.places['child']}")
    assert answer.status_code == 403
    assert isinstance(answer, httpx.Response)
    assert (await parent.fhir("GET", parent.places["child"])).status_code == 200

"""A person who has signed in opens an app for a child: SMART App Launch 2, EHR launch."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from fhir_server.access.app_launches import LIFE
from tests.support.apps import BASE, LAUNCH, OPENED, App, returned
from tests.support.identity import ROOT

WHO = "person hospital/4711"
SECOND = timedelta(seconds=1)


@pytest.fixture
def chart(app: App) -> App:
    """An app that is registered with a launch URL."""
    app.name, app.scope = "chart", OPENED
    return app


class TestDiscovery:
    async def test_names_what_there_is(self, app: App) -> None:
        told = (await app.http.get("/fhir/.well-known/smart-configuration")).json()
        assert {"launch-ehr", "context-ehr-patient"} <= set(told["capabilities"])
        assert "launch" in told["scopes_supported"]


class TestThePageOfApps:
    async def test_is_found_from_the_sign_in(self, app: App) -> None:
        assert f'href="{ROOT}/apps"' in (await app.http.get("/sign-in")).text

    async def test_lists_the_apps_with_a_launch_url_for_a_child(self, chart: App) -> None:
        child = await chart.child()
        page = await chart.http.get("/apps", params={"patient": child})
        assert "Testchild-Wren, 2025-02-03" in page.text
        assert "Open chart</button> (https://start.example)" in page.text
        assert "growth" not in page.text, "it begins by itself alone"
        policy = page.headers["content-security-policy"]
        assert "form-action 'self' https://app.example https://start.example;" in policy
        assert "frame-ancestors 'none'" in policy
        assert (WHO, "read", 200) in await chart.browser.audited()

    async def test_finds_the_child_by_name(self, chart: App) -> None:
        assert "Open chart" not in (await chart.http.get("/apps")).text
        page = await chart.http.get("/apps", params={"find": "testchild-wren"})
        assert f'name="patient" value="{await chart.child()}"' in page.text
        assert "Open chart" in page.text
        assert "Heron" not in page.text

    async def test_leaves_out_an_app_that_was_revoked(self, chart: App) -> None:
        file = chart.browser.made.settings.clients
        assert file is not None
        file.write_text(file.read_text().replace('"chart"\n', '"chart"\nrevoked = true\n'))
        page = await chart.http.get("/apps", params={"patient": await chart.child()})
        assert "Open other" in page.text
        assert "Open chart" not in page.text
        assert (await chart.opened(await chart.child())).status_code == 404

    async def test_whoever_has_not_signed_in_does_so_first(self, chart: App) -> None:
        child = await chart.child()
        chart.http.cookies.clear()
        answer = await chart.http.get("/apps", params={"patient": child})
        assert answer.status_code == 302
        then = parse_qs(urlsplit(answer.headers["location"]).query)["next"][0]
        back = await chart.browser.sign_in(then)
        assert (await chart.http.get(back.headers["location"])).status_code == 200

    @pytest.mark.parametrize("name", ["csor-auditor", "csor-analyst", "csor-integrator"])
    async def test_is_none_for_who_sees_no_children(self, chart: App, name: str) -> None:
        child = await chart.child()
        told = await chart.browser.signed_in(name)
        page = await chart.http.get("/apps", params={"patient": child})
        assert (page.status_code, "Testchild" in page.text) == (403, False)
        answer = await chart.opened(child, csrf=told["csrf"])
        assert (answer.status_code, "location" in answer.headers) == (403, False)
        assert (WHO, "app-launch", 403) in await chart.browser.audited()


class TestOpening:
    async def test_sends_the_browser_to_the_app(self, chart: App) -> None:
        answer = await chart.opened(await chart.child())
        assert answer.status_code == 303
        place = answer.headers["location"]
        assert place.startswith(f"{LAUNCH}&")
        said = dict(parse_qsl(urlsplit(place).query))
        assert (said["iss"], len(said["launch"]), said.keys()) == (
            BASE, 43, {"of", "iss", "launch"},
        )  # fmt: skip
        assert "no-store" in answer.headers["cache-control"]
        assert (WHO, "app-launch", 303) in await chart.browser.audited()

    async def test_each_is_another(self, chart: App) -> None:
        child = await chart.child()
        assert await chart.launch(child) != await chart.launch(child)

    async def test_anothers_child_is_answered_as_nobodys(self, chart: App) -> None:
        heron = await chart.child("Testchild-Heron")
        told = await chart.browser.signed_in("csor-lead", ods="RA1")
        answers = {}
        for child in (heron, "nobody"):
            page = await chart.http.get("/apps", params={"patient": child})
            answer = await chart.opened(child, csrf=told["csrf"])
            texts = [each.text.replace(child, "[id]") for each in (page, answer)]
            answers[child] = (page.status_code, answer.status_code, *map(_body, texts))
        assert answers[heron] == answers["nobody"]
        assert answers[heron][:2] == (404, 404)
        assert (WHO, "app-launch", 404) in await chart.browser.audited()

    @pytest.mark.parametrize(
        ("more", "status"),
        [
            ({"csrf": "guessed"}, 403),
            ({"csrf": None}, 403),
            ({"app": "growth"}, 404),
            ({"app": "nobody"}, 404),
            ({"app": None}, 404),
            ({"patient": None}, 404),
            ({"patient": "../Patient"}, 404),
        ],
    )
    async def test_what_is_wrong_opens_nothing(
        self, chart: App, more: dict[str, str | None], status: int
    ) -> None:
        answer = await chart.opened(await chart.child(), **more)
        assert (answer.status_code, "location" in answer.headers) == (status, False)

    async def test_another_sites_page_opens_nothing(self, chart: App) -> None:
        child = await chart.child()
        told = (await chart.http.get("/session")).json()
        form = {"csrf": told["csrf"], "app": "chart", "patient": child}
        for origin in ({}, {"Origin": "https://evil.example"}):
            answer = await chart.http.post("/apps", data=form, headers=origin)
            assert (answer.status_code, "location" in answer.headers) == (403, False)
        chart.http.cookies.clear()
        answer = await chart.http.post("/apps", data=form, headers={"Origin": ROOT})
        assert (answer.status_code, "location" in answer.headers) == (403, False)
        assert ("unknown", "app-launch", 403) in await chart.browser.audited()


class TestLaunch:
    async def test_the_person_is_told_which_app_and_which_child(self, chart: App) -> None:
        page = await chart.page(launch=await chart.launch(await chart.child()))
        for text in (
            "<strong>chart</strong> (https://app.example)",
            "<strong>Testchild-Wren, 2025-02-03</strong>",
            "<li>know which child you have opened it for</li>",
            "<li>read and search everything of this child</li>",
            'value="allow"',
        ):
            assert text in page.text
        assert "Find the child" not in page.text

    async def test_the_app_gets_the_child_that_it_was_opened_for(self, chart: App) -> None:
        child = await chart.child()
        code = await chart.code("", launch=await chart.launch(child))
        told = (await chart.ask(code=code)).json()
        assert (told["patient"], told["scope"]) == (child, OPENED)
        for kind in ("Patient", "Observation"):
            assert (await chart.get(f"/{kind}", told["access_token"])).json()["total"] == 1
        heron = await chart.child("Testchild-Heron")
        assert (await chart.get(f"/Patient/{heron}", told["access_token"])).status_code == 404
        audited = await chart.browser.audited()
        assert (f"{WHO} by chart", "authorize", 302) in audited

    async def test_no_other_child_is_chosen_on_the_way(self, chart: App) -> None:
        child, heron = await chart.child(), await chart.child("Testchild-Heron")
        page = await chart.page(launch=await chart.launch(child))
        code = returned(await chart.decided(page, patient=heron))["code"]
        assert (await chart.ask(code=code)).json()["patient"] == child

    async def test_the_scopes_alone_tell_of_the_child(self, chart: App) -> None:
        """Also without a scope of `patient/`, the token is confined to the child."""
        chart.scope = "launch user/Practitioner.r"
        code = await chart.code("", launch=await chart.launch(await chart.child()))
        told = (await chart.ask(code=code)).json()
        assert told["patient"] == await chart.child()

    async def test_it_may_be_read_again_until_it_is_decided(self, chart: App) -> None:
        launch = await chart.launch(await chart.child())
        for _ in range(2):
            page = await chart.page(launch=launch)
            assert page.status_code == 200
        assert "code" in returned(await chart.decided(page))

    async def test_it_is_good_until_its_last_second(self, chart: App) -> None:
        launch = await chart.launch(await chart.child())
        chart.browser.clock.now += LIFE - SECOND
        assert (await chart.page(launch=launch)).status_code == 200

    async def test_whoever_does_not_let_it_in_has_used_it(self, chart: App) -> None:
        launch = await chart.launch(await chart.child())
        page = await chart.page(launch=launch)
        denied = returned(await chart.decided(page, decision="deny"))
        assert denied["error"] == "access_denied"
        assert returned(await chart.page(launch=launch))["error"] == "invalid_request"

    async def test_used_twice_it_is_refused_and_audited(self, chart: App) -> None:
        page = await chart.page(launch=await chart.launch(await chart.child()))
        assert "code" in returned(await chart.decided(page))
        again = returned(await chart.decided(page))
        assert (again["error"], "code" in again) == ("invalid_request", False)
        assert ("chart", "authorize", 400) in await chart.browser.audited()


Wrong = Callable[[App, str], Awaitable[str]]


async def _unknown(_: App, __: str) -> str:
    return "a" * 43


async def _too_long(_: App, __: str) -> str:
    return "a" * 3000


async def _expired(chart: App, child: str) -> str:
    launch = await chart.launch(child)
    chart.browser.clock.now += LIFE
    return launch


async def _used(chart: App, child: str) -> str:
    launch = await chart.launch(child)
    await chart.decided(await chart.page(launch=launch))
    return launch


async def _of_another_app(chart: App, child: str) -> str:
    return await chart.launch(child, "other")


async def _of_another_person(chart: App, child: str) -> str:
    launch = await chart.launch(child)
    await chart.browser.signed_in("csor-steward", sub="4712")
    return launch


async def _of_an_earlier_session(chart: App, child: str) -> str:
    launch = await chart.launch(child)
    await chart.browser.signed_in("csor-steward")
    return launch


async def _of_a_session_that_has_ended(chart: App, child: str) -> str:
    launch = await chart.launch(child)
    chart.http.cookies.clear()
    return launch


async def _of_a_child_that_is_gone(chart: App, child: str) -> str:
    launch = await chart.launch(child)
    await _changed(chart, "DELETE", child)
    return launch


async def _of_an_app_that_has_changed(chart: App, child: str) -> str:
    launch = await chart.launch(child)
    file = chart.browser.made.settings.clients
    assert file is not None
    file.write_text(file.read_text().replace(f'"{LAUNCH}"', '"https://moved.example/"'))
    return launch


WRONG_LAUNCH: dict[str, Wrong] = {
    "unknown": _unknown,
    "too long": _too_long,
    "expired": _expired,
    "used": _used,
    "of another app": _of_another_app,
    "of another person": _of_another_person,
    "of an earlier session": _of_an_earlier_session,
    "of a session that has ended": _of_a_session_that_has_ended,
    "of a child that is gone": _of_a_child_that_is_gone,
    "of an app that has changed": _of_an_app_that_has_changed,
}
HALF: dict[str, tuple[dict[str, str | None], str]] = {
    "no scope launch": ({"scope": "openid patient/*.rs", "launch": "a"}, "invalid_scope"),
    "the scope of another launch": (
        {"scope": "launch/patient patient/*.rs", "launch": "a"},
        "invalid_scope",
    ),
    "no launch": ({}, "invalid_request"),
    "an empty launch": ({"launch": ""}, "invalid_request"),
    "an app that is not opened here": (
        {"client_id": "growth", "scope": "launch patient/*.rs", "launch": "a"},
        "invalid_scope",
    ),
}


class TestWrongLaunch:
    @pytest.mark.parametrize("kind", WRONG_LAUNCH)
    async def test_is_sent_back_with_an_error(self, chart: App, kind: str) -> None:
        launch = await WRONG_LAUNCH[kind](chart, await chart.child())
        said = returned(await chart.page(launch=launch))
        assert (said["error"], said["iss"], said["state"]) == (
            "invalid_request", ROOT, "the-state",
        )  # fmt: skip
        assert "code" not in said
        assert ("chart", "authorize", 400) in await chart.browser.audited()

    async def test_it_says_the_same_whatever_is_wrong_with_it(self, chart: App) -> None:
        child = await chart.child()
        told = set()
        for kind in (_unknown, _of_another_app, _used, _expired, _of_another_person):
            launch = await kind(chart, child)
            told.add(returned(await chart.page(launch=launch))["error_description"])
        assert len(told) == 1

    @pytest.mark.parametrize("kind", HALF)
    async def test_scope_and_parameter_are_both_there_or_neither(
        self, chart: App, kind: str
    ) -> None:
        more, code = HALF[kind]
        assert returned(await chart.page(**more))["error"] == code

    async def test_it_is_looked_at_again_when_the_person_decides(self, chart: App) -> None:
        child = await chart.child()
        page = await chart.page(launch=await chart.launch(child))
        chart.browser.clock.now += LIFE
        assert returned(await chart.decided(page))["error"] == "invalid_request"
        page = await chart.page(launch=await chart.launch(child))
        await _changed(chart, "DELETE", child)
        assert returned(await chart.decided(page))["error"] == "invalid_request"

    async def test_a_child_whom_the_person_sees_no_more_is_not_told_of(self, chart: App) -> None:
        child = await chart.child()
        theirs = (await chart.http.get(f"/fhir/Patient/{child}")).json()
        heron = (await chart.http.get("/fhir/Patient?name=testchild-heron")).json()
        await chart.browser.signed_in("csor-lead", ods="RA1")
        launch = await chart.launch(child)
        lead = dict(chart.http.cookies)
        chart.http.cookies.clear()
        await chart.browser.signed_in("csor-steward", sub="4712")
        other = heron["entry"][0]["resource"]["managingOrganization"]
        await _changed(chart, "PUT", child, {**theirs, "managingOrganization": other})
        chart.http.cookies.clear()
        chart.http.cookies.update(lead)
        assert returned(await chart.page(launch=launch))["error"] == "invalid_request"


async def _changed(chart: App, method: str, child: str, body: object = None) -> None:
    """Have whoever has signed in store another version of a child, or delete all that is known of it."""
    told = (await chart.http.get("/session")).json()
    headers = {"X-CSRF-Token": told["csrf"], "Origin": ROOT}
    paths = [f"/fhir/Patient/{child}"]
    if method == "DELETE":
        weights = (await chart.http.get(f"/fhir/Observation?subject=Patient/{child}")).json()
        ids = [each["resource"]["id"] for each in weights.get("entry", ())]
        paths = [*(f"/fhir/Observation/{each}" for each in ids), *paths]
    for path in paths:
        answer = await chart.http.request(method, path, json=body, headers=headers)
        assert answer.status_code in (200, 204), answer.text


def _body(page: str) -> str:
    """Return what a page says; its head has a nonce of its own."""
    return page.partition("<body>")[2]

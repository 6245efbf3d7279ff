"""Apps are launched by people who have signed in: SMART App Launch 2, standalone."""

import hashlib
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.apps import BASE, CALLBACK, SCOPE, App, returned
from tests.support.identity import ROOT

WHO = "person hospital/4711"
ACTING = f"{WHO} by growth"


class TestDiscovery:
    async def test_names_what_there_is(self, app: App) -> None:
        told = (await app.http.get("/fhir/.well-known/smart-configuration")).json()
        assert told["authorization_endpoint"] == f"{ROOT}/authorize"
        assert told["code_challenge_methods_supported"] == ["S256"]
        assert {"launch-standalone", "client-public", "sso-openid-connect"} <= set(
            told["capabilities"]
        )
        openid = (await app.http.get("/.well-known/openid-configuration")).json()
        assert openid["issuer"] == told["issuer"] == ROOT
        assert openid["jwks_uri"] == f"{ROOT}/.well-known/jwks.json"

    async def test_so_does_the_statement(self, app: App) -> None:
        security = (await app.http.get("/fhir/metadata")).json()["rest"][0]["security"]
        [oauth] = security["extension"]
        assert {each["url"]: each["valueUri"] for each in oauth["extension"]} == {
            name: f"{ROOT}/{name}" for name in ("authorize", "token", "introspect", "revoke")
        }


class TestLaunch:
    async def test_whoever_has_not_signed_in_does_so_first(self, app: App) -> None:
        app.http.cookies.clear()
        answer = await app.page()
        assert answer.status_code == 302
        place = urlsplit(answer.headers["location"])
        then = parse_qs(place.query)["next"][0]
        assert f"{ROOT}{place.path}" == f"{ROOT}/sign-in"
        assert parse_qs(urlsplit(then).query)["redirect_uri"] == [CALLBACK]
        back = await app.browser.sign_in(then)
        assert back.headers["location"] == then
        assert (await app.http.get(then)).status_code == 200

    async def test_the_person_is_told_who_asks_and_for_what(self, app: App) -> None:
        page = await app.page()
        for text in (
            "<strong>growth</strong> (https://app.example)",
            "You are Fictitious Person.",
            "<li>read and search everything of the child that you choose</li>",
            "<li>go on for up to 12 hours after you leave</li>",
        ):
            assert text in page.text
        assert 'value="allow"' not in page.text
        policy = page.headers["content-security-policy"]
        assert "form-action 'self' https://app.example;" in policy
        assert "frame-ancestors 'none'" in policy

    async def test_children_are_found_by_name(self, app: App) -> None:
        page = await app.page("testchild-wren")
        assert "Testchild-Wren, 2025-02-03" in page.text
        assert "Heron" not in page.text
        assert (WHO, "search-type", 200) in await app.browser.audited()

    async def test_the_app_gets_its_tokens_and_the_child(self, app: App) -> None:
        told = await app.tokens()
        child = told.pop("patient")
        token, identity = told.pop("access_token"), told.pop("id_token")
        assert told.pop("refresh_token")
        assert told == {"token_type": "Bearer", "expires_in": 900, "scope": SCOPE}
        claims = await app.identity(identity)
        user = claims["fhirUser"]
        assert user.startswith(f"{BASE}/Practitioner/")
        now = int(app.browser.clock.now.timestamp())
        assert claims == {
            "iss": ROOT, "sub": hashlib.sha256(WHO.encode()).hexdigest(), "aud": "growth",
            "iat": now, "exp": now + 300, "nonce": "the-nonce", "fhirUser": user,
        }  # fmt: skip
        who = (await app.get(user.removeprefix(BASE), token)).json()
        assert who["name"] == [{"text": "Fictitious Person"}]
        assert (await app.get(f"/Patient/{child}", token)).json()["birthDate"] == "2025-02-03"
        audited = await app.browser.audited()
        for interaction in ("authorize", "token", "read"):
            assert any(each[:2] == (ACTING, interaction) for each in audited)

    async def test_an_app_that_wants_no_child_sees_what_its_user_sees(self, app: App) -> None:
        app.name, app.scope = "ward-list", "user/Patient.rs"
        page = await app.page()
        answer = await app.ask(code=returned(await app.decided(page))["code"], **app.assertion())
        told = answer.json()
        assert "patient" not in told
        assert "refresh_token" not in told
        assert (await app.get("/Patient", told["access_token"])).json()["total"] == 2
        refused = await app.get("/Observation", told["access_token"])
        assert refused.status_code == 403
        assert "user/Observation.s" in refused.headers["www-authenticate"]

    async def test_scopes_of_the_first_version_are_read_as_the_second(self, app: App) -> None:
        app.scope = "launch/patient patient/*.read patient/Observation.* profile online_access"
        assert (await app.tokens())["scope"] == (
            "launch/patient patient/*.rs patient/Observation.rs"
        )

    async def test_whoever_does_not_let_it_in_sends_it_back(self, app: App) -> None:
        said = returned(await app.decided(await app.page("testchild-wren"), decision="deny"))
        assert (said["error"], said["state"], said["iss"]) == ("access_denied", "the-state", ROOT)
        assert ("growth", "authorize", 400) in await app.browser.audited()

    @pytest.mark.parametrize("name", ["csor-auditor", "csor-analyst", "csor-integrator"])
    async def test_who_sees_no_children_lets_no_app_in(self, app: App, name: str) -> None:
        await app.browser.signed_in(name)
        assert returned(await app.page())["error"] == "access_denied"


class TestConfinement:
    async def test_an_app_with_a_child_sees_that_child_alone(self, app: App) -> None:
        told = await app.tokens()
        token, child = told["access_token"], told["patient"]
        for kind in ("Patient", "Observation"):
            found = (await app.get(f"/{kind}", token)).json()
            assert found["total"] == 1
        [weight] = found["entry"]
        assert weight["resource"]["subject"]["reference"] == f"Patient/{child}"
        other = (await app.http.get("/fhir/Patient?name=testchild-heron")).json()["entry"][0][
            "resource"
        ]["id"]
        for path in (
            f"/Patient/{other}", f"/Patient/{other}/_history", f"/Patient/{other}/$everything",
            f"/Patient/{other}/Observation",
        ):  # fmt: skip
            assert (await app.get(path, token)).status_code == 404, path
        for query in (
            f"Observation?subject=Patient/{other}", "Observation?patient.name=testchild-heron",
            f"Patient?_id={other}", "Patient?name=testchild-heron&_has:Observation:patient:status=final",
        ):  # fmt: skip
            assert (await app.get(f"/{query}", token)).json()["total"] == 0, query
        history = (await app.get("/_history", token)).json()
        assert other not in json.dumps(history)

    async def test_an_app_whose_scope_has_a_query_sees_of_the_child_what_it_finds(
        self, app: App
    ) -> None:
        for status, total in (("final", 1), ("preliminary", 0)):
            app.scope = f"launch/patient patient/Patient.rs patient/Observation.rs?status={status}"
            told = await app.tokens()
            assert told["scope"] == app.scope
            token, child = told["access_token"], told["patient"]
            for path in ("/Observation", f"/Patient/{child}/Observation"):
                assert (await app.get(path, token)).json()["total"] == total
            found = await app.get("/Patient?_has:Observation:patient:code:missing=false", token)
            assert found.json()["total"] == total

    async def test_it_sees_no_child_that_its_user_does_not_see(self, app: App) -> None:
        other = (await app.http.get("/fhir/Patient?name=testchild-heron")).json()["entry"][0][
            "resource"
        ]["id"]
        await app.browser.signed_in("csor-lead", ods="RA1")
        assert "Testchild-Heron" not in (await app.page("testchild-heron")).text
        page = await app.page("testchild-wren")
        answer = await app.decided(page, patient=other)
        assert answer.status_code == 404
        told = await app.ask(code=returned(await app.decided(page))["code"])
        found = (await app.get("/Patient", told.json()["access_token"])).json()
        assert [each["resource"]["name"][0]["family"] for each in found["entry"]] == [
            "Testchild-Wren"
        ]

    async def test_it_reads_and_does_nothing_else(self, app: App) -> None:
        told = await app.tokens()
        child = told["patient"]
        new = {"resourceType": "Patient", "name": [{"family": "New"}]}
        for method, path in (
            ("POST", "/Patient"), ("PUT", f"/Patient/{child}"), ("DELETE", f"/Patient/{child}"),
            ("POST", "/"), ("POST", f"/Patient/{child}/$purge"), ("GET", "/$export"),
            ("POST", "/Measure/$evaluate"), ("POST", "/$process-message"),
        ):  # fmt: skip
            answer = await app.request(method, path, told["access_token"], json=new)
            assert answer.status_code == 403, path
            assert "an app reads" in answer.json()["issue"][0]["diagnostics"]

    async def test_without_a_child_it_does_not_begin(self, app: App) -> None:
        page = await app.page("testchild-wren")
        for child in (None, "", "none", "../Patient"):
            answer = await app.decided(page, patient=child)
            assert answer.status_code == 404, child


WRONG_REQUEST: dict[str, tuple[dict[str, str | None], str]] = {
    "no state": ({"state": None}, "invalid_request"),
    "no PKCE": ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    "plain PKCE": ({"code_challenge_method": "plain"}, "invalid_request"),
    "a short challenge": ({"code_challenge": "short"}, "invalid_request"),
    "wrong audience": ({"aud": "https://evil.example/fhir"}, "invalid_request"),
    "no audience": ({"aud": None}, "invalid_request"),
    "a token at once": ({"response_type": "token"}, "unsupported_response_type"),
    "nothing that is registered": (
        {"scope": "user/Patient.rs system/*.rs openid"},
        "invalid_scope",
    ),
    "writing": ({"scope": "patient/*.cud"}, "invalid_scope"),
    "a query that is not supported": (
        {"scope": "patient/*.rs patient/Observation.rs?code:in=a"},
        "invalid_scope",
    ),
    "a query of every type": ({"scope": "patient/*.rs?status=final"}, "invalid_scope"),
    "a long state": ({"state": "a" * 3000}, "invalid_request"),
}
WRONG_APP: dict[str, dict[str, str | None]] = {
    "another place": {"redirect_uri": "https://evil.example/callback"},
    "the place below": {"redirect_uri": f"{CALLBACK}&more=1"},
    "the place without its query": {"redirect_uri": CALLBACK.partition("?")[0]},
    "no place": {"redirect_uri": None},
    "an app that is none": {"client_id": "nobody"},
    "no app": {"client_id": None},
    "a system": {"client_id": "epr"},
}


class TestWrongRequest:
    @pytest.mark.parametrize("kind", WRONG_REQUEST)
    async def test_is_sent_back_with_an_error(self, app: App, kind: str) -> None:
        more, code = WRONG_REQUEST[kind]
        said = returned(await app.page(**more))
        assert (said["error"], said["iss"]) == (code, ROOT)
        assert "code" not in said
        assert ("growth", "authorize", 400) in await app.browser.audited()

    @pytest.mark.parametrize("kind", WRONG_APP)
    async def test_is_sent_nowhere_where_it_is_not_known_whose_it_is(
        self, app: App, kind: str
    ) -> None:
        answer = await app.page(**WRONG_APP[kind])
        assert (answer.status_code, "location" in answer.headers) == (400, False)
        assert ("unknown", "authorize", 400) in await app.browser.audited()

    async def test_is_not_decided_by_another_sites_page(self, app: App) -> None:
        page = await app.page("testchild-wren")
        for form in ({"csrf": "guessed"}, {"csrf": None}):
            answer = await app.decided(page, **form)
            assert (answer.status_code, "location" in answer.headers) == (403, False)
        form = {**app.asked(), "decision": "allow"}
        for origin in ({}, {"Origin": "https://evil.example"}):
            answer = await app.http.post("/authorize", data=form, headers=origin)
            assert answer.status_code == 403
        app.http.cookies.clear()
        assert (await app.decided(page)).status_code == 403

    async def test_a_parameter_that_is_there_twice_is_sent_back(self, app: App) -> None:
        page = await app.page()
        answer = await app.http.get(f"{page.url}&scope=user/*.rs")
        assert returned(answer)["error"] == "invalid_request"

"""What an app gets for a code: once, for whoever asked, and no longer than it is good for."""

import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from fhir_server.access.grants import CODE_LIFE
from tests.support.apps import APPS, BASE, App, app_in_browser, registered, returned
from tests.support.backend import RSA
from tests.support.identity import ROOT

WRONG_CODE: dict[str, tuple[dict[str, str | None], str]] = {
    "wrong verifier": ({"code_verifier": "x" * 64}, "invalid_grant"),
    "no verifier": ({"code_verifier": None}, "invalid_grant"),
    "another place": ({"redirect_uri": "https://evil.example/callback"}, "invalid_grant"),
    "no place": ({"redirect_uri": None}, "invalid_grant"),
    "a code that is none": ({"code": "guessed"}, "invalid_grant"),
    "no code": ({"code": None}, "invalid_grant"),
    "an app that is none": ({"client_id": "nobody"}, "invalid_client"),
    "no app": ({"client_id": None}, "invalid_client"),
    "a system": ({"client_id": "epr"}, "invalid_client"),
    "an app that has a key, without it": ({"client_id": "ward-list"}, "invalid_client"),
    "another grant": ({"grant_type": "password"}, "unsupported_grant_type"),
}


class TestWrongCode:
    @pytest.mark.parametrize("kind", WRONG_CODE)
    async def test_gets_no_token_and_is_audited(self, app: App, kind: str) -> None:
        more, error = WRONG_CODE[kind]
        answer = await app.ask(**{"code": await app.code(), **more})
        assert (answer.status_code, answer.json()["error"]) == (400, error)
        audited = [each for each in await app.browser.audited() if each[1] == "token"]
        assert [each[2] for each in audited] == [400]

    async def test_is_good_once_and_ends_what_it_was_good_for(self, app: App) -> None:
        code = await app.code()
        told = (await app.ask(code=code)).json()
        assert (await app.get("/Patient", told["access_token"])).status_code == 200
        answer = await app.ask(code=code)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        assert (await app.get("/Patient", told["access_token"])).status_code == 401
        refresh = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
        assert (await app.ask(**refresh)).status_code == 400

    async def test_is_spent_by_a_wrong_verifier(self, app: App) -> None:
        code = await app.code()
        assert (await app.ask(code=code, code_verifier="x" * 64)).status_code == 400
        assert (await app.ask(code=code)).status_code == 400

    async def test_is_good_for_a_minute(self, app: App) -> None:
        code = await app.code()
        app.browser.clock.now += CODE_LIFE
        answer = await app.ask(code=code)
        assert (answer.status_code, "60 seconds" in answer.text) == (400, True)

    async def test_of_another_app_is_not_known(self, app: App) -> None:
        code = await app.code()
        app.name = "ward-list"
        answer = await app.ask(code=code, **app.assertion())
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def unsigned(app: App) -> str:
    _, claims, _ = app.assertion()["client_assertion"].split(".")
    return f"{encoded({'alg': 'none', 'kid': 'elliptic'})}.{claims}."


def confused(app: App) -> str:
    _, claims, _ = app.assertion()["client_assertion"].split(".")
    signed = f"{encoded({'alg': 'HS384', 'kid': 'elliptic'})}.{claims}"
    secret = RSA.as_pem(private=False)
    digest = hmac.new(secret, signed.encode(), hashlib.sha384).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


WRONG_PROOF = {
    "wrong audience": lambda app: app.assertion(aud=BASE)["client_assertion"],
    "expired": lambda app: app.assertion(exp=1)["client_assertion"],
    "alg=none": unsigned,
    "key confusion": confused,
    "foreign key": lambda app: app.assertion(ECKey.generate_key("P-384"))["client_assertion"],
}


class TestConfidentialApp:
    @pytest.mark.parametrize("kind", WRONG_PROOF)
    async def test_with_a_wrong_proof_is_refused_and_audited(self, app: App, kind: str) -> None:
        app.name, app.scope = "ward-list", "user/*.rs"
        code = returned(await app.decided(await app.page()))["code"]
        proof = {**app.assertion(), "client_assertion": WRONG_PROOF[kind](app)}
        answer = await app.ask(code=code, **proof)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")
        assert ("ward-list", "token", 400) in await app.browser.audited()

    async def test_uses_a_proof_once(self, app: App) -> None:
        app.name, app.scope = "ward-list", "user/*.rs"
        codes = [returned(await app.decided(await app.page()))["code"] for _ in range(2)]
        proof = app.assertion()
        assert (await app.ask(code=codes[0], **proof)).status_code == 200
        answer = await app.ask(code=codes[1], **proof)
        assert "used before" in answer.json()["error_description"]

    async def test_acts_for_nobody_but_people(self, app: App) -> None:
        app.name = "ward-list"
        form = {"grant_type": "client_credentials", "scope": "user/*.rs", **app.assertion()}
        answer = await app.http.post("/token", data=form)
        assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


class TestTokens:
    async def test_end_when_the_app_changes_or_is_revoked(self, app: App) -> None:
        token = (await app.tokens())["access_token"]
        registered(
            app.browser.made.settings.clients.parent, APPS.replace("user/Practitioner.r", "")
        )
        assert (await app.get("/Patient", token)).status_code == 401

    async def test_last_a_quarter_of_an_hour_and_are_renewed_once(self, app: App) -> None:
        told = await app.tokens()
        app.browser.clock.forward(900)
        assert (await app.get("/Patient", told["access_token"])).status_code == 401
        asked = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
        answer = await app.ask(**asked, scope="patient/*.rs")
        renewed = answer.json()
        assert (renewed["scope"], renewed["patient"]) == ("patient/*.rs", told["patient"])
        assert (await app.get("/Patient", renewed["access_token"])).status_code == 200
        assert (await app.ask(**asked)).json()["error"] == "invalid_grant"
        assert (await app.get("/Patient", renewed["access_token"])).status_code == 401

    async def test_are_renewed_for_an_app_that_does_not_say_its_name(self, app: App) -> None:
        told = await app.tokens()
        asked = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
        assert (await app.ask(**asked, client_id=None)).status_code == 200
        guessed = {**asked, "refresh_token": "guessed", "client_id": None}
        assert (await app.ask(**guessed)).json()["error"] == "invalid_client"

    async def test_more_is_not_to_be_had_by_renewing(self, app: App) -> None:
        told = await app.tokens()
        asked = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
        answer = await app.ask(**asked, scope="patient/*.rs user/*.rs")
        assert answer.json()["error"] == "invalid_scope"

    async def test_renewing_ends_twelve_hours_after_the_sign_in(self, app: App) -> None:
        told = await app.tokens()
        app.browser.clock.forward(12 * 3600)
        asked = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
        assert (await app.ask(**asked)).json()["error"] == "invalid_grant"

    async def test_end_with_the_session_but_for_offline_access(self, app: App) -> None:
        held = await app.tokens()
        lost = await app.tokens(scope="launch/patient patient/*.rs")
        told = (await app.http.get("/session")).json()
        headers = {"X-CSRF-Token": told["csrf"], "Origin": ROOT}
        assert (await app.http.delete("/session", headers=headers)).status_code == 200
        assert (await app.get("/Patient", held["access_token"])).status_code == 200
        assert (await app.get("/Patient", lost["access_token"])).status_code == 401

    async def test_end_with_the_sign_in_at_the_provider_offline_access_too(self, app: App) -> None:
        held = await app.tokens()
        lost = await app.tokens(scope="launch/patient patient/*.rs")
        assert (await app.browser.logged_out(sub="4712")).status_code == 200
        assert (await app.get("/Patient", held["access_token"])).status_code == 200
        assert (await app.browser.logged_out()).status_code == 200
        for each in (held, lost):
            assert (await app.get("/Patient", each["access_token"])).status_code == 401
        asked = {"grant_type": "refresh_token", "refresh_token": held["refresh_token"]}
        assert (await app.ask(**asked)).json()["error"] == "invalid_grant"

    async def test_of_a_session_left_alone_end_with_the_sign_in_too(self, app: App) -> None:
        told = await app.tokens()
        app.browser.clock.forward(3600)
        asked = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
        renewed = (await app.ask(**asked)).json()
        assert (await app.browser.logged_out()).status_code == 200
        assert (await app.get("/Patient", renewed["access_token"])).status_code == 401
        asked["refresh_token"] = renewed["refresh_token"]
        assert (await app.ask(**asked)).json()["error"] == "invalid_grant"

    async def test_are_given_to_a_page_of_an_origin_that_is_let_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        origin = "https://app.example"
        async with app_in_browser(tmp_path, monkeypatch, cors_origins=origin) as found:
            for sent, told in ((origin, origin), ("https://evil.example", None)):
                answer = await found.http.post("/token", data={}, headers={"Origin": sent})
                assert answer.headers.get("access-control-allow-origin") == told

    async def test_are_told_of_to_their_app_alone(self, app: App) -> None:
        told = await app.tokens()
        app.http.cookies.clear()
        form = {"token": told["access_token"], "client_id": "growth"}
        found = (await app.http.post("/introspect", data=form)).json()
        assert (found["active"], found["patient"]) == (True, told["patient"])
        assert (found["client_id"], found["iss"], found["aud"]) == ("growth", ROOT, BASE)
        own = {"Authorization": f"Bearer {told['access_token']}"}
        asked = {"token": told["access_token"]}
        assert (await app.http.post("/introspect", data=asked, headers=own)).json()["active"]
        app.name = "ward-list"
        answer = await app.http.post("/introspect", data={**asked, **app.assertion()})
        assert answer.json() == {"active": False}

    async def test_are_revoked_by_their_app_alone(self, app: App) -> None:
        told = await app.tokens()
        app.http.cookies.clear()
        other = App(app.browser, "ward-list")
        for name in ("access_token", "refresh_token"):
            form = {"token": told[name], **other.assertion()}
            await app.http.post("/revoke", data=form)
        assert (await app.get("/Patient", told["access_token"])).status_code == 200
        form = {"token": told["refresh_token"], "client_id": "growth"}
        assert (await app.http.post("/revoke", data=form)).status_code == 200
        assert (await app.get("/Patient", told["access_token"])).status_code == 401

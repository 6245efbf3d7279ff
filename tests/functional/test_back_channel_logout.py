"""A provider ends the sessions of whoever has signed out, or lost a role, there.

https://openid.net/specs/openid-connect-backchannel-1_0.html
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from fhir_server.access.back_channel import EVENT
from tests.support.identity import (
    CLIENT,
    ISSUER,
    KEY,
    LOGOUT,
    Browser,
    browser,
    confused,
    foreign,
    signed,
    unsigned,
)

WHO = "person hospital/4711"


@pytest.fixture
async def seat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Browser]:
    async with browser(tmp_path, monkeypatch) as found:
        yield found


async def is_in(seat: Browser) -> bool:
    return (await seat.http.get("/session")).status_code == 200


class TestLogout:
    @pytest.mark.parametrize(
        "told", [{}, {"sid": "s-1"}, {"sub": None, "sid": "s-1"}, {"aud": [CLIENT]}]
    )
    async def test_ends_the_session_at_once(self, seat: Browser, told: dict[str, Any]) -> None:
        await seat.signed_in("csor-steward", sid="s-1")
        answer = await seat.logged_out(**told)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["cache-control"] == "no-store"
        assert (await seat.http.get("/fhir/Patient")).status_code == 401
        assert not await is_in(seat)
        assert (WHO, "sign-out", 200) in await seat.audited()

    async def test_by_a_subject_ends_every_session_of_the_person(self, seat: Browser) -> None:
        kept = []
        for number in ("s-1", "s-2"):
            await seat.signed_in("csor-steward", sid=number)
            kept.append(seat.http.cookies["__Host-csor"])
            seat.http.cookies.clear()
        await seat.logged_out()
        for value in kept:
            answer = await seat.http.get(
                "/fhir/Patient", headers={"Cookie": f"__Host-csor={value}"}
            )
            assert answer.status_code == 401

    @pytest.mark.parametrize(
        "told",
        [
            {"sub": "4712"},
            {"sid": "s-2"},
            {"sub": None, "sid": "s-2"},
            {"sub": "4712", "sid": "s-1"},
        ],
    )
    async def test_of_another_ends_none(self, seat: Browser, told: dict[str, Any]) -> None:
        await seat.signed_in("csor-steward", sid="s-1")
        assert (await seat.logged_out(**told)).status_code == 200
        assert await is_in(seat)
        assert "sign-out" not in {what for _, what, _ in await seat.audited()}

    async def test_of_a_sign_in_whose_sid_was_not_told_goes_by_the_subject(
        self, seat: Browser
    ) -> None:
        await seat.signed_in("csor-steward")
        await seat.logged_out(sub=None, sid="s-1")
        assert await is_in(seat), "whose it is cannot be told"
        await seat.logged_out(sid="s-1")
        assert not await is_in(seat)

    async def test_leaves_who_signs_in_again(self, seat: Browser) -> None:
        await seat.signed_in("csor-steward", sid="s-1")
        await seat.logged_out()
        await seat.signed_in("csor-steward", sid="s-2")
        assert await is_in(seat)


WRONG: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://elsewhere.example"},
    "another audience": {"aud": "another"},
    "no audience": {"aud": None},
    "no iat": {"iat": None},
    "no exp": {"exp": None},
    "exp in the past": {"exp": 1_600_000_000},
    "iat in the future": {"iat": 4_000_000_000, "exp": 4_000_000_100},
    "iat long ago": {"iat": 1_600_000_000},
    "no jti": {"jti": None},
    "a long jti": {"jti": "j" * 256},
    "no events": {"events": None},
    "another event": {"events": {"http://schemas.openid.net/event/other": {}}},
    "an event that is no object": {"events": {EVENT: None}},
    "events that are no object": {"events": [EVENT]},
    "a nonce": {"nonce": "n"},
    "nobody": {"sub": None},
    "a sub that is no text": {"sub": 4711},
    "an empty sid": {"sid": ""},
}


class TestWrongToken:
    async def refused(self, seat: Browser, answer: httpx.Response) -> None:
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert answer.headers["cache-control"] == "no-store"
        assert await is_in(seat)
        assert [each for each in await seat.audited() if each[1] == "sign-out"] == [
            ("unknown", "sign-out", 400)
        ]

    @pytest.mark.parametrize("kind", WRONG)
    async def test_ends_nothing(self, seat: Browser, kind: str) -> None:
        await seat.signed_in("csor-steward", sid="s-1")
        await self.refused(seat, await seat.logged_out(**WRONG[kind]))

    @pytest.mark.parametrize("sign", [foreign, unsigned, confused])
    async def test_that_the_provider_has_not_signed_ends_nothing(
        self, seat: Browser, sign: Callable[[dict[str, Any]], str]
    ) -> None:
        await seat.signed_in("csor-steward")
        await self.refused(seat, await seat.logged_out(sign))

    async def test_that_is_an_identity_token_ends_nothing(self, seat: Browser) -> None:
        given: list[str] = []

        def kept(said: dict[str, Any]) -> str:
            given.append(signed(said))
            return given[0]

        seat.identity.faults["token"] = kept
        await seat.signed_in("csor-steward")
        answer = await seat.http.post(LOGOUT, data={"logout_token": given[0]})
        await self.refused(seat, answer)

    @pytest.mark.parametrize("sent", [{}, {"logout_token": ["a", "b"]}, {"logout_token": "a.b.c"}])
    async def test_that_is_none_ends_nothing(self, seat: Browser, sent: dict[str, Any]) -> None:
        await seat.signed_in("csor-steward")
        await self.refused(seat, await seat.http.post(LOGOUT, data=sent))

    async def test_for_a_provider_that_nobody_knows_is_refused(self, seat: Browser) -> None:
        sent = {"logout_token": signed(seat.logout())}
        answer = await seat.http.post("/sign-in/nobody/back-channel-logout", data=sent)
        assert answer.status_code == 400

    async def test_is_good_once(self, seat: Browser) -> None:
        await seat.signed_in("csor-steward")
        assert (await seat.logged_out(jti="once")).status_code == 200
        await seat.signed_in("csor-steward")
        seat.clock.forward(100)
        again = await seat.logged_out(jti="once")
        assert (again.status_code, await is_in(seat)) == (400, True)
        assert "used before" in again.json()["error_description"]


class TestKeys:
    async def test_are_asked_for_once_a_minute_whoever_sends_tokens(self, seat: Browser) -> None:
        for _ in range(5):
            assert (await seat.logged_out(foreign)).status_code == 400
        assert seat.identity.asked.count(f"{ISSUER}/keys") == 1
        made = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
        seat.identity.faults["keys"] = {"keys": [key.as_dict(private=False) for key in (KEY, made)]}

        def newly(said: dict[str, Any]) -> str:
            return jwt.encode({"alg": "RS256", "kid": made.kid}, said, made)

        seat.clock.forward(60)
        assert (await seat.logged_out(newly)).status_code == 200

    async def test_that_cannot_be_had_are_not_asked_for_again_and_again(
        self, seat: Browser
    ) -> None:
        seat.identity.faults["away"] = (f"{ISSUER}/keys",)
        for _ in range(5):
            assert (await seat.logged_out()).status_code == 400
        assert seat.identity.asked.count(f"{ISSUER}/keys") == 1

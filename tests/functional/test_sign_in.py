"""People sign in by OpenID Connect, get the role that their claims are mapped to, and a session."""

from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from fhir_server.access.sessions import IDLE, LONGEST
from tests.support.identity import (
    CLIENT,
    ISSUER,
    KEY,
    PROVIDERS,
    ROOT,
    Browser,
    browser,
    confused,
    foreign,
    roles,
    unsigned,
)

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
WHO = "person hospital/4711"
NEW = {"resourceType": "Patient", "name": [{"family": "Testchild-Wren"}]}


@pytest.fixture
async def seat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Browser]:
    async with browser(tmp_path, monkeypatch) as found:
        yield found


def csrf(told: dict[str, Any]) -> dict[str, str]:
    return {"X-CSRF-Token": told["csrf"], "Origin": ROOT}


class TestSigningIn:
    async def test_lists_the_providers(self, seat: Browser) -> None:
        page = await seat.http.get("/sign-in", params={"next": '/authorize?a=1&b="'})
        assert page.status_code == 200
        link = f'<a href="{ROOT}/sign-in/hospital?next=%2Fauthorize%3Fa%3D1%26b%3D%22">'
        assert f"{link}Fictitious hospital</a>" in page.text
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"

    async def test_opens_a_session_of_the_role(self, seat: Browser) -> None:
        answer = await seat.sign_in()
        assert (answer.status_code, answer.headers["location"]) == (302, f"{ROOT}/sign-in")
        kept = next(
            each for each in answer.headers.get_list("set-cookie") if "__Host-csor=" in each
        )
        assert kept.endswith("; Path=/; HttpOnly; Secure; SameSite=Lax")
        told = (await seat.http.get("/session")).json()
        del told["csrf"]
        assert told == {
            "user": {
                "display": "Fictitious Person",
                "identifier": {"system": ISSUER, "value": "4711"},
            },
            "role": "steward",
            "hospitals": [],
            "provider": "Fictitious hospital",
            "expires": "2026-11-23T09:30:00.000Z",
        }
        assert (await seat.http.get("/fhir/Patient")).status_code == 200
        assert "You are Fictitious Person: steward." in (await seat.http.get("/sign-in")).text
        assert (WHO, "sign-in", 200) in await seat.audited()
        assert (WHO, "search-type", 200) in await seat.audited()

    async def test_goes_on_to_where_it_began(self, seat: Browser) -> None:
        answer = await seat.sign_in("/authorize?client_id=app")
        assert answer.headers["location"] == "/authorize?client_id=app"

    @pytest.mark.parametrize(
        "elsewhere",
        [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "sign-in",
            "/a\nb",
            "/" + "a" * 9000,
        ],
    )
    async def test_leads_nowhere_else(self, seat: Browser, elsewhere: str) -> None:
        answer = await seat.http.get("/sign-in/hospital", params={"next": elsewhere})
        assert answer.status_code == 400
        assert seat.identity.asked == []

    async def test_with_a_provider_that_nobody_registered_is_refused(self, seat: Browser) -> None:
        answer = await seat.http.get("/sign-in/other")
        assert answer.status_code == 404
        assert ("unknown", "sign-in", 404) in await seat.audited()

    async def test_proves_who_the_registry_is_by_a_key(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = PROVIDERS.replace('secret_file = "secret"', 'key = "own.pem"')
        async with browser(tmp_path, monkeypatch, text) as seat:
            assert (await seat.sign_in()).status_code == 302

    async def test_asks_for_how_somebody_signs_in_and_holds_it_against_the_answer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = PROVIDERS.replace("secret_file", 'acr = ["strong", "stronger"]\nsecret_file')
        async with browser(tmp_path, monkeypatch, text) as seat:
            place = (await seat.http.get("/sign-in/hospital")).headers["location"]
            assert parse_qs(urlsplit(place).query)["acr_values"] == ["strong stronger"]
            for acr, status in ((None, 403), ("weak", 403), (["strong"], 502), ("stronger", 302)):
                seat.identity.claims = roles("csor-steward", acr=acr)
                answer = await seat.sign_in()
                assert answer.status_code == (403 if status == 502 else status), answer.text
            assert (WHO, "sign-in", 403) in await seat.audited()

    async def test_may_take_claims_from_userinfo_of_the_same_person_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = PROVIDERS.replace("secret_file", "userinfo = true\nsecret_file")
        async with browser(tmp_path, monkeypatch, text) as seat:
            seat.identity.claims = {}
            seat.identity.told = {"sub": "4711", **roles("csor-auditor")}
            assert (await seat.sign_in()).status_code == 302
            assert (await seat.http.get("/session")).json()["role"] == "auditor"
            seat.identity.told["sub"] = "4712"
            answer = await seat.sign_in()
            assert (answer.status_code, "another person" in answer.text) == (502, True)


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], int, str]] = {
    "another issuer": ({"iss": "https://evil.example"}, {}, 502, "does not hold"),
    "another audience": ({"aud": "other"}, {}, 502, "does not hold"),
    "another's too": ({"aud": [CLIENT, "other"]}, {}, 502, "another application's"),
    "given to another": ({"azp": "other"}, {}, 502, "another application's"),
    "another nonce": ({"nonce": "guessed"}, {}, 502, "does not hold"),
    "no nonce": ({"nonce": None}, {}, 502, "does not hold"),
    "expired": ({"exp": 1}, {}, 502, "does not hold"),
    "no exp": ({"exp": None}, {}, 502, "does not hold"),
    "of the future": ({"iat": 4_000_000_000}, {}, 502, "does not hold"),
    "no sub": ({"sub": None}, {}, 502, "no sub"),
    "a sub that is no text": ({"sub": 1}, {}, 502, "does not hold"),
    "alg=none": ({}, {"token": unsigned}, 502, "does not hold"),
    "key confusion": ({}, {"token": confused}, 502, "does not hold"),
    "foreign key": ({}, {"token": foreign}, 502, "does not hold"),
    "no token": ({}, {"token": lambda _: None}, 502, "no identity token"),
    "no keys": ({}, {"keys": {}}, 502, "does not hold"),
    "a secret among the keys": (
        {},
        {"keys": {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": KEY.kid}]}, "token": confused},
        502,
        "does not hold",
    ),
    "another's answer": ({}, {"answer": {"iss": "https://evil.example"}}, 502, "another provider's"),
    "refused there": ({}, {"answer": {"code": None, "error": "access_denied"}}, 403, "access_denied"),
    "markup for a reason": ({}, {"answer": {"code": None, "error": "<b>"}}, 403, "did not sign you in."),
    "a code that is none": ({}, {"answer": {"code": "guessed"}}, 502, "answers 400"),
    "a state that is none": ({}, {"answer": {"state": "guessed"}}, 403, "not known"),
    "no state": ({}, {"answer": {"state": None}}, 403, "not known"),
    "a token endpoint that is away": ({}, {"away": [f"{ISSUER}/token"]}, 502, "it is away"),
}  # fmt: skip


class TestWrongAnswer:
    @pytest.mark.parametrize("kind", WRONG)
    async def test_is_refused_and_audited(self, seat: Browser, kind: str) -> None:
        claims, seat.identity.faults, status, reason = WRONG[kind]
        seat.identity.claims |= claims
        answer = await seat.sign_in()
        assert answer.status_code == status
        assert reason in unescape(answer.text)
        assert "__Host-csor=" not in str(answer.headers)
        assert (await seat.http.get("/session")).status_code == 401
        assert [each for each in await seat.audited() if each[1] == "sign-in"] == [
            ("unknown", "sign-in", status)
        ]

    async def test_is_good_once(self, seat: Browser) -> None:
        place = (await seat.http.get("/sign-in/hospital")).headers["location"]
        back = seat.identity.authorize(place)
        assert (await seat.http.get(back)).status_code == 302
        assert (await seat.http.get(back)).status_code == 403

    async def test_is_good_for_ten_minutes(self, seat: Browser) -> None:
        place = (await seat.http.get("/sign-in/hospital")).headers["location"]
        back = seat.identity.authorize(place)
        seat.clock.forward(600)
        assert (await seat.http.get(back)).status_code == 403

    async def test_is_good_in_its_browser_alone(self, seat: Browser) -> None:
        place = (await seat.http.get("/sign-in/hospital")).headers["location"]
        back = seat.identity.authorize(place)
        seat.http.cookies.clear()
        assert (await seat.http.get(back)).status_code == 403

    @pytest.mark.parametrize(
        ("configuration", "reason"),
        [
            ({"issuer": "https://evil.example"}, "its issuer is another"),
            ({"authorization_endpoint": "http://identity.example/authorize"}, "by https"),
            ({"token_endpoint": None}, "by https"),
            ({"end_session_endpoint": "javascript:alert(1)"}, "by https"),
        ],
    )
    async def test_of_discovery_is_refused(
        self, seat: Browser, configuration: dict[str, Any], reason: str
    ) -> None:
        seat.identity.configuration = configuration
        answer = await seat.http.get("/sign-in/hospital")
        assert (answer.status_code, reason in answer.text) == (502, True)

    async def test_lacks_the_issuer_where_the_provider_says_that_it_names_itself(
        self, seat: Browser
    ) -> None:
        seat.identity.configuration = {"authorization_response_iss_parameter_supported": True}
        assert (await seat.sign_in()).status_code == 502
        seat.identity.faults = {"answer": {"iss": ISSUER}}
        assert (await seat.sign_in()).status_code == 302


class TestRoles:
    async def test_nobody_without_one_gets_in(self, seat: Browser) -> None:
        for claims in (
            {}, roles(), roles("other"), {"realm_access": None}, {"realm_access": ["csor-steward"]},
            {"roles": ["csor-steward"]}, roles("csor-lead"), roles("csor-lead", ods="no code!"),
        ):  # fmt: skip
            seat.identity.claims = claims
            answer = await seat.sign_in()
            assert answer.status_code == 403
            assert "realm_access.roles" in answer.text
            assert (await seat.http.get("/session")).status_code == 401
        assert (WHO, "sign-in", 403) in await seat.audited()

    async def test_the_first_that_is_mapped_counts(self, seat: Browser) -> None:
        assert (await seat.signed_in("csor-lead", "csor-auditor", ods=["RA1"]))["role"] == "auditor"

    async def test_hospitals_are_claimed_or_fixed(self, seat: Browser) -> None:
        assert (await seat.signed_in("csor-lead", ods=["RB2", "RA1"]))["hospitals"] == [
            "RA1",
            "RB2",
        ]
        assert (await seat.signed_in("csor-lead", ods="RB2"))["hospitals"] == ["RB2"]
        told = await seat.signed_in("csor-hospital-analyst", ods=["RB2"])
        assert (told["role"], told["hospitals"]) == ("hospital-analyst", ["RA1"])

    async def test_of_a_list_of_posts_each_has_its_own_hospital(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As NHS CIS2 has national roles: who leads at one organisation does not at another."""
        text = PROVIDERS.partition("[[provider.role]]")[0] + (
            '[[provider.role]]\nclaim = "posts.role_code"\nvalue = "lead"\nrole = "hospital-lead"\n'
            'hospitals_claim = "posts.org_code"\n'
        )
        posts = [
            {"role_code": "lead", "org_code": "RA1"},
            {"role_code": "clerk", "org_code": "RB2"},
        ]
        async with browser(tmp_path, monkeypatch, text) as seat:
            seat.identity.claims = {"posts": posts}
            assert (await seat.sign_in()).status_code == 302
            assert (await seat.http.get("/session")).json()["hospitals"] == ["RA1"]
            seat.identity.claims = {"posts": [posts[1], {"role_code": "lead"}]}
            assert (await seat.sign_in()).status_code == 403

    @pytest.mark.parametrize("name", ["csor-auditor", "csor-analyst", "csor-integrator"])
    async def test_of_which_nothing_is_said_do_nothing_with_children(
        self, seat: Browser, name: str
    ) -> None:
        told = await seat.signed_in(name)
        assert (await seat.http.get("/fhir/metadata")).status_code == 200
        for path in ("/fhir/Patient", "/fhir/Patient/1", "/fhir/_history", "/metrics"):
            assert (await seat.http.get(path)).status_code == 403, path
        answer = await seat.http.post("/fhir/Patient", json=NEW, headers=csrf(told))
        assert answer.status_code == 403

    async def test_a_steward_reads_and_writes(self, seat: Browser) -> None:
        told = await seat.signed_in("csor-steward")
        answer = await seat.http.post("/fhir/Patient", json=NEW, headers=csrf(told))
        assert answer.status_code == 201
        assert (WHO, "create", None) in await seat.audited()

    @pytest.mark.parametrize("name", ["csor-lead", "csor-hospital-analyst"])
    async def test_people_of_a_hospital_read_its_children_alone_and_write_nothing(
        self, seat: Browser, name: str
    ) -> None:
        own, other = await _children(seat)
        told = await seat.signed_in(name, ods="RA1")
        found = (await seat.http.get("/fhir/Patient")).json()
        assert [each["resource"]["id"] for each in found["entry"]] == [own]
        assert (await seat.http.get(f"/fhir/Patient/{own}/$everything")).status_code == 200
        assert (await seat.http.get(f"/fhir/Patient/{other}")).status_code == 404
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": []}
        for method, path, body in (
            ("POST", "/fhir/Patient", NEW),
            ("PUT", f"/fhir/Patient/{own}", {**NEW, "id": own}),
            ("DELETE", f"/fhir/Patient/{own}", None),
            ("POST", "/fhir", bundle),
            ("POST", "/fhir/Measure/$evaluate", bundle),
            ("POST", "/fhir/$import", bundle),
        ):
            answer = await seat.http.request(method, path, json=body, headers=csrf(told))
            assert answer.status_code == 403, path
            said = answer.json()["issue"][0]["diagnostics"]
            assert "read" in said or "not for a hospital's" in said, said


async def _children(seat: Browser) -> tuple[str, str]:
    """Store a child of each of two hospitals; returns their ids."""
    told = await seat.signed_in("csor-steward")
    found = []
    for code in ("RA1", "RB2"):
        hospital = {"resourceType": "Organization", "identifier": [{"system": ODS, "value": code}]}
        stored = await seat.http.post("/fhir/Organization", json=hospital, headers=csrf(told))
        place = {"reference": f"Organization/{stored.json()['id']}"}
        child = {**NEW, "managingOrganization": place}
        answer = await seat.http.post("/fhir/Patient", json=child, headers=csrf(told))
        assert answer.status_code == 201, answer.text
        found.append(answer.json()["id"])
    return found[0], found[1]


class TestSession:
    async def test_unsafe_methods_need_the_secret_and_the_origin(self, seat: Browser) -> None:
        told = await seat.signed_in("csor-steward")
        for wrong in ({}, {"X-CSRF-Token": "guessed"}, {"Origin": "https://evil.example"}):
            headers = {**csrf(told), **wrong} if wrong else {}
            answer = await seat.http.post("/fhir/Patient", json=NEW, headers=headers)
            assert answer.status_code == 403
            assert (await seat.http.delete("/session", headers=headers)).status_code == 403

    async def test_what_is_stored_by_get_needs_them_too(self, seat: Browser) -> None:
        told = await seat.signed_in("csor-steward")
        asked = "/fhir/Measure/none/$evaluate-measure?periodStart=2026&periodEnd=2026"
        assert (await seat.http.get(asked)).status_code == 403
        assert (await seat.http.get(asked, headers=csrf(told))).status_code == 404
        waits = {"Prefer": "respond-async"}
        assert (await seat.http.get("/fhir/$export", headers=waits)).status_code == 403

    async def test_ends_unused_and_however_it_is_used(self, seat: Browser) -> None:
        await seat.signed_in("csor-steward")
        seat.clock.now += IDLE
        assert (await seat.http.get("/fhir/Patient")).status_code == 401
        assert "Sign in" in (await seat.http.get("/sign-in")).text
        await seat.signed_in("csor-steward")
        for _ in range(int(LONGEST / IDLE)):
            seat.clock.now += IDLE - timedelta(seconds=1)
            await seat.http.get("/fhir/Patient")
        seat.clock.now += timedelta(minutes=1)
        assert (await seat.http.get("/fhir/Patient")).status_code == 401

    async def test_ends_as_the_operator_has_set(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limits = {"session_idle_minutes": 10, "session_hours": 0.5}
        async with browser(tmp_path, monkeypatch, **limits) as seat:
            await seat.signed_in("csor-steward")
            seat.clock.forward(601)
            assert (await seat.http.get("/fhir/Patient")).status_code == 401
            told = await seat.signed_in("csor-steward")
            assert told["expires"] == "2026-11-23T09:20:01.000Z"
            for _ in range(3):
                assert (await seat.http.get("/fhir/Patient")).status_code == 200
                seat.clock.forward(599)
            seat.clock.forward(3)
            assert (await seat.http.get("/fhir/Patient")).status_code == 401

    async def test_ends_here_and_at_the_provider(self, seat: Browser) -> None:
        told = await seat.signed_in("csor-steward")
        value = seat.http.cookies["__Host-csor"]
        answer = await seat.http.delete("/session", headers=csrf(told))
        place = urlsplit(answer.json()["endSession"])
        assert f"{place.scheme}://{place.netloc}{place.path}" == f"{ISSUER}/logout"
        asked = parse_qs(place.query)
        assert asked["post_logout_redirect_uri"] == [f"{ROOT}/sign-in"]
        assert asked["client_id"] == [CLIENT]
        assert asked["id_token_hint"][0].count(".") == 2
        seat.http.cookies.set("__Host-csor", value, domain="registry.example")
        assert (await seat.http.get("/fhir/Patient")).status_code == 401

    async def test_ends_here_alone_where_the_provider_has_no_such_endpoint(
        self, seat: Browser
    ) -> None:
        seat.identity.configuration = {"end_session_endpoint": None}
        told = await seat.signed_in("csor-steward")
        assert (await seat.http.delete("/session", headers=csrf(told))).status_code == 204

    async def test_of_before_ends_with_another_sign_in(self, seat: Browser) -> None:
        await seat.signed_in("csor-steward")
        before = seat.http.cookies["__Host-csor"]
        await seat.signed_in("csor-auditor")
        seat.http.cookies.clear()
        seat.http.cookies.set("__Host-csor", before, domain="registry.example")
        assert (await seat.http.get("/session")).status_code == 401

"""SMART Backend Services: how a client gets a token, and how every wrong attempt is refused and audited.

https://hl7.org/fhir/smart-app-launch/backend-services.html
"""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.support.backend import (
    BASE,
    CLIENTS,
    ELLIPTIC,
    RSA,
    STATIC,
    TOKEN_URL,
    Backend,
    Clock,
    backend,
    bearer,
    public,
    registered,
)

STRANGER = ECKey.generate_key("P-384")


@pytest.fixture
async def epr(tmp_path: Path) -> AsyncIterator[Backend]:
    async with backend(tmp_path) as found:
        yield found


class TestDiscovery:
    async def test_anybody_reads_how_to_get_a_token(self, epr: Backend) -> None:
        answer = await epr.http.get("/fhir/.well-known/smart-configuration")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {
            "token_endpoint": TOKEN_URL,
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384", "RS512"],
            "scopes_supported": ["system/*.cruds"],
            "introspection_endpoint": "http://registry.example/introspect",
            "revocation_endpoint": "http://registry.example/revoke",
            "capabilities": ["client-confidential-asymmetric", "permission-v2"],
        }

    async def test_anybody_reads_what_the_server_can_do_and_no_more(self, epr: Backend) -> None:
        security = (await epr.http.get("/fhir/metadata")).json()["rest"][0]["security"]
        assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
        assert ".well-known/smart-configuration" in security["description"]
        assert (await epr.http.get("/fhir/metadata", headers=bearer("old"))).status_code == 200
        assert (await epr.http.get("/fhir/Patient")).status_code == 401
        assert (await epr.http.post("/fhir/metadata")).status_code == 401
        assert ("unknown", "capabilities", 200) in await epr.audited()


class TestToken:
    @pytest.mark.parametrize(
        ("header", "key"),
        [
            ({}, ELLIPTIC),
            ({"alg": "RS384", "kid": "rsa"}, RSA),
            ({"alg": "RS512", "kid": "rsa"}, RSA),
        ],
    )
    async def test_is_given_for_an_assertion(
        self, epr: Backend, header: dict[str, str], key: ECKey | RSAKey
    ) -> None:
        answer = await epr.ask(epr.assertion(header, key))
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        given = answer.json()
        token = given.pop("access_token")
        assert len(base64.urlsafe_b64decode(token + "=")) == 32
        scope = "system/Patient.rs system/Observation.cruds"
        assert given == {"token_type": "bearer", "expires_in": 300, "scope": scope}
        assert (await epr.http.get("/fhir/Patient", headers=bearer(token))).status_code == 200
        assert ("epr", "token", 200) in await epr.audited()
        assert ("epr", "search-type", 200) in await epr.audited()

    async def test_has_what_is_both_asked_for_and_registered(self, epr: Backend) -> None:
        for asked, scope in {
            "system/*.rs": "system/Patient.rs system/Observation.rs",
            "system/Patient.cruds": "system/Patient.rs",
            "system/Patient.r system/Encounter.rs": "system/Patient.r",
            "system/Patient.rs?name=a": "system/Patient.rs?name=a",
        }.items():
            assert (await epr.ask(scope=asked)).json()["scope"] == scope
        epr.name = "everything"
        asked = "system/Patient.cu system/*.s"
        assert (await epr.ask(scope=asked)).json()["scope"] == asked

    @pytest.mark.parametrize(
        ("scope", "reason"),
        [
            (None, "this client may ask for system/Patient.rs"),
            ("system/Encounter.rs", "Nothing of this is granted"),
            ("system/Encounter.rs?status=finished", "Nothing of this is granted"),
            ("system/Patient.rs?name:exact=a", "has no modifiers"),
            ("system/Patient.read", "write system/Patient.rs"),
            ("patient/Patient.rs", "is no scope of a client"),
        ],
    )
    async def test_is_not_given_for_other_scopes(
        self, epr: Backend, scope: str | None, reason: str
    ) -> None:
        answer = await epr.ask(scope=scope)
        assert answer.status_code == 400
        assert answer.json()["error"] == "invalid_scope"
        assert reason in answer.json()["error_description"]
        assert ("epr", "token", 400) in await epr.audited()

    async def test_is_good_for_five_minutes(self, epr: Backend) -> None:
        token = await epr.token()
        epr.clock.forward(299)
        assert (await epr.http.get("/fhir/Patient", headers=bearer(token))).status_code == 200
        epr.clock.forward(1)
        answer = await epr.http.get("/fhir/Patient", headers=bearer(token))
        assert answer.status_code == 401
        assert "ends after five minutes" in answer.json()["issue"][0]["diagnostics"]

    async def test_ends_when_its_client_is_revoked_or_has_other_keys(self, epr: Backend) -> None:
        for text in (
            CLIENTS.replace('name = "epr"', 'name = "epr"\nrevoked = true'),
            CLIENTS.replace("system/Patient.rs system/Obs", "system/Obs"),
        ):
            token = await epr.token()
            assert (await epr.http.get("/fhir/Patient", headers=bearer(token))).status_code == 200
            registered(epr.file.parent, text)
            assert (await epr.http.get("/fhir/Patient", headers=bearer(token))).status_code == 401
            registered(epr.file.parent)

    async def test_many_of_one_client_end_the_oldest(self, tmp_path: Path) -> None:
        async with backend(tmp_path, rate_limit_sign_in=1e6) as epr:
            first, second = await epr.token(), await epr.token()
            for _ in range(255):
                await epr.token()
            assert (await epr.http.get("/fhir/Patient", headers=bearer(first))).status_code == 401
            assert (await epr.http.get("/fhir/Patient", headers=bearer(second))).status_code == 200

    async def test_is_asked_for_with_a_form(self, epr: Backend) -> None:
        answer = await epr.http.post("/token", json={})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        twice = "grant_type=client_credentials&grant_type=client_credentials"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await epr.http.post("/token", content=twice, headers=form)
        assert answer.json()["error"] == "invalid_request"
        answer = await epr.http.post("/token", content=b"a" * 70_000, headers=form)
        assert answer.status_code == 413
        assert (await epr.http.get("/token")).status_code == 405
        for grant, error in (
            ("password", "unsupported_grant_type"),
            ("authorization_code", "unauthorized_client"),
        ):
            answer = await epr.ask(grant_type=grant)
            assert (answer.status_code, answer.json()["error"]) == (400, error)
        assertion = epr.assertion()
        for form in ({"client_assertion_type": "other"}, {"client_assertion_type": None}):
            answer = await epr.ask(assertion, **form)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")
        answer = await epr.ask(client_id="everything")
        assert answer.json()["error"] == "invalid_client"


def unsigned(epr: Backend) -> str:
    """An assertion with alg=none, as RFC 7519 writes it."""
    _, claims, _ = epr.assertion().split(".")
    return f"{encoded({'alg': 'none', 'kid': 'rsa'})}.{claims}."


def confused(epr: Backend) -> str:
    """An assertion by HMAC, its secret the public key that everybody knows."""
    _, claims, _ = epr.assertion().split(".")
    signed = f"{encoded({'alg': 'HS384', 'kid': 'rsa', 'typ': 'JWT'})}.{claims}"
    digest = hmac.new(RSA.as_pem(private=False), signed.encode(), hashlib.sha384).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def swapped(epr: Backend) -> str:
    """The signature of one assertion under the claims of another."""
    header, _, signature = epr.assertion().split(".")
    return f"{header}.{epr.assertion().split('.')[1]}.{signature}"


NOW = int(Clock().now.timestamp())
WRONG = {
    "another audience": (lambda e: e.assertion(aud=f"{TOKEN_URL}/"), "aud"),
    "the base as audience": (lambda e: e.assertion(aud=BASE), "aud"),
    "two audiences": (lambda e: e.assertion(aud=[TOKEN_URL, BASE]), "aud"),
    "no audience": (lambda e: e.assertion(aud=None), "aud"),
    "expired": (lambda e: e.assertion(exp=NOW - 31), "has expired"),
    "no exp": (lambda e: e.assertion(exp=None), "no exp"),
    "exp is no number": (lambda e: e.assertion(exp="tomorrow"), "no exp"),
    "exp is too far": (lambda e: e.assertion(exp=NOW + 400), "at most 300 seconds"),
    "future nbf": (lambda e: e.assertion(nbf=NOW + 60), "nbf"),
    "future iat": (lambda e: e.assertion(iat=NOW + 60), "iat"),
    "no jti": (lambda e: e.assertion(jti=None), "jti"),
    "jti is too long": (lambda e: e.assertion(jti="a" * 257), "jti"),
    "iss is not sub": (lambda e: e.assertion(sub="everything"), "iss and sub"),
    "no sub": (lambda e: e.assertion(sub=None), "iss and sub"),
    "foreign key": (lambda e: e.assertion(key=STRANGER), "signature"),
    "other claims": (swapped, "signature"),
    "wrong kid": (lambda e: e.assertion({"kid": "third"}), "no key of this kid"),
    "another key's kid": (lambda e: e.assertion({"kid": "rsa"}), "no key of this kid"),
    "no kid": (lambda e: e.assertion({"kid": None}), "no kid"),
    "alg=none": (unsigned, "signed by none of"),
    "HMAC by the public key": (confused, "signed by none of"),
    "a weaker algorithm": (lambda e: e.assertion({"alg": "RS256", "kid": "rsa"}, RSA), "signed by none"),
    "its own key in the header": (
        lambda e: e.assertion({"jwk": public(STRANGER, "elliptic")}, STRANGER),
        "signature",
    ),
    "keys elsewhere": (lambda e: e.assertion({"jku": "https://evil.example"}), "jku"),
}  # fmt: skip


class TestWrongAssertion:
    @pytest.mark.parametrize("kind", WRONG)
    async def test_is_refused_and_audited(self, epr: Backend, kind: str) -> None:
        make, reason = WRONG[kind]
        answer = await epr.ask(make(epr))
        refused(answer, reason)
        assert [each for each in await epr.audited() if each[1] == "token"] == [
            ("epr", "token", 400)
        ]

    @pytest.mark.parametrize(
        "assertion",
        ["", "no.signed.jwt", "a.b", f"{encoded({'alg': 'ES384'})}.{encoded({'sub': 'epr'})}.aaaa"],
    )
    async def test_that_is_none_is_nobodys(self, epr: Backend, assertion: str) -> None:
        refused(await epr.ask(assertion), "no signed JWT with an iss")
        assert ("unknown", "token", 400) in await epr.audited()

    @pytest.mark.parametrize(
        ("header", "claims"),
        [
            ({"alg": ["ES384"], "kid": "elliptic"}, {"iss": "epr"}),
            ({"alg": "ES384", "kid": {"a": 1}}, {"iss": "epr"}),
            ({"alg": "ES384", "kid": "elliptic", "crit": ["exp"]}, {"iss": "epr"}),
            ({"alg": "ES384", "kid": "elliptic", "b64": False}, {"iss": "epr"}),
            ({"alg": "ES384", "kid": "elliptic", "jku": 1}, {"iss": "epr"}),
            ({}, {"iss": "epr"}),
            ([], {"iss": "epr"}),
            ({"alg": "ES384"}, {"iss": ["epr"]}),
            ({"alg": "ES384"}, {"iss": {"epr": 1}}),
            ({"alg": "ES384"}, ["iss"]),
            ({"alg": "ES384"}, "epr"),
            ({"alg": "ES384"}, None),
        ],
    )
    async def test_whatever_its_shape_is_refused(
        self, epr: Backend, header: object, claims: object
    ) -> None:
        for signature in ("", "AAAA", "A" * 128, "*"):
            answer = await epr.ask(f"{encoded(header)}.{encoded(claims)}.{signature}")
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")

    @pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
    @pytest.mark.parametrize("value", [True, [], {}, "1", 1e300, -1e300, 10**400, 0])
    async def test_with_a_time_that_is_none_is_refused(
        self, epr: Backend, name: str, value: object
    ) -> None:
        answer = await epr.ask(epr.assertion(**{name: value}))
        is_long_ago = name != "exp" and value == 0
        assert answer.status_code == (200 if is_long_ago else 400), answer.text

    @pytest.mark.parametrize(
        "text", ["\x00", "é.é.é", "a" * 20_000, "\N{GRINNING FACE}", "..", "a.b.c.d.e"]
    )
    async def test_of_any_text_is_refused(self, epr: Backend, text: str) -> None:
        refused(await epr.ask(text), "The assertion is")
        answer = await epr.ask(scope=text)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
        assert answer.json()["error_description"].isascii()

    async def test_of_an_unknown_or_revoked_client_is_refused(self, epr: Backend) -> None:
        for name in ("nobody", "monitor", "local"):
            epr.name = name
            refused(await epr.ask(), "no client with keys")
        epr.name = "epr"
        registered(epr.file.parent, CLIENTS.replace('"epr"', '"epr"\nrevoked = true'))
        refused(await epr.ask(), "no client with keys")

    async def test_is_refused_when_it_is_used_again(self, epr: Backend) -> None:
        assertion = epr.assertion()
        assert (await epr.ask(assertion)).status_code == 200
        refused(await epr.ask(assertion), "used before")
        epr.clock.forward(239)
        refused(await epr.ask(assertion), "used before")
        epr.clock.forward(29)
        refused(await epr.ask(assertion), "used before")
        epr.clock.forward(2)
        refused(await epr.ask(assertion), "has expired")

    async def test_of_another_client_may_have_the_same_jti(self, epr: Backend) -> None:
        assert (await epr.ask(epr.assertion(jti="one"))).status_code == 200
        epr.name = "everything"
        assert (await epr.ask(epr.assertion(jti="one"))).status_code == 200

    async def test_many_times_makes_that_client_wait_and_no_other(self, epr: Backend) -> None:
        for _ in range(10):
            assert (await epr.ask(epr.assertion(key=STRANGER))).status_code == 400
        answer = await epr.ask()
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
        assert ("epr", "token", 429) in await epr.audited()
        epr.name = "everything"
        assert (await epr.ask()).status_code == 200
        epr.name = "epr"
        epr.clock.forward(60)
        assert (await epr.ask()).status_code == 200

    async def test_of_a_clock_that_is_a_little_ahead_is_taken(self, epr: Backend) -> None:
        claims = {"exp": NOW + 325, "iat": NOW + 25, "nbf": NOW + 25}
        assert (await epr.ask(epr.assertion(**claims))).status_code == 200


def refused(answer: httpx.Response, reason: str) -> None:
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == "invalid_client"
    assert reason in answer.json()["error_description"]


class TestIntrospection:
    async def test_tells_a_client_of_its_token(self, epr: Backend) -> None:
        token = await epr.token()
        answer = await epr.http.post("/introspect", data={"token": token}, headers=bearer(token))
        assert answer.json() == {
            "active": True, "client_id": "epr", "sub": "epr", "token_type": "bearer",
            "scope": "system/Patient.rs system/Observation.cruds", "iat": NOW, "exp": NOW + 300,
        }  # fmt: skip
        epr.clock.forward(300)
        answer = await epr.http.post("/introspect", data={"token": token}, headers=bearer(STATIC))
        assert answer.json() == {"active": False}
        assert ("monitor", "introspect", 200) in await epr.audited()

    async def test_tells_the_registry_of_anybodys_and_others_of_none(self, epr: Backend) -> None:
        token, static = {"token": await epr.token()}, {"token": STATIC}
        answer = await epr.http.post("/introspect", data=token, headers=bearer(STATIC))
        assert answer.json()["client_id"] == "epr"
        answer = await epr.http.post("/introspect", data=static, headers=bearer(STATIC))
        assert answer.json()["client_id"] == "monitor"
        epr.name = "everything"
        other = bearer(await epr.token())
        for each in (token, static):
            answer = await epr.http.post("/introspect", data=each, headers=other)
            assert answer.json() == {"active": False}

    async def test_is_not_for_strangers(self, epr: Backend) -> None:
        token = await epr.token()
        for headers in ({}, bearer("nobody's")):
            answer = await epr.http.post("/introspect", data={"token": token}, headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
            assert answer.headers["www-authenticate"] == "Bearer"
        assert ("unknown", "introspect", 401) in await epr.audited()


class TestRevocation:
    async def test_ends_a_token(self, epr: Backend) -> None:
        token = await epr.token()
        form = {
            "token": token,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": epr.assertion(),
        }
        answer = await epr.http.post("/revoke", data=form)
        assert (answer.status_code, answer.content) == (200, b"")
        assert (await epr.http.get("/fhir/Patient", headers=bearer(token))).status_code == 401
        again = {**form, "client_assertion": epr.assertion()}
        assert (await epr.http.post("/revoke", data=again)).status_code == 200
        assert ("epr", "revoke", 200) in await epr.audited()

    async def test_ends_no_token_of_another_client_and_none_of_the_operators(
        self, epr: Backend
    ) -> None:
        token = await epr.token()
        epr.name = "everything"
        other = bearer(await epr.token())
        answer = await epr.http.post("/revoke", data={"token": token}, headers=other)
        assert answer.json()["error"] == "unauthorized_client"
        answer = await epr.http.post("/revoke", data={"token": STATIC}, headers=bearer(STATIC))
        assert answer.json()["error"] == "unsupported_token_type"
        answer = await epr.http.post("/revoke", data={}, headers=bearer(STATIC))
        assert answer.json()["error"] == "invalid_request"
        assert (await epr.http.get("/fhir/Patient", headers=bearer(token))).status_code == 200

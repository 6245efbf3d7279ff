"""A fictitious identity provider, strict about what it is asked, and a browser that signs in by it.

`faults` makes it misbehave, one thing at a time.
https://openid.net/specs/openid-connect-core-1_0.html
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from fhir_server import app
from fhir_server.access.back_channel import EVENT
from fhir_server.access.jwks import Fetched, UnreachableError
from fhir_server.app import application, context
from fhir_server.context import Context
from fhir_server.settings import Settings
from fhir_server.store.audit import accesses
from tests.support.backend import Clock
from tests.support.databases import new_database

ROOT = "https://registry.example"
ISSUER = "https://identity.example/realms/hospital"
CLIENT = "csor"
LOGOUT = "/sign-in/hospital/back-channel-logout"
SECRET = "a-secret-that-both-know"  # noqa: S105 - of nobody
ACCESS = "a-token-for-userinfo"
OWN_KEY = ECKey.generate_key("P-384")
KEY = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
STRANGER = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
PROVIDERS = f"""
[[provider]]
name = "hospital"
title = "Fictitious hospital"
issuer = "{ISSUER}"
client_id = "{CLIENT}"
secret_file = "secret"

[[provider.role]]
claim = "realm_access.roles"
value = "csor-steward"
role = "steward"

[[provider.role]]
claim = "realm_access.roles"
value = "csor-auditor"
role = "auditor"

[[provider.role]]
claim = "realm_access.roles"
value = "csor-analyst"
role = "analyst"

[[provider.role]]
claim = "realm_access.roles"
value = "csor-integrator"
role = "integrator"

[[provider.role]]
claim = "realm_access.roles"
value = "csor-lead"
role = "hospital-lead"
hospitals_claim = "ods"

[[provider.role]]
claim = "realm_access.roles"
value = "csor-hospital-analyst"
role = "hospital-analyst"
hospitals = ["RA1"]
"""


def roles(*names: str, **more: Any) -> dict[str, Any]:
    """Claims by which somebody has roles."""
    return {"realm_access": {"roles": list(names)}, **more}


@dataclass
class Identity:
    """The provider: whom it signs in next, by what claims, and what it has been asked."""

    clock: Clock
    claims: dict[str, Any] = field(default_factory=lambda: roles("csor-steward"))
    faults: dict[str, Any] = field(default_factory=dict)
    configuration: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, place: str) -> str:
        """Sign somebody in, as the browser that is sent to a place; returns where it is sent back to."""
        asked = dict(parse_qsl(urlsplit(place).query, strict_parsing=True))
        assert place.startswith(f"{ISSUER}/authorize?")
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
        assert asked["redirect_uri"] == f"{ROOT}/sign-in/hospital/callback"
        assert asked["code_challenge_method"] == "S256"
        assert asked["nonce"]
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        answer = {"code": code, "state": asked["state"], **self.faults.get("answer", {})}
        kept = {name: value for name, value in answer.items() if value is not None}
        return f"{asked['redirect_uri']}?{urlencode(kept)}"

    async def __call__(
        self, url: str, *, form: Mapping[str, str] | None = None, token: str | None = None
    ) -> Fetched:
        """Answer as its endpoints do."""
        self.asked.append(url)
        if url in self.faults.get("away", ()):
            raise UnreachableError("it is away")
        if url == f"{ISSUER}/.well-known/openid-configuration":
            return Fetched(self._configuration(), 300)
        if url == f"{ISSUER}/keys":
            return Fetched(self.faults.get("keys", {"keys": [KEY.as_dict(private=False)]}), 300)
        if url == f"{ISSUER}/userinfo":
            assert token == ACCESS
            return Fetched(self.told, 300)
        assert url == f"{ISSUER}/token"
        assert form is not None
        return Fetched(self._token(form), 300)

    def _configuration(self) -> dict[str, Any]:
        return {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "userinfo_endpoint": f"{ISSUER}/userinfo",
            "end_session_endpoint": f"{ISSUER}/logout",
            **self.configuration,
        }

    def _token(self, form: Mapping[str, str]) -> dict[str, Any]:
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if "client_assertion" in form:
            proof = jwt.decode(form["client_assertion"], OWN_KEY, ["ES384"]).claims
            assert (proof["iss"], proof["aud"]) == (CLIENT, f"{ISSUER}/token")
        else:
            assert (form["client_id"], form.get("client_secret")) == (CLIENT, SECRET)
        if asked is None or asked["code_challenge"] != challenge:
            raise UnreachableError("its URL answers 400, not a plain 200")
        assert form["redirect_uri"] == asked["redirect_uri"]
        token = self.faults.get("token", signed)(self._said(asked["nonce"]))
        return {"access_token": ACCESS, "token_type": "Bearer", "id_token": token}

    def _said(self, nonce: str) -> dict[str, Any]:
        now = int(self.clock.now.timestamp())
        made = {
            "iss": ISSUER, "sub": "4711", "aud": CLIENT, "iat": now, "exp": now + 300,
            "nonce": nonce, "name": "Fictitious Person", **self.claims,
        }  # fmt: skip
        return {name: value for name, value in made.items() if value is not None}


def signed(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": KEY.kid}, claims, KEY)


def foreign(claims: dict[str, Any]) -> str:
    """Signed by a key that is not the provider's."""
    return jwt.encode({"alg": "RS256", "kid": STRANGER.kid}, claims, STRANGER)


def unsigned(claims: dict[str, Any]) -> str:
    """With alg=none, as RFC 7519 writes it."""
    return f"{_encoded({'alg': 'none'})}.{_encoded(claims)}."


def confused(claims: dict[str, Any]) -> str:
    """By HMAC, its secret the public key that everybody knows."""
    content = f"{_encoded({'alg': 'HS256', 'kid': KEY.kid})}.{_encoded(claims)}"
    digest = hmac.new(KEY.as_pem(private=False), content.encode(), hashlib.sha256).digest()
    return f"{content}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@dataclass
class Browser:
    """A browser elsewhere, the provider that it signs in by, and the server's context to look into."""

    http: httpx.AsyncClient
    identity: Identity
    clock: Clock
    made: Context

    async def sign_in(self, then: str = "") -> httpx.Response:
        """Go to the provider and back; returns what the callback answers."""
        query = f"?{urlencode({'next': then})}" if then else ""
        answer = await self.http.get(f"/sign-in/hospital{query}")
        assert answer.status_code == 302, answer.text
        return await self.http.get(self.identity.authorize(answer.headers["location"]))

    async def signed_in(self, *names: str, **claims: Any) -> dict[str, Any]:
        """Sign somebody in by roles; returns what `GET /session` tells."""
        self.identity.claims = roles(*names, **claims)
        answer = await self.sign_in()
        assert answer.status_code == 302, answer.text
        told: dict[str, Any] = (await self.http.get("/session")).json()
        return told

    def logout(self, **other: Any) -> dict[str, Any]:
        """The claims of a logout token as it must be, but for what is given; None is not there."""
        now = int(self.clock.now.timestamp())
        made = {
            "iss": ISSUER, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": secrets.token_hex(8),
            "events": {EVENT: {}}, "sub": "4711", **other,
        }  # fmt: skip
        return {name: value for name, value in made.items() if value is not None}

    async def logged_out(
        self, sign: Callable[[dict[str, Any]], str] | None = None, **other: Any
    ) -> httpx.Response:
        """Have the provider send a logout token, which it does without any cookie."""
        token = (sign or signed)(self.logout(**other))
        request = self.http.build_request("POST", LOGOUT, data={"logout_token": token})
        request.headers.pop("cookie", None)
        return await self.http.send(request)

    async def audited(self) -> list[tuple[str, str, int | None]]:
        """List what has been recorded: who, what, and the status."""
        await self.made.audit.flush()
        found = accesses(self.made.database)
        return [(each.principal, each.interaction, each.status) for each in found]


@asynccontextmanager
async def browser(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str | None = PROVIDERS, **settings: Any
) -> AsyncIterator[Browser]:
    """Serve with a file of providers, to a browser on another machine, until left."""
    for name, content in (("secret", SECRET.encode()), ("own.pem", OWN_KEY.as_pem(private=True))):
        file = folder / name
        if not file.exists():
            file.write_bytes(content)
            file.chmod(0o600)
    file, clock = folder / "providers.toml", Clock()
    file.write_text(text or "")
    identity = Identity(clock)
    monkeypatch.setattr(app, "fetcher", lambda _: identity)
    chosen = Settings(
        database=new_database("sqlite", folder),
        base_url=f"{ROOT}/fhir",
        identity_providers=None if text is None else file,
        **settings,
    )
    made = context(chosen, now=clock)
    try:
        transport = httpx.ASGITransport(application(made), client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url=ROOT) as http:
            yield Browser(http, identity, clock, made)
        await made.audit.flush()
    finally:
        made.database.close()

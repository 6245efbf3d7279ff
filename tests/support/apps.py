"""An app that people let in, and the browser in which they do: SMART App Launch."""

import base64
import hashlib
import html
import json
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from fhir_server.access.assertions import KIND
from tests.support.backend import ELLIPTIC, public
from tests.support.identity import ROOT, Browser, browser

BASE, CALLBACK = f"{ROOT}/fhir", "https://app.example/callback?of=csor"
SCOPE = "openid fhirUser launch/patient offline_access patient/*.rs user/Practitioner.r"
LAUNCH = "https://start.example/launch?of=csor"
OPENED = "openid fhirUser launch offline_access patient/*.rs user/Practitioner.r"
APPS = f"""
[[client]]
name = "growth"
redirect_uris = ["{CALLBACK}"]
scopes = "{SCOPE}"

[[client]]
name = "ward-list"
redirect_uris = ["{CALLBACK}"]
scopes = "openid user/*.rs"
jwks = "app.jwks.json"

[[client]]
name = "chart"
redirect_uris = ["{CALLBACK}"]
launch_url = "{LAUNCH}"
scopes = "{OPENED}"

[[client]]
name = "other"
redirect_uris = ["{CALLBACK}"]
launch_url = "{LAUNCH}"
scopes = "{OPENED}"

[[client]]
name = "epr"
scopes = "system/*.cruds"
jwks = "app.jwks.json"
"""
_HIDDEN = re.compile(r'<input type="hidden" name="(.*?)" value="(.*?)">')
_CHILD = re.compile(r'name="patient" value="(.*?)"')


@dataclass
class App:
    """An app, in the browser of whoever has signed in; it keeps its own verifier."""

    browser: Browser
    name: str = "growth"
    scope: str = SCOPE
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def http(self) -> httpx.AsyncClient:
        return self.browser.http

    def asked(self, **more: str | None) -> dict[str, str]:
        """Return what the app asks for as it must, but for what is given; None is left out."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        made = {
            "response_type": "code",
            "client_id": self.name,
            "redirect_uri": CALLBACK,
            "scope": self.scope,
            "state": "the-state",
            "aud": BASE,
            "nonce": "the-nonce",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **more,
        }
        return {name: value for name, value in made.items() if value is not None}

    async def page(self, find: str = "", **more: str | None) -> httpx.Response:
        """Ask to be let in; returns the page on which the person decides."""
        query = {**self.asked(**more), **({"find": find} if find else {})}
        return await self.http.get(f"/authorize?{urlencode(query)}")

    async def decided(self, page: httpx.Response, **more: str | None) -> httpx.Response:
        """Send the form of a page; the first child of those listed is chosen."""
        form = {html.unescape(k): html.unescape(v) for k, v in _HIDDEN.findall(page.text)}
        if found := _CHILD.search(page.text):
            form["patient"] = found[1]
        made = {**form, "decision": "allow", **more}
        kept = {name: value for name, value in made.items() if value is not None}
        return await self.http.post("/authorize", data=kept, headers={"Origin": ROOT})

    async def opened(self, patient: str, name: str = "", /, **more: str | None) -> httpx.Response:
        """Have the person open the app, or one of another name, for a child, on the page of apps."""
        page = await self.http.get("/apps", params={"patient": patient})
        form = {html.unescape(k): html.unescape(v) for k, v in _HIDDEN.findall(page.text)}
        made = {"patient": patient, **form, "app": name or self.name, **more}
        kept = {key: value for key, value in made.items() if value is not None}
        return await self.http.post("/apps", data=kept, headers={"Origin": ROOT})

    async def launch(self, patient: str, name: str = "") -> str:
        """Return the value with which the app is opened."""
        answer = await self.opened(patient, name)
        assert answer.status_code == 303, answer.text
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))["launch"]

    async def child(self, family: str = "Testchild-Wren") -> str:
        """Return the id of a child, as the person finds it."""
        found = (await self.http.get("/fhir/Patient", params={"name": family})).json()
        told: str = found["entry"][0]["resource"]["id"]
        return told

    async def code(self, find: str = "Testchild-Wren", **more: str | None) -> str:
        """Have a person let the app in; returns the code."""
        answer = await self.decided(await self.page(find, **more))
        said = returned(answer)
        assert said["state"] == "the-state"
        assert said["iss"] == ROOT
        return said["code"]

    async def ask(self, **form: str | None) -> httpx.Response:
        """Ask for tokens; what is None is left out."""
        made = {
            "grant_type": "authorization_code",
            "client_id": self.name,
            "redirect_uri": CALLBACK,
            "code_verifier": self.verifier,
            **form,
        }
        kept = {name: value for name, value in made.items() if value is not None}
        return await self.http.post("/token", data=kept)

    async def tokens(self, find: str = "Testchild-Wren", **more: str | None) -> dict[str, Any]:
        answer = await self.ask(code=await self.code(find, **more))
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def get(self, path: str, token: str) -> httpx.Response:
        """Ask at the FHIR endpoint as the app, which has no cookie of the person's."""
        return await self.request("GET", path, token)

    async def request(self, method: str, path: str, token: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        transport = self.http._transport
        async with httpx.AsyncClient(transport=transport, base_url=ROOT) as other:
            return await other.request(method, f"/fhir{path}", headers=headers, **more)

    def assertion(self, key: Any = ELLIPTIC, **claims: Any) -> dict[str, str]:
        """Return what proves who a confidential app is."""
        now = int(self.browser.clock.now.timestamp())
        made = {
            "iss": self.name, "sub": self.name, "aud": f"{ROOT}/token", "exp": now + 240,
            "jti": secrets.token_hex(8), **claims,
        }  # fmt: skip
        token = jwt.encode({"alg": "ES384", "kid": "elliptic"}, made, key, ["ES384"])
        return {"client_assertion_type": KIND, "client_assertion": token}

    async def identity(self, token: str) -> Mapping[str, Any]:
        """Return the claims of an identity token that the server's published keys verify."""
        keys = KeySet.import_key_set((await self.http.get("/.well-known/jwks.json")).json())
        return jwt.decode(token, keys, ["ES384"]).claims


def returned(answer: httpx.Response) -> dict[str, str]:
    """Return what an app is told where the browser comes back to it."""
    assert answer.status_code == 303, answer.text
    place = answer.headers["location"]
    assert place.startswith(CALLBACK)
    return dict(parse_qsl(urlsplit(place).query))


def registered(folder: Path, text: str = APPS) -> Path:
    (folder / "app.jwks.json").write_text(json.dumps({"keys": [public(ELLIPTIC, "elliptic")]}))
    file = folder / "clients.toml"
    file.write_text(text)
    return file


@asynccontextmanager
async def app_in_browser(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[App]:
    """Serve a registry that knows apps and people, to a browser on another machine, until left."""
    chosen = {"clients": registered(folder), "signing_key": folder / "signing.pem", **settings}
    async with browser(folder, monkeypatch, **chosen) as found:
        yield App(found)

"""Authlib as the OAuth client of an app: its own PKCE, its own exchange, its own check of who it is."""

import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet

from fhir_server.access.oidc_development import PATH
from tests.support.server import Served, put, served

CALLBACK = "http://127.0.0.1:9/callback"
SCOPES = "openid fhirUser launch/patient patient/*.rs offline_access"
HIDDEN = re.compile(r'<input type="hidden" name="(.*?)" value="(.*?)">')
VERIFIER = "v" * 64


def let_in(server: Served, place: str) -> str:
    """Sign in and let the app in, as a browser does; returns where it is sent back to."""
    root = server.base_url.removesuffix("/fhir")
    with httpx.Client(base_url=root, follow_redirects=True, headers={"Origin": root}) as browser:
        page = browser.get(place)
        link = re.search(r'href="([^"]*/sign-in/development[^"]*)"', page.text)
        assert link is not None
        page = browser.get(unescape(link[1]))
        page = browser.post(f"{PATH}/authorize", data={**hidden(page), "who": "steward"})
        page = browser.get(page.url.copy_merge_params({"find": "Wren"}))
        form = {**hidden(page), "patient": "wren", "decision": "allow"}
        answer = browser.post("/authorize", data=form, follow_redirects=False)
        return str(answer.headers["location"])


def hidden(page: httpx.Response) -> dict[str, str]:
    assert page.status_code == 200, page.text
    return {unescape(name): unescape(value) for name, value in HIDDEN.findall(page.text)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_completes_its_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # on this machine there is no TLS
    clients = tmp_path / "clients.toml"
    clients.write_text(
        f'[[client]]\nname = "growth"\nredirect_uris = ["{CALLBACK}"]\nscopes = "{SCOPES}"\n'
    )
    with served(tmp_path, demo=True, mllp=False, outcomes=False, clients=clients) as server:
        put(server, {"resourceType": "Patient", "id": "wren", "name": [{"family": "Wren"}]})
        told = httpx.get(f"{server.base_url}/.well-known/smart-configuration").json()
        app = OAuth2Session(
            "growth", redirect_uri=CALLBACK, scope=SCOPES, token_endpoint_auth_method="none",  # noqa: S106 - a method
            code_challenge_method="S256",
        )  # fmt: skip
        place, _ = app.create_authorization_url(
            told["authorization_endpoint"], code_verifier=VERIFIER, aud=server.base_url, nonce="one"
        )
        back = let_in(server, place)
        given = app.fetch_token(
            told["token_endpoint"], authorization_response=back, code_verifier=VERIFIER
        )
        assert given["patient"] == "wren"
        keys = KeySet.import_key_set(httpx.get(told["jwks_uri"]).json())
        claims = jwt.decode(given["id_token"], keys, ["ES384"]).claims
        assert (claims["iss"], claims["aud"], claims["nonce"]) == (told["issuer"], "growth", "one")
        assert app.get(f"{server.base_url}/Patient/wren").json()["id"] == "wren"
        assert app.get(claims["fhirUser"]).json()["name"] == [{"text": "Demonstration steward"}]
        before = given["access_token"]
        renewed = app.refresh_token(told["token_endpoint"], refresh_token=given["refresh_token"])
        assert renewed["access_token"] != before
        code = parse_qs(urlsplit(back).query)["code"][0]
        with pytest.raises(OAuthError, match="invalid_grant"):
            app.fetch_token(told["token_endpoint"], code=code, code_verifier=VERIFIER)
        ended = app.get(f"{server.base_url}/Patient/wren", withhold_token=True, headers={
            "Authorization": f"Bearer {renewed['access_token']}"})  # fmt: skip
        assert ended.status_code == 401

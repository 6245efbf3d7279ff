"""The demo's identity provider: anybody is anyone fictitious, on one machine alone, and each page says so."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from fhir_server.access.oidc_development import NOTICE, PATH, PEOPLE, refuse_development
from fhir_server.app import application, context
from fhir_server.settings import Settings
from tests.support.databases import new_database
from tests.support.server import Served, served

FIELD = re.compile(r'<input type="hidden" name="(.*?)" value="(.*?)">')


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("demo"), demo=True, mllp=False, outcomes=False) as found:
        yield found


@pytest.fixture
def http(demo: Served) -> Iterator[httpx.Client]:
    """A browser on this machine, without a session."""
    root = demo.base_url.removesuffix("/fhir")
    with httpx.Client(base_url=root, follow_redirects=True) as found:
        found.headers["Origin"] = root
        yield found


def begun(http: httpx.Client) -> tuple[httpx.Response, dict[str, str]]:
    """Go to the provider; returns its page, and what its form sends back."""
    page = http.get("/sign-in/development")
    assert page.status_code == 200, page.text
    return page, {unescape(k): unescape(v) for k, v in FIELD.findall(page.text)}


def signed_in(http: httpx.Client, who: str, hospital: str = "RTH") -> dict[str, Any]:
    _, form = begun(http)
    answer = http.post(f"{PATH}/authorize", data={**form, "who": who, "hospital": hospital})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = http.get("/session").json()
    return told


@pytest.mark.parametrize("who", PEOPLE)
def test_anybody_may_be_chosen_and_signs_out(http: httpx.Client, who: str) -> None:
    told = signed_in(http, who)
    hospitals = ["RTH"] if who.startswith("hospital-") else []
    assert (told["role"], told["hospitals"]) == (who, hospitals)
    assert told["user"]["display"].startswith("Demonstration ")
    answer = http.delete("/session", headers={"X-CSRF-Token": told["csrf"]})
    end = http.get(answer.json()["endSession"])
    assert "You are signed out" in end.text
    assert http.get("/session").status_code == 401


def test_every_page_says_that_nobody_is_checked(http: httpx.Client) -> None:
    page, form = begun(http)
    wrong = http.post(f"{PATH}/authorize", data={**form, "who": "somebody"})
    assert wrong.status_code == 400
    signed_in(http, "steward")
    others = [http.get(path) for path in ("/sign-in", "/sign-in/other", f"{PATH}/end")]
    for each in (page, wrong, *others):
        assert NOTICE in each.text


def test_the_built_pages_say_so_too(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<html><body><p>The page</p></body></html>")
    for demo in (True, False):
        with served(tmp_path / str(demo), demo=demo, mllp=False, pages=tmp_path) as server:
            page = httpx.get(server.base_url.removesuffix("/fhir"))
        assert (NOTICE in page.text, "The page" in page.text) == (demo, True)


def test_without_a_hospital_nobody_is_of_one(http: httpx.Client) -> None:
    _, form = begun(http)
    sent = {**form, "who": "hospital-lead", "hospital": "the one here"}
    answer = http.post(f"{PATH}/authorize", data=sent)
    assert (answer.status_code, "ODS code" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redirect_uri", "https://evil.example/callback"),
        ("client_id", "other"),
        ("response_type", "token"),
        ("code_challenge", ""),
        ("code_challenge_method", "plain"),
        ("nonce", ""),
        ("state", ""),
    ],
)
def test_nobody_but_the_registry_is_served(http: httpx.Client, name: str, value: str) -> None:
    _, form = begun(http)
    for answer in (
        http.get(f"{PATH}/authorize", params={**form, name: value}),
        http.post(f"{PATH}/authorize", data={**form, name: value, "who": "steward"}),
    ):
        assert answer.status_code == 400


def test_a_code_is_good_once_and_for_its_verifier_alone(http: httpx.Client) -> None:
    _, form = begun(http)
    sent = {**form, "who": "steward"}
    answer = http.post(f"{PATH}/authorize", data=sent, follow_redirects=False)
    code = dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]
    asked = {"code": code, "code_verifier": "guessed", "redirect_uri": form["redirect_uri"]}
    assert http.post(f"{PATH}/token", data=asked).status_code == 400
    assert http.get(answer.headers["location"]).status_code == 502


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "registry.example"},
        {"X-Forwarded-For": "192.0.2.7"},
        {"Forwarded": "for=192.0.2.7"},
        {"Origin": "https://evil.example"},
    ],
)
def test_nobody_elsewhere_is_served(http: httpx.Client, headers: dict[str, str]) -> None:
    _, form = begun(http)
    for path in ("authorize", ".well-known/openid-configuration", "jwks"):
        assert http.get(f"{PATH}/{path}", params=form, headers=headers).status_code == 401
    form["who"] = "steward"
    assert http.post(f"{PATH}/authorize", data=form, headers=headers).status_code == 401


async def test_nobody_elsewhere_is_served_who_has_a_token_either(tmp_path: Path) -> None:
    made = context(Settings(database=new_database("sqlite", tmp_path), demo=True))
    try:
        transport = httpx.ASGITransport(application(made), client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            for headers in ({}, {"Authorization": "Bearer some"}, {"Cookie": "csor=some"}):
                answer = await http.get(f"{PATH}/authorize?{urlencode({'a': 1})}", headers=headers)
                assert answer.status_code == 401
    finally:
        made.database.close()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"fhir_host": "0.0.0.0"}, "127.0.0.1 alone"),  # noqa: S104 - what is refused
        ({"fhir_host": "192.0.2.7"}, "127.0.0.1 alone"),
        ({"base_url": "https://registry.example/fhir"}, "127.0.0.1 alone"),
        ({"identity_providers": Path("providers.toml")}, "unset one of them"),
    ],
)
def test_it_cannot_be_reached_from_elsewhere_nor_be_beside_a_real_one(
    tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        refuse_development(Settings(demo=True, **settings))
    made = context(Settings(database=new_database("sqlite", tmp_path), demo=True, **settings))
    try:
        with pytest.raises(ValueError, match=reason):
            application(made)
    finally:
        made.database.close()


def test_it_is_not_there_otherwise(tmp_path: Path) -> None:
    with served(tmp_path, mllp=False) as server:
        root = server.base_url.removesuffix("/fhir")
        assert httpx.get(f"{root}{PATH}/authorize").status_code == 404
        assert httpx.get(f"{root}/sign-in/development").status_code == 404
        assert "Development" not in httpx.get(f"{root}/sign-in").text

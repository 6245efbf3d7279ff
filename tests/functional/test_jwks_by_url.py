"""Keys that a client publishes at a URL: fetched safely, and remembered within bounds."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from fhir_server import app
from fhir_server.access import jwks
from fhir_server.access.clients import Client
from fhir_server.access.jwks import Fetch, Fetched, KeySets, UnreachableError, fetcher, remembered
from tests.support.backend import ELLIPTIC, JWKS, RSA, Clock, backend, public
from tests.support.serving import served

URL = "https://epr.example/jwks.json"
CLIENT = Client("epr", scopes=("system/*.rs",), jwks_url=URL)


class Published:
    """What a URL answers, and how often it was asked."""

    def __init__(self, jwks: Any = JWKS, seconds: int = 300) -> None:
        self.jwks, self.seconds, self.asked = jwks, seconds, 0

    async def __call__(self, url: str) -> Fetched:
        assert url == URL
        self.asked += 1
        if self.jwks is None:
            raise UnreachableError("it is away")
        return Fetched(self.jwks, self.seconds)


async def test_keys_are_remembered_for_as_long_as_is_said() -> None:
    clock, published = Clock(), Published(seconds=300)
    sets = KeySets(published, clock)
    for _ in range(3):
        assert (await sets.key(CLIENT, "elliptic", "ES384")) is not None
    assert published.asked == 1
    clock.forward(300)
    published.jwks = {"keys": [public(RSA, "rsa")]}
    assert await sets.key(CLIENT, "elliptic", "ES384") is None
    assert published.asked == 2


async def test_a_kid_that_is_not_known_has_them_fetched_once_a_minute() -> None:
    clock, published = Clock(), Published({"keys": [public(RSA, "rsa")]})
    sets = KeySets(published, clock)
    for _ in range(20):
        assert await sets.key(CLIENT, "elliptic", "ES384") is None
    assert published.asked == 1
    published.jwks = JWKS
    clock.forward(60)
    assert await sets.key(CLIENT, "elliptic", "ES384") is not None
    assert published.asked == 2


async def test_what_cannot_be_had_is_said_and_asked_again_after_a_minute() -> None:
    clock, published = Clock(), Published(None)
    sets = KeySets(published, clock)
    for _ in range(3):
        with pytest.raises(UnreachableError, match="it is away"):
            await sets.key(CLIENT, "elliptic", "ES384")
    assert published.asked == 1
    published.jwks = JWKS
    clock.forward(60)
    assert await sets.key(CLIENT, "elliptic", "ES384") is not None


async def test_old_keys_are_not_used_once_they_cannot_be_had_any_more() -> None:
    clock, published = Clock(), Published()
    sets = KeySets(published, clock)
    assert await sets.key(CLIENT, "elliptic", "ES384") is not None
    published.jwks = None
    clock.forward(300)
    with pytest.raises(UnreachableError):
        await sets.key(CLIENT, "elliptic", "ES384")


async def test_what_is_no_key_for_signatures_is_passed_over() -> None:
    secret = {**ELLIPTIC.as_dict(private=True), "kid": "secret"}
    others = [
        {},
        secret,
        public(RSA, "rsa", use="enc"),
        public(RSA, "two"),
        public(ELLIPTIC, "two"),
        "x",
    ]
    sets = KeySets(Published({"keys": [*others, public(ELLIPTIC, "one", alg="ES384")]}), Clock())
    assert await sets.key(CLIENT, "one", "ES384") is not None
    for kid in ("secret", "rsa", "two"):
        for algorithm in ("ES384", "RS384"):
            assert await sets.key(CLIENT, kid, algorithm) is None
    for nothing in ([], {"keys": {}}, "keys", {}):
        assert await KeySets(Published(nothing), Clock()).key(CLIENT, "one", "ES384") is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 300), ("max-age=600", 600), ("public, Max-Age=600", 600), ("max-age=0", 60),
        ("max-age=31536000", 3600), ("no-store", 60), ("no-cache, max-age=600", 60), ("s-maxage=9", 300),
    ],
)  # fmt: skip
def test_for_how_long(header: str, seconds: int) -> None:
    assert remembered(header) == seconds


class Site:
    """An https server of this machine, and what it answers at each path."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.asked: list[tuple[str, str | None]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append((self.path, self.headers["Host"]))
                status, headers, body = site.answers[self.path]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.context = ssl.create_default_context()
        authority.configure_trust(self.context)
        self.base = f"https://localhost:{self.server.server_port}"
        keys = json.dumps(JWKS).encode()
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {
            "/jwks": (200, {"Cache-Control": "max-age=900"}, keys),
            "/moved": (302, {"Location": f"{self.base}/jwks"}, b""),
            "/large": (200, {}, b" " * (jwks.LARGEST + 1)),
            "/packed": (200, {"Content-Encoding": "gzip"}, keys),
            "/page": (200, {}, b"<html>"),
            "/absent": (404, {}, b""),
        }

    def fetch(self, private_hosts: str = "localhost") -> Fetch:
        return fetcher(private_hosts, self.context)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    found = Site()
    with served(found.server):
        yield found


async def test_keys_are_fetched_by_https_and_the_name_of_the_certificate_is_checked(
    site: Site,
) -> None:
    fetched = await site.fetch()(f"{site.base}/jwks")
    assert fetched == Fetched(JWKS, 900)
    assert site.asked[-1] == ("/jwks", site.base.removeprefix("https://"))
    with pytest.raises(UnreachableError, match="ConnectError"):
        await fetcher("127.0.0.1", site.context)(
            f"{site.base.replace('localhost', '127.0.0.1')}/jwks"
        )


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/moved", "answers 302"),
        ("/absent", "answers 404"),
        ("/packed", "not a plain 200"),
        ("/large", "larger than"),
        ("/page", "not JSON"),
    ],
)
async def test_what_is_no_plain_answer_is_refused(site: Site, path: str, reason: str) -> None:
    before = len(site.asked)
    with pytest.raises(UnreachableError, match=reason):
        await site.fetch()(f"{site.base}{path}")
    assert [each for each, _ in site.asked[before:]] == [path]


async def test_private_addresses_are_not_asked_but_for_hosts_that_the_operator_allows(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(site.asked)
    for url in (
        f"{site.base}/jwks", "https://10.0.0.1/jwks", "https://169.254.169.254/latest",
        "https://[::1]/jwks", "https://[::ffff:10.0.0.1]/jwks", "https://[fd00::1]/jwks",
        "https://0.0.0.0/jwks", "https://100.64.0.1/jwks",
    ):  # fmt: skip
        with pytest.raises(UnreachableError, match="CSOR_JWKS_PRIVATE_HOSTS"):
            await site.fetch("epr.example")(url)
    with pytest.raises(UnreachableError, match="not https"):
        await site.fetch()(f"{site.base}/jwks".replace("https", "http"))
    assert len(site.asked) == before


async def test_who_answers_too_slowly_is_given_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "SECONDS", 0.2)
    release = threading.Event()

    def slow(self: Any) -> None:
        release.wait(5)

    monkeypatch.setattr(site.server.RequestHandlerClass, "do_GET", slow)
    with pytest.raises(UnreachableError, match="cannot be reached"):
        await site.fetch()(f"{site.base}/jwks")
    release.set()


async def test_a_client_that_publishes_its_keys_gets_a_token_while_they_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = Published()
    monkeypatch.setattr(app, "fetcher", lambda _: published)
    text = f'[[client]]\nname = "epr"\nscopes = "system/Patient.rs"\njwks_url = "{URL}"\n'
    async with backend(tmp_path, text) as epr:
        assert (await epr.ask()).status_code == 200
        assert (await epr.ask(epr.assertion({"jku": URL}))).status_code == 200
        assert (await epr.ask(epr.assertion({"jku": f"{URL}?"}))).status_code == 400
        published.jwks = None
        epr.clock.forward(300)
        answer = await epr.ask()
        assert answer.status_code == 400
        said = "The JWKS of the client cannot be had: it is away."
        assert answer.json() == {"error": "invalid_client", "error_description": said}
        assert ("epr", "token", 400) in await epr.audited()


def test_bounds_are_what_the_documents_say() -> None:
    bounds = [jwks.LEAST, jwks.USUAL, jwks.LONGEST, jwks.AGAIN.total_seconds()]
    assert bounds == [60, 300, 3600, 60]
    text = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
    assert "between a minute and an hour, five minutes where nothing is said" in text

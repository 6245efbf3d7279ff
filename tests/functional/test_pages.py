"""The pages beside /fhir: what is served, with which headers, and what is not.

A folder of two files stands in for what `make web` builds: npm has no part in these tests.
"""

import gzip
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fhir_server.app import application, context
from fhir_server.commands.local import local_client
from fhir_server.context import Context
from fhir_server.settings import Settings
from tests.support.databases import new_database
from tests.support.server import ROOT

HTML = (ROOT / "web" / "index.html").read_text()
SCRIPT = "console.log('pages');"
ELSE = (
    "/assets/other.js",
    "/assets/notes.txt",
    "/assets/index-A1.js.gz",
    "/assets/../secret.txt",
    "/assets/..%2fsecret.txt",
    "/assets/%2e%2e/secret.txt",
    "/assets/..%5csecret.txt",
    "/assets/%2fetc%2fpasswd",
    "/assets/.js",
    "/assets/",
    "/secret.txt",
    "/index.html",
    "/pages.py",
)


def door(folder: Path, built: Path, **given: str) -> tuple[Context, httpx.AsyncClient]:
    made = context(Settings(database=new_database("sqlite", folder), pages=built, **given))
    return made, local_client(application(made))


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    assets = tmp_path / "built" / "assets"
    assets.mkdir(parents=True)
    for name in ("index", "note", "survey", "integrator"):
        (tmp_path / "built" / f"{name}.html").write_text(HTML.replace("CSOR", f"CSOR {name}"))
    (tmp_path / "built" / "secret.txt").write_text("not an asset")
    (assets / "index-A1.js").write_text(SCRIPT)
    (assets / "index-A1.js.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    (assets / "plain.css").write_text("body{}")
    (assets / "notes.txt").write_text("not of a kind that pages have")
    made, http = door(tmp_path, tmp_path / "built")
    async with http:
        yield http
    made.database.close()


async def test_a_page_is_html_that_no_cache_keeps(pages: httpx.AsyncClient) -> None:
    answer = await pages.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_each_page_has_a_file_of_its_own(pages: httpx.AsyncClient) -> None:
    for path, name in (
        ("/", "index"),
        ("/note", "note"),
        ("/note?response=1", "note"),
        ("/survey", "survey"),
        ("/integrators", "integrator"),
        ("/scorecard", "integrator"),
    ):
        answer = await pages.get(path)
        assert answer.status_code == 200, path
        assert f"<title>CSOR {name}</title>" in answer.text


async def test_a_page_may_load_from_its_own_origin_alone_and_not_be_framed(
    pages: httpx.AsyncClient,
) -> None:
    policy = (await pages.get("/")).headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert rules["base-uri"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_an_epr_that_is_named_may_show_the_pages_in_a_frame(tmp_path: Path) -> None:
    (tmp_path / "note.html").write_text(HTML)
    origins = "https://epr.example, https://ward.example"
    made, http = door(tmp_path, tmp_path, epr_origins=origins)
    async with http:
        policy = (await http.get("/note")).headers["content-security-policy"]
    made.database.close()
    assert policy.endswith("; frame-ancestors https://epr.example https://ward.example")


async def test_each_answer_has_a_nonce_of_its_own_which_the_page_is_told(
    pages: httpx.AsyncClient,
) -> None:
    told = []
    for _ in range(2):
        answer = await pages.get("/")
        [nonce] = re.findall(r"'nonce-([^']{16,})'", answer.headers["content-security-policy"])
        assert f'<meta name="csp-nonce" content="{nonce}" />' in answer.text
        told.append(nonce)
    assert told[0] != told[1]


async def test_an_asset_may_be_kept_for_ever(pages: httpx.AsyncClient) -> None:
    answer = await pages.get("/assets/index-A1.js", headers={"Accept-Encoding": "identity"})
    assert answer.text == SCRIPT
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "content-encoding" not in answer.headers


async def test_an_asset_is_sent_gzipped_to_who_accepts_that(pages: httpx.AsyncClient) -> None:
    answer = await pages.get("/assets/index-A1.js", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.text == SCRIPT
    assert "content-encoding" not in (await pages.get("/assets/plain.css")).headers


async def test_nothing_else_is_handed_out(pages: httpx.AsyncClient) -> None:
    for path in ELSE:
        url = pages.base_url.copy_with(raw_path=path.encode())
        answer = await pages.send(httpx.Request("GET", url))
        assert answer.status_code == 404, path
        assert "not an asset" not in answer.text


async def test_a_page_is_read_and_not_written(pages: httpx.AsyncClient) -> None:
    assert (await pages.post("/")).status_code == 405
    head = await pages.head("/")
    assert (head.status_code, head.text) == (200, "")


async def test_where_nothing_is_built_the_answer_says_what_to_do(tmp_path: Path) -> None:
    made, http = door(tmp_path, tmp_path / "none")
    async with http:
        answer = await http.get("/")
        assert answer.status_code == 503
        assert "make web" in answer.text
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert (await http.get("/fhir/metadata")).status_code == 200
    made.database.close()


def test_the_lock_holds_what_the_package_asks_for_and_names_no_registry() -> None:
    package = json.loads((ROOT / "web" / "package.json").read_text())
    lock = json.loads((ROOT / "web" / "package-lock.json").read_text())
    root = lock["packages"][""]
    assert root["dependencies"] == package["dependencies"]
    assert root["devDependencies"] == package["devDependencies"]
    wanted = {**package["dependencies"], **package["devDependencies"]}
    locked = {name: lock["packages"][f"node_modules/{name}"]["version"] for name in wanted}
    assert locked == wanted
    assert all("resolved" not in each for each in lock["packages"].values())
    assert all("integrity" in each for name, each in lock["packages"].items() if name)

"""The OpenAPI document is the tables that answer; schemathesis, which asks by it, finds no 5xx."""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fhir_server.rest import pages
from fhir_server.rest.routes import TABLE
from hardening import tools
from tests.support.mllp import register
from tests.support.server import Served, put, served

TOKENS = {
    "registry": "a-system-of-the-registry",
    "hospital": "a-system-of-a-hospital",
    "reader": "r",
}
ROLES = {
    "local": [],
    "stranger": ["-H", "X-Forwarded-For: 192.0.2.7"],
    **{role: ["-H", f"Authorization: Bearer {token}"] for role, token in TOKENS.items()},
}
PATIENT = {"resourceType": "Patient", "id": "a", "name": [{"family": "Testchild"}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("openapi")
    clients = folder / "clients.toml"
    bound = {"registry": "", "hospital": 'hospitals = ["RTH"]', "reader": 'scopes = "system/*.rs"'}
    clients.write_text(
        "\n".join(
            f'[[client]]\nname = "{role}"\n{bound[role]}\n'
            f'token_sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"'
            for role, token in TOKENS.items()
        )
    )
    generous = {"rate_limit": 1e6, "rate_limit_unknown": 1e6, "rate_limit_sign_in": 1e6}
    with served(folder, clients=clients, outcomes=False, mllp=False, **generous) as running:
        register(running, "RTH")
        put(running, PATIENT)
        yield running


@pytest.fixture(scope="module")
def document(server: Served) -> Any:
    answer = httpx.get(f"{server.base_url.removesuffix('/fhir')}/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


class TestDocument:
    def test_every_row_of_the_route_table_is_in_it(self, document: Any) -> None:
        told = {
            (method.upper(), path.removeprefix("/fhir"))
            for path, methods in document["paths"].items()
            for method in methods
            if path.startswith("/fhir/")
        }
        assert told == {(row.method, row.path) for row in TABLE}

    def test_what_is_beside_fhir_is_in_it(self, document: Any) -> None:
        beside = {path for path in document["paths"] if not path.startswith("/fhir/")}
        assert {
            "/", "/health", "/metrics", "/hl7v2", "/token", "/introspect", "/revoke", "/session",
            "/launch", "/callback", "/note", "/survey", "/assets/{name}", "/openapi.json",
            "/.well-known/jwks.json",
        } <= beside  # fmt: skip

    def test_each_operation_has_a_name_of_its_own(self, document: Any) -> None:
        names = [
            each["operationId"] for path in document["paths"].values() for each in path.values()
        ]
        assert len(set(names)) == len(names) > 100

    def test_each_place_in_a_path_is_described(self, document: Any) -> None:
        for path, methods in document["paths"].items():
            for each in methods.values():
                listed = [p["name"] for p in each.get("parameters", ()) if p["in"] == "path"]
                assert path.count("{") == len(listed), path

    def test_anybody_may_read_it_and_what_everybody_may(self, document: Any) -> None:
        assert document["paths"]["/fhir/metadata"]["get"]["security"] == []
        assert document["paths"]["/openapi.json"]["get"]["security"] == []


PAGES = rf"^({'|'.join(map(re.escape, pages.PATHS))})$"
"""Where the pages are not built they answer 503, in plain words; other tests have a browser ask for them."""
RUN = "from schemathesis.cli import schemathesis; schemathesis()"


def findings(server: Served, role: str, *options: str) -> str:
    """Let schemathesis ask the server as a role; returns what it reports, empty where all is well."""
    root = server.base_url.removesuffix("/fhir")
    done = subprocess.run(
        [
            str(tools.python()), "-c", RUN, "run", f"{root}/openapi.json", "--checks",
            "not_a_server_error", "--seed", "8", "--no-color", "--suppress-health-check", "all",
            "--warnings", "off", "--exclude-path-regex", PAGES, *ROLES[role], *options,
        ],
        cwd=tools.FOLDER, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert "Test cases:" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    return "" if done.returncode == 0 else done.stdout


def test_a_request_to_each_kind_of_path_finds_no_5xx(server: Served) -> None:
    some = r"^/($|health|hl7v2|token|revoke|session|fhir/$|fhir/\{type\}|fhir/\$|fhir/ValueSet/\$)"
    options = ("--phases", "fuzzing", "-n", "1", "--no-shrink", "--include-path-regex", some)
    found = findings(server, "local", *options)
    assert not found, found[-6000:]


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_many_requests_find_no_5xx_whoever_sends_them(server: Served, role: str) -> None:
    options = ("--phases", "coverage,fuzzing", "-n", "8", "--continue-on-failure")
    found = findings(server, role, *options)
    assert not found, found[-6000:]

"""npm's fhirclient (SMART on FHIR's JavaScript client), run by Node, works against the server."""

import json
from typing import Any

import pytest

from tests.support.npm import SOURCES, install, run
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow


@pytest.fixture(scope="module")
def said(server: Served) -> dict[str, Any]:
    """What the script of tests/clients found."""
    install()
    result = run("node", ["fhirclient.mjs", server.base_url], 30)
    assert result.returncode == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_knows_the_server_for_r4(said: dict[str, Any]) -> None:
    assert said["release"] == 4


def test_creates_reads_and_updates(said: dict[str, Any]) -> None:
    assert said["read"] == said["created"]
    assert said["updated"]["gender"] == "female"
    assert said["updated"]["meta"]["versionId"] == "2"
    assert said["first"] == said["created"]


def test_a_conditional_create_finds_what_is_there(said: dict[str, Any]) -> None:
    assert said["again"] == said["created"]["id"]


def test_a_transaction_resolves_its_conditional_references(said: dict[str, Any]) -> None:
    assert [status[:3] for status in said["statuses"]] == ["201"] * 5
    assert said["resolved"] == "Testchild-Wren"


def test_searches_and_follows_the_pages(said: dict[str, Any]) -> None:
    assert said["found"] == [said["created"]["id"]]
    assert sorted(said["days"]) == ["2021-03-02", "2021-03-03", "2021-03-04", "2021-03-05"]
    assert said["pages"] == 2


@pytest.mark.parametrize(
    ("act", "status", "text"),
    [
        ("invalid", 422, "birthDate"),
        ("unknown", 404, "nobody"),
        ("parameter", 400, "no search parameter nothing"),
    ],
)
def test_a_refusal_says_why(said: dict[str, Any], act: str, status: int, text: str) -> None:
    found, message = said["refusals"][act]
    assert found == status
    assert text in message


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_bytes())
    packages = [package for name, package in lock["packages"].items() if name]
    assert all("integrity" in package for package in packages)
    assert not any("resolved" in package for package in packages)

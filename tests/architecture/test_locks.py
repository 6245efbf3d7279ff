"""What is shipped is what is tested: the server's lock is a part of the developers'."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PIN = re.compile(
    r"^([a-z0-9][\w.-]*)(?:\[[\w,-]+\])?==([^\n]+?) \\\n((?:    --hash=\S+(?: \\)?\n)+)",
    re.MULTILINE,
)


def pins(name: str) -> set[tuple[str, str, frozenset[str]]]:
    """List each package of a lock: its name, its version with its marker, and its hashes."""
    found = PIN.findall((ROOT / name).read_text())
    return {
        (package, version, frozenset(re.findall(r"--hash=(\S+)", hashes)))
        for package, version, hashes in found
    }


def test_each_package_of_the_server_is_tested_in_its_version() -> None:
    shipped, tested = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {(name, version) for name, version, _ in shipped - tested} == set()
    assert len(tested) > len(shipped) > 50


def test_every_package_of_a_lock_has_hashes() -> None:
    for name in ("requirements.lock", "requirements-dev.lock", "hardening/requirements.lock"):
        named = re.findall(r"^[a-z0-9][^\s=]*==", (ROOT / name).read_text(), re.MULTILINE)
        assert len(pins(name)) == len(named)

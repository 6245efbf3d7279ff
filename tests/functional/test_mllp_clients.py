"""MLLP clients that others wrote are served: two of npm, and the library and the tool of PyPI's hl7."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hl7.client import MLLPClient

from tests.support.certificates import Authority, sha256
from tests.support.mllp import acknowledged, found, person, register
from tests.support.npm import install, run
from tests.support.server import Served, free_port, served

NUMBERS = ("9990000018", "9990000026", "9990000019")
CODES = ["AA", "AA", "AE"]
"""What is said of messages about these numbers, of which the last has a wrong check digit."""

WAYS = ("plain", "tls", "mutual", "each")
"""How the script of tests/clients sends: by node-hl7-client, and each message alone by mllp-node."""


@dataclass(frozen=True)
class Doors:
    server: Served
    folder: Path
    plain: int
    tls: int
    mutual: int


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """Three listeners: plain, with TLS, with mutual TLS."""
    folder = tmp_path_factory.mktemp("clients")
    ours, hospitals = Authority(folder, "ours"), Authority(folder, "hospitals")
    ours.issue("server", host="localhost")
    shown = hospitals.issue("oxford")
    plain, tls, mutual = (free_port() for _ in range(3))
    files = 'certificate = "server.pem"\nkey = "server.key"\n'
    senders = folder / "senders.toml"
    senders.write_text(
        f"[[listener]]\nport = {plain}\n"
        f"[[listener]]\nport = {tls}\n{files}"
        f'[[listener]]\nport = {mutual}\n{files}client_ca = "hospitals-ca.pem"\n'
        '[[sender]]\nname = "here"\nhospitals = ["RTH"]\naddress = "127.0.0.1"\n'
        '[[sender]]\nname = "oxford"\nhospitals = ["RTH"]\n'
        f'certificate_sha256 = "{sha256(shown[0])}"\n'
    )
    with served(folder, hl7v2_senders=senders) as server:
        register(server, "RTH")
        yield Doors(server, folder, plain, tls, mutual)


def messages(name: str) -> list[str]:
    return [person(f"{name}-{n}", number).decode() for n, number in enumerate(NUMBERS)]


def expected(name: str) -> list[tuple[str, str]]:
    return [(code, f"{name}-{n}") for n, code in enumerate(CODES)]


@pytest.fixture(scope="module")
def said(doors: Doors) -> dict[str, Any]:
    """What the script of tests/clients was told."""
    install()
    given = {
        "plain": doors.plain, "tls": doors.tls, "mutual": doors.mutual, "own": free_port(),
        "ca": str(doors.folder / "ours-ca.pem"), "certificate": str(doors.folder / "oxford.pem"),
        "key": str(doors.folder / "oxford.key"), "messages": {how: messages(how) for how in WAYS},
    }  # fmt: skip
    result = run("node", ["mllp.mjs", json.dumps(given)], 60)
    assert result.returncode == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    return told


@pytest.mark.parametrize("how", WAYS)
def test_the_clients_of_npm_are_answered(said: dict[str, Any], doors: Doors, how: str) -> None:
    assert [tuple(each) for each in said[how]] == expected(how)
    assert found(doors.server, NUMBERS[0]) == 1


def test_the_library_of_pypis_hl7_is_answered(doors: Doors) -> None:
    with MLLPClient("127.0.0.1", doors.plain) as client:
        told = [client.send_message(each) for each in messages("L")]
    assert [acknowledged(each) for each in told] == expected("L")


def test_the_tool_of_pypis_hl7_is_answered(doors: Doors, tmp_path: Path) -> None:
    file = tmp_path / "messages.hl7"
    file.write_bytes(b"".join(b"\x0b" + each.encode() + b"\x1c\r" for each in messages("T")))
    tool = Path(sys.executable).parent / "mllp_send"
    done = subprocess.run(
        [sys.executable, tool, "--port", str(doors.plain), "--file", file, "127.0.0.1"],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    told = [each for each in done.stdout.split(b"\x0b") if each.strip()]
    assert [acknowledged(each) for each in told] == expected("T")

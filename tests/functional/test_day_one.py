"""Day one of docs/clients.md: each block of it runs as it stands there, against a server on a socket."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ROOT, free_port, served

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    section = (ROOT / "docs" / "clients.md").read_text().split("## Day one")[1].split("\n## ")[0]
    return BLOCK.findall(section)


def run(block: str, folder: Path, port: int) -> str:
    """Run a block in bash, with this server's port and Python in place of the usual ones."""
    written = (
        block.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        .replace(".venv/bin/python", sys.executable)
        .replace("python3 ", f"{sys.executable} ")
    )
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "CSOR_FHIR_PORT": str(port)}
    done = subprocess.run(
        ["bash", "-ec", written], cwd=folder, env=environment, check=False, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are written for curl")
def test_it_runs_as_it_stands(tmp_path: Path) -> None:
    key, register, token, child, refused, library, scorecard = blocks()
    port = free_port()
    run(key, tmp_path, port)
    letter = run(register, tmp_path, port)
    assert f"http://127.0.0.1:{port}/token" in letter
    with served(tmp_path, clients=tmp_path / "clients.toml", fhir_port=port) as server:
        run(token, tmp_path, port)
        first, again = run(child, tmp_path, port), run(child, tmp_path, port)
        assert '"Testchild-Dunnock"' in first
        assert first == again
        answer = run(refused, tmp_path, port)
        assert "403 Forbidden" in answer
        assert 'error="insufficient_scope", scope="system/Encounter.s"' in answer
        assert run(library, tmp_path, port) == "1\n"
        shown = json.loads(run(scorecard, tmp_path, port))
        results = [each["action"][0]["assert"]["result"] for each in shown["test"]]
        assert (shown["result"], results.count("pass")) == ("pending", 5)
        accesses = server.http.get("/Patient?_summary=count")
        assert accesses.json()["total"] == 1

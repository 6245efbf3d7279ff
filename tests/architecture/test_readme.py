"""The README's examples, run as they stand there against a server."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import Served

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
OXFORD = {
    "resourceType": "Organization",
    "identifier": [{"system": ODS, "value": "RTH"}],
    "name": "Oxford University Hospitals",
}


def examples() -> list[str]:
    section = (ROOT / "README.md").read_text().split("## Send your own")[1].split("\n## ")[0]
    return BLOCK.findall(section)


def run(example: str, server: Served) -> str:
    """Run an example in bash, with this server's ports, database and Python in place of the demo's."""
    served = (
        example.replace("http://127.0.0.1:8000/fhir", server.base_url)
        .replace("2575", str(server.mllp_port))
        .replace(".demo/csor.db", str(server.context.settings.database))
        .replace(".venv/bin/python", sys.executable)
        .replace("python3 -", f"{sys.executable} -")
    )
    done = subprocess.run(
        ["bash", "-ec", served], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are written for curl")
def test_the_examples_do_what_the_readme_says(server: Served) -> None:
    assert server.http.post("/Organization", json=OXFORD).status_code == 201
    child, admission, case, inbox = examples()

    first, again = json.loads(run(child, server)), json.loads(run(child, server))
    assert first["resourceType"] == "Patient"
    assert again == first

    assert "MSA|AA|readme-1" in run(admission, server)

    found = json.loads(run(case, server))
    assert found["total"] == 1
    assert found["entry"][0]["resource"]["patient"]["reference"] == f"Patient/{first['id']}"

    wrong = admission.replace("9999999484", "9999999485").replace("readme-1", "readme-2")
    answer = run(wrong, server)
    assert "MSA|AE|readme-2" in answer
    assert "ERR||PID^1^3|" in answer
    assert "check digit" in run(inbox, server)

"""docs/day-one.md: every block of it runs as it stands there, against a sandbox on sockets."""

import re
import shutil
from pathlib import Path

import pytest

from fhir_server.commands.sandbox import claimed
from tests.functional.test_day_one import BLOCK, run
from tests.support.databases import new_database
from tests.support.mllp import register
from tests.support.server import ROOT, free_port, served

ACKNOWLEDGED = re.compile(r"^MSA\|(..)\|([^|\n]+)", re.MULTILINE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are written for curl")
def test_every_block_runs_and_the_scorecard_shows_it(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "day-one.md").read_text()
    key, token, admission, procedure, note, refused, beyond, search, stay, mllp, http, card = (
        BLOCK.findall(page)
    )
    claimed(Path(new_database("sqlite", tmp_path)))
    clients = tmp_path / "clients.toml"
    clients.write_text('[[client]]\nname = "sandbox"\nrevoked = true\n')
    port, other = free_port(), free_port()

    def done(block: str) -> str:
        return run(block.replace('"127.0.0.1", 2575', f'"127.0.0.1", {other}'), tmp_path, port)

    with served(tmp_path, clients=clients, sandbox=True, fhir_port=port, mllp_port=other) as server:
        register(server, "RTH")
        assert "wren-epr (iss and sub of the assertion)" in done(key)
        done(token)
        first, again = done(admission).splitlines()
        assert (first.count("201 Created"), again.count("200 OK")) == (2, 2)
        assert '"resourceType":"Procedure"' in done(procedure)
        assert '"resourceType":"DocumentReference"' in done(note)
        wrong, mended = done(refused).splitlines()
        assert "correct the number" in wrong
        assert '"resourceType":"Patient"' in mended
        assert "is not for a hospital's client" in done(beyond)
        found = done(search)
        assert ('"total":1' in found, '"resourceType":"Encounter"' in found) == (True, True)
        versions = [line.rpartition(" ")[2] for line in done(stay).splitlines()]
        assert versions == ["1", "2", "2", "3"]
        told = ACKNOWLEDGED.findall(done(mllp))
        assert [code for code, _ in told] == ["AA"] * 8 + ["AE", "AA", "AA"]
        assert ACKNOWLEDGED.findall(done(http)) == [("AA", "day-one-10")]
        shown = done(card).splitlines()
    assert len(shown) == 26
    left = [line for line in shown if not line.startswith("pass ")]
    assert [line.partition(" - ")[0] for line in left] == ["skip Merges, FHIR: merge"]
    assert all("day-one" in line for line in shown if ", HL7 v2:" in line)

"""`audit who` says who looked at a child, for a person to read, or as CSV."""

import asyncio
import csv
import io
from pathlib import Path

import pytest

from fhir_server.__main__ import main
from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.interactions.read import read
from fhir_server.interactions.transaction import transaction
from fhir_server.settings import Settings
from fhir_server.store.audit_row import Agent
from fhir_server.store.search.keys import place
from tests.support.databases import KINDS, new_database

NUMBER = "9449305552"
NURSE = Agent("ward 7", "hospital", "RTH08", "TREAT", "192.0.2.7")


@pytest.fixture(params=KINDS)
def registry(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """A registry in which a nurse has searched for Mia, and a formula of a name has been refused."""
    where = new_database(request.param, tmp_path)
    monkeypatch.setenv("CSOR_DATABASE", where)
    monkeypatch.setenv("CSOR_AUDIT_JOURNAL", str(tmp_path / "journal"))
    settings = Settings()
    number = {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": NUMBER}
    entries = [
        {
            "resource": {"resourceType": "Patient", "id": name, **more},
            "request": {"method": "PUT", "url": f"Patient/{name}"},
        }
        for name, more in (("mia", {"identifier": [number]}), ("tom", {"gender": "male"}))
    ]

    async def work(made: Context) -> None:
        await transaction(made, {"resourceType": "Bundle", "type": "transaction", "entry": entries})
        told = {place("Patient", "mia")}
        what = ("search-type", "Patient", None, 200)
        made.audit.record(NURSE, *what, children=told, query="family&birthdate")
        made.audit.record(Agent("=1+1"), "read", "Patient", "mia", 200, children=told)
        assert read(made, "Patient", "mia").id == "mia"

    asyncio.run(alone(settings, work))
    return settings


def test_it_says_when_who_for_whom_what_and_why(
    registry: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "who", "Patient/mia"]) == 0
    stored, searched, done, total = capsys.readouterr().out.splitlines()
    assert stored.endswith(
        "local (registry); stored Patient/mia/_history/1; no reason said; stored"
    )
    assert searched.partition("  ")[2] == (
        "ward 7 (hospital); for RTH08; searched Patient; by family, birthdate; because TREAT; 200"
    )
    assert "read Patient/mia" in done
    assert total == "3 accesses told of this child"


def test_a_number_is_read_and_not_shown(
    registry: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("944 930 5552\n"))
    assert main(["audit", "who", "--nhs-number-from-stdin", "--csv"]) == 0
    out = capsys.readouterr().out
    assert NUMBER not in out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["who"] for row in rows] == ["local", "ward 7", "'=1+1"]
    assert (rows[1]["hospital"], rows[1]["why"], rows[1]["from"]) == ("RTH08", "TREAT", "192.0.2.7")
    monkeypatch.setattr("sys.stdin", io.StringIO("9449310602\n"))
    assert main(["audit", "who", "--nhs-number-from-stdin"]) == 1
    assert "9449310602" not in capsys.readouterr().err


def test_a_child_of_whom_nobody_was_told(
    registry: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "who", "Patient/tom"]) == 0
    assert "1 accesses" in capsys.readouterr().out
    assert main(["audit", "who", "Patient/nobody"]) == 1
    assert main(["audit", "who", "mia"]) == 1

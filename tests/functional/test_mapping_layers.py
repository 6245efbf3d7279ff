"""A server maps by its operator's folder, and does not start where that has a fault."""

import re
from collections.abc import Iterator
from pathlib import Path

import hl7.client
import pytest

from fhir_server.__main__ import main
from tests.functional.test_hl7v2 import HOSPITAL, NHS, ODS, admission, msa, one
from tests.support.mapping_folders import change, keep, lay
from tests.support.server import Served, served

GUIDE = (Path(__file__).parents[2] / "docs/mapping-guide.md").read_text(encoding="utf-8")
PID = "overlay/segments/PID[Patient]"


def example(folder: Path) -> Path:
    """Write the files of the guide's example."""
    files = re.findall(r"^`(\S+/\S+)`\n\n```\w+\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert len(files) == 3
    for name, content in files:
        keep(folder, name, content)
    return folder


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server by the guide's example."""
    mappings = example(tmp_path_factory.mktemp("mappings"))
    with served(tmp_path_factory.mktemp("server"), mappings=mappings) as running:
        for ods in ("RTH", "RHM"):
            hospital = HOSPITAL | {"identifier": [{"system": ODS, "value": ods}]}
            stored = running.http.put(f"/Organization?identifier={ODS}|{ods}", json=hospital)
            assert stored.status_code == 201
        yield running


def send(server: Served, message: str) -> list[str]:
    with hl7.client.MLLPClient("127.0.0.1", server.mllp_port) as client:
        return msa(client.send_message(message).decode().replace("\x0b", "").split("\r"))


def own_habits(control_id: str, number: str, facility: str = "RTH") -> str:
    """An admission as the hospital of the guide sends it."""
    message = admission(control_id, number, facility=facility)
    message = message.replace(f"PID|1||{number}^^^NHS~", f"PID|1|{number}|")
    message = message.replace("|1||||||||||||||A", "|1|||||||cy^Welsh|||||||A")
    message = message.replace("PV1|1|I|RTH^NICU^1||||", "PV1|1|I|RTH^NICU^1|FRONTDOOR|||")
    return message.replace("^I10||", "^LOCAL10||")


def test_the_example_of_the_guide_maps_what_that_hospital_sends(guided):
    assert send(guided, own_habits("G-1", "9990000018"))[1] == "AA"
    child = one(guided, f"Patient?identifier={NHS}|9990000018")
    assert child["communication"][0]["language"]["text"] == "Welsh"
    spell = one(guided, f"Encounter?patient={child['id']}")
    assert '"21"' in guided.http.get(f"/Encounter/{spell['id']}").text
    condition = one(guided, f"Condition?patient={child['id']}")
    assert condition["code"]["coding"][0]["system"] == "http://hl7.org/fhir/sid/icd-10"
    assert one(guided, f"EpisodeOfCare?patient={child['id']}")["status"] == "active"


def test_another_hospital_keeps_the_habits_of_all(guided):
    assert send(guided, own_habits("G-2", "9990000026", facility="RHM"))[1] == "AA"
    found = guided.http.get(f"/Patient?identifier={NHS}|9990000026").json()
    assert found["total"] == 0


def test_a_purge_knows_a_child_in_a_message_by_the_hospitals_own_habits(guided):
    assert send(guided, own_habits("G-3", "9990000034"))[1] == "AA"
    child = one(guided, f"Patient?identifier={NHS}|9990000034")
    purge = {
        "resourceType": "Parameters",
        "parameter": [{"name": "reason", "valueString": "request 17"}],
    }
    answer = guided.http.post(f"/Patient/{child['id']}/$purge", json=purge)
    assert answer.status_code == 200, answer.text
    assert "1 messages of the inbox" in answer.text


def test_the_check_says_what_the_guide_promises(tmp_path, capsys):
    assert main(["mappings", "check", str(example(tmp_path))]) == 0
    told = capsys.readouterr().out.splitlines()
    promised = re.search(r"```text\n(.*?)\n```", GUIDE, re.DOTALL)
    assert promised is not None
    assert told[:-1] == promised[1].splitlines()
    assert re.fullmatch(r"good; the version is [0-9a-f]{12}", told[-1])


def test_the_check_names_what_is_wrong_and_what_is_not_used(tmp_path, capsys):
    example(tmp_path)
    (tmp_path / "sites/RTH.toml").unlink()
    assert main(["mappings", "check", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "  no site file names conceptmaps/RTH/admissions.json" in told
    lay(tmp_path, PID, change("add", "PID-15", "speaks"))
    assert main(["mappings", "check", str(tmp_path)]) == 1
    assert f"csor: {PID}, line 3 (PID-15): speaks: R4 has no element" in capsys.readouterr().err


def test_a_server_does_not_start_with_a_fault_in_the_folder(tmp_path, capsys, monkeypatch):
    lay(tmp_path / "mappings", PID, change("add", "PID-15", "speaks"))
    monkeypatch.setenv("CSOR_MAPPINGS", str(tmp_path / "mappings"))
    monkeypatch.setenv("CSOR_DATABASE", str(tmp_path / "csor.db"))
    assert main(["serve"]) == 1
    assert f"csor: {PID}, line 3 (PID-15): speaks" in capsys.readouterr().err

"""HL7's tables, loaded by an operator, map what the registry has no table of; through its own doors."""

import filecmp
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_server.__main__ import main
from mappings import layers
from mappings.hl7v2 import parse
from tests.functional.test_hl7v2 import HOSPITAL, NHS, ODS, admission, one
from tests.functional.test_mapping_layers import send
from tests.mappings.test_hl7v2_base import UNSETTLED, VACCINATION, results
from tests.support.server import Served, served
from tests.support.v2_tables import segment, write


@pytest.fixture(scope="module")
def archive(library: Path) -> Path:
    return library / "v2-to-fhir-1.0.0-mappings.tgz"


@pytest.fixture(scope="module")
def based(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose operator has loaded HL7's tables."""
    folder = tmp_path_factory.mktemp("mappings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CSOR_MAPPINGS", str(folder))
        assert main(["load", str(archive)]) == 0
    with served(tmp_path_factory.mktemp("server"), mappings=folder) as running:
        stored = running.http.put(f"/Organization?identifier={ODS}|RTH", json=HOSPITAL)
        assert stored.status_code == 201
        yield running


def test_a_vaccination_is_stored_with_its_child_and_where_it_comes_from(based):
    assert send(based, VACCINATION)[1:3] == ["AA", "M1"]
    child = one(based, f"Patient?identifier={NHS}|9990000018")
    given = one(based, f"Immunization?patient={child['id']}")
    assert given["lotNumber"] == "L123"
    trail = one(based, f"Provenance?target=Immunization/{given['id']}")
    assert trail["entity"][0]["what"]["identifier"]["value"] == "RTH:M1"


def test_the_same_message_again_stores_nothing_again(based):
    assert send(based, VACCINATION)[1:3] == ["AA", "M1"]
    child = one(based, f"Patient?identifier={NHS}|9990000018")
    assert one(based, f"Immunization?patient={child['id']}")


def test_what_the_registry_maps_itself_is_mapped_as_before(based):
    assert send(based, admission("B-1", "9990000026"))[1] == "AA"
    child = one(based, f"Patient?identifier={NHS}|9990000026")
    assert one(based, f"EpisodeOfCare?patient={child['id']}")["status"] == "active"
    assert send(based, results(2).decode().replace("|M1|", "|B-2|"))[1] == "AA"


def test_what_their_tables_leave_without_what_r4_requires_is_refused_with_the_reason(based):
    answered = send(based, UNSETTLED.replace("|M1|", "|B-3|"))
    assert answered[1:3] == ["AE", "B-3"]
    assert "gives the Immunization its status" in answered[3]


def test_what_a_message_of_theirs_would_become_is_told_value_by_value(based):
    asked = {"content": VACCINATION.encode(), "headers": {"Content-Type": "application/hl7-v2"}}
    told = based.http.post("/$convert", **asked).json()["parameter"]
    listed = [{part["name"]: part for part in each.get("part", ())} for each in told]
    sources = {
        part["valueString"]
        for each in told
        if each["name"] == "element"
        for part in each["part"]
        if part["name"] == "source"
    }
    ignored = {each["place"]["valueString"]: each for each in listed if "place" in each}
    assert sources | set(ignored) == {
        str(leaf.place) for leaf in parse(VACCINATION.encode()).walk()
    }
    assert not sources & set(ignored)
    assert "unexplained" not in {each["why"]["valueCode"] for each in ignored.values()}
    assert ignored["RXA^1^1"]["layer"]["valueString"] == "official"


def test_the_command_convert_maps_by_the_operators_folder(based, tmp_path, capsys, monkeypatch):
    file = tmp_path / "vaccination.hl7"
    file.write_text(VACCINATION)
    monkeypatch.delenv("CSOR_MAPPINGS", raising=False)
    assert main(["convert", str(file)]) == 1
    assert "`VXU` is not supported" in capsys.readouterr().out
    monkeypatch.setenv("CSOR_MAPPINGS", str(based.context.settings.mappings))
    assert main(["convert", str(file)]) == 0
    told = capsys.readouterr().out
    assert "Immunization" in told
    assert "unexplained" not in told


def test_the_tables_are_copied_byte_for_byte(based, archive, tmp_path):
    with tarfile.open(archive, "r:gz") as packed:
        packed.extractall(tmp_path, filter="data")
    base = based.context.settings.mappings / "base"
    theirs = {p.name: p for p in tmp_path.rglob("*.csv") if p.parent.parent.name == "mappings"}
    ours = {p.name: p for p in base.rglob("*.csv")}
    assert set(ours) == set(theirs)
    assert len(ours) == 292
    assert all(filecmp.cmp(ours[name], theirs[name], shallow=False) for name in ours)


def test_the_command_says_what_they_map_and_what_of_them_cannot_run(based, capsys):
    assert main(["mappings", "check", str(based.context.settings.mappings)]) == 0
    told = capsys.readouterr().out
    assert "VXU_V04" in told
    assert "rows cannot be run:" in told


def test_without_a_folder_there_is_no_place_for_them(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("CSOR_MAPPINGS", raising=False)
    write(tmp_path, "segments", "ZZ1[Patient]", [segment("ZZ1-1", "birthDate")])
    assert main(["load", str(tmp_path)]) == 1
    assert "CSOR_MAPPINGS, which is not set" in capsys.readouterr().err


def test_tables_that_are_not_good_are_not_loaded_and_the_old_ones_stay(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("CSOR_MAPPINGS", str(tmp_path / "mappings"))
    (tmp_path / "mappings").mkdir()
    write(tmp_path / "good", "segments", "ZZ1[Patient]", [segment("ZZ1-1", "birthDate")])
    write(tmp_path / "bad", "segments", "ZZ2[Patient]", [segment("ZZ1-1", "bornOn")])
    assert main(["load", str(tmp_path / "good")]) == 0
    assert main(["load", str(tmp_path / "bad")]) == 1
    assert "line 3 (ZZ1-1) bornOn" in capsys.readouterr().out
    kept = [path.name for path in (tmp_path / "mappings/base").rglob("*.csv")]
    assert kept == ["HL7 Map - FHIR R4_ ZZ1[Patient] - Sheet1.csv"]


def test_a_load_that_was_interrupted_loses_no_tables(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "mappings"
    folder.mkdir()
    monkeypatch.setenv("CSOR_MAPPINGS", str(folder))
    write(tmp_path / "good", "segments", "ZZ1[Patient]", [segment("ZZ1-1", "birthDate")])
    write(tmp_path / "bad", "segments", "ZZ2[Patient]", [segment("ZZ1-1", "bornOn")])
    assert main(["load", str(tmp_path / "good")]) == 0
    (folder / "base").rename(folder / ".base-old")
    with pytest.raises(ValueError, match="a load of HL7's tables was interrupted"):
        layers.engine(folder)
    assert main(["load", str(tmp_path / "bad")]) == 1
    assert [path.name for path in folder.iterdir()] == ["base"]
    assert len(list((folder / "base").rglob("*.csv"))) == 1
    assert layers.engine(folder)

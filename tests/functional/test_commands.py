"""The command line, as an operator uses it."""

import json
from pathlib import Path

import httpx
import pytest

from fhir_server.__main__ import main
from tests.support.server import Process, Served, free_port

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A finished demo of a small cohort; returns its folder and the ports it used."""
    folder = tmp_path_factory.mktemp("demo")
    ports = {"CSOR_FHIR_PORT": str(free_port()), "CSOR_MLLP_PORT": str(free_port())}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in ports.items():
            environment.setenv(name, value)
        assert main(["demo", "--folder", str(folder), "--size", "0.1", "--exit"]) == 0
    return folder, ports


def test_the_demo_leaves_a_report_for_the_nation_each_hospital_and_each_child(finished) -> None:
    folder, _ = finished
    server = Process(folder)
    server.start()
    try:
        with httpx.Client(base_url=server.base_url) as http:
            reports = http.get("/MeasureReport?_count=1000").json()["entry"]
            hospitals = http.get(f"/Organization?identifier={ODS}|&_summary=count").json()["total"]
    finally:
        server.stop()
    kinds = [entry["resource"]["type"] for entry in reports]
    assert hospitals == 10
    assert kinds.count("individual") > 10
    told = {
        extension["valueReference"]["reference"]
        for entry in reports
        for extension in entry["resource"]["extension"]
        if extension["url"].endswith("/outcome-hospital")
    }
    assert 1 < len(told) <= hospitals
    individual = next(e["resource"] for e in reports if e["resource"]["type"] == "individual")
    result = next(e for e in individual["extension"] if e["url"].endswith("/outcome-result"))
    assert {"class", "rule", "statement"} <= {part["url"] for part in result["extension"]}
    assert individual["evaluatedResource"]


def test_a_second_demo_keeps_the_registry_of_the_first(
    finished, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, ports = finished
    for name, value in ports.items():
        monkeypatch.setenv(name, value)
    before = (folder / "ledger.ndjson").read_bytes()
    assert main(["demo", "--folder", str(folder), "--size", "0.1", "--exit"]) == 0
    assert "Keeping the registry" in capsys.readouterr().out
    assert (folder / "ledger.ndjson").read_bytes() == before


def test_every_faulty_sending_of_the_demo_was_refused(finished) -> None:
    folder, _ = finished
    lines = [json.loads(line) for line in (folder / "ledger.ndjson").read_text().splitlines()]
    accepted = {"AA", "200", "201"}
    assert {str(line["answer"]) in accepted for line in lines if not line["faulty"]} == {True}
    assert {str(line["answer"]) in accepted for line in lines if line["faulty"]} <= {False}


def test_a_taken_port_is_said_plainly(
    server: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CSOR_FHIR_PORT", str(server.context.settings.fhir_port))
    monkeypatch.setenv("CSOR_MLLP_PORT", str(server.mllp_port))
    assert main(["demo", "--folder", str(tmp_path), "--exit"]) == 1
    assert "taken" in capsys.readouterr().err


def test_the_inbox_lists_what_was_refused_without_its_content(
    server: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {
        "resourceType": "Patient",
        "birthDate": "never",
        "name": [{"family": "Testchild-Secret"}],
    }
    assert server.http.post("/Patient", json=body).status_code == 422
    monkeypatch.setenv("CSOR_DATABASE", str(server.context.settings.database))
    assert main(["inbox"]) == 0
    said = capsys.readouterr().out
    assert "POST /fhir/Patient" in said
    assert "Testchild-Secret" not in said


def test_load_stores_nothing_twice(
    server: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CSOR_DATABASE", str(server.context.settings.database))
    assert main(["load"]) == 0
    assert capsys.readouterr().out == "0 artefacts new or changed\n"


def test_the_reference_pages_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs", "--check"]) == 0, capsys.readouterr().out


def test_an_unknown_command_is_refused() -> None:
    with pytest.raises(SystemExit):
        main(["unknown"])

"""The command `convert`: the same conversion for a person at a terminal, without server and database."""

import json
from pathlib import Path

import pytest

from fhir_server.__main__ import main
from fhir_server.commands.convert import messages
from tests.mappings.messages import SEGMENTS

EXAMPLES = Path(__file__).parents[2] / "mappings/hl7v2/examples"
ONE = "\r".join(SEGMENTS.values())
OTHER = ONE.replace("|M1|", "|M2|").replace("20250430", "soon")


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSOR_DATABASE", "sqlite:////nowhere/at/all.db")


def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, *options: str
) -> tuple[int, str]:
    file = tmp_path / "messages.hl7"
    file.write_bytes(text.encode())
    status = main(["convert", str(file), *options])
    return status, capsys.readouterr().out


def test_each_value_stands_beside_what_became_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = run(tmp_path, capsys, f"{ONE}\rZZ1|secret")
    assert status == 0
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert lines[0].startswith("Message 1 of 1: ADT^A01 M1 from RTH, tables ")
    assert lines[1] == "Answer: AA, but for what the registry holds"
    assert lines[2] == "Bundle: [0] Provenance, [1] Patient, [2] Encounter"
    assert SEGMENTS["PID"] in lines
    (family,) = [line for line in lines if line.startswith("PID-5 ")]
    assert family.startswith("PID-5 Testchild -> [1].name[0].family [segments/PID[Patient].csv:")
    (repeated,) = [line for line in lines if line.startswith("PID-3(2) ")]
    assert repeated.startswith("PID-3(2) 12345 -> [1].identifier[1] [")
    assert "ZZ1-1 secret -- no-table: no table maps ZZ1: it is kept in the raw message alone" in (
        lines
    )


def test_the_line_of_a_row_is_that_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, told = run(tmp_path, capsys, ONE)
    (row,) = [line for line in told.splitlines() if line.startswith("  PID-8 ")]
    table, number = row[row.index("[segments") + 1 : -1].rsplit(":", 1)
    text = (EXAMPLES.parent / table).read_text().split("\n")
    assert text[int(number) - 1].split(",")[1] == "PID-8"


def test_several_messages_are_all_converted_and_a_refused_one_is_told_by_the_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = run(tmp_path, capsys, f"{ONE}\r\n{OTHER}\n\nMSH|^~\\&|x")
    assert status == 1
    heads = [line for line in told.splitlines() if line.startswith(("Message", "Answer"))]
    assert [line.split(":")[0] for line in heads[::2]] == [f"Message {n} of 3" for n in (1, 2, 3)]
    assert [line.split()[1].rstrip(",") for line in heads[1::2]] == ["AA", "AE", "AR"]
    assert "  ! PID^1^7: `soon` is not a date and time." in told.splitlines()


def test_json_is_the_parameters_of_the_operation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, told = run(tmp_path, capsys, ONE, "--json")
    found = json.loads(told)
    assert found["resourceType"] == "Parameters"
    names = {each["name"] for each in found["parameter"]}
    assert names == {"version", "acknowledgement", "outcome", "bundle", "element", "ignored"}
    _, told = run(tmp_path, capsys, f"{ONE}\r{OTHER}", "--json")
    assert [each["name"] for each in json.loads(told)["parameter"]] == ["message", "message"]


@pytest.mark.parametrize(
    "raw",
    [
        f"{ONE}\r{OTHER}",
        f"{ONE}\n{OTHER}\n",
        f"\x0b{ONE}\r\x1c\r\x0b{OTHER}\r\x1c\r",
        f"BHS|^~\\&|PAS\r{ONE}\r{OTHER}\rBTS|2",
        f"FHS|^~\\&|PAS\rBHS|^~\\&|PAS\r{ONE}\r{OTHER}\rBTS|2\rFTS|1",
    ],
)
def test_a_file_is_divided_into_its_messages(raw: str) -> None:
    found = messages(raw.encode())
    assert [each.split(b"|")[9] for each in found] == [b"M1", b"M2"]
    assert [each.strip(b"\r\n") for each in found] == [ONE.encode(), OTHER.encode()]


def test_what_is_no_message_is_refused_and_a_file_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = run(tmp_path, capsys, "nonsense")
    assert status == 1
    assert "no HL7 v2 message" in told
    assert "  ! MSH^1: The message does not begin with an MSH segment." in told
    assert main(["convert", str(tmp_path / "absent.hl7")]) == 1
    assert "absent.hl7" in capsys.readouterr().err

"""The parts' benchmarks: what is measured is right, and what is printed is written."""

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as parts
from benchmarks import notes, records, validate, xml
from benchmarks.timing import fastest
from r4.json import encode


def test_what_is_measured_of_a_resource_finds_no_error_in_it() -> None:
    for resource in validate.CASES.values():
        assert set(validate.ways(resource)) == {"structure", "errors", "all", "R4B"}
        assert validate.structure(resource) == []
    assert validate.with_its_form() == []


def test_a_resource_with_an_error_is_not_measured() -> None:
    with pytest.raises(SystemExit, match="gender"):
        validate.ways({"resourceType": "Patient", "gender": "f"})


def test_the_measured_sizes_are_those_of_the_targets() -> None:
    for observation in (records.OBSERVATION, records.BIRTH_WEIGHT):
        assert 1400 < len(encode(observation)) < 1600
    assert sum(len(group["item"]) for group in records.RESPONSE["item"]) == 100
    assert set(validate.TARGETS) == {"Observation, CSOR profile", validate.FORM}


def test_the_fastest_run_counts_and_a_late_one_is_said() -> None:
    found = fastest({"nothing": lambda: None})
    assert 0 < found["nothing"] < 1000
    assert validate.late(validate.FORM, 3000) == []
    assert validate.late("Patient", 1e9) == []
    [said] = validate.late(validate.FORM, 3001)
    assert said.startswith(validate.FORM)


def test_what_a_part_prints_is_shown_and_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parts, "QUICK", tmp_path / "quick.json")
    monkeypatch.setenv("CONCEPTS", "100")
    monkeypatch.setattr(xml, "main", lambda: print("a row\nanother"))
    assert parts.main(["--quick", "xml"]) == 0
    assert "a row\nanother\n" in capsys.readouterr().out
    written = json.loads((tmp_path / "quick.json").read_text())
    assert written["parts"]["xml"]["printed"] == ["a row", "another"]
    assert "machine" in written


def test_a_part_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parts.main(["validation"])
    assert "no such benchmark: validation" in capsys.readouterr().err


@pytest.mark.slow
def test_a_note_is_extracted_and_signed_in_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notes, "NOTES", 12)
    notes.main()
    printed = capsys.readouterr().out
    print(printed)
    names = [line.split()[0] for line in printed.splitlines()]
    assert names == ["milliseconds", "$extract", "$sign", "a", "missed:"]

"""`parameters`: a signatory makes a key, signs, and sees what is wrong, as an operator does."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from fhir_server.__main__ import main
from fhir_server.app import clock, context
from fhir_server.commands.parameters import illustrate
from fhir_server.settings import Settings
from outcome_engine.parameter_files.parameter_file import known
from r4.json import decode, encode
from tests.outcome_engine.signing import ILLUSTRATIVE, measure
from tests.support.databases import new_database

TODAY = clock().date()
LATER = str(TODAY + timedelta(days=400))


@pytest.fixture
def key(tmp_path: Path, capsys, monkeypatch) -> Path:
    """Make a key, and the file of signatories that names it."""
    private = tmp_path / "key.pem"
    who = ["--name", "A. Signatory", "--role", "chair of the panel", "--valid-until", LATER]
    assert main(["parameters", "key", str(private), *who]) == 0
    entry = decode(capsys.readouterr().out)
    (tmp_path / "signatories.json").write_bytes(encode({"keys": [entry]}))
    monkeypatch.setenv("CSOR_SIGNATORIES", str(tmp_path / "signatories.json"))
    return private


@pytest.fixture
def file(tmp_path: Path, monkeypatch) -> Path:
    """Put the fictitious parameters where an operator's are."""
    place = tmp_path / "parameters" / "any-name.json"
    place.parent.mkdir()
    place.write_bytes(ILLUSTRATIVE.read_bytes())
    monkeypatch.setenv("CSOR_PARAMETERS", str(place.parent))
    return place


def test_the_private_key_is_its_owners_alone_and_is_never_written_over(key, capsys):
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    assert main(
        ["parameters", "key", str(key), "--name", "B", "--role", "C", "--valid-until", LATER]
    )
    assert key.read_bytes() == before
    assert "key.pem" in capsys.readouterr().err


def test_what_is_printed_of_a_key_is_public(key, tmp_path):
    [entry] = decode((tmp_path / "signatories.json").read_bytes())["keys"]
    assert "d" not in entry
    assert (entry["name"], entry["valid-from"]) == ("A. Signatory", str(TODAY))


def test_a_key_that_ends_before_it_begins_is_not_made(tmp_path, capsys):
    place = tmp_path / "none.pem"
    who = ["--name", "A", "--role", "B", "--valid-until", "2001-01-01"]
    assert main(["parameters", "key", str(place), *who]) == 1
    assert not place.exists()
    assert "--valid-until" in capsys.readouterr().err


def test_a_file_is_refused_until_it_is_signed_and_then_used(key, file, capsys):
    assert main(["parameters", "check", str(file)]) == 1
    assert "refused, unsigned: it carries no signature." in capsys.readouterr().out
    assert main(["parameters", "sign", str(file), "--key", str(key)]) == 0
    assert main(["parameters", "check", str(file)]) == 0
    said = capsys.readouterr().out
    assert "accepted. Version 0.0.1" in said
    assert "by A. Signatory (chair of the panel)" in said
    assert "FICTITIOUS" in said
    held = known(file.parent, Settings().signatories).of(measure(), str(TODAY))
    assert held.digest in said


def test_a_change_after_signing_is_named(key, file, capsys):
    main(["parameters", "sign", str(file), "--key", str(key)])
    changed = decode(file.read_bytes())
    changed["parameters"]["cut-points"]["good"] = "0.61"
    changed["valid-until"] = "2020-01-02"
    file.write_bytes(encode(changed))
    capsys.readouterr()
    assert main(["parameters", "check", str(file)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert [line.split(", ")[1].split(":")[0] for line in said] == [
        "tampered",
        "check-not-reproduced",
        "expired",
    ]


def test_a_list_says_what_each_measure_has_and_who_may_sign(key, file, capsys):
    assert main(["parameters", "list"]) == 0
    said = capsys.readouterr().out
    assert "treatment-success-score\trefused\tThe parameter file `any-name.json` carries no" in said
    main(["parameters", "sign", str(file), "--key", str(key)])
    assert main(["parameters", "list"]) == 0
    said = capsys.readouterr().out
    assert "any-name.json\tVersion 0.0.1" in said
    assert f"signatory\tA. Signatory, chair of the panel: {TODAY} to {LATER}" in said


def test_what_is_absent_is_listed_as_absent(capsys):
    assert main(["parameters", "list"]) == 0
    said = capsys.readouterr().out
    assert "treatment-success-score\tabsent: the measure is refused" in said
    assert "case-mix-model" not in said


def test_a_file_that_says_nothing_is_refused_in_every_respect(key, file, capsys):
    file.write_text("{}")
    assert main(["parameters", "check", str(file)]) == 1
    said = capsys.readouterr().out
    assert "refused, unsigned" in said
    assert "`parameters`: Field required" in said


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1, "a": 2}'])
def test_what_is_no_json_object_is_not_signed(key, file, text, capsys):
    file.write_text(text)
    assert main(["parameters", "sign", str(file), "--key", str(key)]) == 1
    assert "any-name.json is no JSON object" in capsys.readouterr().err
    assert file.read_text() == text


def test_a_public_key_signs_nothing(key, file, tmp_path, capsys):
    other = tmp_path / "other.pem"
    other.write_text("no key")
    assert main(["parameters", "sign", str(file), "--key", str(other)]) == 1
    assert "no private key" in capsys.readouterr().err


def test_a_demonstration_signs_what_is_made_up_and_says_so(tmp_path):
    held = known(*illustrate(tmp_path, TODAY))
    file = held.of(measure(), str(TODAY + timedelta(days=900)))
    assert file.fictitious
    assert file.signed.signatory == "The demonstration itself"
    assert not list(tmp_path.rglob("*.pem"))
    again = known(*illustrate(tmp_path, TODAY))
    assert again.of(measure(), str(TODAY)).digest == file.digest


def test_a_server_goes_by_them(key, file, tmp_path):
    main(["parameters", "sign", str(file), "--key", str(key)])
    made = context(Settings(database=new_database("sqlite", tmp_path)))
    try:
        assert made.parameters.of(measure(), str(TODAY)).fictitious
    finally:
        made.database.close()

"""Parameter files are read again when they have changed: a better one is used, a worse one refuses."""

import logging
from datetime import date

import pytest

from outcome_engine.parameter_files.signature import entry, sign
from outcome_engine.parameter_files.watched import Watched
from r4.issue import FhirError
from r4.json import encode
from tests.outcome_engine.signing import KEY, NAME, SIGNED_ON, body, measure, signed

ON = "2024-06-30"


def newer(file):
    file["version"] = "0.0.2"


def ended(file):
    file["valid-until"] = "2023-12-31"


@pytest.fixture
def signatories(tmp_path):
    file = tmp_path / "signatories.json"
    who = entry(KEY, "Test Signatory", "nobody's", date(2020, 1, 1), date(2030, 12, 31))
    file.write_bytes(encode({"keys": [who]}))
    return file


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "parameters"
    folder.mkdir()
    (folder / NAME).write_bytes(encode(signed()))
    return folder


@pytest.fixture
def watched(folder, signatories):
    """What a server holds, which has been used already."""
    held = Watched(folder, signatories)
    assert held.of(measure(), ON).version == "0.0.1"
    return held


def refused(held):
    with pytest.raises(FhirError) as caught:
        held.of(measure(), ON)
    return [issue.rule.removeprefix("parameters-") for issue in caught.value.issues]


def test_a_newer_version_beside_the_old_one_is_used_and_so_is_one_in_its_place(watched, folder):
    (folder / "newer.json").write_bytes(encode(signed(newer)))
    assert watched.of(measure(), ON).version == "0.0.2"
    (folder / "newer.json").unlink()
    assert watched.of(measure(), ON).version == "0.0.1"
    (folder / NAME).write_bytes(encode(signed(newer)))
    assert watched.of(measure(), ON).version == "0.0.2"


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (encode(signed() | {"title": "Another title"}), "tampered"),
        (encode(body()), "unsigned"),
        (encode(signed(ended)), "expired"),
        (b'{"kind": ', "unreadable"),
        (encode(sign(body(), KEY, date(2031, 1, 1))), "key-expired"),
    ],
)
def test_a_faulty_file_in_its_place_refuses_the_measure_by_name(watched, folder, content, rule):
    (folder / NAME).write_bytes(content)
    assert rule in refused(watched)


def test_a_faulty_file_beside_it_refuses_the_measure_too(watched, folder):
    (folder / "other.json").write_bytes(encode(signed(newer) | {"description": "Another one"}))
    assert refused(watched) == ["tampered"]


def test_a_file_that_is_taken_away_is_absent(watched, folder):
    (folder / NAME).unlink()
    assert set(refused(watched)) == {"absent"}


def test_a_folder_that_is_gone_refuses_and_is_told(watched, folder, caplog):
    folder.rename(folder.with_name("elsewhere"))
    assert set(refused(watched)) == {"absent"}
    assert [each.levelno for each in caplog.records if each.name == "csor.parameters"] == [
        logging.ERROR,
        logging.ERROR,
    ]
    folder.with_name("elsewhere").rename(folder)
    assert watched.of(measure(), ON).version == "0.0.1"


@pytest.mark.parametrize("content", [b"{", b'{"keys": []}'])
def test_whoever_may_not_sign_any_more_has_signed_nothing(watched, signatories, content, caplog):
    signatories.write_bytes(content)
    assert refused(watched) == ["unknown-key"]
    told = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert len(told) == (content == b"{")
    assert all("signatories.json" in each for each in told)


def test_what_is_used_for_one_purpose_stays_as_it_was(watched, folder):
    steady = watched.now()
    (folder / NAME).write_bytes(encode(signed(newer)))
    assert steady.of(measure(), ON).version == "0.0.1"
    assert watched.now().of(measure(), ON).version == "0.0.2"
    assert [name.rpartition("/")[2] for name, _ in watched] == [NAME]


def test_what_has_not_changed_is_not_read_again(watched, folder):
    assert watched.now() is watched.now()
    (folder / "notes.txt").write_text("no parameter file", encoding="utf-8")
    assert watched.now() is watched.now()
    (folder / "within").mkdir()
    assert watched.of(measure(), ON).signed.on == SIGNED_ON


def test_a_fault_of_the_signatories_at_start_stops_the_start(folder, signatories):
    signatories.write_bytes(b"{")
    with pytest.raises(ValueError, match="is no list of signatories"):
        Watched(folder, signatories)

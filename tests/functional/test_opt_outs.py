"""National data opt-outs: who is not on the list that comes back is objected for, and no line is told."""

import io
import stat
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from fhir_server.__main__ import main
from fhir_server.app import context
from fhir_server.settings import Settings
from fhir_server.store import read
from r4.json import decode
from tests.functional.test_outcomes_as_of import stored
from tests.functional.test_outcomes_kept import changes, run
from tests.support.databases import KINDS, new_database

NHS = "https://fhir.nhs.uk/Id/nhs-number"
MIA, TOM, ZOE = "9449305552", "9449310602", "9449304130"
POLICY = (
    'streams = ["national-data", "research-extract"]\npolicy = "Decided by the fictitious board."\n'
)


def child(id: str, number: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id,
        "identifier": [{"system": NHS, "value": number}],
        **more,
    }


@pytest.fixture(params=KINDS)
def registry(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """A registry of three children, and one whose number is a CHI number."""
    made = Settings(database=new_database(request.param, tmp_path))
    scot = {**child("scot", ""), "identifier": [
        {"system": "https://fhir.nhs.uk/Id/chi-number", "value": "0101250002"}]}  # fmt: skip
    people = (child("mia", MIA), child("tom", TOM), child("zoe", ZOE), scot)
    run(made, lambda ctx: changes(ctx, stored(*people)))
    (tmp_path / "policy.toml").write_text(POLICY)
    monkeypatch.setenv("CSOR_DATABASE", made.database)
    monkeypatch.setenv("CSOR_OPT_OUTS", str(tmp_path / "policy.toml"))
    return made


def said(*arguments: str, status: int = 0) -> str:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(out):
        assert main(["opt-outs", *arguments]) == status
    told = out.getvalue()
    assert not any(number in told for number in (MIA, TOM, ZOE))
    return told


def decisions(made: Settings) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the Consents by the child and the stream."""
    opened = context(made)
    try:
        found = [decode(each.body) for each in read.every(opened.database, "Consent")]
    finally:
        opened.database.close()
    return {
        (each["patient"]["reference"], each["provision"]["code"][0]["coding"][0]["code"]): each
        for each in found
    }


def test_who_is_missing_from_what_comes_back_is_objected_for_until_it_is_there_again(
    registry: Settings, tmp_path: Path
) -> None:
    sent, back = tmp_path / "sent.dat", tmp_path / "back.dat"
    assert said("list", str(sent)) == "3 numbers to be checked\n"
    assert sorted(sent.read_bytes().split(b"\n")) == sorted(
        [b"", *(f"{each},".encode() for each in (MIA, TOM, ZOE))]
    )
    assert stat.S_IMODE(sent.stat().st_mode) == 0o600
    back.write_text(f"{TOM},\n{ZOE},\n")
    told = said("apply", str(sent), str(back))
    assert told.startswith("3 checked, 1 have opted out; 2 objections recorded, 0 withdrawn")
    found = decisions(registry)
    assert set(found) == {("Patient/mia", "national-data"), ("Patient/mia", "research-extract")}
    for each in found.values():
        assert each["provision"]["type"] == "deny"
        assert each["policyRule"] == {"text": "Decided by the fictitious board."}
        assert "SHA-256 " in each["sourceAttachment"]["title"]
        assert each["meta"]["versionId"] == "1"
    assert "0 objections recorded, 0 withdrawn" in said("apply", str(sent), str(back))
    assert decisions(registry) == found
    back.write_text(f"{TOM}\r\n{ZOE}\r\n{MIA}\r\n")
    assert "0 objections recorded, 2 withdrawn" in said("apply", str(sent), str(back))
    assert {each["status"] for each in decisions(registry).values()} == {"inactive"}
    back.write_text(f"{TOM},\n{ZOE},\n")
    assert "2 objections recorded" in said("apply", str(sent), str(back))
    assert {each["status"] for each in decisions(registry).values()} == {"active"}


def test_a_list_takes_back_no_objection_that_a_family_has_told(
    registry: Settings, tmp_path: Path
) -> None:
    sent, back = tmp_path / "sent.dat", tmp_path / "back.dat"
    with redirect_stdout(io.StringIO()):
        assert main(["objection", "record", "mia", "research-extract"]) == 0
    said("list", str(sent))
    back.write_bytes(sent.read_bytes())
    assert "0 objections recorded, 0 withdrawn" in said("apply", str(sent), str(back))
    assert decisions(registry)["Patient/mia", "research-extract"]["status"] == "active"


@pytest.mark.postgresql_slow
@pytest.mark.parametrize(
    ("returned", "why"),
    [
        ("The file could not be read\n", "line 1: this is no NHS number"),
        (f"{TOM},\n944931060,\n", "line 2: this is no NHS number"),
        (f"{TOM},\n9990000018,\n", "numbers that were not sent"),
        ("", "everybody would have opted out"),
    ],
)
def test_what_is_no_answer_to_what_was_sent_changes_nothing(
    registry: Settings, tmp_path: Path, returned: str, why: str
) -> None:
    sent, back = tmp_path / "sent.dat", tmp_path / "back.dat"
    said("list", str(sent))
    back.write_text(returned)
    assert why in said("apply", str(sent), str(back), status=1)
    assert decisions(registry) == {}
    assert main(["opt-outs", "list", str(sent)]) == 1  # is not written over


@pytest.mark.postgresql_slow
@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ("", "has to say streams"),
        ('streams = ["everything"]\npolicy = "A"', "'everything' is none of"),
        ('streams = ["national-data"]\npolicy = " "', "policy says in words"),
        ('streams = ["national-data"]\npolicy = "A"\nother = 1', "and no more"),
    ],
)
def test_what_an_opt_out_means_is_the_operators_to_say(
    registry: Settings, tmp_path: Path, policy: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = tmp_path / "sent.dat"
    said("list", str(sent))
    (tmp_path / "policy.toml").write_text(policy)
    assert why in said("apply", str(sent), str(sent), status=1)
    monkeypatch.delenv("CSOR_OPT_OUTS")
    assert "names no policy" in said("apply", str(sent), str(sent), status=1)

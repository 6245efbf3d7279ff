"""The daily commands say what they did, need a plan and a sender, and do nothing twice."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fhir_server.__main__ import main
from tests.support.server import ROOT, served

PLAN = ROOT / "questionnaires" / "parent_surveys" / "demo-plan.toml"
BORN = f"{datetime.now(UTC).year - 6}-01-01"
CONTACT = "https://csor.example/fhir/sid/survey-contact"


def family(folder: Path) -> None:
    """Fill a database with a child of five years whose parent has agreed to be asked."""
    with served(folder) as server:
        child = server.http.post("/Patient", json={"resourceType": "Patient", "birthDate": BORN})
        place = {"reference": f"Patient/{child.json()['id']}"}
        coding = {
            "system": "https://csor.example/fhir/CodeSystem/condition",
            "code": "hirschsprung",
        }
        number = {
            "system": "https://csor.example/fhir/sid/case",
            "value": "9990000018.hirschsprung",
        }
        for body in (
            {
                "resourceType": "EpisodeOfCare", "status": "active", "patient": place,
                "identifier": [number], "type": [{"coding": [coding]}], "period": {"start": BORN},
            },
            {
                "resourceType": "RelatedPerson", "patient": place,
                "identifier": [{"system": CONTACT, "value": "S-1"}],
                "telecom": [{"system": "email", "value": "parent@home.example"}],
            },
        ):  # fmt: skip
            answer = server.http.post(f"/{body['resourceType']}", json=body)
            assert answer.status_code == 201, answer.text


@pytest.mark.slow
def test_a_day_of_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    family(tmp_path)
    (tmp_path / "sender.toml").write_text('[file]\nfolder = "outbox"\n')
    monkeypatch.setenv("CSOR_DATABASE", str(tmp_path / "csor.db"))
    monkeypatch.setenv("CSOR_SIGNING_KEY", str(tmp_path / "signing.pem"))
    assert main(["surveys", "schedule"]) == 1
    assert "CSOR_SURVEYS" in capsys.readouterr().err
    monkeypatch.setenv("CSOR_SURVEYS", str(PLAN))
    assert main(["surveys", "send"]) == 1
    assert "CSOR_SURVEY_SENDER" in capsys.readouterr().err
    monkeypatch.setenv("CSOR_SURVEY_SENDER", "file")
    monkeypatch.setenv("CSOR_SURVEY_SENDER_FILE", str(tmp_path / "sender.toml"))
    said = []
    for action in ("schedule", "send", "schedule", "send"):
        assert main(["surveys", action]) == 0
        said.append(capsys.readouterr().out.splitlines()[0])
    assert said == [
        "1 surveys made, 0 cancelled",
        "1 messages sent, 0 not sent and tried again next time",
        "0 surveys made, 0 cancelled",
        "0 messages sent, 0 not sent and tried again next time",
    ]
    [message] = (tmp_path / "outbox").iterdir()
    assert "/survey#" in message.read_text()


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("valid = 7", "no duration"),
        ("no TOML", "no plan"),
        (
            PLAN.read_text().replace("parent-survey-hirschsprung", "parent-survey-unknown"),
            "not known",
        ),
    ],
)
def test_a_plan_that_is_wrong_stops_the_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    plan: str,
    said: str,
) -> None:
    (tmp_path / "plan.toml").write_text(plan)
    monkeypatch.setenv("CSOR_DATABASE", str(tmp_path / "csor.db"))
    monkeypatch.setenv("CSOR_SURVEYS", str(tmp_path / "plan.toml"))
    assert main(["surveys", "schedule"]) == 1
    err = capsys.readouterr().err
    assert "plan.toml" in err
    assert said in err

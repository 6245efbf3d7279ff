"""A parent answers a survey on a phone of 390 pixels in two sittings, and asks for the second's link."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.operations.invitations import link
from fhir_server.operations.survey_schedule import CONTACT
from tests.browser.conftest import Run
from tests.support.server import ROOT, Served, served
from tests.support.surveys import BORN, SURVEY, expected, task

pytestmark = pytest.mark.slow

PLAN = ROOT / "questionnaires" / "parent_surveys" / "demo-plan.toml"
FIRST = [
    {
        "topic": "About your child",
        "answers": [("Is your child 5 years old or older?", "Yes")],
    },
    {
        "topic": "Stoma",
        "answers": [("Does your child have a stoma now?", "No")],
    },
]
SECOND: list[dict[str, Any]] = [
    {
        "topic": "Poo",
        "answers": [
            (
                "Does poo come out by accident, or in the wrong place?",
                "No, poo does not come out by accident",
            ),
            ("Can your child poo without enemas or washouts?", "Yes, without enemas or washouts"),
        ],
    },
    {
        "topic": "Wee",
        "answers": [("Does your child have trouble holding wee", "No")],
    },
    {"topic": "Anything else", "answers": []},
]


def test_a_survey_is_answered_on_a_phone_in_two_sittings(drive: Run, tmp_path: Path) -> None:
    sender = tmp_path / "sender.toml"
    sender.write_text('[file]\nfolder = "out"\n')
    settings = {"surveys": PLAN, "survey_sender": "file", "survey_sender_file": sender}
    with served(tmp_path, mllp=False, **settings) as server:
        places = _asked(server)
        seen = drive(
            "parent.mjs",
            {
                "origins": [server.base_url.removesuffix("/fhir")],
                "date": BORN,
                "wrongDate": f"{int(BORN[:4]) - 1}{BORN[4:]}",
                "link": _link(server, places["task"]),
                "outbox": str(tmp_path / "out"),
                "first": FIRST,
                "second": SECOND,
                "welsh": "Pw",
            },
        )
        _is_handed_in(server, places)
    assert "do not open a survey" in seen["wrongDate"]
    assert "#" not in seen["address"]
    assert "Please answer this question." in seen["undecided"]
    assert "Cyfieithiad drafft" in seen["welsh"]
    assert "A yw pw yn dod allan ar ddamwain" in seen["welsh"]
    assert seen["welshIs"] == "cy"
    assert "drafft" not in seen["english"]
    assert "You can go on until" in seen["later"]
    assert "do not open a survey" in seen["reused"]
    assert "Does your child have a stoma now?" in seen["review"]
    assert "Open your link again" in seen["afterwards"]
    assert seen["axe"] == []
    assert seen["errors"] == []
    assert seen["foreign"] == []
    assert seen["stored"] == []


def _asked(server: Served) -> dict[str, str]:
    """Store a child, a parent, and the Task of a survey that is due; returns their places."""

    def stored(resource: dict[str, Any]) -> str:
        answer = server.http.post(f"/{resource['resourceType']}", json=resource)
        assert answer.status_code == 201, answer.text
        return f"{resource['resourceType']}/{answer.json()['id']}"

    named = [{"given": ["Wren"], "family": "Testchild"}]
    child = stored({"resourceType": "Patient", "name": named, "birthDate": BORN})
    parent = stored(
        {
            "resourceType": "RelatedPerson",
            "identifier": [{"system": CONTACT, "value": "S-1"}],
            "patient": {"reference": child},
            "telecom": [{"system": "email", "value": "parent@home.example"}],
        }
    )
    number = f"{child.partition('/')[2]}.{SURVEY}"
    due = task(number, {"reference": child}, {"reference": parent}, until="2099-12-31")
    return {"child": child, "parent": parent, "task": stored(due)}


def _link(server: Served, place: str) -> str:
    """Make a link as a process beside the server does."""

    async def made(context: Context) -> str:
        return await link(context, place.partition("/")[2], context.now() + timedelta(days=14))

    return asyncio.run(alone(server.context.settings, made))


def _is_handed_in(server: Served, places: dict[str, str]) -> None:
    done = server.http.get(f"/{places['task']}").json()
    assert done["status"] == "completed"
    child = {"subject": places["child"]}
    [entry] = server.http.get("/QuestionnaireResponse", params=child).json()["entry"]
    response = entry["resource"]
    assert response["status"] == "completed"
    assert response["author"] == {"reference": places["parent"]}
    found = server.http.get("/Observation", params=child).json()["entry"]
    assert len(found) == len(expected("Observation"))

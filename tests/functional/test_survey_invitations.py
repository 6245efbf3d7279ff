"""Surveys that are due are made once, sent once, reminded of, and end with the child's record."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fhir_server.context import Context
from fhir_server.operations.invitations import Sent, send_all
from fhir_server.operations.survey_schedule import (
    CONTACT,
    Scheduled,
    plan_of,
    schedule_all,
)
from fhir_server.operations.survey_standing import survey
from fhir_server.settings import Settings
from questionnaires.schedule import Plan
from r4.issue import FhirError
from tests.support.server import ROOT
from tests.support.surveys import API, BORN, SURVEY, Home, home, made, said, task

pytestmark = pytest.mark.asyncio(loop_scope="module")
PLAN = ROOT / "questionnaires" / "parent_surveys" / "demo-plan.toml"
CONDITION = "https://csor.example/fhir/CodeSystem/condition"
CASE = "https://csor.example/fhir/sid/case"


@dataclass
class Outbox:
    """A courier that keeps what it is given, and can be broken."""

    media: tuple[str, ...] = ("email",)
    given: list[tuple[str, str, str]] = field(default_factory=list)
    is_broken: bool = False

    async def send(self, to: str, subject: str, body: str) -> None:
        if self.is_broken:
            raise OSError("no route to the provider")
        self.given.append((to, subject, body))

    @property
    def token(self) -> str:
        """The token of the last link."""
        [line] = [each for each in self.given[-1][2].splitlines() if "/survey#" in each]
        return line.partition("#")[2]


@dataclass
class Office:
    """The registry's daily run, over a registry of its own."""

    home: Home
    plan: Plan
    outbox: Outbox

    async def schedule(self) -> Scheduled:
        context = self.home.context
        return await context.database.driven(schedule_all(context, self.plan))

    async def send(self) -> Sent:
        context = self.home.context
        return await context.database.driven(send_all(context, self.plan, self.outbox))

    async def found(self, query: str) -> list[dict[str, Any]]:
        answer = await self.home.fhir("GET", query)
        return [each["resource"] for each in answer.json().get("entry", ())]

    async def family(self, name: str, *contacts: dict[str, Any]) -> None:
        """Store a child of five years with a case, and people who may be asked."""
        await self.home.stored(name, {"resourceType": "Patient", "birthDate": BORN})
        child = {"reference": self.home.places[name]}
        coding = {"system": CONDITION, "code": "hirschsprung"}
        number = self.home.places[name].partition("/")[2]
        await self.home.stored(f"{name}'s case", {
            "resourceType": "EpisodeOfCare", "status": "active", "patient": child,
            "identifier": [{"system": CASE, "value": f"{number}.hirschsprung"}],
            "type": [{"coding": [coding]}], "period": {"start": "2021-10-05"},
        })  # fmt: skip
        for index, more in enumerate(contacts):
            person = {"resourceType": "RelatedPerson", "patient": child, **more}
            await self.home.stored(f"{name}'s parent {index}", person)

    async def task(self, name: str) -> dict[str, Any]:
        [found] = await self.found(f"Task?patient={self.home.places[name]}")
        return found


def agreed(**more: Any) -> dict[str, Any]:
    return {
        "identifier": [{"system": CONTACT, "value": "S-1"}],
        "telecom": [{"system": "email", "value": "parent@home.example"}],
        **more,
    }


@pytest.fixture
def registry_at_home(tmp_path: Path) -> Iterator[Context]:
    outbox = tmp_path / "sender.toml"
    outbox.write_text('[file]\nfolder = "out"\n')
    settings = {"surveys": PLAN, "survey_sender": "file", "survey_sender_file": outbox}
    with made(tmp_path, **settings) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def office(registry_at_home: Context) -> AsyncIterator[Office]:
    async with home(registry_at_home) as found:
        for each in ("task", "other task"):  # what other tests are about
            await found.fhir("DELETE", found.places[each])
        yield Office(found, plan_of(found.context, PLAN), Outbox())


async def test_from_due_to_answered(office: Office) -> None:
    await office.family("wren", agreed())
    assert await office.schedule() == Scheduled(made=1)
    assert await office.schedule() == Scheduled()
    task = await office.task("wren")
    assert task["status"] == "requested"
    assert task["input"][0]["valueCanonical"].startswith(
        f"https://csor.example/fhir/Questionnaire/{SURVEY}|"
    )
    assert task["restriction"]["period"] == {"start": "2026-10-01", "end": "2029-10-01"}
    assert task["owner"] == {"reference": office.home.places["wren's parent 0"]}

    assert await office.send() == Sent(sent=1)
    assert await office.send() == Sent()
    assert (await office.task("wren"))["status"] == "ready"
    [(to, _, body)] = office.outbox.given
    assert to == "parent@home.example"
    [kept] = await office.found("Communication")
    assert (kept["status"], kept["basedOn"][0]["reference"]) == ("completed", f"Task/{task['id']}")
    assert office.outbox.token in body
    assert "#" not in str(kept["payload"])
    assert (await office.home.enter(office.outbox.token)).status_code == 204
    assert (await office.home.shown())["until"] == "2029-10-01"


async def test_reminders_come_on_their_days_and_once_each(office: Office) -> None:
    await office.family("wren", agreed())
    office.home.clock.now = office.home.clock.now.replace(month=10, day=2)
    await office.schedule()
    sent = []
    for _ in range(30):
        sent.append((await office.send()).sent)
        office.home.clock.now += timedelta(days=1)
    assert [day for day, many in enumerate(sent) if many] == [0, 6, 20]  # 1 October + 7, + 21 days
    assert sum(sent) == 3
    subjects = [subject for _, subject, _ in office.outbox.given]
    assert subjects[0] != subjects[1] == subjects[2]


async def test_whoever_has_not_agreed_is_never_written_to(office: Office) -> None:
    contact = {"telecom": [{"system": "email", "value": "kin@home.example"}]}
    await office.family("kin of a message", contact)
    await office.family("two who disagree", agreed(), agreed())
    await office.family("withdrew", agreed(active=False))
    await office.family("nobody")
    assert await office.schedule() == Scheduled(without_contact=4)
    assert await office.found("Task") == []


async def test_a_parent_without_an_address_for_the_courier_is_counted(office: Office) -> None:
    await office.family("wren", agreed(telecom=[{"system": "phone", "value": "+44 7700 900123"}]))
    await office.schedule()
    assert await office.send() == Sent(without_address=1)
    office.outbox.media = ("sms",)
    assert await office.send() == Sent(sent=1)
    assert office.outbox.given[0][0] == "+447700900123"


ODD: list[dict[str, Any]] = [
    {"identifier": None}, {"identifier": [{"system": "urn:other"}]}, {"owner": None},
    {"owner": {"display": "the parents"}}, {"input": None},
    {"input": [{"type": {"text": "Form"}, "valueString": "the survey"}]},
]  # fmt: skip


@pytest.mark.parametrize("change", ODD)
async def test_a_task_that_is_not_whole_is_passed_over_and_keeps_nobody_else_waiting(
    office: Office, change: dict[str, Any]
) -> None:
    await office.family("lark")
    owner = {"reference": office.home.places["parent"]}
    whole = task("lark.odd", {"reference": office.home.places["lark"]}, owner)
    odd = {name: value for name, value in (whole | change).items() if value is not None}
    await office.home.stored("odd", odd)
    await office.family("wren", agreed())
    assert await office.schedule() == Scheduled(made=1, without_contact=1)
    assert await office.send() == Sent(sent=1, passed_over=1)
    assert await office.send() == Sent(passed_over=1)
    with pytest.raises(FhirError, match="This survey is closed"):
        survey(office.home.context, office.home.places["odd"].partition("/")[2])


async def test_what_could_not_be_sent_is_sent_the_next_time(office: Office) -> None:
    await office.family("wren", agreed())
    await office.schedule()
    office.outbox.is_broken = True
    assert await office.send() == Sent(failed=1)
    [waiting] = await office.found("Communication")
    assert waiting["status"] == "preparation"
    office.outbox.is_broken = False
    assert await office.send() == Sent(sent=1)
    [sent] = await office.found("Communication")
    assert (sent["id"], sent["status"]) == (waiting["id"], "completed")


@pytest.mark.parametrize("told", ["before it is made", "before it is sent"])
async def test_of_a_child_who_has_died_nobody_is_written_to(office: Office, told: str) -> None:
    await office.family("wren", agreed())
    if told == "before it is sent":
        assert (await office.schedule()).made == 1
    place = office.home.places["wren"]
    child = (await office.home.fhir("GET", place)).json()
    died = {**child, "deceasedDateTime": "2026-11-20"}
    assert (await office.home.fhir("PUT", place, json=died)).status_code == 200
    assert await office.send() == Sent()
    assert (await office.schedule()).made == 0
    tasks = await office.found(f"Task?patient={place}")
    assert [each["status"] for each in tasks] == (
        ["cancelled"] if told == "before it is sent" else []
    )
    assert {each["statusReason"]["coding"][0]["code"] for each in tasks} <= {"death"}


@pytest.mark.parametrize(
    ("period", "said"),
    [({"start": "2026-10-01"}, None), (None, None), ({"end": "2026-12"}, "12/2026")],
)
async def test_a_survey_of_a_client_is_sent_with_its_last_day_or_without(
    office: Office, period: dict[str, str] | None, said: str | None
) -> None:
    await office.family("wren", agreed())
    await office.schedule()
    task = await office.task("wren")
    del task["restriction"]
    task |= {"restriction": {"period": period}} if period else {}
    assert (await office.home.fhir("PUT", f"Task/{task['id']}", json=task)).status_code == 200
    assert await office.send() == Sent(sent=1)
    [(_, _, body)] = office.outbox.given
    assert "{" not in body
    assert (f"until {said}" in body) is (said is not None)
    assert ("You can answer until" in body) is (said is not None)
    assert (await office.home.enter(office.outbox.token)).status_code == 204


async def test_a_survey_whose_time_is_over_is_cancelled(office: Office) -> None:
    await office.family("wren", agreed())
    await office.schedule()
    office.home.clock.now = office.home.clock.now.replace(year=2029, month=10, day=2)
    assert await office.schedule() == Scheduled(cancelled=1)
    assert (await office.task("wren"))["statusReason"]["coding"][0]["code"] == "window-over"


async def test_another_link_goes_to_the_address_on_file_a_few_times_a_day(
    office: Office, tmp_path: Path
) -> None:
    await office.family("wren", agreed())
    await office.schedule()
    await office.send()
    await office.home.enter(office.outbox.token)
    answers = [await office.home.http.post(f"{API}/another-link", json={}) for _ in range(4)]
    assert [each.status_code for each in answers] == [204, 204, 204, 429]
    assert all(not each.content for each in answers[:3])
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == 3
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
    text = files[0].read_text()
    assert text.startswith("To: parent@home.example\n")
    [line] = [each for each in text.splitlines() if "/survey#" in each]
    office.home.http.cookies.clear()
    assert (await office.home.enter(line.partition("#")[2])).status_code == 204


async def test_where_nothing_is_sent_the_parent_is_told_so(office: Office) -> None:
    context = replace(office.home.context, settings=Settings())
    async with home(context) as quiet:
        await quiet.sit()
        answer = await quiet.http.post(f"{API}/another-link", json={})
    assert (answer.status_code, "kept" in said(answer)) == (503, True)

"""Which surveys are due, as Tasks: made once each, and cancelled when they may not go on.

https://hl7.org/fhir/R4/task.html
"""

import asyncio
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from fhir_server.context import Context, instant
from fhir_server.interactions.targets import survivor
from fhir_server.interactions.transaction import transaction
from fhir_server.operations.forms import one
from fhir_server.operations.survey_standing import (
    OPEN,
    SURVEY,
    TASK,
    Survey,
    cancelled,
    ended,
    known,
    people,
    stopped,
    survey_tasks,
)
from fhir_server.store import read as store
from questionnaires import schedule
from questionnaires.schedule import Due, Plan
from r4.issue import FhirError
from r4.json import Resource, decode
from terminology.systems import CASE, CSOR

IDENTIFIER = f"{CSOR}/sid/survey"
CONTACT = f"{CSOR}/sid/survey-contact"
"""Identifier of a RelatedPerson who has agreed to be sent surveys: nobody else is written to."""


@dataclass(slots=True)
class Scheduled:
    """What became of a run: surveys made, surveys cancelled, due ones of whom nobody can be asked."""

    made: int = 0
    cancelled: int = 0
    without_contact: int = 0


def plan_of(context: Context, file: Path | None) -> Plan:
    """Read the operator's plan; raises ValueError for none, a wrong one, or a form not known here."""
    if file is None:
        raise ValueError("no survey is planned: CSOR_SURVEYS names no file")
    try:
        found = schedule.plan(tomllib.loads(file.read_text("utf-8")))
    except ValueError as wrong:
        raise ValueError(f"{file} is no plan of surveys: {wrong}") from None
    unknown = sorted({each.form for each in found.surveys} - context.forms.keys())
    if unknown:
        raise ValueError(f"{file} names forms that are not known here: {', '.join(unknown)}")
    return found


async def schedule_all(context: Context, plan: Plan) -> Scheduled:
    """Make a Task for each survey that is due, and cancel those that may not go on.

    Run again on the same day, it changes nothing.
    """
    done = Scheduled()
    for found in open_surveys(context):
        if reason := ended(context, found):
            entry = cancelled(found.task, reason, instant(context.now()))
            await _stored(context, [entry])
            done.cancelled += 1
        await asyncio.sleep(0)
    for stored in store.every(context.database, "EpisodeOfCare", "status=active"):
        await _schedule(context, decode(stored.body), plan, done)
        await asyncio.sleep(0)
    return done


def open_surveys(context: Context) -> Iterator[Survey]:
    """Yield every survey that is neither done nor cancelled, as it is stored when its turn comes."""
    criteria = f"code={TASK}|{SURVEY}&status={','.join(OPEN)}"
    for stored in store.every(context.database, "Task", criteria):
        if (found := known(context, stored.id)) is not None and found.task["status"] in OPEN:
            yield found


def contact(context: Context, child: Resource) -> Resource | None:
    """Return who is asked about a child: the one RelatedPerson who has agreed, None where several have.

    Between two parents nobody guesses.
    """
    listed = people(context, child)
    agreed = [each for each in listed if each.get("active", True) and _is_contact(each)]
    return agreed[0] if len(agreed) == 1 else None


async def _schedule(context: Context, case: Resource, plan: Plan, done: Scheduled) -> None:
    stored = one(context, case["patient"].get("reference", ""), "Patient")
    if stored is None:
        return
    child = decode(survivor(context, stored).body)
    today = date.fromisoformat(instant(context.now())[:10])
    listed = schedule.due(case, child, plan, today)
    number = next((e["value"] for e in case["identifier"] if e.get("system") == CASE), None)
    if not listed or number is None or stopped(context, child):
        return
    person = contact(context, child)
    if person is None:
        done.without_contact += len(listed)
        return
    for each in listed:
        if _was_asked(context, child, each):
            continue
        entry = _task(context, each, number, (child, person))
        answer = await _stored(context, [entry])
        if answer is not None and answer["entry"][0]["response"]["status"].startswith("201"):
            done.made += 1


def _was_asked(context: Context, child: Resource, due: Due) -> bool:
    """Tell whether a survey was made before, for this case or one of a record that was merged."""
    tasks = survey_tasks(context, child)
    numbers = (each.get("value", "") for task in tasks for each in task.get("identifier", ()))
    return any(each.endswith(f".{due.name}") for each in numbers)


def _task(context: Context, due: Due, number: str, about: tuple[Resource, Resource]) -> Resource:
    """Return the entry that makes the Task of a survey, unless it was made before."""
    child, person = about
    form = context.forms[due.form]
    value = f"{number}.{due.name}"
    task = {
        "resourceType": "Task",
        "identifier": [{"system": IDENTIFIER, "value": value}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": TASK, "code": SURVEY}]},
        "for": {"reference": f"Patient/{child['id']}"},
        "authoredOn": instant(context.now()),
        "owner": {"reference": f"RelatedPerson/{person['id']}"},
        "restriction": {"period": {"start": due.from_.isoformat(), "end": due.until.isoformat()}},
        "input": [{"type": {"text": "Form"}, "valueCanonical": f"{due.form}|{form['version']}"}],
    }
    criteria = f"identifier={IDENTIFIER}|{value}"
    return {
        "resource": task,
        "request": {"method": "POST", "url": "Task", "ifNoneExist": criteria},
    }


async def _stored(context: Context, entries: list[Resource]) -> Resource | None:
    """Store entries; None where somebody else was quicker, who has done it then."""
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    try:
        return await transaction(context, bundle)
    except FhirError as refusal:
        if refusal.status != 412:  # noqa: PLR2004
            raise
        return None


def _is_contact(person: Resource) -> bool:
    return any(each.get("system") == CONTACT for each in person.get("identifier", ()))

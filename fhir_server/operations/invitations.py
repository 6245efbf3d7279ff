"""Invitations and reminders, as Communications: each is stored before it is sent, and sent once.

What is stored never holds the link: whoever reads the registry could open the survey with it.
https://hl7.org/fhir/R4/communication.html
"""

import asyncio
import logging
import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from fhir_server.access.links import Link, written
from fhir_server.context import Context, instant, microseconds
from fhir_server.interactions.targets import find
from fhir_server.interactions.transaction import transaction
from fhir_server.operations.couriers import Courier
from fhir_server.operations.forms import one
from fhir_server.operations.survey_schedule import open_surveys
from fhir_server.operations.survey_standing import (
    Survey,
    ended,
    known,
    preferred_language,
    survey,
    update,
)
from fhir_server.store.failure import place
from fhir_server.store.links import record
from questionnaires.letters import letter
from questionnaires.schedule import Plan, Span, reminders
from r4.dates import interval
from r4.issue import FhirError, error
from r4.json import Resource, decode
from terminology.systems import CSOR

logger = logging.getLogger("csor.surveys")

IDENTIFIER = f"{CSOR}/sid/invitation"
MOST_A_DAY = 3
"""Links that a parent may ask for in a day."""
PAGE = "survey"
_SECRET = 32
_CLOSED = 410
_ASKED_FOR = ".link-"
_MANY = 1000
_MICROSECONDS = 1_000_000
_MEDIA = {"email": "EMAILWRIT", "sms": "SMSWRIT"}
_SYSTEMS = {"email": ("email",), "sms": ("sms", "phone")}
_MODE = "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode"


@dataclass(slots=True)
class Sent:
    """What became of a run: messages sent, to be tried again, and not due to be sent at all.

    without_address: parents; passed_over: Tasks that do not say their number, who is asked, or the form.
    """

    sent: int = 0
    failed: int = 0
    without_address: int = 0
    passed_over: int = 0


@dataclass(frozen=True, slots=True)
class _Message:
    """A message that is due: of which survey, which kind, its number, how long its link is valid."""

    found: Survey
    kind: str
    number: str
    valid: Span


async def send_all(context: Context, plan: Plan, courier: Courier) -> Sent:
    """Send each invitation and reminder that is due and was not sent; what fails is tried next time."""
    done = Sent()
    for found in open_surveys(context):
        if not found.is_whole:
            done.passed_over += 1
        elif ended(context, found) is None:
            await _send_due(context, found, plan, (courier, done))
        await asyncio.sleep(0)
    return done


async def send_another(context: Context, task_id: str, valid: Span, courier: Courier) -> None:
    """Send a parent another link, to the address that is on file.

    Raises FhirError 410 where the survey is closed, 429 after some in one day, 503 where it is not sent.
    """
    found = survey(context, task_id)
    today = instant(context.now())[:10]
    _, sent = find(context, "Communication", f"based-on=Task/{task_id}&sent=ge{today}", _MANY)
    if (
        sum(_ASKED_FOR in decode(each.body)["identifier"][0]["value"] for each in sent)
        >= MOST_A_DAY
    ):
        text = "We have sent you several links today. Please use the last one, or ask tomorrow."
        raise FhirError(429, [error("throttled", text)])
    number = f"{found.task['identifier'][0]['value']}{_ASKED_FOR}{secrets.token_hex(8)}"
    done = Sent()
    await _send(context, _Message(found, "another", number, valid), courier, done)
    if not done.sent:
        text = "We could not send a link just now. Your answers are kept: please try again later."
        raise FhirError(503, [error("transient", text)])


async def link(context: Context, task_id: str, expires: datetime) -> str:
    """Return a new link to a survey, which opens it once, for who is asked now, before it expires."""
    seconds = int(expires.timestamp())
    found = known(context, task_id)
    parent = found.parent["reference"] if found else ""
    made = Link(secrets.token_urlsafe(_SECRET), task_id, parent, seconds)
    await record(context.database, made.digest, task_id, seconds * _MICROSECONDS)
    root = context.base_url.removesuffix("/fhir")
    return f"{root}/{PAGE}#{written(made, context.seal)}"


async def _send_due(context: Context, found: Survey, plan: Plan, how: tuple[Courier, Sent]) -> None:
    today = date.fromisoformat(instant(context.now())[:10])
    start = _day(found.start)
    survey_number = found.task["identifier"][0]["value"]
    days = reminders(survey_number, start, plan) if start else ()
    passed = sum(each <= today for each in days)
    kind = "reminder" if passed and found.task["status"] != "requested" else "invitation"
    number = f"{survey_number}.{passed}"
    if not _was_sent(context, number):
        await _send(context, _Message(found, kind, number, plan.valid), *how)


async def _send(context: Context, message: _Message, courier: Courier, done: Sent) -> None:
    person = _person(context, message.found)
    address = _address(person, courier)
    if person is None or address is None:
        done.without_address += 1
        return
    medium, to = address
    language = preferred_language(person)
    said = letter(message.kind, language, message.found.until)
    try:
        await _prepared(context, message, medium, said.text.replace("{link}", "").strip())
        found = survey(context, message.found.id)  # a death may have been told just now
        expires = _expiry(context, found, message.valid)
        text = said.text.replace("{link}", await link(context, found.id, expires))
        await courier.send(to, said.subject, text)
    except (FhirError, OSError, ValueError) as failure:
        logger.error("a message to a parent is not sent: %s", place(failure))  # noqa: TRY400 - no address
        is_closed = isinstance(failure, FhirError) and failure.status == _CLOSED
        if is_closed or message.kind == "another":
            await _settled(context, message.number, "not-done")
        done.failed += not is_closed
        return
    await _settled(context, message.number, "completed")
    done.sent += 1


async def _prepared(context: Context, message: _Message, medium: str, text: str) -> None:
    """Store the message before it is sent, and that the parent is asked."""
    found = message.found
    number = {"system": IDENTIFIER, "value": message.number}
    communication = {
        "resourceType": "Communication",
        "identifier": [number],
        "basedOn": [{"reference": f"Task/{found.id}"}],
        "status": "preparation",
        "subject": {"reference": f"Patient/{found.child['id']}"},
        "recipient": [found.parent],
        "medium": [{"coding": [{"system": _MODE, "code": _MEDIA[medium]}]}],
        "payload": [{"contentString": text}],
    }
    request = {"method": "POST", "url": "Communication", "ifNoneExist": _criteria(message.number)}
    entries = [{"resource": communication, "request": request}]
    if found.task["status"] == "requested":
        ready = {**found.task, "status": "ready", "lastModified": instant(context.now())}
        entries.append(update(ready, str(found.version)))
    await _stored(context, entries)


async def _settled(context: Context, number: str, status: str) -> None:
    """Record what became of a message."""
    _, found = find(context, "Communication", _criteria(number))
    for stored in found:
        said: Resource = {**decode(stored.body), "status": status}
        if status == "completed":
            said["sent"] = instant(context.now())
        await _stored(context, [update(said, str(stored.version))])


async def _stored(context: Context, entries: list[Resource]) -> None:
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    await transaction(context, bundle)


def _was_sent(context: Context, number: str) -> bool:
    _, found = find(context, "Communication", _criteria(number))
    return any(decode(each.body)["status"] != "preparation" for each in found)


def _criteria(number: str) -> str:
    return f"identifier={IDENTIFIER}|{number}"


def _person(context: Context, found: Survey) -> Resource | None:
    stored = one(context, found.parent["reference"], "RelatedPerson")
    person: Resource | None = decode(stored.body) if stored else None
    return person if person and person.get("active", True) else None


def _address(person: Resource | None, courier: Courier) -> tuple[str, str] | None:
    """Return the medium and the address by which a courier reaches a person."""
    for medium in courier.media:
        for each in (person or {}).get("telecom", ()):
            value = "".join(str(each.get("value", "")).split())
            if value and each.get("system") in _SYSTEMS[medium] and each.get("use") != "old":
                return medium, value
    return None


def _expiry(context: Context, found: Survey, valid: Span) -> datetime:
    """Return when a link that is sent now expires: at the latest with the survey's last day."""
    later = datetime.combine(valid.after(context.now().astimezone(UTC).date()), time(), UTC)
    if found.until is None:
        return later
    _, last = interval(found.until[:10])
    return (
        later if microseconds(later) < last else datetime.fromtimestamp(last / _MICROSECONDS, UTC)
    )


def _day(text: str | None) -> date | None:
    """Return the day of a Task's date; None where there is none, or only a month or a year."""
    is_full = text is not None and len(text) >= len("2026-01-31")
    return date.fromisoformat(text[:10]) if text and is_full else None

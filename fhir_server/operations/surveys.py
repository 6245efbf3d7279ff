"""What a parent does in a survey: opens it, keeps answers, decides about data, hands the answers in.

Each step asks first whether the survey may still go on. A parent can change answers and decisions and
nothing else: who answers, about whom and which form, the Task says.
https://hl7.org/fhir/R4/questionnaireresponse.html
"""

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import questionnaires
from fhir_server.access.links import Link
from fhir_server.context import Context, instant
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import update
from fhir_server.operations.forms import complete, form, one
from fhir_server.operations.notes import noted, stored_response
from fhir_server.operations.survey_standing import (
    TASK,
    TOLD_OF_DEATH,
    Survey,
    cancelled,
    consents,
    is_asked_of,
    known,
    open_tasks,
    preferred_language,
    streams_of,
    survey,
)
from fhir_server.operations.survey_standing import update as updating
from fhir_server.store.objections import HEALTH_RECORD, NATIONAL_DATA, PARENT_REPORTED, STREAM
from fhir_server.store.read import Stored
from questionnaires.calculation import calculated
from questionnaires.translation import in_language, languages
from r4 import artefacts
from r4.issue import FhirError, error
from r4.json import Resource, decode
from r4.reference import references
from terminology.systems import CSOR

DECISION = f"{CSOR}/sid/decision"
_CHILD_DIED = (f"{CSOR}/CodeSystem/parent-survey", "child-died")
_DECISIONS = ("permit", "deny")
_ASKED = (HEALTH_RECORD, NATIONAL_DATA, PARENT_REPORTED)
"""The streams that a parent is asked about."""
_CODES = "http://terminology.hl7.org/CodeSystem"


@dataclass(frozen=True, slots=True)
class Answers:
    """A stored response and the version that it is."""

    response: Resource
    version: int

    @property
    def etag(self) -> str:
        """The version as an ETag."""
        return f'W/"{self.version}"'


def is_birth_date(context: Context, link: Link, given: object) -> bool:
    """Tell whether a text is the date of birth of the child of a link's survey, and who is asked the same.

    A survey that is not known here has no child, and none whose owner is another by now is this link's.
    """
    found = known(context, link.task)
    date = str(found.child.get("birthDate", "")) if found else ""
    same = hmac.compare_digest(date.encode(), str(given).encode("utf-8", "replace"))
    is_asked = found is not None and is_asked_of(found, link.parent)
    return same and is_asked and len(date) == len("2026-01-31")


async def opened(context: Context, task_id: str, wanted: str | None = None) -> Resource:
    """Return what a page shows of a survey, its response begun where it was not.

    That is the form, the answers so far and their etag, the child's first given name, the language and
    those that there are, the data streams with this parent's decisions, and the last day, None where there
    is none. wanted: a language; else it is that of the answers so far, else the one that the parent prefers.
    Raises FhirError 410 where the survey is closed.
    """
    found = survey(context, task_id)
    if found.response is None:
        found = await _begun(context, found)
    answers = kept(context, found)
    names = found.child.get("name") or [{}]
    language = _language(context, found, wanted or answers.response.get("language"))
    return {
        "questionnaire": in_language(form(context, answers.response), language),
        "response": answers.response,
        "etag": answers.etag,
        "child": {"given": (names[0].get("given") or [""])[0]},
        "language": language,
        "languages": languages(),
        "streams": decisions(context, found),
        "until": found.until,
    }


def _language(context: Context, found: Survey, wanted: str | None) -> str:
    if wanted is None:
        stored = one(context, found.parent["reference"], "RelatedPerson")
        wanted = preferred_language(decode(stored.body)) if stored else None
    short = (wanted or "").partition("-")[0]
    return short if short in languages() else languages()[0]


def kept(context: Context, found: Survey) -> Answers:
    """Return the answers so far of a survey that has been begun."""
    stored: Stored = stored_response(context, found.response or "")
    return Answers(decode(stored.body), stored.version)


async def keep(context: Context, task_id: str, sent: object, if_match: str | None) -> Answers:
    """Store answers as far as they go; of what is sent the items and the language count.

    Raises FhirError 400 without If-Match or items, 403 before the parent has agreed to it, 410 where the
    survey is closed, 412 where other answers have been kept since, 422 for what the form cannot hold.
    """
    found = survey(context, task_id)
    _refuse_undecided(context, found)
    stored = noted(context, found.response or "", if_match)
    changed = _answered(stored.at_version(), sent)
    outcome = await update(context, changed, changed["id"], str(stored.asked))
    return Answers(decode(outcome.body), outcome.version)


async def submit(context: Context, task_id: str, if_match: str | None) -> None:
    """Complete the answers that are kept, and the survey with them, in one transaction.

    Where they tell of the child's death, no survey goes on, and the registry is asked to find out.
    Raises FhirError as `keep` does, and 422 with every answer that is missing.
    """
    found = survey(context, task_id)
    _refuse_undecided(context, found)
    stored = noted(context, found.response or "", if_match)
    response = stored.at_version()
    questionnaire = form(context, response)
    now = instant(context.now())
    completed = {**calculated(questionnaire, response), "status": "completed", "authored": now}
    complete(context, questionnaire, completed)
    bundle = questionnaires.submit(
        questionnaire, completed, now=now, new_id=context.new_id, version=str(stored.asked)
    )
    reference = {"reference": f"QuestionnaireResponse/{response['id']}"}
    output = {"type": {"text": "Answers"}, "valueReference": reference}
    done = {**found.task, "status": "completed", "lastModified": now, "output": [output]}
    entries = [*bundle["entry"], updating(done, str(found.version))]
    if _tells_of_death(response):
        entries += _after_death(context, found, reference)
    await transaction(context, {**bundle, "entry": entries})


async def decide(context: Context, task_id: str, sent: object) -> bool:
    """Record what a parent decides about data streams; returns whether the survey may go on after it.

    Whoever denies what parents report ends every survey about the child, in the same transaction.
    Raises FhirError 400 for what is no list of decisions, 410 where the survey is closed.
    """
    found = survey(context, task_id)
    now = instant(context.now())
    given = _decided(sent)
    entries = [_consent(found, code, decision, now) for code, decision in given.items()]
    is_over = given.get(PARENT_REPORTED) == "deny"
    if is_over:
        entries += [cancelled(each, "objection", now) for each in open_tasks(context, found.child)]
    await transaction(context, {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    return not is_over


def decisions(context: Context, found: Survey) -> list[Resource]:
    """Return each data stream with what this parent has decided about it, None where nothing yet."""
    theirs = {
        code: consent["provision"].get("type")
        for consent in consents(context, found.child)
        for code in streams_of(consent)
        if _number(found, code) in consent.get("identifier", ())
    }
    return [
        {"code": code, "display": display, "decision": theirs.get(code)}
        for code, display in _streams()
    ]


def _tells_of_death(response: Resource) -> bool:
    return any(
        (coding.get("system"), coding.get("code")) == _CHILD_DIED
        for item in _items(response)
        for answer in item.get("answer", ())
        if isinstance(coding := answer.get("valueCoding"), dict)
    )


def _items(node: Resource) -> Iterator[Resource]:
    for item in node.get("item", ()):
        yield item
        yield from _items(item)
        for answer in item.get("answer", ()):
            yield from _items(answer)


def _after_death(context: Context, found: Survey, response: Resource) -> list[Resource]:
    """Return what ends the child's other surveys, and asks a steward: a parent's word sets no record."""
    now = instant(context.now())
    others = [each for each in open_tasks(context, found.child) if each["id"] != found.id]
    task = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": TASK, "code": TOLD_OF_DEATH}]},
        "focus": response,
        "for": {"reference": f"Patient/{found.child['id']}"},
        "authoredOn": now,
        "requester": found.parent,
    }
    asked = {"resource": task, "request": {"method": "POST", "url": "Task"}}
    return [*(cancelled(each, "death", now) for each in others), asked]


def _refuse_undecided(context: Context, found: Survey) -> None:
    """Raise FhirError 403 before the parent has agreed that the answers are used."""
    decided = {each["code"]: each["decision"] for each in decisions(context, found)}
    if decided[PARENT_REPORTED] != "permit":
        text = "Say first whether we may use your answers."
        raise FhirError(403, [error("business-rule", text, rule="consent")])


async def _begun(context: Context, found: Survey) -> Survey:
    """Store an empty response, and the Task with it; whoever was quicker has begun it."""
    now, urn = instant(context.now()), f"urn:uuid:{context.new_id()}"
    response = {
        "resourceType": "QuestionnaireResponse",
        "identifier": found.task["identifier"][0],
        "questionnaire": found.form,
        "status": "in-progress",
        "subject": {"reference": f"Patient/{found.child['id']}"},
        "authored": now,
        "author": found.parent,
        "source": found.parent,
    }
    request = {"method": "POST", "url": "QuestionnaireResponse"}
    task = {
        **found.task,
        "status": "in-progress",
        "lastModified": now,
        "focus": {"reference": urn},
    }
    entries = [
        {"fullUrl": urn, "resource": response, "request": request},
        updating(task, str(found.version)),
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    try:
        await transaction(context, bundle)
    except FhirError as refusal:
        begun = survey(context, found.id)
        if refusal.status != 412 or begun.response is None:  # noqa: PLR2004
            raise
    return survey(context, found.id)


def _answered(response: Resource, sent: object) -> Resource:
    """Return a response with the items that are sent; raises FhirError 400 for anything but items.

    An answer refers to nothing: what the server would look up for it would tell of other children.
    """
    items = sent.get("item", []) if isinstance(sent, dict) else None
    if not isinstance(items, list):
        text = "Send the QuestionnaireResponse with its items."
        raise FhirError(400, [error("structure", text, "QuestionnaireResponse.item")])
    if references(items):
        text = "The answers to a survey refer to nothing: send them without references."
        raise FhirError(400, [error("value", text, "QuestionnaireResponse.item")])
    language = sent.get("language") if isinstance(sent, dict) else None
    changed = {key: value for key, value in response.items() if key != "item"}
    if isinstance(language, str):
        changed["language"] = language
    return {**changed, "item": items} if items else changed


def _decided(sent: object) -> dict[str, str]:
    listed = sent.get("streams") if isinstance(sent, dict) else None
    if isinstance(listed, list) and listed and all(isinstance(each, dict) for each in listed):
        given = {str(each.get("code")): str(each.get("decision")) for each in listed}
        if given.keys() <= dict(_streams()).keys() and set(given.values()) <= set(_DECISIONS):
            return given
    codes = ", ".join(code for code, _ in _streams())
    text = f"Send `streams`: each with a code ({codes}) and a decision (permit or deny)."
    raise FhirError(400, [error("value", text)])


def _consent(found: Survey, code: str, decision: str, now: str) -> Resource:
    """Return the entry of one decision, in the place of the same parent's earlier one."""
    number = _number(found, code)
    consent = {
        "resourceType": "Consent",
        "meta": {"profile": [f"{CSOR}/StructureDefinition/csor-consent"]},
        "identifier": [number],
        "status": "active",
        "scope": {"coding": [{"system": f"{_CODES}/consentscope", "code": "research"}]},
        "category": [
            {"coding": [{"system": f"{_CODES}/consentcategorycodes", "code": "research"}]}
        ],
        "patient": {"reference": f"Patient/{found.child['id']}"},
        "dateTime": now,
        "performer": [found.parent],
        "policyRule": {"text": "As shown in the survey; the wording is to be reviewed"},
        "provision": {"type": decision, "code": [{"coding": [{"system": STREAM, "code": code}]}]},
    }
    criteria = f"Consent?identifier={number['system']}|{number['value']}"
    return {"resource": consent, "request": {"method": "PUT", "url": criteria}}


def _number(found: Survey, code: str) -> Resource:
    person = found.parent["reference"].partition("/")[2]
    return {"system": DECISION, "value": f"{person}.{code}"}


@cache
def _streams() -> Sequence[tuple[str, str]]:
    """Return code and display of each data stream that a parent is asked about."""
    own = next(each for each in artefacts.load("terminology") if each.get("url") == STREAM)
    return tuple((e["code"], e["display"]) for e in own["concept"] if e["code"] in _ASKED)

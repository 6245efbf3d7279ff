"""What a parent does in a survey: opens it, keeps answers, decides about data, hands the answers in.

Each step asks first whether the survey may still go on. A parent can change answers and decisions and
nothing else: who answers, about whom and which form, the Task says.
https://hl7.org/fhir/R4/questionnaireresponse.html
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import questionnaires
from fhir_server.context import Context, instant
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import update
from fhir_server.operations.forms import complete, form
from fhir_server.operations.notes import noted, stored_response
from fhir_server.operations.survey_standing import (
    PARENTS,
    STREAM,
    Survey,
    cancelled,
    consents,
    known,
    open_tasks,
    streams_of,
    survey,
)
from fhir_server.operations.survey_standing import update as updating
from fhir_server.store.read import Stored
from r4 import artefacts
from r4.issue import FhirError, error
from r4.json import Resource, decode
from terminology.systems import CSOR

DECISION = f"{CSOR}/sid/decision"
_DECISIONS = ("permit", "deny")
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


def is_birth_date(context: Context, task_id: str, given: object) -> bool:
    """Tell whether a text is the date of birth of a survey's child; a survey not known here has none."""
    found = known(context, task_id)
    date = str(found.child.get("birthDate", "")) if found else ""
    same = hmac.compare_digest(date.encode(), str(given).encode("utf-8", "replace"))
    return same and len(date) == len("2026-01-31")


async def opened(context: Context, task_id: str) -> Resource:
    """Return what a page shows of a survey, its response begun where it was not.

    That is the form, the answers so far and their etag, the child's first given name, the data streams
    with this parent's decisions, and the last day. Raises FhirError 410 where the survey is closed.
    """
    found = survey(context, task_id)
    if found.response is None:
        found = await _begun(context, found)
    answers = kept(context, found)
    names = found.child.get("name") or [{}]
    return {
        "questionnaire": form(context, answers.response),
        "response": answers.response,
        "etag": answers.etag,
        "child": {"given": (names[0].get("given") or [""])[0]},
        "streams": decisions(context, found),
        "until": found.until,
    }


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

    Raises FhirError as `keep` does, and 422 with every answer that is missing.
    """
    found = survey(context, task_id)
    _refuse_undecided(context, found)
    stored = noted(context, found.response or "", if_match)
    response = stored.at_version()
    questionnaire = form(context, response)
    now = instant(context.now())
    completed = {**response, "status": "completed", "authored": now}
    complete(context, questionnaire, completed)
    bundle = questionnaires.submit(
        questionnaire, completed, now=now, new_id=context.new_id, version=str(stored.asked)
    )
    reference = {"reference": f"QuestionnaireResponse/{response['id']}"}
    output = {"type": {"text": "Answers"}, "valueReference": reference}
    done = {**found.task, "status": "completed", "lastModified": now, "output": [output]}
    entries = [*bundle["entry"], updating(done, str(found.version))]
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
    is_over = given.get(PARENTS) == "deny"
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


def _refuse_undecided(context: Context, found: Survey) -> None:
    """Raise FhirError 403 before the parent has agreed that the answers are used."""
    decided = {each["code"]: each["decision"] for each in decisions(context, found)}
    if decided[PARENTS] != "permit":
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
    """Return a response with the items that are sent; raises FhirError 400 for anything but items."""
    items = sent.get("item", []) if isinstance(sent, dict) else None
    if not isinstance(items, list):
        text = "Send the QuestionnaireResponse with its items."
        raise FhirError(400, [error("structure", text, "QuestionnaireResponse.item")])
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
    """Return code and display of each data stream."""
    own = next(each for each in artefacts.load("terminology") if each.get("url") == STREAM)
    return tuple((each["code"], each["display"]) for each in own["concept"])

"""QuestionnaireResponse/$sign: sign an operative note, which is the case notification too.

The completed answers, what is extracted from them, the document, its Provenance and the registry case
are stored in one transaction. Defined by OperationDefinition-QuestionnaireResponse-sign.
"""

import questionnaires
from fhir_server.context import Context, instant
from fhir_server.interactions.signed import is_note
from fhir_server.interactions.transaction import transaction
from fhir_server.operations.forms import (
    calculated_answers,
    complete,
    form,
    named_child,
    response_of,
    store_once,
)
from fhir_server.operations.notes import (
    Note,
    hospital_of,
    noted,
    refuse_other_hospital,
    signer_of,
    standing,
    transacted,
)
from fhir_server.operations.parameters import Input, Kinds, required
from questionnaires.signing import Effort
from r4.issue import FhirError, error
from r4.json import Resource

NAMES: Kinds = {"response": "resource", "signer": "reference", "hospital": "reference"}
OF_STORED: Kinds = {"signer": "reference", "hospital": "reference"}
_STALE = 412


async def sign(context: Context, given: Input) -> Resource:
    """Store the signed note and all that follows from it; returns the transaction-response.

    Raises FhirError 422 with every answer that is missing or wrong, and where the child, the surgeon
    or the hospital is not known here.
    """
    response = {**response_of(required(given, "response")), "id": context.new_id()}
    bundle = _signed(context, response, given)
    return await store_once(context, bundle, response, signing=True)


async def sign_stored(
    context: Context, response_id: str, if_match: str | None, given: Input
) -> Resource:
    """Sign a stored draft: its next version is the signed one; returns the transaction-response.

    Without a signer, the draft's author signs. A signature that is asked for again, of the same version
    and by the same signer, is answered as it was the first time, and nothing is stored.
    Raises FhirError 400 without If-Match, 404 where there is no such response, 409 where it is signed
    already, 412 where it is at another version, and 422 as `sign` does.
    """
    note = noted(context, response_id, if_match)
    try:
        draft = note.at_version()
        _refuse_signed(context, draft)
        bundle = _signed(context, draft, given, note)
        return await transaction(context, bundle, signing=True)
    except FhirError as refusal:
        before = _answered_before(context, note, given) if refusal.status == _STALE else None
        if before is None:
            raise
        return before


def _signed(
    context: Context, response: Resource, given: Input, note: Note | None = None
) -> Resource:
    """Return the transaction of a signature, all its parties known and every answer checked."""
    questionnaire = form(context, response)
    if not is_note(questionnaire):
        text = "Only an operative note is signed: a survey is sent to $process-response."
        raise FhirError(422, [error("business-rule", text, "QuestionnaireResponse.questionnaire")])
    response = calculated_answers(context, response)
    signer, _ = signer_of(context, given, response.get("author"))
    hospital, stored = hospital_of(context, given)
    complete(context, questionnaire, response)
    moment = context.now()
    opened = note.opened() if note else None
    bundle = questionnaires.sign(
        questionnaire,
        {**response, "subject": named_child(context, response)},
        signer=signer,
        hospital=hospital,
        now=instant(moment),
        new_id=context.new_id,
        seal=context.seal,
        version=str(note.stored.version) if note else None,
        effort=Effort(instant(opened), round((moment - opened).total_seconds()))
        if opened
        else None,
    )
    refuse_other_hospital(context, bundle, stored)
    return bundle


def _refuse_signed(context: Context, draft: Resource) -> None:
    """Raise FhirError 409 for a note that is signed: a second signature would store its records twice."""
    if draft.get("status") == "completed" and standing(context, draft["id"]) is not None:
        text = f"QuestionnaireResponse/{draft['id']} is signed already: correct it with $correct."
        raise FhirError(409, [error("business-rule", text, "http.url", "signed")])


def _answered_before(context: Context, note: Note, given: Input) -> Resource | None:
    """Return the answer to a signature of this version by this signer, if there has been one."""
    after = note.version(note.asked + 1)
    before = note.version(note.asked)
    if before is None or after is None or before.get("status") == after.get("status"):
        return None
    _, signer = signer_of(context, given, before.get("author"))
    return transacted(context, note, note.asked + 1, signer)

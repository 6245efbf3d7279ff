"""QuestionnaireResponse/[id]/$correct and $addend: mend a signed note, or add words to it.

Both leave what was signed where it is: the earlier version, its Composition, its document. Defined by
OperationDefinition-QuestionnaireResponse-correct and -addend.
"""

import questionnaires
from fhir_server.context import Context, instant
from fhir_server.interactions.targets import find, survivor
from fhir_server.interactions.transaction import transaction
from fhir_server.operations.forms import (
    calculated_answers,
    complete,
    form,
    named_child,
    one,
    response_of,
)
from fhir_server.operations.notes import (
    Note,
    hospital_of,
    noted,
    refuse_other_hospital,
    signer_of,
    standing,
    stored_response,
    transacted,
)
from fhir_server.operations.parameters import Input, Kinds, required
from questionnaires.numbered import EXTRACTION
from r4.issue import FhirError, error
from r4.json import Resource, decode

CORRECTION: Kinds = {
    "response": "resource", "reason": "string", "signer": "reference", "hospital": "reference",
}  # fmt: skip
ADDENDUM: Kinds = {"text": "string", "signer": "reference"}
_STALE = 412


async def correct(
    context: Context, response_id: str, if_match: str | None, given: Input
) -> Resource:
    """Store the corrected note and what it says now in the place of what it said.

    Returns the transaction-response. Without a hospital it is that of the note. A correction that is
    asked for again, of the same version, by the same signer and with the same answers, is answered as
    it was the first time. Raises FhirError 400 without If-Match, 404 where there is no such note, 409
    where it cannot be corrected here, 412 where it is at another version, 422 as `sign` does.
    """
    note = noted(context, response_id, if_match)
    corrected = calculated_answers(context, response_of(required(given, "response")))
    try:
        bundle = _corrected(context, note.at_version(), corrected, given)
        return await transaction(context, bundle, signing=True)
    except FhirError as refusal:
        before = None
        if refusal.status == _STALE:
            before = _answered_before(context, note, corrected, given)
        if before is None:
            raise
        return before


async def addend(context: Context, response_id: str, given: Input) -> Resource:
    """Store words that are added to a signed note; returns the transaction-response.

    The same words again, by the same signer on the same day, are answered and not stored. Raises
    FhirError 404 where there is no such note, 422 where it is not signed or nobody signs.
    """
    response: Resource = decode(stored_response(context, response_id).body)
    text = required(given, "text")
    signer, _ = signer_of(context, given)
    questionnaire = form(context, response)
    bundle = questionnaires.addendum(
        questionnaire,
        {**response, "subject": named_child(context, response)},
        _standing(context, response_id),
        text,
        signer=signer,
        now=instant(context.now()),
        new_id=context.new_id,
        seal=context.seal,
    )
    return await transaction(context, bundle, once=True, signing=True)


def _corrected(context: Context, earlier: Resource, corrected: Resource, given: Input) -> Resource:
    """Return the transaction of a correction, all its parties known and every answer checked."""
    questionnaire = form(context, corrected)
    corrected = {**corrected, "subject": _subject(context, earlier, corrected), "status": "amended"}
    composition = _standing(context, earlier["id"])
    if "hospital" not in given and "reference" in composition.get("custodian", {}):
        given = {**given, "hospital": composition["custodian"]}
    signer, _ = signer_of(context, given, corrected.get("author"))
    hospital, stored = hospital_of(context, given)
    complete(context, questionnaire, corrected)
    bundle = questionnaires.correct(
        questionnaire,
        earlier,
        corrected,
        composition,
        reason=required(given, "reason"),
        signer=signer,
        hospital=hospital,
        now=instant(context.now()),
        new_id=context.new_id,
        seal=context.seal,
    )
    refuse_other_hospital(context, bundle, stored)
    _refuse_unnumbered(context, bundle)
    return bundle


def _subject(context: Context, earlier: Resource, corrected: Resource) -> Resource:
    """Return whom a correction is about: the note's child, if it means that one or names nobody."""
    note: Resource = earlier.get("subject", {})
    said: Resource = corrected.get("subject", note)
    named, meant = (one(context, each.get("reference", ""), "Patient") for each in (note, said))
    if named is None or meant is None:
        return said
    return note if survivor(context, named).id == survivor(context, meant).id else said


def _standing(context: Context, response_id: str) -> Resource:
    """Return the Composition of a note that stands; raises FhirError 409 where there is none."""
    if (composition := standing(context, response_id)) is not None:
        return composition
    text = (
        f"QuestionnaireResponse/{response_id} was not signed here ($sign): nothing can be corrected, "
        "or added to it."
    )
    raise FhirError(409, [error("business-rule", text, "http.url", "signed")])


def _refuse_unnumbered(context: Context, bundle: Resource) -> None:
    """Raise FhirError 409 where nothing is here that the note's signature has stored and numbered.

    What was stored without numbers would not be found, and the correction would double it.
    """
    urls = [entry["request"]["url"] for entry in bundle["entry"]]
    numbered = [url.partition("?") for url in urls if f"identifier={EXTRACTION}|" in url]
    if numbered and not any(find(context, kind, query)[1] for kind, _, query in numbered):
        text = "What this note's signature stored has no numbers, and cannot be corrected here."
        raise FhirError(409, [error("business-rule", text, "http.url", "signed")])


def _answered_before(
    context: Context, note: Note, corrected: Resource, given: Input
) -> Resource | None:
    """Return the answer to this correction of this version, if there has been one."""
    after = note.version(note.asked + 1)
    if after is None or after.get("status") != "amended":
        return None
    if after.get("item") != corrected.get("item"):
        return None
    _, signer = signer_of(context, given, corrected.get("author"))
    return transacted(context, note, note.asked + 1, signer)

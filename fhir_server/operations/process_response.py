"""$process-response: take a completed survey, for QuestionnaireResponse and for Questionnaire.

The answers, the observations extracted from them and their Provenance are stored in one transaction.
On Questionnaire it is the operation of SDC, which answers with an OperationOutcome:
https://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-process-response
"""

import questionnaires
from fhir_server.context import Context, instant
from fhir_server.interactions.signed import is_note
from fhir_server.operations import named_form
from fhir_server.operations.forms import (
    calculated_answers,
    complete,
    form,
    response_of,
    store_once,
    valid,
)
from fhir_server.operations.parameters import Kinds
from questionnaires.elements import is_for
from r4.issue import FhirError, Issue, error
from r4.json import Resource

NAMES: Kinds = {"response": "resource", "questionnaire-response": "resource"}
OF_A_FORM: Kinds = {"in": "resource", "response": "resource"}


async def process_response(context: Context, body: Resource) -> Resource:
    """Store a completed response and what it says; returns the transaction-response.

    What the form calculates and the author left empty is answered first. Raises FhirError 422 with every
    answer that is missing or wrong, where the child is not known, and for an operative note.
    """
    response = response_of(body)
    if response.get("status") != "completed":
        text = "Only a completed response can be taken."
        raise FhirError(422, [error("business-rule", text, "QuestionnaireResponse.status")])
    questionnaire = form(context, response)
    if is_note(questionnaire):
        # Taken without a signature, what it says would be stored again when it is signed.
        text = "An operative note is signed: send it to QuestionnaireResponse/$sign."
        raise FhirError(422, [error("business-rule", text, "QuestionnaireResponse.questionnaire")])
    response = calculated_answers(context, response)
    complete(context, questionnaire, response)
    bundle = questionnaires.submit(
        questionnaire, response, now=instant(context.now()), new_id=context.new_id
    )
    return await store_once(context, bundle, response)


async def receive(context: Context, body: Resource, resource_id: str | None = None) -> list[Issue]:
    """Store a completed response to the form of the URL, or to the one that it names; say where.

    Raises FhirError as `process_response`; 404 or 410 for a form that is not here, 422 where the
    response answers another one.
    """
    response = response_of(body)
    if resource_id is not None:
        valid(context, response)
        wanted = named_form.stored(context, resource_id)
        if not is_for(response, wanted):
            text = f"The response answers {response.get('questionnaire')}, not {wanted.get('url')}."
            where = "QuestionnaireResponse.questionnaire"
            raise FhirError(422, [error("not-found", text, where, "questionnaireNotFound")])
    stored = await process_response(context, response)
    said = stored["entry"][0]["response"]
    there = "had been taken before" if said["status"].startswith("200") else "has been taken"
    text = f"The response {there}: {said['location']}."
    return [Issue("information", "informational", text)]

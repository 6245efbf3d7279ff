"""QuestionnaireResponse/$process-response: take a completed parent survey.

The answers and the observations extracted from them are stored in one transaction.
https://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-process-response
"""

import questionnaires
from fhir_server.context import Context
from fhir_server.operations.forms import complete, form, response_of, store_once
from r4.issue import FhirError, error
from r4.json import Resource
from r4.reference import rewrite

NAMES = ("response", "questionnaire-response")


async def process_response(context: Context, body: Resource) -> Resource:
    """Store a completed response and what it says; returns the transaction-response.

    Raises FhirError 422 with every answer that is missing or wrong, or where the child is not known.
    """
    response = response_of(body)
    if response.get("status") not in ("completed", "amended"):
        text = "Only a completed response can be taken."
        raise FhirError(422, [error("business-rule", text, "QuestionnaireResponse.status")])
    questionnaire = form(context, response)
    complete(context, questionnaire, response)
    urn = f"urn:uuid:{context.new_id()}"
    numbered = {**response, "id": urn.removeprefix("urn:uuid:")}
    extracted = questionnaires.extract(questionnaire, numbered, new_id=context.new_id)
    entry = {
        "fullUrl": urn,
        "resource": response,
        "request": {"method": "POST", "url": "QuestionnaireResponse"},
    }
    itself = f"QuestionnaireResponse/{numbered['id']}"
    pointing = rewrite(extracted, lambda reference: urn if reference == itself else reference)
    bundle = {**extracted, "entry": [entry, *pointing.get("entry", [])]}
    return await store_once(context, bundle, response)

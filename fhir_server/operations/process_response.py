"""QuestionnaireResponse/$process-response: take a completed parent survey.

The answers, the observations extracted from them and their Provenance are stored in one transaction.
https://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-process-response
"""

import questionnaires
from fhir_server.context import Context, instant
from fhir_server.operations.forms import complete, form, response_of, store_once
from fhir_server.operations.parameters import Kinds
from r4.issue import FhirError, error
from r4.json import Resource

NAMES: Kinds = {"response": "resource", "questionnaire-response": "resource"}


async def process_response(context: Context, body: Resource) -> Resource:
    """Store a completed response and what it says; returns the transaction-response.

    Raises FhirError 422 with every answer that is missing or wrong, or where the child is not known.
    """
    response = response_of(body)
    if response.get("status") != "completed":
        text = "Only a completed response can be taken."
        raise FhirError(422, [error("business-rule", text, "QuestionnaireResponse.status")])
    questionnaire = form(context, response)
    complete(context, questionnaire, response)
    bundle = questionnaires.submit(
        questionnaire, response, now=instant(context.now()), new_id=context.new_id
    )
    return await store_once(context, bundle, response)

"""QuestionnaireResponse/$extract: the resources that a response says, as a transaction; stores nothing.

https://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-extract
"""

import questionnaires
from fhir_server.context import Context
from fhir_server.operations.forms import form, response_of, valid
from fhir_server.operations.parameters import Kinds
from r4.issue import FhirError
from r4.json import Resource

NAMES: Kinds = {"questionnaire-response": "resource", "response": "resource"}


def extract(context: Context, response: Resource) -> Resource:
    """Return the transaction Bundle of a response; raises FhirError 422 where its answers are wrong."""
    response = response_of(response)
    questionnaire = form(context, response)
    valid(context, response)
    found = questionnaires.check(questionnaire, response, context.terminology, strict=False)
    if errors := [issue for issue in found if issue.is_error]:
        raise FhirError(422, errors)
    return questionnaires.extract(questionnaire, response, new_id=context.new_id)

"""Questionnaire/$assemble: a modular form as one that stands by itself; stores nothing.

https://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-assemble
"""

from functools import partial

import questionnaires
from fhir_server.context import Context
from fhir_server.operations import named_form
from fhir_server.operations.parameters import Input, Kinds, required
from r4.issue import FhirError, error, operation_outcome
from r4.json import Resource

NAMES: Kinds = {"questionnaire": "questionnaire"}


def assemble(context: Context, given: Input, resource_id: str | None = None) -> Resource:
    """Return Parameters: the assembled form (`return`) and, with warnings, their `outcome`.

    Raises FhirError 400 where no form is named, or one besides the URL's; 404 or 410 where it is not
    known; 422 where it cannot be assembled.
    """
    form = _form(context, given, resource_id)
    made = questionnaires.assemble(form, partial(named_form.module, context))
    listed: list[Resource] = [{"name": "return", "resource": made.questionnaire}]
    if made.issues:
        listed.append({"name": "outcome", "resource": operation_outcome(made.issues)})
    return {"resourceType": "Parameters", "parameter": listed}


def _form(context: Context, given: Input, resource_id: str | None) -> Resource:
    if resource_id is None:
        return named_form.named(context, required(given, "questionnaire"))
    if "questionnaire" in given:
        text = "The URL names the form already: leave out the parameter questionnaire."
        raise FhirError(400, [error("invalid", text, "Parameters.parameter('questionnaire')")])
    return named_form.stored(context, resource_id)

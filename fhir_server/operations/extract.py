"""QuestionnaireResponse/$extract: the resources that a response says, as a transaction; stores nothing.

https://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-extract
"""

from functools import partial

import questionnaires
from fhir_server.context import Context, instant
from fhir_server.interactions.read import read
from fhir_server.operations import named_form
from fhir_server.operations.forms import form, response_of, valid
from fhir_server.operations.parameters import Input, Kinds, one_of
from r4.canonical import split
from r4.issue import FhirError, error
from r4.json import Resource, decode

_SENT = ("questionnaire-response", "response")
NAMES: Kinds = {**dict.fromkeys(_SENT, "resource"), "questionnaire": "questionnaire"}


def extract(context: Context, given: Input, resource_id: str | None = None) -> Resource:
    """Return the transaction Bundle of the response that is sent, or stored under the id.

    By the form that is given (one derived from the response's form will do), else by the registry's
    form that the response names. Raises FhirError 400 where no response, or a second one, is given,
    404 or 410 where one of them is not known, 422 where the answers are wrong or the form is another's.
    """
    response = _response(context, given, resource_id)
    questionnaire = _form(context, given, response)
    valid(context, response)
    found = questionnaires.check(questionnaire, response, context.terminology, strict=False)
    if errors := [issue for issue in found if issue.is_error]:
        raise FhirError(422, errors)
    return questionnaires.extract(
        questionnaire,
        response,
        new_id=context.new_id,
        definitions=partial(named_form.structure, context),
        now=instant(context.now()),
    )


def _response(context: Context, given: Input, resource_id: str | None) -> Resource:
    sent = [name for name in _SENT if name in given]
    if resource_id is None:
        return response_of(one_of(given, *_SENT))
    if sent:
        text = f"The URL names the response already: leave out the parameter {sent[0]}."
        where = f"Parameters.parameter('{sent[0]}')"
        raise FhirError(400, [error("invalid", text, where)])
    return response_of(decode(read(context, "QuestionnaireResponse", resource_id).body))


def _form(context: Context, given: Input, response: Resource) -> Resource:
    if "questionnaire" not in given:
        return form(context, response)
    found = named_form.named(context, given["questionnaire"])
    url, version = split(str(response.get("questionnaire", "")))
    origins = {split(each)[0] for each in found.get("derivedFrom", ())}
    if url and url in origins and url != found.get("url"):
        # It has the items of the form that was answered, and says more about their extraction.
        derived = {key: value for key, value in found.items() if key != "version"}
        return {**derived, "url": url} | ({"version": version} if version else {})
    return found

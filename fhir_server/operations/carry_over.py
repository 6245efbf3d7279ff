"""QuestionnaireResponse/$carry-over: answer a draft's technique as in the surgeon's last such note.

Stores nothing. Defined by OperationDefinition-QuestionnaireResponse-carry-over.
"""

from urllib.parse import urlencode

import questionnaires
from fhir_server.context import Context
from fhir_server.operations.forms import form, response_of, valid
from fhir_server.operations.notes import signer_of
from fhir_server.operations.parameters import Input, Kinds, required
from fhir_server.store import read as store
from fhir_server.store.read import Stored
from fhir_server.store.search.parse import parse
from r4.json import Resource, decode

NAMES: Kinds = {"response": "resource", "signer": "reference"}


def carry_over(context: Context, given: Input) -> Resource:
    """Return the draft with what could be carried over, marked; where there is nothing, as it is.

    Raises FhirError 400 where no surgeon is named, 422 where nobody is known by that, or the draft is no
    response to a form of the registry.
    """
    draft = response_of(required(given, "response"))
    questionnaire = form(context, draft)
    valid(context, draft)
    _, surgeon = signer_of(context, given, draft.get("author"))
    earlier = _latest(context, questionnaire, surgeon, draft.get("id"))
    return draft if earlier is None else questionnaires.carry_over(questionnaire, draft, earlier)


def _latest(
    context: Context, questionnaire: Resource, surgeon: Stored, draft_id: str | None
) -> Resource | None:
    """Return the surgeon's newest signed note on a form, in the version that is in use."""
    criteria = {
        "author": f"{surgeon.type}/{surgeon.id}",
        "questionnaire": f"{questionnaire['url']}|{questionnaire['version']}",
        "status": "completed,amended",
    }
    query = parse("QuestionnaireResponse", urlencode(criteria))
    for found in store.first(context.database, query, 2):
        if found.id != draft_id:
            response: Resource = decode(found.body)
            return response
    return None

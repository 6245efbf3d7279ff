"""QuestionnaireResponse/$sign: sign an operative note, which is the case notification too.

The completed answers, what is extracted from them, the document, its Provenance and the registry case
are stored in one transaction. Defined by OperationDefinition-QuestionnaireResponse-sign.
"""

import questionnaires
from fhir_server.context import Context, instant
from fhir_server.operations.forms import complete, form, one, response_of, store_once
from fhir_server.operations.parameters import Input, Kinds, required
from fhir_server.store.read import Stored
from r4.issue import FhirError, error
from r4.json import Resource

NAMES: Kinds = {"response": "resource", "signer": "reference", "hospital": "reference"}
SIGNERS = ("Practitioner", "PractitionerRole")


async def sign(context: Context, given: Input) -> Resource:
    """Store the signed note and all that follows from it; returns the transaction-response.

    Raises FhirError 422 with every answer that is missing or wrong, and where the child, the surgeon
    or the hospital is not known here.
    """
    response = response_of(required(given, "response"))
    questionnaire = form(context, response)
    _known(context, given, "signer", SIGNERS)
    hospital = _known(context, given, "hospital", ("Organization",))
    complete(context, questionnaire, response)
    bundle = questionnaires.sign(
        questionnaire,
        response,
        signer=given["signer"],
        hospital=given["hospital"],
        now=instant(context.now()),
        new_id=context.new_id,
        seal=context.seal,
    )
    _refuse_other_hospital(context, bundle, hospital)
    return await store_once(context, bundle, response)


def _known(context: Context, given: Input, name: str, types: tuple[str, ...]) -> Stored:
    """Return who a parameter refers to; raises FhirError 422 where it is nobody of these types here."""
    reference = required(given, name)["reference"]
    for resource_type in types:
        if found := one(context, reference, resource_type):
            return found
    text = f"The {name} {reference} is no {' or '.join(types)} that is known here."
    raise FhirError(422, [error("not-found", text, f"Parameters.parameter('{name}')")])


def _refuse_other_hospital(context: Context, bundle: Resource, signing: Stored) -> None:
    """Raise FhirError 422 where the note's answers open the case at another hospital than signs."""
    for entry in bundle["entry"]:
        case = entry["resource"]
        if case["resourceType"] == "EpisodeOfCare":
            answered = one(context, case["managingOrganization"]["reference"], "Organization")
            if answered is None or signing.id != answered.id:
                text = "The hospital in the note's answers is not the hospital that signs it."
                place = "Parameters.parameter('hospital')"
                raise FhirError(422, [error("business-rule", text, place)])

"""Find the form that a response answers, and make the response's subject a known child.

https://hl7.org/fhir/R4/questionnaireresponse.html
"""

from urllib.parse import urlencode

import profiles
import questionnaires
from fhir_server.context import Context, instant
from fhir_server.interactions import identity
from fhir_server.interactions.targets import find, survivor
from fhir_server.interactions.transaction import transaction
from fhir_server.store import read as store
from fhir_server.store.read import Stored
from fhir_server.store.search.texts import escape
from questionnaires.calculation import calculated
from r4.issue import FhirError, error
from r4.json import Resource, decode
from r4.reference import conditional, literal, rewrite


def form(context: Context, response: Resource) -> Resource:
    """Return the reviewed Questionnaire of a response; raises FhirError 422 where there is none."""
    canonical = response.get("questionnaire")
    if not isinstance(canonical, str):
        text = "A response names its Questionnaire by canonical url."
        raise FhirError(422, [error("required", text, "QuestionnaireResponse.questionnaire")])
    url, _, version = canonical.partition("|")
    found = context.forms.get(url)
    if found is None or (version and version != found["version"]):
        known = ", ".join(f"{u}|{q['version']}" for u, q in context.forms.items())
        text = f"{canonical} is not a form of this registry; its forms are: {known}."
        raise FhirError(422, [error("not-found", text, "QuestionnaireResponse.questionnaire")])
    return found


def response_of(body: object) -> Resource:
    """Return the body if it is a QuestionnaireResponse; raises FhirError 400 if it is anything else."""
    if isinstance(body, dict) and body.get("resourceType") == "QuestionnaireResponse":
        return body
    text = "The parameter is a QuestionnaireResponse."
    raise FhirError(400, [error("structure", text, "Parameters.parameter")])


def calculated_answers(context: Context, response: Resource) -> Resource:
    """Return a response with what its form calculates, where that has not been answered.

    Raises FhirError 422 where it is no response that a form can calculate of.
    """
    questionnaire = form(context, response)
    valid(context, response)
    return calculated(questionnaire, response)


def complete(context: Context, questionnaire: Resource, response: Resource) -> None:
    """Raise FhirError 422 with every answer that is missing or wrong in a response to be kept.

    The child is looked up, so that the form can hold its answers against the child's own numbers.
    """
    valid(context, response)
    known = {**response, "subject": subject(context, response)}
    found = questionnaires.check(questionnaire, known, context.terminology, strict=True)
    if errors := [issue for issue in found if issue.is_error]:
        raise FhirError(422, errors)


def valid(context: Context, response: Resource) -> None:
    """Raise FhirError 422 unless a response is a FHIR QuestionnaireResponse, which a form can check."""
    options = context.checked("QuestionnaireResponse", warnings=False)
    now = instant(context.now())
    found = profiles.validate(response, context.terminology, now=now, options=options)
    if errors := [issue for issue in found if issue.is_error]:
        raise FhirError(422, errors)


def subject(context: Context, response: Resource) -> Resource:
    """Return the reference to the response's child, with the child's NHS or CHI number as identifier.

    Raises FhirError 422 where the registry does not know the child.
    """
    reference = response.get("subject", {}).get("reference", "")
    child = one(context, reference, "Patient")
    if child is None:
        text = (
            f"The child {reference or '(none)'} means no Patient here, or several: send the "
            "registration first, or name one."
        )
        raise FhirError(422, [error("not-found", text, "QuestionnaireResponse.subject")])
    number = identity.number(decode(child.body))
    return {"reference": reference, "identifier": number} if number else {"reference": reference}


def named_child(context: Context, response: Resource) -> Resource:
    """Return the reference to a response's child, with the number and the name that the registry has.

    The number is the NHS or CHI number, or else the first one. Raises FhirError 422 where the registry
    does not know the child.
    """
    named = subject(context, response)
    child = one(context, named["reference"], "Patient")
    patient: Resource = decode(child.body) if child else {}
    numbers = [each for each in patient.get("identifier", ()) if "value" in each]
    if numbers and "identifier" not in named:
        named["identifier"] = numbers[0]
    first: Resource = next(iter(patient.get("name", ())), {})
    words = [*first.get("given", ()), first.get("family", "")]
    if display := first.get("text") or " ".join(filter(None, words)):
        named["display"] = display
    return named


def one(context: Context, reference: str, resource_type: str) -> Stored | None:
    """Return the one resource that a literal or conditional reference means here, or None."""
    reference = reference.removeprefix(f"{context.base_url}/")
    place = literal(reference)
    if place and place.type == resource_type and place.base is None:
        stored = store.current(context.database, resource_type, place.id)
        return None if stored is None or stored.deleted else stored
    wanted = conditional(reference)
    if wanted is None or wanted.type != resource_type:
        return None
    _, found = find(context, resource_type, wanted.query)
    return found[0] if len(found) == 1 else None


async def store_once(
    context: Context, bundle: Resource, response: Resource, *, signing: bool = False
) -> Resource:
    """Store a Bundle whose first entry is the response; sent again, it is answered and not stored.

    A response is known by its identifier. Raises FhirError 409 where that identifier has been used
    for another child, author, form or other answers.
    """
    identifier = response.get("identifier", {})
    if "value" not in identifier:
        return await transaction(context, bundle, signing=signing)
    token = "|".join(escape(identifier.get(key, "")) for key in ("system", "value"))
    criteria = urlencode({"identifier": token})
    first, *rest = bundle["entry"]
    request = {"method": "POST", "url": "QuestionnaireResponse", "ifNoneExist": criteria}
    entries = [{**first, "request": request}, *rest]
    answer = await transaction(context, {**bundle, "entry": entries}, once=True, signing=signing)
    said = answer["entry"][0]["response"]
    if said["status"].startswith("200"):
        _refuse_other(context, said["location"], first["resource"])
    return answer


def _refuse_other(context: Context, location: str, sent: Resource) -> None:
    """Raise FhirError 409 unless the response at a location says what the sent one says."""
    kind, resource_id, *_ = location.split("/")
    earlier = store.current(context.database, kind, resource_id)
    if earlier is None or _said(context, decode(earlier.body)) != _said(context, sent):
        text = f"{kind}/{resource_id} has this identifier, with another child, author, form or answers."
        raise FhirError(409, [error("duplicate", text, "QuestionnaireResponse.identifier")])


def _said(context: Context, response: Resource) -> Resource:
    """Return what makes two responses the same, every reference as that of who is meant."""
    parties = {
        name: party.get("reference", party)
        for name in ("subject", "author")
        if (party := response.get(name)) is not None
    }
    url = response["questionnaire"].partition("|")[0]
    said = {"questionnaire": url, "item": response.get("item"), **parties}
    for name, party in parties.items():
        if isinstance(party, str):
            said[name] = _meant(context, party)
    resolved: Resource = rewrite(said, lambda reference: _meant(context, reference))
    return resolved


def _meant(context: Context, reference: str) -> str:
    """Return the literal reference of the one that is meant here; else the text as it is."""
    named = reference.removeprefix(f"{context.base_url}/")
    place = literal(named) or conditional(named)
    found = one(context, named, place.type) if place else None
    return f"{found.type}/{survivor(context, found).id}" if found else reference

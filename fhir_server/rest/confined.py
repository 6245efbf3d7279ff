"""What a session that is confined to one child sends and is shown: that child's, or it is refused.

Beside `access.admit`, which says what such a session may do at all, this looks at the resources
themselves. Whoever signs is the session's practitioner, whatever the request says.
"""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl

from fhir_server.context import Context
from fhir_server.interactions import signed
from fhir_server.interactions.identity import CHILD
from fhir_server.interactions.targets import find
from fhir_server.rest.answers import Answer, Asked
from fhir_server.store import read as store
from questionnaires.carried import CARRIED
from r4.issue import FhirError, error
from r4.json import Resource, decode, encode
from r4.reference import conditional, literal, references

SIGNING = frozenset({"$sign", "$addend", "$correct"})
_SIGNER = SIGNING | {"$carry-over"}
"""What goes by a signer: who signs, or whose technique is carried over."""
_WRITES = frozenset({"create", "update"})
_AUTHORED = _WRITES | {"$carry-over"}
_OWNED = frozenset({"QuestionnaireResponse", "Composition"})
_PUBLIC = frozenset({"Questionnaire", "ValueSet", "OperationOutcome"})
_DRAFT = frozenset({"in-progress", "stopped", "entered-in-error"})
_RESULT = frozenset(
    {"_id", "_count", "_elements", "_summary", "_format", "_pretty", "_sort", "_page", "_total"}
)
"""The parameters with an underscore that a session may search by: none leads to other resources."""
_ERRORS = 400


def sent(context: Context, interaction: str, asked: Asked) -> Asked:
    """Return what a confined session asks, its signer named; raises FhirError 403 for another child's.

    Of what is only looked at, another child's is 404, as what is not here.
    """
    if interaction == "search-type":
        _refuse_other_search(asked)
    if interaction in _WRITES:
        _refuse_criteria(context, interaction, asked)
    if "id" in asked.parameters and asked.type in _OWNED:
        _refuse_other_place(context, asked)
    if not asked.raw and interaction not in _SIGNER:
        return asked
    body = asked.resource() if asked.raw else {"resourceType": "Parameters"}
    for reference in _references(body):
        _refuse_other(context, reference)
    for response in _responses(body):
        _refuse_other_author(context, interaction, asked, response)
    if interaction in _WRITES:
        _refuse_no_draft(context, asked.of_type())
    if interaction in _SIGNER:
        return _signed(context, asked, body)
    return asked


def shown(context: Context, interaction: str, answer: Answer) -> Answer:
    """Return what a confined session is shown; raises FhirError 403 where it is another child's."""
    if answer.status >= _ERRORS or answer.media_type is not None or not answer.content:
        return answer
    if interaction not in ("search-type", "create", "update"):
        return answer
    found = decode(answer.content)
    if interaction == "search-type":
        listed = [each["resource"] for each in found.get("entry", ())]
        if any(each["resourceType"] not in _PUBLIC for each in listed):
            raise _other("This search would show what is no form.")
    elif found["resourceType"] in _OWNED and not _is_the_childs(context, found):
        raise _other("This resource is not the child's whose note is open.")
    return answer


def _refuse_other_search(asked: Asked) -> None:
    if asked.method == "POST":
        raise _other("A session searches with GET.")
    for name, _ in asked.pairs:
        if "." in name or (name.startswith("_") and name not in _RESULT):
            raise _other(f"A session may not search by {name}.")


def _refuse_criteria(context: Context, interaction: str, asked: Asked) -> None:
    """Raise FhirError 403 for criteria that would tell of other children by what they match.

    What they match is looked at before anything is answered: the answer may hold nothing but its place.
    """
    if interaction == "update" and "id" not in asked.parameters:
        raise _other("A session updates its note by id.")
    criteria = asked.header("if-none-exist") or ""
    names = [name for name, _ in parse_qsl(criteria.partition("?")[2] or criteria)]
    if criteria and names != ["identifier"]:
        raise _other("A session's If-None-Exist is the note's identifier and nothing else.")
    if criteria and interaction == "create":
        _, found = find(context, asked.type, criteria)
        if not all(_is_the_childs(context, decode(each.body)) for each in found):
            raise _other("The note with this identifier is not the child's whose note is open.")


def _refuse_other_place(context: Context, asked: Asked) -> None:
    """Raise FhirError unless the resource at the URL is the session's child's, and a note's."""
    stored = store.current(context.database, asked.type, asked.id)
    if stored is not None and not stored.deleted and _is_open(context, decode(stored.body)):
        return
    raise FhirError(404, [error("not-found", f"{asked.type}/{asked.id} is not known here.")])


def _is_open(context: Context, resource: Resource) -> bool:
    """Tell whether a session may see a resource: what a parent has answered is for the registry alone."""
    is_answers = resource["resourceType"] == "QuestionnaireResponse"
    is_note = not is_answers or signed.is_of_note(context, resource.get("questionnaire"))
    return is_note and _is_the_childs(context, resource)


def _references(body: Resource) -> Iterator[str]:
    """Yield the references of what is sent that must not lead to other children.

    Not those of the EPR's own resources, which $populate is given as `data`, nor those of a form, nor
    where the technique of a draft was carried over from: that note is named and cannot be read.
    """
    if body.get("resourceType") == "Questionnaire":
        return
    if body.get("resourceType") == "Parameters":
        for each in _parameters(body):
            if each.get("name") == "data":
                continue
            resource = each.get("resource")
            yield from _references(resource) if isinstance(resource, dict) else references(each)
        return
    carried = body.get("extension")
    if isinstance(carried, list):
        left = [e for e in carried if not _is_carried(e)]
        body = {**body, "extension": left}
    yield from references(body)


def _is_carried(extension: object) -> bool:
    """Tell whether an extension is such a mark, of a note by its id: criteria would be looked up."""
    if not isinstance(extension, dict) or extension.get("url") != CARRIED:
        return False
    places = [literal(each) for each in references(extension)]
    return all(place is not None and place.type == "QuestionnaireResponse" for place in places)


def _parameters(body: Resource) -> list[Resource]:
    listed = body.get("parameter")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _responses(body: Resource) -> Iterator[Resource]:
    if body.get("resourceType") == "QuestionnaireResponse":
        yield body
    elif body.get("resourceType") == "Parameters":
        for each in _parameters(body):
            if isinstance(resource := each.get("resource"), dict):
                yield from _responses(resource)


def _refuse_other(context: Context, reference: str) -> None:
    reference = _relative(context, reference)
    if conditional(reference) is not None:
        raise _other(f"A session names resources by id, not as {reference.partition('?')[0]}?….")
    place = literal(reference)
    if place is None or place.base is not None:
        return
    if place.type == "Patient":
        if f"Patient/{place.id}" != context.principal.patient:
            raise _other(f"{reference} is not the child whose note is open.")
        return
    stored = store.current(context.database, place.type, place.id)
    child = None if stored is None else _child(context, decode(stored.body))
    if stored is None or stored.deleted or child not in (None, context.principal.patient):
        raise _other(f"{reference} is nothing of the child's whose note is open.")


def _refuse_other_author(
    context: Context, interaction: str, asked: Asked, response: Resource
) -> None:
    """Raise FhirError 403 where a note is written in another's name than its author's."""
    if interaction not in _AUTHORED or "author" not in response:
        return
    allowed = [context.principal.practitioner]
    if interaction == "update":
        stored = store.current(context.database, asked.type, asked.id)
        allowed.append(_named(context, decode(stored.body), "author") if stored else None)
    if (author := _named(context, response, "author")) is None or author not in allowed:
        raise _other("The author of a note is the surgeon whose session it is.")


def _refuse_no_draft(context: Context, response: Resource) -> None:
    if not _is_the_childs(context, response):
        raise _other("The note's subject is the child whose note is open.")
    if response.get("status") not in _DRAFT:
        text = "A session stores drafts (status in-progress); $sign completes a note."
        raise FhirError(403, [error("business-rule", text, "QuestionnaireResponse.status")])


def _signed(context: Context, asked: Asked, body: Resource) -> Asked:
    """Return a request whose signer is the session's; raises FhirError 403 for another hospital."""
    if body.get("resourceType") != "Parameters":
        body = {"resourceType": "Parameters", "parameter": [{"name": "response", "resource": body}]}
    principal = context.principal
    for each in _parameters(body):
        hospital = _named(context, each, "valueReference")
        if each.get("name") == "hospital" and hospital != principal.hospital:
            raise _other("The hospital is not the one that the note was opened from.")
    kept = [each for each in _parameters(body) if each.get("name") != "signer"]
    signer = {"name": "signer", "valueReference": {"reference": principal.practitioner}}
    headers = {**asked.request.headers, b"content-type": b"application/fhir+json"}
    raw = encode({**body, "parameter": [*kept, signer]})
    return replace(asked, raw=raw, request=replace(asked.request, headers=headers))


def _is_the_childs(context: Context, resource: Resource) -> bool:
    return _child(context, resource) == context.principal.patient


def _child(context: Context, resource: Resource) -> str | None:
    """Return the local reference to the child that a resource is about, or None."""
    for element in CHILD:
        if (found := _named(context, resource, element)) is not None:
            return found
    return None


def _named(context: Context, resource: Resource, element: str) -> str | None:
    found = resource.get(element)
    reference = found.get("reference") if isinstance(found, dict) else None
    return _relative(context, reference) if isinstance(reference, str) else None


def _relative(context: Context, reference: str) -> str:
    return reference.removeprefix(f"{context.base_url}/")


def _other(text: str) -> FhirError:
    return FhirError(403, [error("forbidden", text)])

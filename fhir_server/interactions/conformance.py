"""What is wrong with a resource by all that is known here: its type, its profiles, the form it answers.

`$validate` and every write ask here, so that what one calls an error the other refuses.
https://hl7.org/fhir/R4/validation.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from urllib.parse import urlencode

import profiles
import questionnaires
from fhir_server.context import Context
from fhir_server.interactions import identity
from fhir_server.interactions.referred import Referred
from fhir_server.interactions.targets import find
from fhir_server.store.search.texts import escape
from r4.canonical import newest, split
from r4.issue import Issue
from r4.json import Resource, decode

_STRICT = ("completed", "amended")
_RESPONSE = "QuestionnaireResponse"
_FORM = f"{_RESPONSE}.questionnaire"
_UNKNOWN = "questionnaireNotFound"
_HOLDING = frozenset({_RESPONSE, "Bundle"})


def issues(
    context: Context,
    resource: Resource,
    referred: Referred,
    now: str,
    *,
    named: Sequence[str] = (),
    warnings: bool = True,
) -> list[Issue]:
    """Validate a resource; a QuestionnaireResponse, in a Bundle too, also against its Questionnaire.

    A response that is completed or amended must keep every rule of its form; of another one a broken
    rule is a warning. A form that is not known here is a warning that says so, and a response that is
    no valid FHIR is not held against its form.

    referred: finds what a rule looks at beyond the resource. now: an instant. named: canonicals of
    profiles that it is to keep. Without warnings, only what refuses it is looked for.
    """
    kind = resource.get("resourceType", "")
    options = context.checked(kind, *named, warnings=warnings, resolve=referred)
    found = profiles.validate(resource, context.terminology, now=now, options=options)
    if kind in _HOLDING:
        form_of = cache(lambda canonical: form(context, canonical))
        for response, place in _responses(resource, kind):
            if not any(_hinders(issue, place) for issue in found):
                answers = _with_number(response, referred)
                said = _answers(context, answers, form_of(response.get("questionnaire")))
                found.extend(_placed(each, place) for each in said if warnings or each.is_error)
    return found


def _responses(resource: Resource, place: str) -> Iterator[tuple[Resource, str]]:
    """Yield each QuestionnaireResponse that a resource is or, as a Bundle, holds, and where it is."""
    if resource.get("resourceType") == _RESPONSE:
        yield resource, place
    if resource.get("resourceType") == "Bundle" and isinstance(resource.get("entry"), list):
        for index, entry in enumerate(resource["entry"]):
            held = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(held, dict):
                yield from _responses(held, f"{place}.entry[{index}].resource")


def _hinders(issue: Issue, place: str) -> bool:
    """Tell whether an issue means that a response cannot be read as one; what a profile adds does not."""
    if not issue.is_error or issue.profile is not None or issue.rule == "profile-unknown":
        return False
    return (issue.expression or place).startswith(place)


def _placed(issue: Issue, place: str) -> Issue:
    """Return an issue of a response as one of what holds it."""
    kind, *rest = (issue.expression or _RESPONSE).split(".", 1)
    return replace(issue, expression=".".join([place, *(rest if kind == _RESPONSE else ())]))


def _with_number(response: Resource, referred: Referred) -> Resource:
    """Return a response whose subject has the child's own number, which the form may ask for as well."""
    subject = response.get("subject", {})
    child = referred(subject["reference"]) if "reference" in subject else None
    number = child and identity.number(child)
    return {**response, "subject": {**subject, "identifier": number}} if number else response


def _answers(context: Context, response: Resource, form: Resource | None) -> list[Issue]:
    if form is None:
        named = response.get("questionnaire")
        text = f"The form {named} is not known here" if named else "The response names no form"
        text += ": the answers have not been held against a form. Name, or load, the Questionnaire."
        return [Issue("warning", "not-found", text, _FORM if named else _RESPONSE, _UNKNOWN)]
    if response.get("status") in _STRICT:
        return questionnaires.check(form, response, context.terminology, strict=True)
    found = questionnaires.check(form, response, context.terminology, strict=False)
    # what is left of errors says that the form cannot be evaluated, which hinders no draft
    return [
        replace(each, severity="warning") if each.severity == "error" else each for each in found
    ]


def form(context: Context, canonical: str | None) -> Resource | None:
    """Return the registry's own Questionnaire of a canonical, or the newest that is stored, or None."""
    url, version = split(canonical or "")
    if not url:
        return None
    own = context.forms.get(url)
    if own is not None and version in (None, own["version"]):
        return own
    criteria = {"url": escape(url)} | ({"version": escape(version)} if version else {})
    _, found = find(context, "Questionnaire", urlencode(criteria))
    stored: list[Resource] = [decode(each.body) for each in found]
    stored = [each for each in stored if not profiles.unsaid(each)]
    stored = [each for each in stored if each["status"] == "active"] or stored
    if not stored:
        return None
    last = newest(each.get("version", "") for each in stored)
    return next(each for each in stored if each.get("version", "") == last)

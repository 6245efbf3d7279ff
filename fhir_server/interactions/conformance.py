"""What is wrong with a resource by all that is known here: its type, its profiles, the form it answers.

https://hl7.org/fhir/R4/validation.html
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from urllib.parse import urlencode

import profiles
import questionnaires
from fhir_server.context import Context, instant
from fhir_server.interactions.targets import find
from r4.canonical import newest, split
from r4.issue import Issue
from r4.json import Resource, decode

_STRICT = ("completed", "amended")
_RESPONSE = "QuestionnaireResponse"
_FORM = f"{_RESPONSE}.questionnaire"
_UNKNOWN = "questionnaireNotFound"


def issues(context: Context, resource: Resource, *named: str) -> list[Issue]:
    """Validate a resource; a QuestionnaireResponse, in a Bundle too, also against its Questionnaire.

    A response that is completed or amended must keep every rule of its form; of another one a broken
    rule is a warning. A form that is not known here is a warning that says so, and a response that is
    no valid FHIR is not held against its form. named: canonicals of profiles that it is to keep.
    """
    now = instant(context.now())
    options = context.checked(resource.get("resourceType", ""), *named)
    found = profiles.validate(resource, context.terminology, now=now, options=options)
    form = cache(lambda canonical: _form(context, canonical))
    for response, place in _responses(resource, resource.get("resourceType", "")):
        alone = found
        if response is not resource:
            held = context.checked(_RESPONSE)
            alone = profiles.validate(response, context.terminology, now=now, options=held)
        if not any(issue.is_error for issue in alone):
            said = _answers(context, response, form(response.get("questionnaire")))
            found.extend(_placed(issue, place) for issue in said)
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


def _placed(issue: Issue, place: str) -> Issue:
    """Return an issue of a response as one of what holds it."""
    kind, *rest = (issue.expression or _RESPONSE).split(".", 1)
    return replace(issue, expression=".".join([place, *(rest if kind == _RESPONSE else ())]))


def _answers(context: Context, response: Resource, form: Resource | None) -> list[Issue]:
    if form is None:
        named = response.get("questionnaire")
        text = f"The form {named} is not known here" if named else "The response names no form"
        text += ": the answers have not been held against a form. Name, or load, the Questionnaire."
        return [Issue("warning", "not-found", text, _FORM if named else _RESPONSE, _UNKNOWN)]
    strict = response.get("status") in _STRICT
    return questionnaires.check(form, response, context.terminology, strict=strict)


def _form(context: Context, canonical: str | None) -> Resource | None:
    """Return the registry's own Questionnaire of a canonical, or the newest that is stored, or None."""
    url, version = split(canonical or "")
    if not url:
        return None
    own = context.forms.get(url)
    if own is not None and version in (None, own["version"]):
        return own
    criteria = {"url": _escaped(url)} | ({"version": _escaped(version)} if version else {})
    _, found = find(context, "Questionnaire", urlencode(criteria))
    stored: list[Resource] = [decode(each.body) for each in found]
    stored = [each for each in stored if not profiles.unsaid(each)]
    stored = [each for each in stored if each["status"] == "active"] or stored
    if not stored:
        return None
    last = newest(each.get("version", "") for each in stored)
    return next(each for each in stored if each.get("version", "") == last)


def _escaped(text: str) -> str:
    """Escape the characters that separate the values of a search."""
    return re.sub(r"([\\,|$])", r"\\\1", text)

"""The Questionnaire that a parameter or a URL means, and what its canonicals lead to.

https://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-assemble (parameter `questionnaire`)
"""

from typing import Any

import profiles
import questionnaires
from fhir_server.context import Context, instant
from fhir_server.interactions import conformance
from fhir_server.interactions.read import read
from profiles.snapshot import snapshot
from r4.issue import FhirError, error
from r4.json import Resource, decode
from r4.reference import literal

_WHERE = "Parameters.parameter('questionnaire')"


def named(context: Context, given: Any) -> Resource:
    """Return the Questionnaire that is sent along, or that a canonical or a Reference means.

    Raises FhirError 400 for a resource of another type, 404 or 410 where it is not known here, 422
    where it is not valid.
    """
    if isinstance(given, str):
        return by_canonical(context, given)
    if "resourceType" in given:
        return _sent(context, given)
    place = literal(given["reference"].removeprefix(f"{context.base_url}/"))
    if place is None or place.type != "Questionnaire" or place.base is not None:
        text = f"{given['reference']} is not a Questionnaire of this server: send it along."
        raise FhirError(404, [error("not-found", text, _WHERE)])
    return stored(context, place.id)


def stored(context: Context, resource_id: str) -> Resource:
    """Return the Questionnaire that is stored under an id; raises FhirError 404, 410 or 422."""
    return _said(decode(read(context, "Questionnaire", resource_id).body))


def by_canonical(context: Context, canonical: str) -> Resource:
    """Return the form of a canonical: the registry's, else the newest stored; raises FhirError 404."""
    found = conformance.form(context, canonical)
    if found is None:
        text = f"The Questionnaire {canonical} is not known here: check its url, or send it along."
        raise FhirError(404, [error("not-found", text, _WHERE)])
    return found


def module(context: Context, canonical: str) -> Resource | None:
    """Return the Questionnaire or StructureDefinition that a form's canonical means, or None."""
    found = questionnaires.module(canonical) or conformance.form(context, canonical)
    return found or structure(context, canonical)


def structure(context: Context, canonical: str) -> Resource | None:
    """Return the StructureDefinition of a canonical, a profile with its snapshot, or None."""
    catalogue = context.knowledge.catalogue
    found = catalogue.find("StructureDefinition", canonical)
    if found is None or "snapshot" in found or found.get("derivation") != "constraint":
        return found
    return snapshot(found, lambda url: catalogue.find("StructureDefinition", url))


def _sent(context: Context, given: Resource) -> Resource:
    if given["resourceType"] != "Questionnaire":
        text = f"The parameter questionnaire is a Questionnaire, not a {given['resourceType']}."
        raise FhirError(400, [error("invalid", text, _WHERE)])
    options = context.checked("Questionnaire", warnings=False)
    now = instant(context.now())
    found = profiles.validate(given, context.terminology, now=now, options=options)
    if any(issue.is_error for issue in found):
        raise FhirError(422, found)
    return _said(given)


def _said(form: Resource) -> Resource:
    """Return a form that can be gone by; raises FhirError 422 for one that leaves something unsaid.

    Of what it contains the value sets: a template leaves to extensions what an answer will say.
    """
    value_sets = [c for c in form.get("contained", ()) if c["resourceType"] == "ValueSet"]
    if found := profiles.unsaid({**form, "contained": value_sets}):
        raise FhirError(422, found)
    return form

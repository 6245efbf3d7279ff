"""Extract resources from a response: SDC 4.0, template-based and observation-based.

https://hl7.org/fhir/uv/sdc/extraction.html
"""

from collections.abc import Callable, Iterator
from typing import Any

from questionnaires.elements import (
    SDC,
    Item,
    below,
    extension_value,
    extensions,
    has_content,
    pairs,
    require_form,
)
from questionnaires.entries import Entry, entry, request
from questionnaires.expressions import Focus, Scope, of_item
from questionnaires.observations import observation_entries
from questionnaires.templates import fill
from r4.issue import FhirError, error
from r4.json import Resource

_TEMPLATE = SDC + "templateExtract"
_BUNDLE = SDC + "templateExtractBundle"
_ALLOCATE = SDC + "extractAllocateId"


def extract(questionnaire: Resource, response: Resource, *, new_id: Callable[[], str]) -> Resource:
    """Return the transaction Bundle of the resources that a response yields by its form.

    new_id gives a fresh UUID at each call. A template on the form is filled on the response; one on
    an item is filled on each of the response's items with content (a repeated group: on each
    repetition). Entries without a fullUrl of their own get one. Raises FhirError (422) when the
    response answers another form, an expression fails, or a template is not contained in the form.
    """
    require_form(response, questionnaire)
    scope = _allocated(questionnaire, Scope(questionnaire, response), new_id)
    entries = [
        *_bundle_entries(questionnaire, scope, new_id),
        *_template_entries(questionnaire, Focus(response), scope, new_id),
    ]
    for definition, item in pairs(questionnaire.get("item", []), response.get("item", [])):
        entries += _item_entries(definition, item, scope, new_id)
    entries += observation_entries(scope, new_id)
    bundle: Resource = {"resourceType": "Bundle", "type": "transaction"}
    return {**bundle, "entry": entries} if entries else bundle


def _item_entries(
    definition: Item, item: Item, above: Scope, new_id: Callable[[], str]
) -> list[Entry]:
    if not has_content(item):
        return []
    scope = _allocated(definition, above, new_id)
    entries = list(_template_entries(definition, of_item(item), scope, new_id))
    for child, child_item in below(definition, item):
        entries += _item_entries(child, child_item, scope, new_id)
    return entries


def _allocated(element: Resource | Item, scope: Scope, new_id: Callable[[], str]) -> Scope:
    names = [held["valueString"] for held in extensions(element, _ALLOCATE)]
    return scope.having(**{name: f"urn:uuid:{new_id()}" for name in names})


def _template_entries(
    element: Resource | Item, focus: Focus, scope: Scope, new_id: Callable[[], str]
) -> Iterator[Entry]:
    for details in extensions(element, _TEMPLATE):
        template = _contained(scope.questionnaire, extension_value(details, "template"))
        for resource in fill(template, focus, scope):
            yield entry(resource, details, focus, scope, new_id)


def _bundle_entries(
    questionnaire: Resource, scope: Scope, new_id: Callable[[], str]
) -> Iterator[Entry]:
    for held in extensions(questionnaire, _BUNDLE):
        template = _contained(questionnaire, held["valueReference"])
        for bundle in fill(template, Focus(scope.response), scope):
            for made in bundle.get("entry", ()):
                url = made.get("fullUrl") or f"urn:uuid:{new_id()}"
                asked = made.get("request") or request(made["resource"])
                yield {"fullUrl": url, "resource": made["resource"], "request": asked}


def _contained(questionnaire: Resource, target: dict[str, Any] | None) -> Resource:
    wanted = (target or {}).get("reference", "")
    for held in questionnaire.get("contained", ()):
        if wanted == f"#{held.get('id')}":
            return dict(held)
    text = f"Extraction: the form contains no template {wanted!r}"
    raise FhirError(422, [error("not-found", text, "Questionnaire.contained", "template-extract")])

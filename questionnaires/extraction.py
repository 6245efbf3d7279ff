"""Extract resources from a response: SDC 4.0, by templates, definitions and marked questions.

https://hl7.org/fhir/uv/sdc/extraction.html
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from questionnaires.allocation import Allocation
from questionnaires.definitions import definition_entries
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
from questionnaires.entries import Entry, Named, entry, request
from questionnaires.expressions import Focus, Scope, of_item
from questionnaires.observations import observation_entries
from questionnaires.shapes import Definitions
from questionnaires.templates import fill
from r4.issue import FhirError, error
from r4.json import Resource

_TEMPLATE = SDC + "templateExtract"
_BUNDLE = SDC + "templateExtractBundle"


class Extracted(NamedTuple):
    """One entry, and a key that is the same for the same thing whenever a response is extracted.

    key: `<template id>.<n>` of a template, `<type>.<linkId>.<n>` of a definition (`<type>.<n>` on the
    form itself), `<linkId>.<n>` of an Observation; n counts from 1, in the order of the entries.
    """

    key: str
    entry: Entry


def extract(
    questionnaire: Resource,
    response: Resource,
    *,
    new_id: Callable[[], str],
    definitions: Definitions | None = None,
    now: str | None = None,
) -> Resource:
    """Return the transaction Bundle of the resources that a response yields by its form.

    new_id gives a fresh UUID at each call. A template on the form is filled on the response; one on
    an item is filled on each of the response's items with content (a repeated group: on each
    repetition). Entries without a fullUrl of their own get one. definitions: where the profiles of
    definition-based extraction are found; without it only R4's own types are. now: the instant of
    `now()`; without it, when the response was authored.

    Raises FhirError (422) when the response answers another form, an expression fails, a template is
    not contained in the form, or a definition is not known or has no such element.
    """
    found = extracted(questionnaire, response, new_id=new_id, definitions=definitions, now=now)
    entries = [each.entry for each in found]
    bundle: Resource = {"resourceType": "Bundle", "type": "transaction"}
    return {**bundle, "entry": entries} if entries else bundle


def extracted(
    questionnaire: Resource,
    response: Resource,
    *,
    new_id: Callable[[], str],
    definitions: Definitions | None = None,
    now: str | None = None,
) -> list[Extracted]:
    """Return the entries of `extract`, each with its key; raises FhirError (422) as it does.

    What a later version of the response yields under a key stands in the place of what the earlier
    one yielded under it.
    """
    require_form(response, questionnaire)
    allocation = Allocation(new_id)
    scope = Scope(questionnaire, response, now=now or response.get("authored"))
    scope = allocation.within(questionnaire, response, scope)
    made = [
        *_bundle_entries(questionnaire, scope, new_id),
        *_template_entries(questionnaire, Focus(response), scope, new_id),
    ]
    for definition, item in pairs(questionnaire.get("item", []), response.get("item", [])):
        made += _item_entries(definition, item, scope, allocation)
    made += definition_entries(scope, allocation, definitions)
    made += observation_entries(scope, allocation)
    return _numbered(made)


def _numbered(made: list[Named]) -> list[Extracted]:
    counts: Counter[str] = Counter()
    found = []
    for name, each in made:
        counts[name] += 1
        found.append(Extracted(f"{name}.{counts[name]}", each))
    return found


def _item_entries(
    definition: Item, item: Item, above: Scope, allocation: Allocation
) -> list[Named]:
    if not has_content(item):
        return []
    scope = allocation.within(definition, item, above)
    entries = list(_template_entries(definition, of_item(item), scope, allocation.new_id))
    for child, child_item in below(definition, item):
        entries += _item_entries(child, child_item, scope, allocation)
    return entries


def _template_entries(
    element: Resource | Item, focus: Focus, scope: Scope, new_id: Callable[[], str]
) -> Iterator[Named]:
    for details in extensions(element, _TEMPLATE):
        template = _contained(scope.questionnaire, extension_value(details, "template"))
        for resource in fill(template, focus, scope):
            yield template["id"], entry(resource, details, focus, scope, new_id)


def _bundle_entries(
    questionnaire: Resource, scope: Scope, new_id: Callable[[], str]
) -> Iterator[Named]:
    for held in extensions(questionnaire, _BUNDLE):
        template = _contained(questionnaire, held["valueReference"])
        for bundle in fill(template, Focus(scope.response), scope):
            for made in bundle.get("entry", ()):
                url = made.get("fullUrl") or f"urn:uuid:{new_id()}"
                asked = made.get("request") or request(made["resource"])
                built = {"fullUrl": url, "resource": made["resource"], "request": asked}
                yield template["id"], built


def _contained(questionnaire: Resource, target: dict[str, Any] | None) -> Resource:
    wanted = (target or {}).get("reference", "")
    for held in questionnaire.get("contained", ()):
        if wanted == f"#{held.get('id')}":
            return dict(held)
    text = f"Extraction: the form contains no template {wanted!r}"
    raise FhirError(422, [error("not-found", text, "Questionnaire.contained", "template-extract")])

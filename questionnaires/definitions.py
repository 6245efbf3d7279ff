"""Definition-based extraction of SDC 4.0, and 3.0's itemExtractionContext as the same thing.

https://hl7.org/fhir/uv/sdc/extraction.html#definition-based-extraction
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from questionnaires.allocation import Allocation
from questionnaires.elements import (
    CORE,
    SDC,
    Item,
    answers,
    below,
    extension_value,
    extensions,
    has_content,
    pairs,
    value_of,
)
from questionnaires.entries import Named, entry
from questionnaires.expressions import Focus, Scope, of_item
from questionnaires.making import Making, Positions, Value, refusal
from questionnaires.observations import unit_of
from questionnaires.shapes import Definitions
from r4.definitions import definition, resource_types
from r4.json import Resource

_EXTRACT = SDC + "definitionExtract"
_VALUE = SDC + "definitionExtractValue"
_CONTEXT = SDC + "itemExtractionContext"


@dataclass(frozen=True, slots=True)
class _Context:
    """A resource that items are put into, and the objects of it that they are inside of."""

    making: Making
    positions: Positions


_Contexts = Mapping[str, _Context]
"""The resources in the making, by the url of the definition that names them."""


def definition_entries(
    scope: Scope, allocation: Allocation, definitions: Definitions | None
) -> list[Named]:
    """Return the entries of the resources that a form makes by StructureDefinitions.

    One for each extension at the root, one for each repetition of an item that has content. A value
    goes into the nearest element that its item stands inside of; what repeats above it is made anew,
    but for a slice. definitions: where profiles are found; without it only R4's own types are.

    Raises FhirError (422) for a definition that is not known, an element id that leads nowhere, or a
    value that its element cannot hold.
    """
    walk = _Walk(allocation, definitions or _of_r4, [])
    form, response = scope.questionnaire, scope.response
    walk.element(form, response, Focus(response), scope, {})
    return [each for each in walk.entries if each is not None]


def _of_r4(canonical: str) -> Resource | None:
    return definition("StructureDefinition", canonical.partition("|")[0])


@dataclass(frozen=True, slots=True)
class _Walk:
    allocation: Allocation
    definitions: Definitions
    entries: list[Named | None]

    def element(
        self,
        element: Resource | Item,
        answered: Resource | Item,
        focus: Focus,
        scope: Scope,
        above: _Contexts,
    ) -> None:
        """Extract what a form or an item of it begins, gives and holds."""
        contexts = dict(above)
        begun: list[tuple[str, dict[str, Any], int]] = []
        for url, details in _begun(element):
            if url in (each for each, *_ in begun):
                raise refusal(f"{url} is extracted twice by one item")
            making = self._making(details, url)
            contexts[url] = _Context(making, making.start)
            begun.append((url, details, len(self.entries)))
            self.entries.append(None)
        _put_answers(element, answered, contexts)
        for held in extensions(element, _VALUE):
            _put_value(held, focus, scope, contexts)
        for child, item in _children(element, answered):
            if has_content(item):
                inner = self.allocation.within(child, item, scope)
                self.element(child, item, of_item(item), inner, contexts)
        for url, details, at in begun:
            making = contexts[url].making
            name = ".".join(filter(None, (making.type, element.get("linkId"))))
            resource, new_id = making.complete(), self.allocation.new_id
            made = entry(resource, details, focus, scope, new_id, keeps_id=True)
            self.entries[at] = (name, made)

    def _making(self, details: dict[str, Any], url: str) -> Making:
        canonical = extension_value(details, "definition") or url
        structure = self.definitions(canonical)
        if structure is None:
            raise refusal(f"the definition {canonical} is not known here: load its package")
        return Making(structure, canonical)


def _begun(element: Resource | Item) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the url of each definition that an element extracts, with the entry's details."""
    for held in extensions(element, _EXTRACT):
        yield str(extension_value(held, "definition")).partition("|")[0], held
    for held in extensions(element, _CONTEXT):
        value = next((found for key, found in held.items() if key.startswith("value")), "")
        query = value.get("expression", "") if isinstance(value, dict) else value
        type = query.partition("?")[0].strip()
        if type not in resource_types():
            raise refusal(f"itemExtractionContext names no resource type: {query!r}")
        yield CORE + type, {}


def _children(element: Resource | Item, answered: Resource | Item) -> Iterator[tuple[Item, Item]]:
    if "linkId" in element:
        return below(element, answered)
    return pairs(element.get("item", []), answered.get("item", []))


def _put_answers(
    element: Resource | Item, answered: Resource | Item, contexts: dict[str, _Context]
) -> None:
    url, context, id = _place(element.get("definition", ""), contexts)
    if context is None:
        return
    if element["type"] == "group":
        positions = context.making.enter(context.positions, id)
    else:
        found = [value_of(answer) for answer in answers(answered)]
        values: list[Value] = [_typed(*each) for each in found if each is not None]
        if not values:
            return
        positions = context.making.put(context.positions, id, values, unit_of(element))
    contexts[url] = replace(context, positions=positions)


def _put_value(
    held: dict[str, Any], focus: Focus, scope: Scope, contexts: Mapping[str, _Context]
) -> None:
    _, context, id = _place(str(extension_value(held, "definition")), contexts)
    if context is None:
        return
    values: list[Value] = []
    for part in held.get("extension", ()):
        if part["url"] == "expression":
            expression = part["valueExpression"]
            if expression["language"] != "text/fhirpath":
                raise refusal(f"{expression['language']} is not FHIRPath")
            values += [
                (each.type, each.value) for each in scope.foci(expression["expression"], focus)
            ]
        elif part["url"] == "fixed-value" and (found := value_of(part)) is not None:
            values.append(_typed(*found))
    if values:
        context.making.put(context.positions, id, values, {})


def _place(named: str, contexts: Mapping[str, _Context]) -> tuple[str, _Context | None, str]:
    """Return url, resource in the making, and element id of what a `definition` names."""
    canonical, _, id = named.partition("#")
    url = canonical.partition("|")[0]
    return url, contexts.get(url) if id else None, id


def _typed(kind: str, value: Any) -> Value:
    """Return a value with its FHIR type, which the name of its element says."""
    return kind if isinstance(value, dict) else kind[0].lower() + kind[1:], value

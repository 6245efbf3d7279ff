"""Items of a form from elements of a StructureDefinition.

https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.definition
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from questionnaires.elements import CORE, Item
from questionnaires.modules import Modules
from r4.json import Resource

Element = dict[str, Any]

_TYPES = {
    "boolean": "boolean",
    "decimal": "decimal",
    "integer": "integer",
    "positiveInt": "integer",
    "unsignedInt": "integer",
    "date": "date",
    "dateTime": "dateTime",
    "instant": "dateTime",
    "time": "time",
    "string": "string",
    "id": "string",
    "oid": "string",
    "uuid": "string",
    "markdown": "text",
    "uri": "url",
    "url": "url",
    "canonical": "url",
    "code": "choice",
    "Coding": "choice",
    "CodeableConcept": "choice",
    "Quantity": "quantity",
    "Age": "quantity",
    "Duration": "quantity",
    "Reference": "reference",
    "Attachment": "attachment",
}
_NOT_ASKED = {"id", "extension", "modifierExtension"}
_OF_DEFINITIONS = (CORE + "elementdefinition-", CORE + "structuredefinition-")


class Children(NamedTuple):
    """The items of an element's children, and a sentence on each one that has no item."""

    items: list[Item]
    left_out: list[str]


def elements(structure: Resource) -> list[Element]:
    """Return the elements of a StructureDefinition: of its snapshot, else of its differential."""
    view = structure.get("snapshot") or structure.get("differential") or {}
    return list(view.get("element", []))


def element_of(structure: Resource, id: str) -> Element | None:
    """Return the element with an id, or None."""
    return next((each for each in elements(structure) if each["id"] == id), None)


def of_element(element: Element, structure: Resource) -> Item:
    """Return what an item takes from an element: its text, how often, its length, codes and bounds."""
    made: Item = {
        "code": element.get("code"),
        "text": element.get("label") or element.get("short"),
        "required": element.get("min", 0) > 0 or None,
        "repeats": element.get("max", "1") not in ("0", "1") or None,
        "maxLength": element.get("maxLength"),
        "answerValueSet": element.get("binding", {}).get("valueSet"),
        "extension": [*_extensions(element, structure)] or None,
    }
    return {key: value for key, value in made.items() if value is not None}


def child_items(structure: Resource, element: Element, group: Item, modules: Modules) -> Children:
    """Return an item for each child of an element, slices each their own, linkIds below a group's.

    An element of a complex type is a group, with the children that its type's definition has.
    """
    walk = _Walk(modules, structure["url"])
    items = walk.below(structure, element["id"], element["id"], group["linkId"], ())
    return Children(items, walk.left_out)


class _Walk:
    def __init__(self, modules: Modules, url: str) -> None:
        self.modules, self.url = modules, url
        self.left_out: list[str] = []

    def below(
        self, structure: Resource, id: str, path: str, link_id: str, chain: tuple[str, ...]
    ) -> list[Item]:
        """Return the items below an element; path: its id in the definition that began the walk."""
        made: list[Item] = []
        for child in _children(structure, id):
            name = child["id"].rpartition(".")[2]
            if item := self._item(structure, child, f"{path}.{name}", f"{link_id}.{name}", chain):
                made.append(item)
        return made

    def _item(
        self, structure: Resource, element: Element, path: str, link_id: str, chain: tuple[str, ...]
    ) -> Item | None:
        types = element.get("type", [])
        if len(types) != 1:
            why = "several types" if types else "no type of its own"
            self.left_out.append(f"{self.url}#{path} has {why}: no question was made of it.")
            return None
        kind = _item_type(element)
        made: Item = {"linkId": link_id, "definition": f"{self.url}#{path}", "type": kind}
        made |= of_element(element, structure)
        if kind != "group":
            return made
        below = self.below(structure, element["id"], path, link_id, chain)
        if not below:
            below = self._of_type(types[0], path, link_id, chain)
        return {**made, "item": below} if below else None

    def _of_type(
        self, type: dict[str, Any], path: str, link_id: str, chain: tuple[str, ...]
    ) -> list[Item]:
        canonical = (type.get("profile") or [CORE + type["code"]])[0]
        found = None if canonical in chain else self.modules(canonical)
        if found is None:
            self.left_out.append(f"{self.url}#{path} is a {canonical}, which has no children here.")
            return []
        root = elements(found)[0]["id"]
        return self.below(found, root, path, link_id, (*chain, canonical))


def _children(structure: Resource, id: str) -> Iterator[Element]:
    for element in elements(structure):
        above, _, name = element["id"].rpartition(".")
        if above != id or name in _NOT_ASKED or element.get("max") == "0":
            continue
        if any(key.startswith(("fixed", "pattern")) for key in element):
            continue
        if element.get("slicing", {}).get("rules") != "closed":
            yield element


def _item_type(element: Element) -> str:
    code = element["type"][0]["code"]
    kind = _TYPES.get(code, "group")
    strength = element.get("binding", {}).get("strength", "required")
    if kind == "choice" and code != "code" and strength != "required":
        return "open-choice"
    return kind


def _extensions(element: Element, structure: Resource) -> Iterator[dict[str, Any]]:
    for held in element.get("extension", ()):
        if not held["url"].startswith(_OF_DEFINITIONS):
            yield held
    for name in ("minValue", "maxValue"):
        values = {
            key.replace(name, "value"): value
            for key, value in element.items()
            if key.removeprefix("_").startswith(name)
        }
        if values:
            yield {"url": CORE + name, **values}
    for held in element.get("constraint", ()):
        if held.get("source") == structure["url"] and "expression" in held:
            yield _constraint(held)


def _constraint(held: dict[str, Any]) -> dict[str, Any]:
    expression = {"language": "text/fhirpath", "expression": held["expression"]}
    return {
        "url": CORE + "targetConstraint",
        "extension": [
            {"url": "key", "valueId": held["key"]},
            {"url": "severity", "valueCode": held["severity"]},
            {"url": "expression", "valueExpression": expression},
            {"url": "human", "valueString": held["human"]},
        ],
    }

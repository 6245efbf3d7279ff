"""What an item takes from where its `definition` points.

An element of a StructureDefinition, or an item of a library of questions.
https://hl7.org/fhir/uv/sdc/modular.html#data-element-based-questionnaires
"""

from collections.abc import Callable, Iterator
from typing import Any

from questionnaires.elements import SDC, Item, extensions, value_of
from questionnaires.item_elements import child_items, element_of, of_element
from questionnaires.modules import Modules, refusal
from r4.issue import Issue
from r4.json import Resource

_ROOTS = SDC + "assembleDefinitionRoot"
_OPTIONS = ("answerOption", "answerValueSet")
_OPTION_EXPRESSION = SDC + "answerExpression"
_OWN = {"linkId", "item", "extension", "definition", "type"}


class Defined:
    """Completes the items of one form, and holds the warnings that this gives (`issues`).

    keep is given what an item's definition contains and the item refers to.
    """

    def __init__(
        self, modules: Modules, keep: Callable[[list[Resource]], None], form: Resource
    ) -> None:
        self.modules, self.keep = modules, keep
        self.roots = _roots(form)
        self.issues: list[Issue] = []

    def item(self, item: Item) -> Item:
        """Return an item with what its definition says and it does not; its own words stay.

        Raises FhirError (422) for a definition that is not known where the item needs it, and for
        one that is known but has no such element.
        """
        definition = item["definition"]
        if not _is_wanted(definition, _roots(item) or self.roots):
            return item
        url, _, path = definition.partition("#")
        source = self.modules(url) if path else None
        if source is None:
            return self._unknown(item)
        if source["resourceType"] == "Questionnaire":
            return self._from_library(item, source, path)
        return self._from_structure(item, source, path)

    def _unknown(self, item: Item) -> Item:
        definition, link_id = item["definition"], item["linkId"]
        options = any(name in item for name in _OPTIONS)
        options = options or any(extensions(item, _OPTION_EXPRESSION))
        if "text" not in item or ("choice" in item["type"] and not options):
            text = f"The definition {definition} is not known here, and the item {link_id!r} has no"
            raise refusal("not-found", f"{text} text or options of its own.", at(link_id))
        text = f"The definition {definition} is not known here: what it says besides the item's own"
        self._warn("not-found", f"{text} text is left out.", link_id)
        return item

    def _from_library(self, item: Item, library: Resource, link_id: str) -> Item:
        found = _find(library.get("item", []), link_id)
        if found is None:
            raise _no_element(item)
        made = self._completed(item, found)
        if not _has_questions(item) and "item" in found:
            generated = [_below(child, f"{item['linkId']}.") for child in found["item"]]
            made = {**made, "item": [*item.get("item", []), *generated]}
        self._contain(library, made)
        return made

    def _from_structure(self, item: Item, structure: Resource, path: str) -> Item:
        element = element_of(structure, path)
        if element is None:
            raise _no_element(item)
        made = self._completed(item, of_element(element, structure))
        if item["type"] == "group":
            children = child_items(structure, element, item, self.modules)
            for left_out in children.left_out:
                self._warn("not-supported", left_out, item["linkId"])
            made = self._group(made, children.items)
        self._contain(structure, made)
        return made

    def _group(self, item: Item, generated: list[Item]) -> Item:
        if not generated:
            return item
        if not _has_questions(item):
            return {**item, "item": [*item.get("item", []), *generated]}
        asked = {child.get("definition") for child in item["item"]}
        missing = [each["definition"] for each in generated if each["definition"] not in asked]
        if missing:
            text = f"The group does not ask for {', '.join(missing)}, which its definition has."
            self._warn("informational", text, item["linkId"])
        return item

    def _completed(self, item: Item, source: dict[str, Any]) -> Item:
        made = dict(item)
        has_options = any(name in item for name in _OPTIONS)
        for key, value in source.items():
            if key in _OWN or (key in _OPTIONS and has_options):
                continue
            if key not in item:
                made[key] = value
            elif item[key] != value and key not in ("required", "repeats"):
                text = f"The item has another {key} than its definition {item['definition']}."
                self._warn("informational", f"{text} The item's is kept.", item["linkId"])
        held = item.get("extension", [])
        known = {_key(each) for each in held}
        added = [each for each in source.get("extension", []) if _key(each) not in known]
        return {**made, "extension": [*held, *added]} if added else made

    def _contain(self, source: Resource, made: Item) -> None:
        wanted = {text[1:] for text in _texts(made) if text.startswith("#")}
        self.keep([each for each in source.get("contained", []) if each["id"] in wanted])

    def _warn(self, code: str, text: str, link_id: str) -> None:
        self.issues.append(Issue("warning", code, text, at(link_id), "assembly"))


def at(link_id: str) -> str:
    """Return the FHIRPath of an item of a form."""
    return f"Questionnaire.repeat(item).where(linkId='{link_id}')"


def _no_element(item: Item) -> Exception:
    text = f"{item['definition'].replace('#', ' has no element ')}."
    return refusal("not-found", text, at(item["linkId"]))


def _roots(element: Resource | Item) -> list[Any]:
    found = (value_of(held) for held in extensions(element, _ROOTS))
    return [value[1] for value in found if value is not None]


def _is_wanted(definition: str, roots: list[Any]) -> bool:
    return not roots or any(
        root is not False and definition.startswith(str(root)) for root in roots
    )


def _find(items: list[Item], link_id: str) -> Item | None:
    for item in items:
        if item["linkId"] == link_id:
            return item
        if found := _find(item.get("item", []), link_id):
            return found
    return None


def _has_questions(item: Item) -> bool:
    return any(child["type"] != "display" for child in item.get("item", ()))


def _below(item: Item, prefix: str) -> Item:
    made = {**item, "linkId": prefix + item["linkId"]}
    if "enableWhen" in item:
        made["enableWhen"] = [
            {**each, "question": prefix + each["question"]} for each in item["enableWhen"]
        ]
    if "item" in item:
        made["item"] = [_below(child, prefix) for child in item["item"]]
    return made


def _key(extension: dict[str, Any]) -> tuple[str, str]:
    """Return what makes two extensions the same declaration: url, and an expression's or key's name."""
    parts = extension.get("extension", ())
    keys = [part.get("valueId", "") for part in parts if part["url"] == "key"]
    return extension["url"], extension.get("valueExpression", {}).get("name") or "".join(keys)


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
    elif isinstance(node, str):
        yield node

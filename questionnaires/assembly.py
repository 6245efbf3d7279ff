"""Assemble a modular form: its sub-questionnaires put in the place of the displays that name them.

https://hl7.org/fhir/uv/sdc/modular.html
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from questionnaires.elements import CORE, SDC, Item, extension_value
from questionnaires.item_definitions import Defined
from questionnaires.modules import (
    Modules,
    Place,
    canonical,
    lifted,
    prefixed,
    refusal,
    require_fit,
    with_new,
)
from r4.issue import Issue
from r4.json import Resource

__all__ = ["Assembled", "Modules", "assemble"]

_SUB = SDC + "subQuestionnaire"
_EXPECTATION = SDC + "assemble-expectation"
_ASSEMBLED_FROM = SDC + "assembledFrom"
_TO_ROOT = (SDC + "launchContext", CORE + "cqf-library")
_MODULAR = SDC + "modular"
_MOST_ITEMS = 10_000
_EXPECTED = {
    "assemble-root-or-child": "independent-root-or-child",
    "assemble-child": "independent-child",
}


class Assembled(NamedTuple):
    """A form that stands by itself, and what its assembly has to say (warnings)."""

    questionnaire: Resource
    issues: list[Issue]


def assemble(questionnaire: Resource, modules: Modules) -> Assembled:
    """Return a form with every module that it names put in place; id, url and version stay.

    modules gives what a canonical (with or without `|version`) means, None where it is not known: a
    sub-questionnaire, or the StructureDefinition or Questionnaire that an item's `definition`
    points into. A form that names none comes back with the same items.

    Raises FhirError (422) where a module is missing, names itself again, cannot be a module, or
    lacks a variable that it asks for; where two items have one linkId, or two different contained
    resources one id; where an item's text or options stand in a definition that is not known; and
    for more than 10,000 items, which a few modules that name each other twice soon make.
    """
    work = _Assembly(modules, questionnaire)
    kept = [each for each in questionnaire.get("extension", ()) if each["url"] != _EXPECTATION]
    own = list(kept)
    place = Place.of(questionnaire)
    items = work.items(questionnaire.get("item", []), place, "", own)
    if clashes := [id for id, count in Counter(_link_ids(items)).items() if count > 1]:
        text = f"Two items have the linkId {', '.join(map(repr, clashes))}: declare linkIdPrefix"
        raise refusal("duplicate", f"{text} where a module is used again.", "Questionnaire.item")
    used = [{"url": _ASSEMBLED_FROM, "valueCanonical": name} for name in sorted(work.used)]
    made = {
        **questionnaire,
        "contained": list(work.contained.values()),
        "extension": [*_expectation(questionnaire), *own, *work.root, *used],
        "item": items,
    }
    if work.used:
        made = _described(made)
    return Assembled({key: held for key, held in made.items() if held != []}, work.defined.issues)


class _Assembly:
    """What is gathered on the way: contained resources by id, root extensions, modules used."""

    def __init__(self, modules: Modules, questionnaire: Resource) -> None:
        self.modules = modules
        self.form = questionnaire
        self.contained: dict[str, Resource] = {}
        self.root: list[dict[str, Any]] = []
        self.used: set[str] = set()
        self.count = 0
        self.defined = Defined(modules, self.keep, questionnaire)
        self.keep(questionnaire.get("contained", []))

    def keep(self, resources: list[Resource]) -> None:
        """Contain resources; one that is the same as another of its id is kept once."""
        for each in resources:
            if self.contained.setdefault(each["id"], each) != each:
                text = f"Two different contained resources have the id {each['id']!r}"
                raise refusal("duplicate", f"{text}: declare linkIdPrefix.", "contained")

    def items(
        self, listed: list[Item], place: Place, prefix: str, beside: list[dict[str, Any]]
    ) -> list[Item]:
        """Return items with modules in place; what their roots declare is added to `beside`.

        prefix: what the linkIds of this form's items are given; place: what is in scope here.
        """
        made: list[Item] = []
        for item in listed:
            if (named := extension_value(item, _SUB)) is not None:
                made += self._module(named, place, beside)
            else:
                made.append(self._item(item, place, prefix))
        return made

    def _item(self, item: Item, place: Place, prefix: str) -> Item:
        self._count(1)
        own = list(item.get("extension", ()))
        children = self.items(item.get("item", []), place.within(item), prefix, own)
        made = {**item, "linkId": prefix + item["linkId"], "extension": own, "item": children}
        if "enableWhen" in item:
            made["enableWhen"] = [
                {**each, "question": prefix + each["question"]} for each in item["enableWhen"]
            ]
        held = {key: value for key, value in made.items() if value != []}
        if "definition" not in held:
            return held
        defined = self.defined.item(held)
        counted = sum(1 for _ in _link_ids(children))
        self._count(sum(1 for _ in _link_ids(defined.get("item", []))) - counted)
        return defined

    def _count(self, more: int) -> None:
        self.count += more
        if self.count > _MOST_ITEMS:
            text = f"The assembled form would have more than {_MOST_ITEMS} items."
            raise refusal("too-costly", text, "Questionnaire.item")

    def _module(self, named: str, place: Place, beside: list[dict[str, Any]]) -> list[Item]:
        found = self.modules(named)
        if found is None or found["resourceType"] != "Questionnaire":
            raise refusal("not-found", f"The module {named} is not known here: load it.", named)
        if found["url"] in place.chain:
            circle = " -> ".join((*place.chain, found["url"]))
            raise refusal("business-rule", f"Modules name one another in a circle: {circle}", named)
        require_fit(found, self.form, place)
        self.used.add(canonical(found))
        module = prefixed(found, place.prefix)
        self.keep(module.get("contained", []))
        with_new(beside, lifted(module), found["url"])
        declared = [each for each in module.get("extension", ()) if each["url"] in _TO_ROOT]
        with_new(self.root, [each for each in declared if not self._has(each)], found["url"])
        return self.items(module.get("item", []), place.into(module), place.prefix, beside)

    def _has(self, declared: dict[str, Any]) -> bool:
        """Tell whether the form itself declares a library, or a launch context of that name."""
        own = [each for each in self.form.get("extension", ()) if each["url"] == declared["url"]]
        return any(_declares(each) == _declares(declared) for each in [*own, *self.root])


def _declares(extension: dict[str, Any]) -> Any:
    for part in extension.get("extension", ()):
        if part["url"] == "name":
            return part.get("valueCoding", {}).get("code") or part.get("valueId")
    return extension.get("valueCanonical")


def _expectation(questionnaire: Resource) -> Iterator[dict[str, Any]]:
    expected = extension_value(questionnaire, _EXPECTATION)
    if expected is not None and expected != "assemble-root":
        yield {"url": _EXPECTATION, "valueCode": _EXPECTED.get(expected, expected)}


def _described(made: Resource) -> Resource:
    """Take away what described the form before it was assembled: its narrative and its profile."""
    held = {key: value for key, value in made.items() if key != "text"}
    if profiles := held.get("meta", {}).get("profile"):
        whole = [each.replace(_MODULAR, SDC.removesuffix("-")) for each in profiles]
        held["meta"] = {**held["meta"], "profile": whole}
    return held


def _link_ids(items: list[Item]) -> Iterator[str]:
    for item in items:
        yield item["linkId"]
        yield from _link_ids(item.get("item", []))

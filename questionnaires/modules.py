"""What a sub-questionnaire must be, and what of its root goes into the form that names it.

https://hl7.org/fhir/uv/sdc/modular.html#modular-questionnaires
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from questionnaires.elements import CORE, SDC, Item, extension_value, extensions
from r4 import fhirpath
from r4.issue import FhirError, error
from r4.json import Resource

Modules = Callable[[str], Resource | None]
"""The resource that a canonical means, with or without a version; None where it is not known."""

_SDC = SDC.removesuffix("questionnaire-")
_VARIABLE = CORE + "variable"
_ALLOCATE = SDC + "extractAllocateId"
_POPULATED = SDC + "itemPopulationContext"
_LAUNCH = SDC + "launchContext"
_PREFIX = "linkIdPrefix"
_TO_CONTAINER = (_VARIABLE, CORE + "targetConstraint", _ALLOCATE)
_ALIGNED = ("endpoint", "entryMode", "performerType")
_CRITICAL = _SDC + "rendering-criticalExtension"
_NEVER = {
    SDC + name
    for name in (
        "definitionExtract",
        "itemExtractionContext",
        "itemPopulationContext",
        "observationExtract",
        "observation-extract-category",
        "observationLinkPeriod",
        "preferredTerminologyServer",
        "templateExtract",
        "templateExtractBundle",
        "templateExtractContext",
        "questionnaireAdaptive",
    )
} | {CORE + "preferredTerminologyServer"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module is put: the prefix and the variables in scope, the forms it is inside of."""

    prefix: str = ""
    names: frozenset[str] = frozenset()
    chain: tuple[str, ...] = ()

    @classmethod
    def of(cls, questionnaire: Resource) -> "Place":
        """Return the place that the root of a form is."""
        return cls().into(questionnaire)

    def into(self, questionnaire: Resource) -> "Place":
        """Return the place among the root items of a form that is put here."""
        inside = replace(self, chain=(*self.chain, questionnaire.get("url", "")))
        return inside.within(questionnaire)

    def within(self, element: Resource | Item) -> "Place":
        """Return the place among the items of a form or an item, which may declare variables."""
        names, prefix = set(self.names), self.prefix
        for held in element.get("extension", ()):
            declared = _declared(held)
            names.add(declared)
            if declared == _PREFIX:
                prefix = self._prefix(held.get("valueExpression", {}).get("expression", "{}"))
        return replace(self, names=frozenset(names - {""}), prefix=prefix)

    def _prefix(self, expression: str) -> str:
        known = {_PREFIX: self.prefix} if _PREFIX in self.names else {}
        environment = fhirpath.Environment(variables=known)
        found = fhirpath.compile(expression)({}, environment)
        if len(found) != 1 or not isinstance(found[0], str):
            text = f"linkIdPrefix is one text, and `{expression}` gives {found}."
            raise refusal("invalid", text, self.chain[-1])
        return found[0]


def require_fit(module: Resource, form: Resource, place: Place) -> None:
    """Refuse (FhirError 422) a Questionnaire that cannot be a module of a form at a place."""
    if reason := next(_unfit(module, form, place), None):
        text = f"The module {canonical(module)} cannot be put into {form.get('url')}: {reason}."
        raise refusal("business-rule", text, module["url"])


def _unfit(module: Resource, form: Resource, place: Place) -> Iterator[str]:
    if extension_value(module, SDC + "assemble-expectation") == "assemble-root":
        yield "its assemble-expectation says that it is a root only"
    if "modifierExtension" in module:
        yield "it has a modifierExtension"
    for held in module.get("extension", ()):
        if held["url"] in _NEVER:
            yield f"{held['url']} stands on its root; put it on a group of the module"
    for held in extensions(module, SDC + "assembleContext"):
        if (needed := held.get("valueString")) not in place.names:
            yield f"it needs the variable {needed!r}, which is not declared there"
    for name in ("implicitRules", "language"):
        if name in module and module[name] != form.get(name):
            yield f"its {name} is not the form's"
    security = module.get("meta", {}).get("security", [])
    if any(each not in form.get("meta", {}).get("security", []) for each in security):
        yield "its meta.security is not among the form's"
    aligned = (*(SDC + name for name in _ALIGNED), _CRITICAL)
    if any(each not in form.get("extension", ()) for each in extensions(module, *aligned)):
        yield "its endpoint, entryMode, performerType or criticalExtension is not the form's"


def lifted(module: Resource) -> list[dict[str, Any]]:
    """Return what a module's root declares for the item (or form) that holds it.

    Variables and constraints, as the guide says; ids to be allocated are variables too.
    """
    return list(extensions(module, *_TO_CONTAINER))


def with_new(held: list[dict[str, Any]], added: list[dict[str, Any]], url: str) -> None:
    """Add extensions to others: equal ones once; a variable declared otherwise is refused (422)."""
    for each in added:
        if each in held:
            continue
        name = _declared(each)
        if name and name in map(_declared, held):
            text = f"The variable {name!r} is declared there already, and otherwise."
            raise refusal("duplicate", f"{text} Rename one of the two.", url)
        held.append(each)


def prefixed(module: Resource, prefix: str) -> Resource:
    """Return a module with a prefix before the ids of what it contains, and all that names them."""
    if not prefix or "contained" not in module:
        return module
    ids = {f"#{each['id']}": f"#{prefix}{each['id']}" for each in module["contained"]}
    contained = [
        {**_renamed(each, ids), "id": f"{prefix}{each['id']}"} for each in module["contained"]
    ]
    return {**_renamed(module, ids), "contained": contained}


def _renamed(node: Any, ids: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _renamed(value, ids) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(value, ids) for value in node]
    return ids.get(node, node) if isinstance(node, str) else node


def canonical(resource: Resource) -> str:
    """Return `url|version` of a resource, its url where it has no version."""
    version = resource.get("version")
    return f"{resource['url']}|{version}" if version else str(resource["url"])


def refusal(code: str, text: str, where: str) -> FhirError:
    """Return the refusal of a form that cannot be assembled: 422, rule `assembly`."""
    return FhirError(422, [error(code, text, where, "assembly")])


def _declared(extension: dict[str, Any]) -> str:
    """Return the name of the variable that an extension declares, or an empty text."""
    url = extension["url"]
    if url in (_VARIABLE, _POPULATED):
        return str(extension.get("valueExpression", {}).get("name", ""))
    if url == _ALLOCATE:
        return str(extension.get("valueString", ""))
    if url == _LAUNCH:
        parts = (part for part in extension.get("extension", ()) if part["url"] == "name")
        for part in parts:
            return str(part.get("valueCoding", {}).get("code") or part.get("valueId", ""))
    return ""

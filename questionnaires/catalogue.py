"""The forms of the registry, assembled from their modules, by canonical url."""

from collections.abc import Mapping
from functools import cache

from questionnaires.assembly import assemble
from questionnaires.elements import SDC, extension_value
from r4.artefacts import load
from r4.canonical import split
from r4.json import Resource

_EXPECTATION = SDC + "assemble-expectation"
_MODULES = ("assemble-child", "independent-child")


@cache
def forms() -> Mapping[str, Resource]:
    """Map canonical url to Questionnaire, assembled, for every form that can be filled in."""
    return {each["url"]: each for each in artefacts() if not _is_module(each)}


def forms_with(slot: Resource) -> Mapping[str, Resource]:
    """Return the forms as `forms` does, an operator's module in the place of ours of the same url.

    Its version may be another one. Raises FhirError (422) where it does not fit into the forms.
    """

    def chosen(canonical: str) -> Resource | None:
        return slot if split(canonical)[0] == slot["url"] else module(canonical)

    roots = (each for each in load("questionnaires") if not _is_module(each))
    return {each["url"]: assemble(each, chosen).questionnaire for each in roots}


@cache
def artefacts() -> tuple[Resource, ...]:
    """Return what this package carries: its forms assembled, and the modules as they are written."""
    return tuple(
        each if _is_module(each) else assemble(each, module).questionnaire
        for each in load("questionnaires")
    )


def module(canonical: str) -> Resource | None:
    """Return the form of this package that a canonical means: of that version, if it names one."""
    url, version = split(canonical)
    for each in load("questionnaires"):
        if each["url"] == url and version in (None, each.get("version")):
            return each
    return None


def _is_module(questionnaire: Resource) -> bool:
    return extension_value(questionnaire, _EXPECTATION) in _MODULES

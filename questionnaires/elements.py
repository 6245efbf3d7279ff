"""The parts of a form and of a response to it: extensions, answer values, items by linkId.

https://hl7.org/fhir/R4/questionnaire.html and https://hl7.org/fhir/R4/questionnaireresponse.html
"""

from collections.abc import Iterator
from typing import Any

from r4.issue import FhirError, error
from r4.json import Resource

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
CORE = "http://hl7.org/fhir/StructureDefinition/"

Item = dict[str, Any]
"""An item of a Questionnaire or of a QuestionnaireResponse."""


def value_of(element: dict[str, Any]) -> tuple[str, Any] | None:
    """Return the type and value of an element's value[x] (`("Coding", {…})`), or None."""
    for key, value in element.items():
        if key.startswith("value") and key != "value":
            return key[5:], value
    return None


def extensions(element: dict[str, Any], *urls: str) -> Iterator[dict[str, Any]]:
    """Yield an element's extensions that have one of the urls."""
    return (held for held in element.get("extension", ()) if held.get("url") in urls)


def extension_value(element: dict[str, Any], *urls: str) -> Any:
    """Return the value of an element's first extension with one of the urls, or None."""
    if "extension" not in element:  # which most have not
        return None
    for held in extensions(element, *urls):
        if (found := value_of(held)) is not None:
            return found[1]
    return None


def expression_of(element: dict[str, Any], *urls: str) -> str | None:
    """Return the expression that an extension carries, be it a string or an Expression."""
    value = extension_value(element, *urls)
    return value.get("expression") if isinstance(value, dict) else value


def answers(item: Item) -> list[dict[str, Any]]:
    """Return the answers of a response's item that have a value."""
    return [answer for answer in item.get("answer", ()) if value_of(answer) is not None]


def has_content(item: Item) -> bool:
    """Tell whether an answer stands in a response's item or anywhere below it."""
    below = [*item.get("item", ())]
    for answer in item.get("answer", ()):
        below += answer.get("item", ())
    return bool(answers(item)) or any(has_content(child) for child in below)


def pairs(form_items: list[Item], response_items: list[Item]) -> Iterator[tuple[Item, Item]]:
    """Yield each item of a response with its definition, in the form's order, one level deep."""
    for definition in form_items:
        for item in response_items:
            if item.get("linkId") == definition["linkId"]:
                yield definition, item


def below(definition: Item, item: Item) -> Iterator[tuple[Item, Item]]:
    """Yield the pairs one level below a pair: a group's items, and the items of answers."""
    children = definition.get("item", [])
    yield from pairs(children, item.get("item", []))
    for answer in item.get("answer", ()):
        yield from pairs(children, answer.get("item", []))


def is_for(response: Resource, questionnaire: Resource) -> bool:
    """Tell whether a response names this form: its url and, where both give one, its version."""
    url, _, version = response.get("questionnaire", "").partition("|")
    if not url or url != questionnaire.get("url"):
        return False
    return not version or "version" not in questionnaire or version == questionnaire["version"]


def require_form(response: Resource, questionnaire: Resource) -> None:
    """Refuse (FhirError 422) a response that answers another form."""
    if not is_for(response, questionnaire):
        named, url = response.get("questionnaire"), questionnaire.get("url")
        raise FhirError(
            422,
            [
                error(
                    "not-found",
                    f"The response answers {named!r}, not the form {url!r}",
                    "QuestionnaireResponse.questionnaire",
                    "questionnaireNotFound",
                )
            ],
        )

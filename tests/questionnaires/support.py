"""What these tests share: forms by id, the examples, ids in order, answers put into a response."""

import itertools
from collections.abc import Callable, Iterator
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import questionnaires
from r4.json import Resource, decode
from terminology.systems import CSOR

EXAMPLES = Path(questionnaires.__file__).parent / "examples"
NOW = "2026-11-22T10:00:00+00:00"
SIGNER = {
    "reference": "Practitioner?identifier=https://fhir.hl7.org.uk/Id/gmc-number|0000000",
    "display": "Demo Surgeon",
}
HOSPITAL = {
    "reference": "Organization?identifier=https://fhir.nhs.uk/Id/ods-organization-code|RTH",
    "display": "Demo hospital",
}
NOTE = "operative-note-hirschsprung"
SURVEY = "parent-survey-hirschsprung-5-years"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"


def form(id: str) -> Resource:
    """Return a form of the registry."""
    return questionnaires.forms()[f"{CSOR}/Questionnaire/{id}"]


def example(form_id: str, case: str) -> Resource:
    """Return an example response, a copy that a test may change."""
    return decode((EXAMPLES / form_id / f"{case}.response.json").read_bytes())


def ids() -> Callable[[], str]:
    """Give UUIDs in order: the first ends in 1."""
    numbers = itertools.count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012}"


def items(container: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the items of a form or a response, each before those below it."""
    for item in container.get("item", ()):
        yield item
        yield from items(item)


def questions(questionnaire: Resource) -> list[dict[str, Any]]:
    """Return the items of a form that have answers."""
    return [item for item in items(questionnaire) if item["type"] not in ("group", "display")]


def find(container: dict[str, Any], link_id: str) -> dict[str, Any]:
    """Return the item of a form or a response with a linkId."""
    for item in container.get("item", ()):
        if item["linkId"] == link_id:
            return item
        if found := find(item, link_id):
            return found
    return {}


def without(response: Resource, link_id: str) -> Resource:
    """Return the response with an item left out."""
    changed = deepcopy(response)

    def drop(container: dict[str, Any]) -> None:
        container["item"] = [each for each in container["item"] if each["linkId"] != link_id]
        for each in container["item"]:
            if "item" in each:
                drop(each)

    drop(changed)
    return changed


def answered(response: Resource, link_id: str, *answers: dict[str, Any]) -> Resource:
    """Return the response with other answers to a question that it has."""
    changed = deepcopy(response)
    find(changed, link_id)["answer"] = list(answers)
    return changed


def by_type(bundle: Resource, resource_type: str) -> list[Resource]:
    """Return the resources of one type in a Bundle."""
    resources = (entry["resource"] for entry in bundle.get("entry", ()))
    return [resource for resource in resources if resource["resourceType"] == resource_type]


def of_the_guide(questionnaire: Resource) -> Resource:
    """Return a response to the guide's forms extract-complex-*, which share their items."""
    contact = {"linkId": "contacts", "item": [
        {"linkId": "contact-name", "answer": [{"valueString": "Eddie Example"}]},
        {"linkId": "relationship", "answer": [{"valueCoding": {"code": "F"}}]},
        {"linkId": "phone", "answer": [{"valueString": "0555 555 002"}]}]}  # fmt: skip
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": questionnaire["url"],
        "status": "completed",
        "authored": "2026-11-22T10:00:00Z",
        "item": [
            {"linkId": "patient", "item": [
                {"linkId": "name", "item": [
                    {"linkId": "given", "answer": [
                        {"valueString": "Anna"}, {"valueString": "Marie"}]},
                    {"linkId": "family", "answer": [{"valueString": "Example"}]}]},
                {"linkId": "name", "item": [
                    {"linkId": "family", "answer": [{"valueString": "Sample"}]}]},
                {"linkId": "gender", "answer": [{"valueCoding": {"code": "female"}}]}]},
            contact,
            contact,
            {"linkId": "obs", "item": [
                {"linkId": "height", "answer": [{"valueDecimal": Decimal("1.63")}]}]},
        ],
    }  # fmt: skip

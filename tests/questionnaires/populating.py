"""What the tests of population share: small forms, a child, and a `find` that remembers what it is asked."""

from typing import Any

from questionnaires.population import Populated, populate
from r4.issue import FhirError, error
from r4.json import Resource
from terminology import Terminology
from tests.questionnaires.support import find as item_of

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
CORE = "http://hl7.org/fhir/StructureDefinition/"
NOW = "2026-11-23T10:00:00.000Z"
CHILD: Resource = {
    "resourceType": "Patient",
    "id": "c1",
    "birthDate": "2026-05-01",
    "name": [{"family": "Ŵyn", "given": ["Ann", "Bea"]}, {"family": "Other", "given": ["Cat"]}],
}


class Asked(list[str]):
    """A `find` that answers from a table, and remembers what it was asked."""

    def __init__(self, **found: list[Resource]) -> None:
        super().__init__()
        self.found = found

    def __call__(self, query: str) -> list[Resource]:
        self.append(query)
        if query.startswith("Forbidden"):
            raise FhirError(403, [error("forbidden", "This is not yours to ask.")])
        return self.found.get(query.partition("?")[0].partition("/")[0], [])


def expression(url: str, text: str, language: str = "text/fhirpath", **more: str) -> Resource:
    value = {"language": language, "expression": text, **more}
    return {"url": url, "valueExpression": value}


def initially(text: str, **more: str) -> Resource:
    return expression(SDC + "initialExpression", text, **more)


def variable(name: str, text: str, **more: str) -> Resource:
    return expression(CORE + "variable", text, name=name, **more)


def question(link_id: str, type: str, *extension: Resource, **more: Any) -> Resource:
    held = {"extension": list(extension)} if extension else {}
    return {"linkId": link_id, "type": type, **held, **more}


def launch(name: str, type: str) -> Resource:
    named = {"system": "http://hl7.org/fhir/uv/sdc/CodeSystem/launchContext", "code": name}
    parts = [{"url": "name", "valueCoding": named}, {"url": "type", "valueCode": type}]
    return {"url": SDC + "launchContext", "extension": parts}


def form(*items: Resource, extension: tuple[Resource, ...] = (), **more: Any) -> Resource:
    return {
        "resourceType": "Questionnaire",
        "url": "https://example.org/form",
        "version": "2",
        "extension": [launch("patient", "Patient"), *extension],
        "item": list(items),
        **more,
    }


def populated(questionnaire: Resource, find: Any = None, **contexts: Resource) -> Populated:
    given = {name: [each] for name, each in ({"patient": CHILD} | contexts).items()}
    return populate(
        questionnaire,
        subject={"reference": "Patient/c1"},
        contexts=given,
        find=Asked() if find is None else find,
        now=NOW,
        terminology=Terminology.of([]),
    )


def values(made: Populated, link_id: str) -> list[Any]:
    given = item_of(made.response, link_id).get("answer", [])
    return [value for answer in given for key, value in answer.items() if key != "item"]

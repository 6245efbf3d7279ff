"""A definition that leaves unsaid what it must say is stored, as R4 has it, and not gone by."""

from typing import Any

import httpx
import pytest

from tests.support.colours import COLOURS, MAP, REDS
from tests.support.outcomes import rule
from tests.support.server import Served

ABSENT = {"extension": [{"url": "https://example.org/why", "valueCode": "unknown"}]}
CODES = {
    "resourceType": "CodeSystem",
    "url": COLOURS,
    "status": "active",
    "content": "complete",
    "concept": [{"_code": ABSENT}],
}
SET = {
    "resourceType": "ValueSet",
    "url": REDS,
    "status": "active",
    "compose": {"include": [{"system": COLOURS, "concept": [{"_code": ABSENT}]}]},
}
CONCEPT_MAP = {
    "resourceType": "ConceptMap",
    "url": MAP,
    "status": "active",
    "group": [
        {
            "element": [
                {"code": "red", "target": [{"code": "x", "comment": "x", "_equivalence": ABSENT}]}
            ]
        }
    ],
}
FORM = {
    "resourceType": "Questionnaire",
    "url": "https://example.org/form",
    "status": "active",
    "item": [{"_linkId": ABSENT, "type": "string"}],
}


def unsaid(answer: httpx.Response) -> list[str]:
    """Return the places that a refusal says are without a value."""
    assert answer.status_code == 422, answer.text
    issues = answer.json()["issue"]
    assert {rule(issue) for issue in issues} == {"value-unsaid"}
    return [place for issue in issues for place in issue["expression"]]


@pytest.mark.parametrize(
    ("definition", "parameter", "operation", "query", "place"),
    [
        (CODES, "codeSystem", "$validate-code", "code=red", "CodeSystem.concept[0].code"),
        (SET, "valueSet", "$expand", "", "ValueSet.compose.include[0].concept[0].code"),
        (
            CONCEPT_MAP,
            "conceptMap",
            "$translate",
            f"system={COLOURS}&code=red",
            "ConceptMap.group[0].element[0].target[0].equivalence",
        ),
    ],
)  # fmt: skip
def test_a_terminology_operation_refuses_it_stored_or_sent_along(
    server: Served,
    definition: dict[str, Any],
    parameter: str,
    operation: str,
    query: str,
    place: str,
) -> None:
    kind = definition["resourceType"]
    stored = server.http.put(f"/{kind}/unsaid", json={**definition, "id": "unsaid"})
    assert stored.status_code in (200, 201), stored.text
    assert unsaid(server.http.get(f"/{kind}/unsaid/{operation}?{query}")) == [place]
    listed = [{"name": parameter, "resource": definition}]
    body = {"resourceType": "Parameters", "parameter": listed}
    assert unsaid(server.http.post(f"/{kind}/{operation}?{query}", json=body)) == [place]


def test_a_form_that_names_no_item_is_no_form_to_go_by(server: Served) -> None:
    assert server.http.post("/Questionnaire", json=FORM).status_code == 201
    response = {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": FORM["url"],
        "item": [{"linkId": "a", "answer": [{"valueString": "x"}]}],
    }
    issues = server.http.post("/QuestionnaireResponse/$validate", json=response).json()["issue"]
    assert [rule(issue) for issue in issues] == ["questionnaireNotFound"]


@pytest.mark.parametrize(
    ("absent", "place"),
    [
        ({"_status": ABSENT}, "Subscription.status"),
        ({"_criteria": ABSENT}, "Subscription.criteria"),
        ({"channel": {"_type": ABSENT}}, "Subscription.channel.type"),
    ],
)
def test_a_subscription_that_says_too_little_is_refused(
    server: Served, absent: dict[str, Any], place: str
) -> None:
    whole = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "x",
        "criteria": "Patient?name=a",
        "channel": {"type": "rest-hook", "endpoint": "http://127.0.0.1:9/x"},
    }
    resource = {**whole, **absent}
    for name in absent:
        resource.pop(name.removeprefix("_") if name.startswith("_") else "", None)
    assert unsaid(server.http.post("/Subscription", json=resource)) == [place]


def test_a_header_of_a_subscription_that_is_only_an_extension_is_refused(server: Served) -> None:
    channel = {
        "type": "rest-hook",
        "endpoint": "http://127.0.0.1:9/x",
        "header": [None],
        "_header": [ABSENT],
    }
    resource = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "x",
        "criteria": "Patient?name=a",
        "channel": channel,
    }
    answer = server.http.post("/Subscription", json=resource)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Subscription.channel.header[0]"]


def test_parameters_without_any_are_validated(server: Served) -> None:
    answer = server.http.post("/Parameters/$validate", json={"resourceType": "Parameters"})
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_a_response_whose_status_is_only_an_extension_is_held_against_its_form_as_a_draft(
    server: Served,
) -> None:
    url = "https://example.org/form-of-what-is-unsaid"
    item = {"linkId": "1", "text": "A number", "type": "integer", "required": True}
    form = {"resourceType": "Questionnaire", "url": url, "status": "active", "item": [item]}
    assert server.http.post("/Questionnaire", json=form).status_code == 201
    response = {"resourceType": "QuestionnaireResponse", "questionnaire": url, "_status": ABSENT}
    assert server.http.post("/QuestionnaireResponse", json=response).status_code == 201
    completed = {**response, "status": "completed"}
    assert server.http.post("/QuestionnaireResponse", json=completed).status_code == 422

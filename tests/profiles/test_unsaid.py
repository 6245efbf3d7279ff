"""A valid definition that says no value where one is required, only why not, is told from the others."""

import pytest

from profiles import unsaid, validate
from r4.json import Resource
from tests.profiles.generated import TERMINOLOGY
from tests.support.colours import TERMINOLOGIES

ABSENT = {"extension": [{"url": "https://example.org/why", "valueCode": "unknown"}]}
SYSTEM = {"resourceType": "CodeSystem", "url": "urn:x", "status": "active", "content": "complete"}


@pytest.mark.parametrize("resource", TERMINOLOGIES, ids=lambda each: each["resourceType"])
def test_what_says_all_that_is_required_has_none(resource: Resource) -> None:
    assert unsaid(resource) == []


@pytest.mark.parametrize(
    ("resource", "places"),
    [
        ({**SYSTEM, "_url": ABSENT}, []),
        ({**SYSTEM, "concept": [{"code": "a", "_display": ABSENT}]}, []),
        ({**SYSTEM, "concept": [{"code": "a"}, {"_code": ABSENT}]}, ["CodeSystem.concept[1].code"]),
        (
            {**SYSTEM, "concept": [{"code": "a", "concept": [{"_code": ABSENT}]}]},
            ["CodeSystem.concept[0].concept[0].code"],
        ),
        (
            {**SYSTEM, "concept": [{"code": "a", "property": [{"_code": ABSENT, "_valueCode": ABSENT}]}]},
            ["CodeSystem.concept[0].property[0].code", "CodeSystem.concept[0].property[0].value"],
        ),
        (
            {
                "resourceType": "Questionnaire",
                "_status": ABSENT,
                "contained": [{**SYSTEM, "id": "s", "content": None, "_content": ABSENT}],
            },
            ["Questionnaire.contained[0].content", "Questionnaire.status"],
        ),
        (
            {
                "resourceType": "StructureDefinition",
                "url": "urn:x",
                "name": "X",
                "status": "draft",
                "kind": "resource",
                "abstract": False,
                "type": "Patient",
                "differential": {
                    "element": [
                        {
                            "path": "Patient",
                            "constraint": [
                                {"key": "x-1", "severity": "error", "_human": ABSENT}
                            ],
                        }
                    ]
                },
            },
            ["StructureDefinition.differential.element[0].constraint[0].human"],
        ),
    ],
)  # fmt: skip
def test_each_required_value_that_an_extension_stands_for_is_found(
    resource: Resource, places: list[str]
) -> None:
    without_nulls = _without_nulls(resource)
    assert [issue.expression for issue in unsaid(without_nulls)] == places
    assert {issue.rule for issue in unsaid(without_nulls)} <= {"value-unsaid"}


def test_r4_lets_them_be() -> None:
    resource = {**SYSTEM, "concept": [{"_code": ABSENT}]}
    assert not any(issue.is_error for issue in validate(resource, TERMINOLOGY))


def _without_nulls(resource: Resource) -> Resource:
    contained = [
        {name: value for name, value in each.items() if value is not None}
        for each in resource.get("contained", ())
    ]
    return {**resource, "contained": contained} if contained else resource

"""How a form's query is filled in, and that no value can make it another query."""

from urllib.parse import parse_qsl

import pytest

from questionnaires.expressions import Focus, Scope
from questionnaires.queries import filled
from r4.issue import FhirError
from r4.json import Resource

CHILD: Resource = {
    "resourceType": "Patient",
    "id": "c1",
    "active": True,
    "birthDate": "2026-05-01",
    "name": [{"family": "&_include=*", "given": ["a,b", "c\\d"], "text": "../Patient?x#"}],
}
SCOPE = Scope({"resourceType": "Questionnaire"}, {}, {"patient": CHILD}, now="2026-11-23T10:00:00Z")


def asked(query: str) -> str:
    return filled(query, SCOPE, Focus({}))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Condition?patient={{%patient.id}}&category=x", "Condition?patient=c1&category=x"),
        ("Patient/{{ %patient.id }}", "Patient/c1"),
        ("Observation?date=ge{{today() - 7 days}}", "Observation?date=ge2026-11-16"),
        ("X?a={{%patient.active}}&b={{1.50}}&c={{3}}", "X?a=true&b=1.50&c=3"),
        ("X?a={{'1' | '2'}}", "X?a=1,2"),
        ("X?code=http://loinc.org|1234-5", "X?code=http://loinc.org|1234-5"),
    ],
)
def test_the_expressions_of_a_query_are_replaced_by_what_they_find(
    query: str, expected: str
) -> None:
    assert asked(query) == expected


def test_a_name_cannot_widen_a_query() -> None:
    query = asked("Patient?family={{%patient.name.family}}&active=true")
    assert parse_qsl(query.partition("?")[2]) == [("family", "&_include=*"), ("active", "true")]


def test_a_name_cannot_be_another_path() -> None:
    assert asked("Patient/{{%patient.name.text}}") == "Patient/..%2FPatient%3Fx%23"


def test_a_comma_in_a_value_is_not_another_value() -> None:
    query = asked("Patient?given={{%patient.name.given}}")
    assert parse_qsl(query.partition("?")[2]) == [("given", "a\\,b,c\\\\d")]


def test_a_query_with_an_expression_that_finds_nothing_is_not_asked() -> None:
    assert asked("Condition?patient={{%patient.link.other.reference}}&category=x") == ""


@pytest.mark.parametrize("expression", ["%patient.name", "%nobody", "a..b"])
def test_an_expression_that_finds_no_value_is_refused(expression: str) -> None:
    with pytest.raises(FhirError):
        asked("X?a={{" + expression + "}}")

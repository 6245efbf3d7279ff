"""Bytes as a resource: what is JSON and still refused; https://hl7.org/fhir/R4/json.html."""

import json
from typing import Any

import pytest

from fhir_server.rest.reading import DEEPEST, resource
from r4.issue import FhirError


def nested(depth: int) -> bytes:
    """Return a resource with so many objects and arrays inside one another."""
    return b'{"resourceType":"Basic","x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def rule(raw: bytes) -> str | None:
    with pytest.raises(FhirError) as refusal:
        resource(raw)
    assert refusal.value.status == 400
    return refusal.value.issues[0].rule


def test_what_is_nested_as_deep_as_is_allowed_is_read() -> None:
    assert resource(nested(DEEPEST))["resourceType"] == "Basic"


@pytest.mark.parametrize("depth", [DEEPEST + 1, DEEPEST + 50, 100_000])
def test_one_level_more_is_refused(depth: int) -> None:
    assert rule(nested(depth)) == "depth"


def test_many_side_by_side_are_not_deep() -> None:
    raw = json.dumps({"resourceType": "Basic", "x": [{"y": [{}]}] * 1000}).encode()
    assert len(resource(raw)["x"]) == 1000


def test_brackets_in_a_text_do_not_nest() -> None:
    raw = json.dumps({"resourceType": "Basic", "x": "[{" * 1000}).encode()
    assert resource(raw)["x"] == "[{" * 1000


@pytest.mark.parametrize(
    "raw",
    [
        b'{"resourceType":"Basic","id":"a","id":"b"}',
        b'{"resourceType":"Basic","id":"a","id":"a"}',
        b'{"resourceType":"Basic", "x": [{"y": 1.50, "y": 1.50}]}',
        b'{"resourceType":"Basic","id":"a","\\u0069d":"a"}',
        b'{"resourceType":"Basic","resourceType":"Basic"}',
    ],
)
def test_a_key_given_twice_is_refused(raw: bytes) -> None:
    assert rule(raw) == "duplicate-key"


@pytest.mark.parametrize(
    ("text", "value"),
    [('"\\u00e4"', "ä"), ('"\\/"', "/"), ("1e2", "1E+2"), ("1.50", "1.50"), ("-0", "0")],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n", "\t:")])
def test_a_spelling_of_its_own_is_no_second_key(
    text: str, value: str, separators: tuple[str, str]
) -> None:
    comma, colon = separators
    raw = f'{{"resourceType"{colon}"Basic"{comma}"x"{colon}{text}}}'.encode()
    found: Any = resource(raw)["x"]
    assert str(found) == value


def test_an_exponent_too_large_for_any_number_is_refused() -> None:
    rule(b'{"resourceType":"Basic","x":1e9999999999999999999}')

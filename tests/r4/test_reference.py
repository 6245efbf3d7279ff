"""Finding and replacing references: https://hl7.org/fhir/R4/references.html."""

from copy import deepcopy
from typing import Any

import pytest

from r4.reference import literal, references, resolve, rewrite, walk

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "subject": {"reference": "urn:uuid:1", "display": "A child"},
    "performer": [{"reference": "Practitioner/a"}, {"display": "nobody"}],
    "contained": [{"resourceType": "Specimen", "subject": {"reference": "urn:uuid:1"}}],
    "extension": [{"url": "reference", "valueString": "reference"}],
    "component": [{"code": {"text": "x"}, "reference": {"reference": "Group/g"}}],
}


def named(text: str) -> str:
    return {"urn:uuid:1": "Patient/1"}.get(text, text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Patient/a-1.b", ("Patient", "a-1.b", None, None)),
        ("Patient/a/_history/2", ("Patient", "a", None, "2")),
        ("https://h.example/fhir/Patient/a", ("Patient", "a", "https://h.example/fhir", None)),
        ("Patient/", None),
        ("patient/a", None),
        ("Patient/a b", None),
        ("Patient/a/b", None),
        (f"Patient/{'a' * 65}", None),
        ("Patient?identifier=a", None),
        ("#a", None),
    ],
)
def test_a_literal_reference_is_read(text: str, parts: tuple[str, ...] | None) -> None:
    assert literal(text) == parts


def test_every_reference_is_listed_wherever_it_stands() -> None:
    assert sorted(references(OBSERVATION)) == [
        "Group/g", "Practitioner/a", "urn:uuid:1", "urn:uuid:1"
    ]  # fmt: skip
    assert sorted(references(OBSERVATION)) == sorted(r["reference"] for r in walk(OBSERVATION))
    assert references([OBSERVATION["subject"]]) == ["urn:uuid:1"]


def test_references_are_replaced_and_what_they_became_is_listed() -> None:
    before = deepcopy(OBSERVATION)
    asked: list[str] = []

    def replace(text: str) -> str:
        asked.append(text)
        return named(text)

    made, found = resolve(OBSERVATION, replace)
    assert sorted(found) == ["Group/g", "Patient/1", "Patient/1", "Practitioner/a"]
    assert sorted(asked) == ["Group/g", "Practitioner/a", "urn:uuid:1"]
    assert made["subject"] == {"reference": "Patient/1", "display": "A child"}
    assert made["contained"][0]["subject"] == {"reference": "Patient/1"}
    assert before == OBSERVATION, "what was given is not changed"
    assert made == rewrite(OBSERVATION, named)


def test_what_does_not_change_is_not_copied() -> None:
    made, found = resolve(OBSERVATION, lambda text: text)
    assert made is OBSERVATION
    assert len(found) == 4
    assert resolve({"resourceType": "Basic"}, named) == ({"resourceType": "Basic"}, [])
    assert rewrite(OBSERVATION, named)["performer"] is OBSERVATION["performer"]

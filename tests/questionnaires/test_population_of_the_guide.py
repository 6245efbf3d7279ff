"""The forms of HL7's SDC guide that can be populated, held against expectations made by hand.

`Parameters-populate-response` is not held against: its request (`Parameters-populate-request`) names a
form, a subject elsewhere and `local`, and hands in no data that the response could follow from.
"""

from pathlib import Path
from typing import Any

import pytest

from questionnaires.population import Populated, populate
from r4.json import Resource, decode, encode

LOINC = "http://loinc.org"
CHILD: Resource = {
    "resourceType": "Patient",
    "id": "p1",
    "birthDate": "2026-05-01",
    "identifier": [
        {"system": "http://ns.electronichealth.net.au/id/medicare-number", "value": "m1"}
    ],
    "name": [{"family": "First", "given": ["Ann", "Bea"]}, {"family": "Second", "given": ["Cat"]}],
    "telecom": [
        {"system": "phone", "use": "mobile", "value": "07"},
        {"system": "email", "value": "e"},
    ],
}
SURGEON: Resource = {
    "resourceType": "Practitioner",
    "id": "u1",
    "name": [{"family": "Knife", "given": ["Sam"]}],
    "identifier": [{"system": "http://ns.electronichealth.net.au/id/hi/prn", "value": "8"}],
}
MOTHER: Resource = {
    "resourceType": "RelatedPerson",
    "id": "r1",
    "relationship": [{"coding": [{"code": "MTH"}]}, {"coding": [{"code": "ECON"}]}],
    "name": [{"family": "Third"}],
}


def observed(code: str, value: Any, kind: str = "Quantity") -> Resource:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "effectiveDateTime": "2026-11-01",
        f"value{kind}": value,
    }


def kilograms(value: int) -> Resource:
    return {"value": value, "system": "http://unitsofmeasure.org", "code": "kg"}


FOUND = {
    "RelatedPerson": [MOTHER],
    "Condition": [{"resourceType": "Condition", "id": "k"}],
    "Patient": [CHILD],
    "Observation": [
        observed("29463-7", kilograms(80)),
        observed("8302-2", {"value": 70, "system": "http://unitsofmeasure.org", "code": "[in_i]"}),
        observed("54125-0", "Ann First", "String"),
    ],
}


def guide_form(library: Path, name: str) -> Resource:
    folder = library / "sdc" / "hl7-sdc-examples"
    if not folder.is_dir():
        pytest.skip("the guide's examples are not on this machine")
    form: Resource = decode((folder / f"Questionnaire-{name}.json").read_bytes())
    return form


def populated(form: Resource) -> Populated:
    declared = encode(form.get("extension", []))
    contexts = {"patient": [CHILD], "user": [SURGEON]}
    return populate(
        form,
        subject={"reference": "Patient/p1"},
        contexts={
            name: given for name, given in contexts.items() if f'"{name}"'.encode() in declared
        },
        find=lambda query: FOUND.get(query.partition("?")[0], []),
        now="2026-11-23T10:00:00.000Z",
    )


def answers(container: Resource) -> list[tuple[str, Any]]:
    """List the answers in their order, by linkId; those below an answer after it."""
    found: list[tuple[str, Any]] = []
    for item in container.get("item", ()):
        for answer in item.get("answer", ()):
            found += [(item["linkId"], value) for key, value in answer.items() if key != "item"]
            found += answers(answer)
        found += answers(item)
    return found


def told(made: Populated) -> list[str]:
    return [
        f"{issue.severity} {str(issue.expression).partition('linkId=')[2][:-1]}"
        for issue in made.issues
    ]


def test_initial_expressions(library: Path) -> None:
    made = populated(
        guide_form(library, "questionnaire-sdc-test-fhirpath-prepop-initialexpression")
    )
    assert answers(made.response) == [
        ("medicare-number", "m1"),
        ("family-name", "First"),
        ("given-names", "Ann"),
        ("dob", "2026-05-01"),
        ("contact-number", "07"),
        ("provider-number", "8"),
        ("date-consult", "2026-11-23"),
        ("provider-name", "Sam Knife"),
    ]
    assert made.issues == []


def test_what_a_user_is_to_choose_from_is_not_chosen_for_them(library: Path) -> None:
    made = populated(guide_form(library, "questionnaire-sdc-test-fhirpath-prepop-candexpr"))
    assert answers(made.response) == [("family-name", "First"), ("given-names", "Ann")]
    assert made.issues == []


def test_source_queries(library: Path) -> None:
    """As published, the queries say `%37patient`: a percent sign lost its meaning on the way."""
    form = guide_form(library, "questionnaire-sdc-test-fhirpath-prepop-source-query")
    mended = decode(encode(form).replace(b"%37patient", b"%patient"))
    expected = [("family-name", "First"), ("given-names", "Ann"), ("dob", "2026-05-01")]
    assert answers(populated(mended).response) == [*expected, ("condition-count", 1)]
    as_published = populated(form)
    assert answers(as_published.response) == [*expected, ("condition-count", 0)]
    assert [issue.code for issue in as_published.issues] == ["invalid"] * 3


def test_population_contexts(library: Path) -> None:
    made = populated(guide_form(library, "demographics"))
    assert answers(made.response) == [
        ("patient.id", "p1"),
        ("patient.birthDate", "2026-05-01"),
        ("patient.name.family", "First"),
        ("patient.name.given", "Ann"),
        ("patient.name.given", "Bea"),
        ("patient.name.family", "Second"),
        ("patient.name.given", "Cat"),
        ("relative.id", "r1"),
        ("relative.relationship", {"code": "MTH"}),
        ("relative.relationship", {"code": "ECON"}),
        ("relative.name.family", "Third"),
    ]
    assert made.issues == []


def test_observations_and_what_is_calculated_of_them(library: Path) -> None:
    form = guide_form(library, "questionnaire-sdc-profile-example-weight-height-tracking-panel")
    made = populated(form)
    assert [(each, str(value)) for each, value in answers(made.response)] == [
        ("/29463-7", "80"),
        ("/8302-2", "70"),
        ("/39156-5", "25.3"),  # 80 kg / (70 * 0.0254 m)²
    ]


def test_a_measurement_answers_no_number_without_a_unit(library: Path) -> None:
    made = populated(guide_form(library, "questionnaire-sdc-profile-example-ussg-fht"))
    assert answers(made.response)[:2] == [
        ("1.1.1", "Ann First"),
        ("1.1.4", {"code": "LA32-8", "system": LOINC, "display": "No"}),
    ]
    assert told(made) == ["warning '1.1.7'", "warning '1.1.8'"]


def test_initial_values(library: Path) -> None:
    yes = {"code": "Y", "system": "http://terminology.hl7.org/CodeSystem/v2-0532", "display": "Yes"}
    choice = ("1acf93a7-0890-44cd-be48-542defb35248", yes)
    made = populated(guide_form(library, "questionnaire-sdc-test-initialvalue"))
    assert (answers(made.response), made.issues) == ([choice, ("init-val-string", "YUP")], [])
    made = populated(guide_form(library, "questionnaire-sdc-test-initialvalue-multiple"))
    assert answers(made.response) == [choice]
    assert told(made) == ["warning '655219ed-5e8b-4111-9d49-b4fbc0b4f627'"]  # a Coding for a text

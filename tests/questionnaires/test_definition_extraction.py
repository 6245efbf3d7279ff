"""Resources made by StructureDefinitions: where a value goes, in which type, and what a profile fixes."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from profiles.snapshot import snapshot
from questionnaires import extracted
from r4.definitions import definition
from r4.issue import FhirError
from r4.json import Resource, decode
from tests.questionnaires.support import ids

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
CORE = "http://hl7.org/fhir/StructureDefinition/"
PROFILE = "https://example.org/StructureDefinition/numbered"


def extracts(type: str, **parts: str) -> dict[str, Any]:
    canonical = type if ":" in type else CORE + type
    held = [{"url": name, "valueString": value} for name, value in parts.items()]
    definition = {"url": "definition", "valueCanonical": canonical}
    return {"url": SDC + "definitionExtract", "extension": [definition, *held]}


def gives(element: str, **value: Any) -> dict[str, Any]:
    return {"url": SDC + "definitionExtractValue", "extension": [
        {"url": "definition", "valueUri": at(element)}, {"url": "fixed-value", **value}]}  # fmt: skip


def computes(element: str, expression: str) -> dict[str, Any]:
    held = {"language": "text/fhirpath", "expression": expression}
    return {"url": SDC + "definitionExtractValue", "extension": [
        {"url": "definition", "valueUri": at(element)},
        {"url": "expression", "valueExpression": held}]}  # fmt: skip


def at(element: str) -> str:
    return element if "#" in element else f"{CORE}{element.partition('.')[0]}#{element}"


def question(link_id: str, kind: str, element: str = "", *extensions: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"linkId": link_id, "type": kind, "extension": list(extensions)}
    return {**made, "definition": at(element)} if element else made


def form(*items: dict[str, Any], extension: Any = ()) -> Resource:
    made = {"resourceType": "Questionnaire", "url": "urn:form", "status": "active"}
    return {**made, "extension": list(extension), "item": list(items)}


def answered(*items: dict[str, Any]) -> Resource:
    made = {"resourceType": "QuestionnaireResponse", "id": "r1", "questionnaire": "urn:form"}
    return {**made, "status": "completed", "authored": "2026-11-23T10:00:00Z", "item": list(items)}


def answer(link_id: str, *values: dict[str, Any]) -> dict[str, Any]:
    return {"linkId": link_id, "answer": list(values)}


def text(link_id: str, *values: str) -> dict[str, Any]:
    return answer(link_id, *({"valueString": value} for value in values))


def made(questionnaire: Resource, response: Resource, **more: Any) -> list[Resource]:
    found = extracted(questionnaire, response, new_id=ids(), **more)
    return [each.entry["resource"] for each in found]


NAME = question("name", "group", "Patient.name")
NAME["item"] = [
    question("given", "string", "Patient.name.given"),
    question("family", "string", "Patient.name.family"),
]


def test_a_group_is_one_element_and_a_repetition_another() -> None:
    response = answered(
        {"linkId": "name", "item": [text("given", "Ada", "May"), text("family", "Lane")]},
        {"linkId": "name", "item": [text("family", "Old")]},
    )
    [patient] = made(form(NAME, extension=[extracts("Patient")]), response)
    assert patient == {
        "resourceType": "Patient",
        "name": [{"given": ["Ada", "May"], "family": "Lane"}, {"family": "Old"}],
    }


def test_what_an_item_gives_goes_into_the_element_that_its_answer_made() -> None:
    items = [
        question("nhs", "string", "Patient.identifier.value",
                 gives("Patient.identifier.system", valueUri="urn:nhs"),
                 gives("Patient.identifier.type.text", valueString="NHS")),
        question("phone", "string", "Patient.telecom.value",
                 gives("Patient.telecom.system", valueCode="phone")),
        question("other", "string", "Patient.identifier.value"),
    ]  # fmt: skip
    response = answered(text("nhs", "9"), text("other", "7"))
    [patient] = made(form(*items, extension=[extracts("Patient")]), response)
    assert patient["identifier"] == [
        {"value": "9", "system": "urn:nhs", "type": {"text": "NHS"}}, {"value": "7"}
    ]  # fmt: skip
    assert "telecom" not in patient


def test_the_root_is_always_extracted_and_an_item_where_it_is_answered() -> None:
    relative = question("relative", "group", "", extracts("RelatedPerson"))
    relative["item"] = [question("who", "string", "RelatedPerson.name.text")]
    questionnaire = form(relative, extension=[
        extracts("Patient"), gives("Patient.active", valueBoolean=True)])  # fmt: skip
    assert made(questionnaire, answered()) == [{"resourceType": "Patient", "active": True}]
    both = answered(*({"linkId": "relative", "item": [text("who", name)]} for name in "AB"))
    found = extracted(questionnaire, both, new_id=ids())
    assert [each.key for each in found] == [
        "Patient.1", "RelatedPerson.relative.1", "RelatedPerson.relative.2"
    ]  # fmt: skip


def test_an_entry_can_be_named_and_made_conditional_and_one_with_an_id_is_an_update() -> None:
    items = [question("id", "string", "Patient.id"), question("who", "string")]
    items[1]["extension"] = [
        {"url": SDC + "extractAllocateId", "valueString": "relativeId"},
        extracts("RelatedPerson", fullUrl="%relativeId", ifNoneExist="'name=' & answer.value"),
        computes("RelatedPerson.patient.reference", "'Patient/' & %resource.item[0].answer.value"),
    ]
    questionnaire = form(*items, extension=[extracts("Patient")])
    patient, relative = (each.entry for each in extracted(
        questionnaire, answered(text("id", "p1"), text("who", "A")), new_id=ids()))  # fmt: skip
    assert (patient["request"], patient["resource"]["id"]) == (
        {"method": "PUT", "url": "Patient/p1"}, "p1"
    )  # fmt: skip
    assert relative["request"] == {
        "method": "POST", "url": "RelatedPerson", "ifNoneExist": "name=A"
    }  # fmt: skip
    assert relative["fullUrl"].startswith("urn:uuid:")
    assert relative["resource"]["patient"] == {"reference": "Patient/p1"}


KG = {"system": "http://unitsofmeasure.org", "code": "kg"}
WEIGHED = [{"url": CORE + "questionnaire-unit", "valueCoding": KG}]


@pytest.mark.parametrize(
    ("kind", "element", "given", "key", "value"),
    [
        ("boolean", "Observation.value[x]", {"valueBoolean": True}, "valueBoolean", True),
        ("decimal", "Observation.value[x]:valueQuantity.value", {"valueDecimal": Decimal("1.50")},
         "valueQuantity", {"value": Decimal("1.50")}),
        ("decimal", "Observation.value", {"valueDecimal": Decimal("3.2")}, "valueQuantity",
         {"value": Decimal("3.2"), "unit": "kg", **KG}),
        ("choice", "Observation.value[x]", {"valueCoding": {"code": "a"}}, "valueCodeableConcept",
         {"coding": [{"code": "a"}]}),
        ("string", "Observation.valueCodeableConcept", {"valueString": "a"},
         "valueCodeableConcept", {"text": "a"}),
        ("date", "Observation.effective[x]", {"valueDate": "2026-01-02"}, "effectiveDateTime",
         "2026-01-02"),
        ("dateTime", "Observation.issued", {"valueDateTime": "2026-01-02T03:04:05Z"}, "issued",
         "2026-01-02T03:04:05Z"),
        ("choice", "Observation.status", {"valueCoding": {"code": "final", "display": "F"}},
         "status", "final"),
        ("reference", "Observation.subject", {"valueReference": {"reference": "Patient/1"}},
         "subject", {"reference": "Patient/1"}),
        ("string", "Observation.performer", {"valueString": "Practitioner/1"}, "performer",
         [{"reference": "Practitioner/1"}]),
        ("text", "Observation.note", {"valueString": "a"}, "note", [{"text": "a"}]),
    ],
)  # fmt: skip
def test_a_value_takes_the_type_of_its_element(
    kind: str, element: str, given: dict[str, Any], key: str, value: Any
) -> None:
    units = WEIGHED if element == "Observation.value" else []
    asked = question("q", kind, element, extracts("Observation"), *units)
    [observation] = made(form(asked), answered(answer("q", given)))
    assert observation == {"resourceType": "Observation", key: value}


@pytest.mark.parametrize(
    ("kind", "element", "values", "reason"),
    [
        ("string", "Patient.nothing", [{"valueString": "a"}], "Patient has no element nothing"),
        ("string", "Patient.birthDate.day", [{"valueString": "a"}], "it is a value"),
        ("string", "Patient", [{"valueString": "a"}], "the resource itself"),
        ("boolean", "Patient.birthDate", [{"valueBoolean": True}], "a boolean cannot be put"),
        (
            "string",
            "Patient.name.text",
            [{"valueString": "a"}, {"valueString": "b"}],
            "2 were found",
        ),
        (
            "string",
            "Patient.extension.value.text",
            [{"valueString": "a"}],
            "may have several types",
        ),
    ],
)
def test_a_value_that_has_no_place_is_refused(
    kind: str, element: str, values: list[dict[str, Any]], reason: str
) -> None:
    asked = form(question("q", kind, element), extension=[extracts("Patient")])
    refused(asked, answered(answer("q", *values)), reason)


def refused(questionnaire: Resource, response: Resource, reason: str) -> None:
    with pytest.raises(FhirError) as refusal:
        extracted(questionnaire, response, new_id=ids())
    assert refusal.value.status == 422
    assert reason in str(refusal.value)


def test_a_definition_that_is_not_known_or_named_twice_is_refused() -> None:
    refused(form(extension=[extracts(PROFILE)]), answered(), "is not known here")
    refused(form(extension=[extracts("Patient")] * 2), answered(), "twice by one item")
    sets = [extracts("Patient"), *[gives("Patient.active", valueBoolean=True)] * 2]
    refused(form(extension=sets), answered(), "holds one value, and has one already")


def numbered() -> Resource:
    """Return a profile with a slice of identifiers, and a category that must be there."""
    element = [
        {"id": "Observation", "path": "Observation"},
        {"id": "Observation.identifier", "path": "Observation.identifier", "slicing": {
            "discriminator": [{"type": "value", "path": "system"}], "rules": "open"}},
        {"id": "Observation.identifier:own", "path": "Observation.identifier", "sliceName": "own",
         "max": "1"},
        {"id": "Observation.identifier:own.system", "path": "Observation.identifier.system",
         "min": 1, "fixedUri": "urn:own"},
        {"id": "Observation.category", "path": "Observation.category", "slicing": {
            "discriminator": [{"type": "pattern", "path": "$this"}], "rules": "open"}},
        {"id": "Observation.category:vital", "path": "Observation.category", "sliceName": "vital",
         "min": 1, "max": "1", "patternCodeableConcept": {"coding": [{"code": "vital-signs"}]}},
        {"id": "Observation.code", "path": "Observation.code",
         "patternCodeableConcept": {"coding": [{"code": "height"}]}},
        {"id": "Observation.value[x]", "path": "Observation.value[x]", "type": [{"code": "Quantity"}]},
        {"id": "Observation.value[x].code", "path": "Observation.value[x].code", "min": 1,
         "fixedCode": "cm"},
    ]  # fmt: skip
    profile = {
        "resourceType": "StructureDefinition", "url": PROFILE, "name": "Numbered",
        "status": "active", "kind": "resource", "abstract": False, "type": "Observation",
        "baseDefinition": CORE + "Observation", "derivation": "constraint",
        "differential": {"element": element},
    }  # fmt: skip
    return snapshot(profile, lambda url: definition("StructureDefinition", url))


def test_what_a_profile_fixes_is_there_and_its_slices_are_found_again() -> None:
    items = [
        question("number", "string", f"{PROFILE}#Observation.identifier:own.value"),
        question("use", "string", f"{PROFILE}#Observation.identifier:own.use"),
        question("height", "integer", f"{PROFILE}#Observation.value[x]"),
    ]
    response = answered(
        text("number", "7"), text("use", "usual"), answer("height", {"valueInteger": 90})
    )
    [observation] = made(
        form(*items, extension=[extracts(PROFILE)]), response, definitions={PROFILE: numbered()}.get
    )
    assert observation == {
        "resourceType": "Observation",
        "meta": {"profile": [PROFILE]},
        "identifier": [{"value": "7", "use": "usual", "system": "urn:own"}],
        "valueQuantity": {"value": 90, "code": "cm"},
        "category": [{"coding": [{"code": "vital-signs"}]}],
        "code": {"coding": [{"code": "height"}]},
    }


def test_the_names_of_sdc_3_begin_the_same_extraction() -> None:
    for value in (
        {"valueCode": "Patient"},
        {
            "valueExpression": {
                "language": "application/x-fhir-query",
                "expression": "Patient?_id=1",
            }
        },
    ):
        questionnaire = form(NAME, extension=[{"url": SDC + "itemExtractionContext", **value}])
        response = answered({"linkId": "name", "item": [text("family", "Lane")]})
        assert made(questionnaire, response) == [
            {"resourceType": "Patient", "name": [{"family": "Lane"}]}
        ]
    wrong = [{"url": SDC + "itemExtractionContext", "valueCode": "Nothing"}]
    refused(form(extension=wrong), answered(), "names no resource type")


def guides(library: Path, name: str) -> Resource:
    resource: Resource = decode(
        (library / "sdc" / "hl7-sdc-examples" / f"{name}.json").read_bytes()
    )
    return resource


def test_the_guides_form_by_definitions_makes_a_patient_relatives_and_observations(
    library: Path,
) -> None:
    questionnaire = guides(library, "extract-complex-defn3")
    response = answered(
        {"linkId": "patient", "item": [
            {"linkId": "name", "item": [text("given", "Ada", "May"), text("family", "Lane")]},
            text("ihi", "8003"), text("mobile-phone", "07")]},
        {"linkId": "contacts", "item": [
            text("contact-name", "Bo"), answer("relationship", {"valueCoding": {"code": "M"}})]},
        {"linkId": "obs", "item": [answer("height", {"valueDecimal": Decimal("1.10")})]},
    ) | {"questionnaire": questionnaire["url"], "author": {"reference": "Practitioner/1"}}  # fmt: skip
    patient, relative, height = (
        each.entry for each in extracted(questionnaire, response, new_id=ids())
    )
    assert patient["resource"]["name"] == [
        {"text": "Ada May Lane", "given": ["Ada", "May"], "family": "Lane"}
    ]
    [number] = patient["resource"]["identifier"]
    assert (number["value"], number["system"]) == ("8003", "http://example.org/nhio")
    assert relative["resource"] == {
        "resourceType": "RelatedPerson",
        "patient": {"reference": patient["fullUrl"]},
        "name": [{"text": "Bo"}],
        "relationship": [{"coding": [{"code": "M"}]}],
    }
    assert height["resource"]["valueQuantity"] == {"value": Decimal("1.10"), "unit": "m"}
    assert height["resource"]["subject"] == {"reference": patient["fullUrl"]}
    assert height["resource"]["effectiveDateTime"] == "2026-11-23T10:00:00Z"
    assert height["resource"]["derivedFrom"] == [{"reference": "QuestionnaireResponse/r1"}]


def test_the_guides_report_of_several_subjects_refers_to_what_is_observed_of_each(
    library: Path,
) -> None:
    questionnaire = guides(library, "Questionnaire-questionnaire-sdc-profile-example-multi-subject")
    response = guides(
        library, "QuestionnaireResponse-questionnaireresponse-sdc-profile-example-multi-subject"
    ) | {"questionnaire": questionnaire["url"], "authored": "2026-11-23T10:00:00Z"}
    report, *observed = (each.entry for each in extracted(questionnaire, response, new_id=ids()))
    assert report["resource"]["resourceType"] == "DiagnosticReport"
    assert {each["resource"]["resourceType"] for each in observed} == {"Observation"}
    results = [each["reference"] for each in report["resource"]["result"]]
    assert sorted(results) == sorted(each["fullUrl"] for each in observed)
    subjects = [each["resource"]["subject"]["reference"] for each in observed]
    assert subjects[0] == response["subject"]["reference"]
    assert len(set(subjects)) > 1


def test_the_guides_demographics_update_the_patient_and_create_the_relative(library: Path) -> None:
    questionnaire = guides(library, "Questionnaire-demographics")
    relationship = [{"valueCoding": {"code": code}} for code in "MN"]
    response = answered(
        text("patient.id", "p1"), answer("patient.birthDate", {"valueDate": "2020-01-01"}),
        {"linkId": "relative", "item": [answer("relative.relationship", *relationship)]},
    ) | {"questionnaire": questionnaire["url"]}  # fmt: skip
    patient, relative = (each.entry for each in extracted(questionnaire, response, new_id=ids()))
    assert patient["request"] == {"method": "PUT", "url": "Patient/p1"}
    assert patient["resource"]["birthDate"] == "2020-01-01"
    assert relative["resource"]["relationship"] == [
        {"coding": [{"code": "M"}]}, {"coding": [{"code": "N"}]}
    ]  # fmt: skip

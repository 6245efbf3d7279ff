"""What signing and submitting store: everything together, valid, and a document that is closed."""

from copy import deepcopy
from typing import Any

import pytest

from profiles.validate import validate
from questionnaires import sign, submit
from r4.issue import FhirError
from r4.json import Resource, decode, encode
from r4.reference import rewrite, walk
from terminology import Terminology
from tests.profiles.unloaded import beyond
from tests.questionnaires.support import (
    EXAMPLES,
    HOSPITAL,
    NOTE,
    NOW,
    SIGNER,
    SURVEY,
    by_type,
    example,
    form,
    ids,
)

NOTES = ["soave-laparoscopic", "duhamel-open-complication"]
SURVEYS = ["continent-child", "soiling-every-day", "stoma", "not-known"]


def signed(response: Resource) -> Resource:
    return sign(form(NOTE), response, signer=SIGNER, hospital=HOSPITAL, now=NOW, new_id=ids())


def submitted(response: Resource) -> Resource:
    return submit(form(SURVEY), response, now=NOW, new_id=ids())


def committed(bundle: Resource) -> list[Resource]:
    """Do what the transaction does to urns: `reference` only, everywhere, never `fullUrl`."""
    places = {
        entry["fullUrl"]: f"{entry['resource']['resourceType']}/{number}"
        for number, entry in enumerate(bundle["entry"])
    }
    return [
        rewrite(entry["resource"], lambda text: places.get(text, text)) for entry in bundle["entry"]
    ]


@pytest.mark.parametrize("case", NOTES)
def test_signing_a_note_gives_the_golden_transaction(case: str) -> None:
    golden = decode((EXAMPLES / NOTE / f"{case}.bundle.json").read_bytes())
    assert decode(encode(signed(example(NOTE, case)))) == golden


@pytest.mark.parametrize("case", SURVEYS)
def test_submitting_a_survey_gives_the_golden_transaction(case: str) -> None:
    golden = decode((EXAMPLES / SURVEY / f"{case}.bundle.json").read_bytes())
    assert decode(encode(submitted(example(SURVEY, case)))) == golden


@pytest.mark.parametrize(
    "bundle",
    [pytest.param(signed(example(NOTE, case)), id=case) for case in NOTES]
    + [pytest.param(submitted(example(SURVEY, case)), id=case) for case in SURVEYS],
)
def test_everything_stored_is_valid_fhir(bundle: Resource) -> None:
    terminology = Terminology.load()
    assert beyond(validate(bundle, terminology, now=NOW)) == []
    for resource in committed(bundle):
        assert beyond(validate(resource, terminology, now=NOW)) == []


def test_the_response_is_completed_and_the_surgeon_is_its_author() -> None:
    [response] = by_type(signed(example(NOTE, "soave-laparoscopic")), "QuestionnaireResponse")
    assert (response["status"], response["author"], response["authored"]) == (
        "completed", SIGNER, NOW)  # fmt: skip
    assert response["text"]["div"].startswith('<div xmlns="http://www.w3.org/1999/xhtml">')


def test_the_date_of_writing_is_kept_where_the_response_has_one() -> None:
    note = {**example(NOTE, "soave-laparoscopic"), "authored": "2026-03-09T13:00:00+00:00"}
    [response] = by_type(signed(note), "QuestionnaireResponse")
    assert response["authored"] == "2026-03-09T13:00:00+00:00"


def test_the_surgeon_attests_the_composition_for_the_hospital() -> None:
    [composition] = by_type(signed(example(NOTE, "soave-laparoscopic")), "Composition")
    assert composition["attester"] == [{"mode": "legal", "time": NOW, "party": SIGNER}]
    assert composition["custodian"] == HOSPITAL
    assert composition["type"]["coding"] == [{"system": "http://loinc.org", "code": "11504-8"}]
    sections = {s["code"]["coding"][0]["code"] for s in composition["section"] if "code" in s}
    assert {"59774-0", "55109-3", "59770-8", "10218-6"} <= sections


def test_the_provenance_is_of_everything_and_names_the_answers_as_source() -> None:
    bundle = signed(example(NOTE, "soave-laparoscopic"))
    *others, last = bundle["entry"]
    provenance = last["resource"]
    assert provenance["resourceType"] == "Provenance"
    urls = [entry["fullUrl"] for entry in others]
    assert [each["reference"] for each in provenance["target"]] == urls
    assert provenance["entity"] == [{"role": "source", "what": {"reference": urls[0]}}]
    assert provenance["agent"][0]["who"] == SIGNER


def test_every_urn_in_the_transaction_is_one_of_its_entries() -> None:
    bundle = signed(example(NOTE, "duhamel-open-complication"))
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    stored = [entry for entry in bundle["entry"] if entry["resource"]["resourceType"] != "Bundle"]
    urns = {each["reference"] for each in walk(stored) if each["reference"].startswith("urn:")}
    assert urns <= urls


@pytest.mark.parametrize("case", NOTES)
def test_the_document_is_closed_and_stays_what_was_signed(case: str) -> None:
    bundle = signed(example(NOTE, case))
    [document] = by_type(bundle, "Bundle")
    [stored] = [each for each in committed(bundle) if each["resourceType"] == "Bundle"]
    assert stored == document
    held = {entry["fullUrl"] for entry in document["entry"]}
    assert {each["reference"] for each in walk(document)} <= held
    assert held.isdisjoint(entry["fullUrl"] for entry in bundle["entry"])
    assert document["entry"][0]["resource"]["resourceType"] == "Composition"


def test_the_document_holds_what_the_note_knew_of_the_people_and_the_hospital() -> None:
    [document] = by_type(signed(example(NOTE, "soave-laparoscopic")), "Bundle")
    [patient] = by_type(document, "Patient")
    number = {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000018"}
    assert patient["identifier"] == [number]
    [surgeon] = by_type(document, "Practitioner")
    assert surgeon["name"] == [{"text": "Demo Surgeon"}]
    [hospital] = by_type(document, "Organization")
    assert (hospital["name"], hospital["identifier"][0]["value"]) == ("Demo hospital", "RTH")


def test_outcomes_of_a_submitted_survey_derive_from_its_entry() -> None:
    bundle = submitted(example(SURVEY, "continent-child"))
    derived = {each["derivedFrom"][0]["reference"] for each in by_type(bundle, "Observation")}
    assert derived == {bundle["entry"][0]["fullUrl"]}


def test_nothing_given_is_changed() -> None:
    note, questionnaire = example(NOTE, "soave-laparoscopic"), form(NOTE)
    before = deepcopy((note, questionnaire))
    signed(note)
    assert (note, questionnaire) == before


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"questionnaire": "https://example.org/another"}, "questionnaire"),
        ({"questionnaire": f"{form(NOTE)['url']}|9.9.9"}, "questionnaire"),
        ({"status": "entered-in-error"}, "status"),
        ({"status": "stopped"}, "status"),
        ({"status": "amended"}, "status"),
        ({"subject": None}, "subject"),
    ],
)
def test_what_cannot_be_signed_is_refused(change: dict[str, Any], where: str) -> None:
    note = {**example(NOTE, "soave-laparoscopic"), **change}
    note = {key: value for key, value in note.items() if value is not None}
    with pytest.raises(FhirError) as refused:
        signed(note)
    assert refused.value.status == 422
    assert refused.value.issues[0].expression == f"QuestionnaireResponse.{where}"


def test_a_survey_without_an_author_is_refused() -> None:
    survey = {key: value for key, value in example(SURVEY, "stoma").items() if key != "author"}
    with pytest.raises(FhirError) as refused:
        submitted(survey)
    assert refused.value.issues[0].expression == "QuestionnaireResponse.author"

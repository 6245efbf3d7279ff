"""Correcting a signed note, and adding to it: what was signed stays, what stands is said once."""

from copy import deepcopy
from typing import Any

import pytest

from profiles.validate import validate
from questionnaires import addendum, correct, extract, sign
from questionnaires.carried import Mark, marked
from questionnaires.numbered import EXTRACTION
from r4.issue import FhirError
from r4.json import Resource
from r4.reference import rewrite, walk
from terminology import Terminology
from tests.profiles.unloaded import beyond
from tests.questionnaires.support import (
    HOSPITAL,
    NOTE,
    NOW,
    SIGNER,
    answered,
    by_type,
    example,
    form,
    ids,
    without,
)

CASE = "soave-laparoscopic"
LATER = "2026-11-23T08:00:00+00:00"
COLLEAGUE = {"reference": "Practitioner/colleague", "display": "Demo Colleague"}
COMPOSITION = {"resourceType": "Composition", "id": "first", "custodian": HOSPITAL}
CASE_TYPES = ("Condition", "EpisodeOfCare")


def stored(response: Resource, version: str = "7") -> Resource:
    """Return the note as a server has stored its signature."""
    bundle = sign(
        form(NOTE), {**response, "id": "note"}, signer=SIGNER, hospital=HOSPITAL, now=NOW,
        new_id=ids(), version="6",
    )  # fmt: skip
    [signed] = by_type(bundle, "QuestionnaireResponse")
    return {**signed, "meta": {"versionId": version, "lastUpdated": NOW}}


def corrected(after: Resource, earlier: Resource | None = None, **more: Any) -> Resource:
    """Return the transaction that corrects a note."""
    given: dict[str, Any] = {
        "reason": "The blood loss was misread.", "signer": COLLEAGUE, "hospital": HOSPITAL,
        "now": LATER, "new_id": ids(), **more,
    }  # fmt: skip
    return correct(form(NOTE), earlier or stored(example(NOTE, CASE)), after, COMPOSITION, **given)


def added(text: str, response: Resource | None = None, **more: Any) -> Resource:
    given: dict[str, Any] = {"signer": COLLEAGUE, "now": LATER, "new_id": ids(), **more}
    response = response or stored(example(NOTE, CASE))
    return addendum(form(NOTE), response, COMPOSITION, text, **given)


def numbers(bundle: Resource) -> dict[str, str]:
    """Map the number of each extracted resource to what its entry asks for."""
    return {
        number["value"]: f"{entry['request']['method']} {entry['request']['url'].partition('?')[0]}"
        for entry in bundle["entry"]
        if isinstance(listed := entry["resource"].get("identifier"), list)
        for number in listed
        if number["system"] == EXTRACTION
    }


def refused(change: Any) -> Any:
    with pytest.raises(FhirError) as refusal:
        change()
    assert refusal.value.status == 422
    return refusal.value.issues[0]


class TestNumbers:
    def test_what_a_signature_stores_is_numbered_by_the_note_and_a_key(self) -> None:
        bundle = sign(
            form(NOTE), {**example(NOTE, CASE), "id": "note"}, signer=SIGNER, hospital=HOSPITAL,
            now=NOW, new_id=ids(), version="6",
        )  # fmt: skip
        found = numbers(bundle)
        assert found["note.procedure.1"] == "POST Procedure"
        assert len(found) == len(by_type(bundle, "Procedure")) + len(by_type(bundle, "Observation"))

    def test_what_is_shared_with_other_notes_has_no_number_of_this_one(self) -> None:
        bundle = corrected(example(NOTE, CASE))
        for kind in CASE_TYPES:
            for resource in by_type(bundle, kind):
                systems = {each["system"] for each in resource.get("identifier", ())}
                assert EXTRACTION not in systems

    def test_extraction_alone_numbers_nothing(self) -> None:
        made = extract(form(NOTE), {**example(NOTE, CASE), "id": "note"}, new_id=ids())
        assert numbers(made) == {}


class TestCorrection:
    def test_the_response_is_amended_at_the_version_that_was_seen(self) -> None:
        first = corrected(example(NOTE, CASE))["entry"][0]
        asked = {"method": "PUT", "url": "QuestionnaireResponse/note", "ifMatch": 'W/"7"'}
        assert first["request"] == asked
        assert (first["resource"]["status"], first["resource"]["author"]) == ("amended", COLLEAGUE)

    def test_what_is_said_now_takes_the_place_of_what_was_said(self) -> None:
        wrong = stored(example(NOTE, CASE))
        right = answered(example(NOTE, CASE), "blood-loss-ml", {"valueInteger": 40})
        bundle = corrected(right, wrong)
        found = numbers(bundle)
        assert found["note.procedure.1"] == "PUT Procedure"
        assert set(found.values()) == {"PUT Procedure", "PUT Observation"}
        [procedure] = [e for e in bundle["entry"] if e["resource"]["resourceType"] == "Procedure"]
        assert procedure["request"]["url"] == f"Procedure?identifier={EXTRACTION}|note.procedure.1"
        values = [
            each.get("valueQuantity", {}).get("value") for each in by_type(bundle, "Observation")
        ]
        assert 40 in values

    def test_what_is_said_no_longer_is_entered_in_error(self) -> None:
        wrong = stored(example(NOTE, CASE))
        before = numbers(corrected(example(NOTE, CASE), wrong))
        key = next(each for each in before if "length-resected" in each)
        bundle = corrected(without(example(NOTE, CASE), "length-resected-cm"), wrong)
        [gone] = [
            entry
            for entry in bundle["entry"]
            if any(
                n["value"] == key
                for n in entry["resource"].get("identifier", ())
                if isinstance(n, dict)
            )
        ]
        assert gone["resource"]["status"] == "entered-in-error"
        assert gone["request"] == {
            "method": "PUT", "url": f"Observation?identifier={EXTRACTION}|{key}",
        }  # fmt: skip
        assert gone["fullUrl"] not in {
            each["reference"] for each in walk(by_type(bundle, "Composition"))
        }
        [document] = by_type(bundle, "Bundle")
        assert "entered-in-error" not in {
            each["resource"].get("status") for each in document["entry"]
        }

    def test_the_case_is_created_where_it_is_not_there_and_never_changed(self) -> None:
        for entry in corrected(example(NOTE, CASE))["entry"]:
            if entry["resource"]["resourceType"] in CASE_TYPES:
                assert entry["request"]["method"] == "POST"
                assert entry["request"]["ifNoneExist"]

    def test_the_new_composition_replaces_the_one_that_stood(self) -> None:
        [composition] = by_type(corrected(example(NOTE, CASE)), "Composition")
        assert composition["relatesTo"] == [
            {"code": "replaces", "targetReference": {"reference": "Composition/first"}}
        ]
        assert composition["attester"] == [{"mode": "legal", "time": LATER, "party": COLLEAGUE}]

    def test_the_provenance_says_who_when_why_and_what_was_before(self) -> None:
        *others, last = corrected(example(NOTE, CASE))["entry"]
        provenance = last["resource"]
        assert provenance["reason"] == [{"text": "The blood loss was misread."}]
        assert (provenance["recorded"], provenance["agent"][0]["who"]) == (LATER, COLLEAGUE)
        assert provenance["activity"]["coding"][0]["code"] == "UPDATE"
        assert provenance["entity"] == [
            {"role": "revision", "what": {"reference": "QuestionnaireResponse/note/_history/7"}}
        ]
        assert len(provenance["target"]) == len(others)

    def test_everything_that_a_correction_stores_is_valid(self) -> None:
        bundle = corrected(without(example(NOTE, CASE), "length-resected-cm"))
        terminology = Terminology.load()
        places = {
            entry["fullUrl"]: f"{entry['resource']['resourceType']}/{number}"
            for number, entry in enumerate(bundle["entry"])
        }
        for entry in bundle["entry"]:
            resource = rewrite(entry["resource"], lambda text: places.get(text, text))
            assert beyond(validate(resource, terminology, now=LATER)) == []

    def test_a_note_is_corrected_as_often_as_it_is_wrong(self) -> None:
        [amended] = by_type(corrected(example(NOTE, CASE)), "QuestionnaireResponse")
        again = {**amended, "meta": {"versionId": "8"}}
        bundle = corrected(example(NOTE, CASE), again)
        assert bundle["entry"][0]["request"]["ifMatch"] == 'W/"8"'
        assert "note.procedure.1" in numbers(bundle)

    def test_nothing_given_is_changed(self) -> None:
        wrong, right = stored(example(NOTE, CASE)), example(NOTE, CASE)
        before = deepcopy((wrong, right))
        corrected(right, wrong)
        assert (wrong, right) == before

    def test_what_cannot_be_corrected_is_refused(self) -> None:
        note, right = stored(example(NOTE, CASE)), example(NOTE, CASE)
        draft = {**note, "status": "in-progress"}
        assert "not signed" in refused(lambda: corrected(right, draft)).diagnostics
        other = {**right, "subject": {"reference": "Patient/another"}}
        assert "another child" in refused(lambda: corrected(other, note)).diagnostics
        assert "why" in refused(lambda: corrected(right, note, reason=" ")).diagnostics
        marks = [Mark("approach", {"reference": "QuestionnaireResponse/earlier"})]
        assert refused(lambda: corrected(marked(right, marks), note)).rule == "carried-over"


class TestAddendum:
    def test_it_appends_words_that_the_signer_attests(self) -> None:
        bundle = added("Seen <again> & well.\nFluids by mouth.")
        kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
        assert kinds == ["Composition", "Bundle", "Provenance"]
        [composition] = by_type(bundle, "Composition")
        assert composition["relatesTo"][0]["code"] == "appends"
        assert composition["custodian"] == HOSPITAL
        assert composition["attester"][0]["party"] == COLLEAGUE
        [section] = composition["section"]
        assert (
            "<p>Seen &lt;again&gt; &amp; well.</p><p>Fluids by mouth.</p>" in section["text"]["div"]
        )

    def test_everything_that_an_addendum_stores_is_valid(self) -> None:
        terminology = Terminology.load()
        for entry in added("Well.")["entry"]:
            resource = rewrite(entry["resource"], lambda text: text.replace("urn:uuid:", "Basic/"))
            if resource["resourceType"] != "Bundle":
                assert beyond(validate(resource, terminology, now=LATER)) == []
        [document] = by_type(added("Well."), "Bundle")
        assert beyond(validate(document, terminology, now=LATER)) == []

    def test_the_same_words_by_the_same_signer_on_the_same_day_are_one(self) -> None:
        def asked(bundle: Resource) -> str:
            return str(bundle["entry"][0]["request"]["ifNoneExist"])

        said = asked(added("Well."))
        assert asked(added("Well.", now="2026-11-23T17:00:00+00:00")) == said
        assert asked(added("Well.", now="2026-11-24T08:00:00+00:00")) != said
        assert asked(added("Well.", signer=SIGNER)) != said
        assert asked(added("Unwell.")) != said

    def test_nothing_is_added_to_a_draft_nor_nothing_to_a_note(self) -> None:
        draft = {**stored(example(NOTE, CASE)), "status": "in-progress"}
        assert "not signed" in refused(lambda: added("Well.", draft)).diagnostics
        assert "says something" in refused(lambda: added(" \n ")).diagnostics

    def test_words_that_a_document_cannot_hold_are_refused_with_the_reason(self) -> None:
        assert "U+000B" in refused(lambda: added("One\x0btwo.")).diagnostics
        assert refused(lambda: added("&" * 300_000)).code == "too-long"

"""Correction, addendum and carry-over by the API: what stood stays readable, what stands is said once."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from fhir_server.access.keys import verify
from r4.json import Resource, decode, encode
from tests.questionnaires.support import answered, find, without
from tests.support import notes
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow  # what the databases do differently, other tests see

CARRIED = "https://csor.example/fhir/StructureDefinition/carried-over"
WHY = "The length was misread."


@pytest.fixture(scope="module", autouse=True)
def _known(server: Served) -> None:
    notes.registered(server)


class Signed:
    """A note that has been signed, and what its signature stored."""

    def __init__(self, server: Served, **more: Any) -> None:
        self.server = server
        self.answer = notes.sign(server, notes.stored(server, notes.draft(server, **more)))
        [self.note] = notes.of(server, self.answer, "QuestionnaireResponse")
        [self.composition] = notes.of(server, self.answer, "Composition")

    def correct(
        self, response: Resource, note: Resource | None = None, **more: Any
    ) -> httpx.Response:
        given = {"response": response, "reason": WHY, "signer": notes.gmc(notes.SURGEON), **more}
        return notes.asked(self.server, note or self.note, "$correct", **given)

    def addend(self, text: str, **more: Any) -> httpx.Response:
        given = {"text": text, "signer": notes.gmc(notes.OTHER_SURGEON), **more}
        return notes.asked(self.server, self.note, "$addend", **given)


@pytest.fixture
def signed(server: Served) -> Signed:
    return Signed(server)


def lengths(server: Served, answer: httpx.Response) -> list[Resource]:
    found = notes.of(server, answer, "Observation")
    keys = {each["id"]: each["identifier"][0]["value"] for each in found}
    return [each for each in found if "length-resected" in keys[each["id"]]]


class TestCorrection:
    def test_the_records_say_what_is_right_and_what_was_signed_stays(
        self, server: Served, signed: Signed
    ) -> None:
        [before] = lengths(server, signed.answer)
        right = answered(signed.note, "length-resected-cm", {"valueDecimal": Decimal("31.5")})
        answer = signed.correct(right)
        [amended] = notes.of(server, answer, "QuestionnaireResponse")
        assert (amended["status"], amended["meta"]["versionId"]) == ("amended", "3")
        [after] = lengths(server, answer)
        assert after["id"] == before["id"]
        assert after["valueQuantity"]["value"] == Decimal("31.5")
        [procedure] = notes.of(server, signed.answer, "Procedure")
        total = server.http.get(f"/Procedure?subject={procedure['subject']['reference']}").json()
        numbers = [each["resource"]["identifier"][0]["value"] for each in total["entry"]]
        assert numbers.count(procedure["identifier"][0]["value"]) == 1
        place = f"QuestionnaireResponse/{amended['id']}/_history/2"
        assert notes.read(server, place) == signed.note
        composition = notes.read(server, f"Composition/{signed.composition['id']}")
        assert composition == signed.composition
        [document] = notes.of(server, signed.answer, "Bundle")
        verify(document, server.context.jwks())

    def test_the_new_composition_replaces_the_one_before_and_is_sealed(
        self, server: Served, signed: Signed
    ) -> None:
        first = signed.correct(signed.note)
        assert first.status_code == 200, "the same answers, with a reason, are a correction too"
        [amended] = notes.of(server, first, "QuestionnaireResponse")
        [second] = notes.of(server, first, "Composition")
        again = signed.correct(signed.note, amended, reason="Corrected once more.")
        [third] = notes.of(server, again, "Composition")
        replaced = [each["relatesTo"][0]["targetReference"] for each in (second, third)]
        assert replaced == [
            {"reference": f"Composition/{each['id']}"} for each in (signed.composition, second)
        ]
        for answer in (first, again):
            [document] = notes.of(server, answer, "Bundle")
            verify(document, server.context.jwks())

    def test_what_is_said_no_longer_is_entered_in_error(
        self, server: Served, signed: Signed
    ) -> None:
        started = [
            each
            for each in notes.of(server, signed.answer, "Observation")
            if "dissection-start" in each["identifier"][0]["value"]
        ]
        given = find(signed.note, "dissection-start")["answer"][0]["valueCoding"]
        unknown = {"valueCoding": {"system": given["system"], "code": "not-measured"}}
        rest = without(signed.note, "dissection-start-cm")
        answer = signed.correct(answered(rest, "dissection-start", unknown))
        assert answer.status_code == 200, answer.text
        [gone] = [notes.read(server, f"Observation/{each['id']}") for each in started]
        assert gone["status"] == "entered-in-error"

    def test_the_provenance_tells_who_when_why_and_of_which_version(
        self, server: Served, signed: Signed
    ) -> None:
        answer = signed.correct(signed.note)
        [told] = notes.of(server, answer, "Provenance")
        assert told["reason"] == [{"text": WHY}]
        before = f"QuestionnaireResponse/{signed.note['id']}/_history/2"
        assert told["entity"] == [{"role": "revision", "what": {"reference": before}}]
        assert notes.read(server, before)["status"] == "completed"

    def test_the_case_stays_one_and_as_it_was(self, server: Served, signed: Signed) -> None:
        [case] = notes.of(server, signed.answer, "EpisodeOfCare")
        answer = signed.correct(signed.note)
        assert notes.of(server, answer, "EpisodeOfCare") == [case]

    def test_asked_again_it_is_answered_as_the_first_time(
        self, server: Served, signed: Signed
    ) -> None:
        right = answered(signed.note, "length-resected-cm", {"valueDecimal": Decimal(12)})
        first, again = signed.correct(right), signed.correct(right)
        assert again.json() == first.json()
        other = answered(signed.note, "length-resected-cm", {"valueDecimal": Decimal(13)})
        assert notes.refused(signed.correct(other), 412)["code"] == "conflict"

    def test_what_cannot_be_corrected_is_refused_and_nothing_is_changed(
        self, server: Served, signed: Signed
    ) -> None:
        other = {"reference": notes.place(server, "Patient", notes.NHS, notes.OTHER_CHILD)}
        notes.refused(signed.correct({**signed.note, "subject": other}), 422)
        notes.refused(signed.correct(without(signed.note, "blood-loss-ml")), 422)
        notes.refused(signed.correct(signed.note, reason=" "), 422)
        elsewhere = notes.ods(notes.OTHER_HOSPITAL)
        notes.refused(signed.correct(signed.note, hospital=elsewhere), 422)
        notes.refused(notes.asked(server, signed.note, "$correct", if_match="none"), 400)
        draft = notes.stored(server, notes.draft(server))
        notes.refused(signed.correct(draft, draft), 409)
        kept = notes.read(server, f"QuestionnaireResponse/{signed.note['id']}")
        assert kept == signed.note

    def test_a_note_that_was_not_signed_here_has_nothing_to_be_corrected(
        self, server: Served
    ) -> None:
        note = notes.stored(server, notes.draft(server, status="completed"))
        given = {"response": note, "reason": WHY, "signer": notes.gmc(notes.SURGEON)}
        issue = notes.refused(notes.asked(server, note, "$correct", **given), 409)
        assert "not signed here" in issue["diagnostics"]


class TestAddendum:
    def test_words_are_added_and_the_note_stays(self, server: Served, signed: Signed) -> None:
        answer = signed.addend("Histology: ganglion cells at the upper end.")
        [composition] = notes.of(server, answer, "Composition")
        assert composition["relatesTo"] == [
            {
                "code": "appends",
                "targetReference": {"reference": f"Composition/{signed.composition['id']}"},
            }
        ]
        [document] = notes.of(server, answer, "Bundle")
        verify(document, server.context.jwks())
        kept = notes.read(server, f"QuestionnaireResponse/{signed.note['id']}")
        assert kept == signed.note

    def test_the_same_words_sent_twice_are_stored_once(
        self, server: Served, signed: Signed
    ) -> None:
        first, again = signed.addend("Well."), signed.addend("Well.")
        places = [each.json()["entry"][0]["response"]["location"] for each in (first, again)]
        assert places[0] == places[1]
        found = server.http.get(f"/Composition?related-ref=Composition/{signed.composition['id']}")
        assert found.json()["total"] == 1

    def test_a_correction_replaces_the_note_and_no_addendum(
        self, server: Served, signed: Signed
    ) -> None:
        signed.addend("Well.")
        [composition] = notes.of(server, signed.correct(signed.note), "Composition")
        replaced = composition["relatesTo"][0]["targetReference"]["reference"]
        assert replaced == f"Composition/{signed.composition['id']}"

    def test_nothing_is_added_to_a_draft_or_by_nobody(self, server: Served) -> None:
        draft = notes.stored(server, notes.draft(server))
        given = {"text": "Well.", "signer": notes.gmc(notes.SURGEON)}
        notes.refused(notes.asked(server, draft, "$addend", **given), 409)
        signed = Signed(server)
        notes.refused(signed.addend("Well.", signer=notes.gmc("0000000")), 422)
        notes.refused(signed.addend("  "), 422)


class TestCarryOver:
    def carried(self, server: Served, draft: Resource, **more: Any) -> Resource:
        listed = [{"name": "response", "resource": draft}]
        listed += [{"name": name, "valueReference": value} for name, value in more.items()]
        answer = server.http.post(
            "/QuestionnaireResponse/$carry-over",
            content=encode({"resourceType": "Parameters", "parameter": listed}),
            headers=notes.JSON,
        )
        assert answer.status_code == 200, answer.text
        found: Resource = decode(answer.content)
        return found

    def draft(self, server: Served) -> Resource:
        """A draft about another child, nothing answered yet."""
        child = {"reference": notes.place(server, "Patient", notes.NHS, notes.OTHER_CHILD)}
        full = notes.draft(server, subject=child)
        return {key: value for key, value in full.items() if key != "item"}

    def test_technique_comes_from_the_surgeons_last_note_and_is_marked(
        self, server: Served, signed: Signed
    ) -> None:
        found = self.carried(server, self.draft(server))
        marks = {
            each["extension"][0]["valueString"]: each["extension"][1]["valueReference"]
            for each in found["extension"]
            if each["url"] == CARRIED
        }
        source = {"reference": f"QuestionnaireResponse/{signed.note['id']}"}
        assert marks["approach"] == source
        for link_id in marks:
            assert find(found, link_id)["answer"] == find(signed.note, link_id)["answer"]
        assert find(found, "blood-loss-ml") == {}
        assert notes.stored(server, found)["extension"] == found["extension"]

    def test_another_surgeons_technique_is_not_carried_over(
        self, server: Served, signed: Signed
    ) -> None:
        nobody = notes.gmc("9999975")
        body = {
            "resourceType": "Practitioner",
            "identifier": [{"system": notes.GMC, "value": "9999975"}],
        }
        assert server.http.post("/Practitioner", json=body).status_code == 201
        draft = self.draft(server)
        assert self.carried(server, draft, signer=nobody) == draft

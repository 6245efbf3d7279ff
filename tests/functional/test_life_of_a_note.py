"""The life of a note by the API alone: draft, conflict, signature, and what is kept of it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from fhir_server.access.keys import verify
from r4.json import Resource, decode, encode
from tests.support import notes
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow  # what the databases do differently, other tests see
EFFORT = "https://csor.example/fhir/StructureDefinition/note-effort"


@pytest.fixture(scope="module", autouse=True)
def _known(server: Served) -> None:
    notes.registered(server)


def count(server: Served, query: str) -> int:
    return int(server.http.get(f"/{query}&_summary=count").json()["total"])


def saved(server: Served, note: Resource, **more: object) -> Resource:
    """Save a draft once more, as a page does every few seconds."""
    answer = server.http.put(
        f"/QuestionnaireResponse/{note['id']}",
        content=encode({**note, **more}),
        headers={**notes.JSON, "If-Match": f'W/"{note["meta"]["versionId"]}"'},
    )
    assert answer.status_code == 200, answer.text
    return decode(answer.content)


class TestDraft:
    def test_of_two_pages_that_save_one_draft_the_second_is_told_and_can_show_both(
        self, server: Served
    ) -> None:
        opened = notes.stored(server, notes.draft(server))
        mine = saved(server, opened, language="en")
        stale = server.http.put(
            f"/QuestionnaireResponse/{opened['id']}",
            content=encode({**opened, "language": "cy"}),
            headers={**notes.JSON, "If-Match": opened_tag(opened)},
        )
        assert notes.refused(stale, 412)["code"] == "conflict"
        theirs = notes.read(server, f"QuestionnaireResponse/{opened['id']}")
        assert (theirs["language"], theirs["meta"]) == ("en", mine["meta"])


def opened_tag(note: Resource) -> str:
    return f'W/"{note["meta"]["versionId"]}"'


class TestSignature:
    def test_the_draft_becomes_the_signed_note_with_all_that_follows_from_it(
        self, server: Served
    ) -> None:
        opened = notes.stored(server, notes.draft(server))
        note = saved(server, opened, language="en")
        answer = notes.sign(server, note)
        assert answer.status_code == 200, answer.text
        kinds = [e["response"]["location"].split("/")[0] for e in answer.json()["entry"]]
        assert kinds[0] == "QuestionnaireResponse"
        assert kinds[-3:] == ["Composition", "Bundle", "Provenance"]
        assert {"Procedure", "EpisodeOfCare"} <= set(kinds)
        [signed] = notes.of(server, answer, "QuestionnaireResponse")
        assert (signed["id"], signed["meta"]["versionId"]) == (opened["id"], "3")
        assert (signed["status"], signed["language"]) == ("completed", "en")
        [procedure] = notes.of(server, answer, "Procedure")
        assert procedure["subject"]["reference"] == signed["subject"]["reference"]
        [provenance] = notes.of(server, answer, "Provenance")
        assert provenance["target"][0]["reference"] == f"QuestionnaireResponse/{opened['id']}"

    def test_the_seconds_from_opening_to_signing_are_the_servers_own(self, server: Served) -> None:
        opened = notes.stored(server, notes.draft(server))
        [signed] = notes.of(server, notes.sign(server, opened), "QuestionnaireResponse")
        [effort] = [each for each in signed["extension"] if each["url"] == EFFORT]
        said = {each["url"]: each for each in effort["extension"]}
        assert said["opened"]["valueInstant"] == opened["meta"]["lastUpdated"]
        assert said["signed"]["valueInstant"] <= signed["meta"]["lastUpdated"]
        assert 0 <= said["seconds"]["valueInteger"] < 60

    def test_the_document_that_is_read_back_is_verified_by_the_published_keys(
        self, server: Served
    ) -> None:
        answer = notes.sign(server, notes.stored(server, notes.draft(server)))
        [document] = notes.of(server, answer, "Bundle")
        published = server.http.get(server.base_url.replace("/fhir", "/.well-known/jwks.json"))
        assert published.headers["content-type"] == "application/jwk-set+json"
        verify(document, decode(published.content))

    def test_the_document_names_child_surgeon_and_hospital_though_the_draft_did_not(
        self, server: Served
    ) -> None:
        answer = notes.sign(server, notes.stored(server, notes.draft(server)))
        [document] = notes.of(server, answer, "Bundle")
        held = {each["resource"]["resourceType"]: each["resource"] for each in document["entry"]}
        assert held["Patient"]["name"] == [{"text": "Fictitious Testchild-Plover"}]
        assert held["Patient"]["identifier"] == [{"system": notes.NHS, "value": notes.CHILD}]
        assert held["Practitioner"]["identifier"][0]["value"] == notes.SURGEON
        assert held["Organization"]["name"] == "Fictitious Oxford"
        [procedure] = notes.of(server, answer, "Procedure")
        assert "display" not in procedure["subject"]

    def test_the_document_says_of_its_parties_what_the_registry_knows_and_not_what_is_sent(
        self, server: Served
    ) -> None:
        child = notes.place(server, "Patient", notes.NHS, notes.CHILD)
        wrong = {"system": notes.NHS, "value": notes.OTHER_CHILD}
        said = {"reference": child, "display": "Another Child", "identifier": wrong}
        note = notes.stored(server, notes.draft(server, subject=said))
        surgeon = {**notes.gmc(notes.SURGEON), "display": "Professor Somebody Else"}
        [document] = notes.of(server, notes.sign(server, note, signer=surgeon), "Bundle")
        held = {each["resource"]["resourceType"]: each["resource"] for each in document["entry"]}
        assert held["Patient"]["name"] == [{"text": "Fictitious Testchild-Plover"}]
        assert held["Patient"]["identifier"] == [{"system": notes.NHS, "value": notes.CHILD}]
        assert held["Practitioner"]["name"] == [{"text": "Testsurgeon"}]

    def test_the_draft_is_its_authors_unless_another_surgeon_signs(self, server: Served) -> None:
        note = notes.stored(server, notes.draft(server))
        answer = notes.sign(server, note, signer=notes.gmc(notes.OTHER_SURGEON))
        [composition] = notes.of(server, answer, "Composition")
        other = notes.place(server, "Practitioner", notes.GMC, notes.OTHER_SURGEON)
        assert composition["attester"][0]["party"]["reference"] == other

    def test_asked_again_it_is_answered_as_the_first_time_and_stored_once(
        self, server: Served
    ) -> None:
        note = notes.stored(server, notes.draft(server))
        first, again = notes.sign(server, note), notes.sign(server, note)
        assert again.status_code == 200
        assert again.json() == first.json()
        assert count(server, f"Provenance?target=QuestionnaireResponse/{note['id']}") == 1

    def test_of_signatures_at_the_same_time_one_is_stored(self, server: Served) -> None:
        note = notes.stored(server, notes.draft(server))
        signers = [notes.gmc(each) for each in (notes.SURGEON, notes.OTHER_SURGEON)] * 2
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda who: notes.sign(server, note, signer=who), signers))
        statuses = sorted(each.status_code for each in answers)
        assert statuses == [200, 200, 412, 412]
        assert len({each.text for each in answers if each.status_code == 200}) == 1
        assert count(server, f"Provenance?target=QuestionnaireResponse/{note['id']}") == 1


class TestRefusals:
    def test_another_version_than_the_one_seen_is_not_signed(self, server: Served) -> None:
        opened = notes.stored(server, notes.draft(server))
        saved(server, opened, language="en")
        assert notes.refused(notes.sign(server, opened), 412)["code"] == "conflict"
        kept = notes.read(server, f"QuestionnaireResponse/{opened['id']}")
        assert (kept["status"], kept["language"]) == ("in-progress", "en")

    @pytest.mark.parametrize("tag", ["none", "yesterday", 'W/"x"', "*"])
    def test_without_a_version_nothing_is_signed(self, server: Served, tag: str) -> None:
        note = notes.stored(server, notes.draft(server))
        issue = notes.refused(notes.sign(server, note, if_match=tag), 400)
        assert "If-Match" in issue["diagnostics"]

    def test_a_signed_note_is_not_signed_once_more(self, server: Served) -> None:
        note = notes.stored(server, notes.draft(server))
        [signed] = notes.of(server, notes.sign(server, note), "QuestionnaireResponse")
        issue = notes.refused(notes.sign(server, signed), 409)
        assert "$correct" in issue["diagnostics"]
        assert count(server, f"Provenance?target=QuestionnaireResponse/{note['id']}") == 1

    def test_a_note_that_is_not_here_is_not_found(self, server: Served) -> None:
        note = {"id": "nowhere", "meta": {"versionId": "1"}}
        notes.refused(notes.sign(server, note), 404)

    def test_an_incomplete_draft_is_kept_as_it_is_and_every_gap_is_named(
        self, server: Served
    ) -> None:
        response = notes.draft(server)
        response["item"] = [each for each in response["item"] if each["linkId"] == "patient"]
        note = notes.stored(server, response)
        answer = notes.sign(server, note)
        assert answer.status_code == 422
        assert len(answer.json()["issue"]) > 5
        kept = notes.read(server, f"QuestionnaireResponse/{note['id']}")
        assert kept["meta"]["versionId"] == "1"

    @pytest.mark.parametrize(
        "wrong", [{"author": {"reference": 5}}, {"item": {}}, {"item": [5]}, {"subject": "x"}]
    )
    def test_what_is_no_response_is_neither_signed_nor_a_correction(
        self, server: Served, wrong: Resource
    ) -> None:
        note = {**notes.draft(server), **wrong}
        given = [{"name": "response", "resource": note}]
        given.append({"name": "hospital", "valueReference": notes.ods(notes.HOSPITAL)})
        body = {"resourceType": "Parameters", "parameter": given}
        answer = server.http.post(
            "/QuestionnaireResponse/$sign", content=encode(body), headers=notes.JSON
        )
        assert notes.refused(answer, 422)["expression"][0].startswith("QuestionnaireResponse.")
        signed = notes.stored(server, notes.draft(server))
        assert notes.sign(server, signed).status_code == 200
        corrected = notes.asked(
            server, signed, "$correct", if_match='W/"2"', response=note, reason="wrong"
        )
        assert notes.refused(corrected, 422)["expression"][0].startswith("QuestionnaireResponse.")

    def test_a_survey_is_not_signed(self, server: Served) -> None:
        survey = "https://csor.example/fhir/Questionnaire/parent-survey-hirschsprung-5-years"
        draft = {key: value for key, value in notes.draft(server).items() if key != "item"}
        note = notes.stored(server, {**draft, "questionnaire": survey})
        assert "$process-response" in notes.refused(notes.sign(server, note), 422)["diagnostics"]

    def test_another_hospital_than_that_of_the_answers_does_not_sign(self, server: Served) -> None:
        note = notes.stored(server, notes.draft(server))
        answer = notes.sign(server, note, hospital=notes.ods(notes.OTHER_HOSPITAL))
        assert notes.refused(answer, 422)["code"] == "business-rule"

    def test_an_answer_that_is_carried_over_is_confirmed_first(self, server: Served) -> None:
        source = {"reference": "QuestionnaireResponse/" + notes.stored(
            server, notes.draft(server))["id"]}  # fmt: skip
        mark = {
            "url": "https://csor.example/fhir/StructureDefinition/carried-over",
            "extension": [
                {"url": "linkId", "valueString": "approach"},
                {"url": "source", "valueReference": source},
            ],
        }
        note = notes.stored(server, notes.draft(server, extension=[mark]))
        issue = notes.refused(notes.sign(server, note), 422)
        assert "approach" in issue["diagnostics"]
        confirmed = saved(server, {k: v for k, v in note.items() if k != "extension"})
        assert notes.sign(server, confirmed).status_code == 200

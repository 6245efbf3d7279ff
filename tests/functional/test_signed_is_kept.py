"""What is signed stays as it was signed, by whatever door a change comes; what is told of it may move."""

import json
from copy import deepcopy
from typing import Any

import httpx
import pytest

from fhir_server.access.keys import verify
from r4.json import Resource, decode, encode
from tests.functional.test_bulk_import import imported, ndjson
from tests.functional.test_cda import note, version
from tests.functional.test_cda import send as cda
from tests.functional.test_fhir_messages import answered, message
from tests.functional.test_hl7v2 import admission, send
from tests.functional.test_moves import VISIT, event, mrg, pid, said
from tests.support import notes
from tests.support.mllp import register
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow  # what the databases do differently, other tests see

NUMBER = {"system": "https://csor.example/fhir/sid/note", "value": "kept-1"}


@pytest.fixture(scope="module", autouse=True)
def _known(server: Served) -> None:
    notes.registered(server)


@pytest.fixture(scope="module")
def signed(server: Served) -> dict[str, Resource]:
    """A signed note: its answers, its Composition and its document, as they are stored."""
    note = notes.stored(server, notes.draft(server, identifier=NUMBER))
    answer = notes.sign(server, note)
    kinds = ("QuestionnaireResponse", "Composition", "Bundle", "Procedure")
    return {kind: notes.of(server, answer, kind)[0] for kind in kinds}


KINDS = ("QuestionnaireResponse", "Composition", "Bundle")
each_kind = pytest.mark.parametrize("kind", KINDS)


def changed(resource: Resource) -> Resource:
    """Return a valid resource that says something else."""
    other = deepcopy(resource)
    if other["resourceType"] == "QuestionnaireResponse":
        other["authored"] = "2026-01-01T00:00:00Z"
    elif other["resourceType"] == "Composition":
        other["title"] = "Another title"
    else:
        other["timestamp"] = "2026-01-01T00:00:00Z"
    return other


def place(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def put(server: Served, resource: Resource) -> httpx.Response:
    return server.http.put(f"/{place(resource)}", content=encode(resource), headers=notes.JSON)


def is_kept(server: Served, resource: Resource) -> bool:
    return notes.read(server, place(resource)) == resource


def is_refused(answer: httpx.Response) -> bool:
    issue = notes.refused(answer, 409)
    assert issue["code"] == "business-rule"
    assert "$correct" in issue["diagnostics"]
    return True


class TestByEveryDoor:
    @each_kind
    def test_an_update(self, server: Served, signed: dict[str, Resource], kind: str) -> None:
        assert is_refused(put(server, changed(signed[kind])))
        assert is_kept(server, signed[kind])

    @each_kind
    def test_an_update_that_says_the_same_changes_nothing(
        self, server: Served, signed: dict[str, Resource], kind: str
    ) -> None:
        assert put(server, signed[kind]).status_code == 200
        assert is_kept(server, signed[kind])

    def test_an_answer_changed_after_signing(
        self, server: Served, signed: dict[str, Resource]
    ) -> None:
        other = deepcopy(signed["QuestionnaireResponse"])
        other["item"][1]["item"][0]["answer"] = [{"valueDateTime": "2026-03-09T09:13:00+00:00"}]
        assert is_refused(put(server, other))
        assert is_kept(server, signed["QuestionnaireResponse"])

    def test_a_status_that_would_reopen_the_note(
        self, server: Served, signed: dict[str, Resource]
    ) -> None:
        for status in ("in-progress", "amended", "entered-in-error"):
            assert is_refused(put(server, {**signed["QuestionnaireResponse"], "status": status}))
        for status in ("preliminary", "entered-in-error"):
            assert is_refused(put(server, {**signed["Composition"], "status": status}))

    def test_the_note_of_one_child_cannot_be_given_to_another(
        self, server: Served, signed: dict[str, Resource]
    ) -> None:
        other = notes.place(server, "Patient", notes.NHS, notes.OTHER_CHILD)
        for kind in KINDS[:2]:
            assert is_refused(put(server, {**signed[kind], "subject": {"reference": other}}))

    @each_kind
    def test_a_patch(self, server: Served, signed: dict[str, Resource], kind: str) -> None:
        operation = {"op": "replace", "path": "/language", "value": "cy"}
        if "language" not in signed[kind]:
            operation["op"] = "add"
        answer = server.http.patch(
            f"/{place(signed[kind])}",
            content=json.dumps([operation]),
            headers={"Content-Type": "application/json-patch+json"},
        )
        assert is_refused(answer)

    @each_kind
    def test_a_deletion(self, server: Served, signed: dict[str, Resource], kind: str) -> None:
        assert is_refused(server.http.delete(f"/{place(signed[kind])}"))
        assert is_kept(server, signed[kind])

    @each_kind
    def test_a_transaction_with_it_is_refused_whole_and_a_batch_in_that_entry(
        self, server: Served, signed: dict[str, Resource], kind: str
    ) -> None:
        other = changed(signed[kind])
        new = {"resourceType": "Basic", "code": {"text": "beside a signed note"}}
        entries = [
            {"resource": new, "request": {"method": "POST", "url": "Basic"}},
            {"resource": other, "request": {"method": "PUT", "url": place(other)}},
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        before = server.http.get("/Basic?_summary=count").json()["total"]
        answer = server.http.post("/", content=encode(bundle), headers=notes.JSON)
        assert is_refused(answer)
        assert answer.json()["issue"][0]["expression"][0].startswith("Bundle.entry[1]")
        assert server.http.get("/Basic?_summary=count").json()["total"] == before
        each = server.http.post(
            "/", content=encode({**bundle, "type": "batch"}), headers=notes.JSON
        )
        statuses = [entry["response"]["status"][:3] for entry in each.json()["entry"]]
        assert statuses == ["201", "409"]

    def test_a_conditional_update(self, server: Served, signed: dict[str, Resource]) -> None:
        other = changed(signed["QuestionnaireResponse"])
        answer = server.http.put(
            f"/QuestionnaireResponse?identifier={NUMBER['system']}|{NUMBER['value']}",
            content=encode(other),
            headers=notes.JSON,
        )
        assert is_refused(answer)

    def test_a_message_of_a_hospital(self, server: Served, signed: dict[str, Resource]) -> None:
        note = {
            key: value
            for key, value in changed(signed["QuestionnaireResponse"]).items()
            if key not in ("meta", "text", "encounter", "id")
        }
        note["subject"] = {"reference": f"Patient?identifier={notes.NHS}|{notes.CHILD}"}
        note["author"] = notes.gmc(notes.SURGEON)
        code, issues = answered(server, message("signed-1", json.loads(encode(note))))
        assert code == "fatal-error"
        assert "is signed" in issues[0]["diagnostics"]
        assert is_kept(server, signed["QuestionnaireResponse"])

    def test_a_document_that_says_it_replaces_it(
        self, server: Served, signed: dict[str, Resource]
    ) -> None:
        """A CDA document supersedes one that came as CDA; which that is, a DocumentReference says."""
        register(server, "RTH")
        first = note("3901", "9990000018")
        assert cda(server, first).status_code == 200
        more = {"text": "Well.", "signer": notes.gmc(notes.SURGEON)}
        answer = notes.asked(server, signed["QuestionnaireResponse"], "$addend", **more)
        [addendum] = notes.of(server, answer, "Composition")
        url = "/DocumentReference?identifier=OPN-3901"
        said = ("subject", "type", "author", "title", "date")
        forged = {
            **{name: signed["Composition"][name] for name in said},
            "resourceType": "Composition",
            "status": "final",
            "identifier": {"system": "https://x.example", "value": "forged"},
            "section": [{"entry": [{"reference": place(signed["Bundle"])}]}],
        }
        made = server.http.post("/Composition", content=encode(forged), headers=notes.JSON).json()
        for attested in (signed["Composition"], addendum, made):
            [found] = [each["resource"] for each in server.http.get(url).json()["entry"]]
            found["context"]["related"] = [{"reference": place(attested)}]
            assert put(server, found).status_code == 200
            issue = notes.refused(cda(server, version(first, "3902", "3901")), 409)
            assert issue["expression"] == ["ClinicalDocument.relatedDocument"]
            assert is_kept(server, attested)
            assert is_kept(server, signed["Bundle"])

    def test_an_import(self, server: Served, signed: dict[str, Resource]) -> None:
        both = [signed["QuestionnaireResponse"], changed(signed["QuestionnaireResponse"])]
        one, other = (ndjson([json.loads(encode(each))]) for each in both)
        counted, _ = imported(server.http, one)
        assert counted["unchanged"] == 1
        counted, reasons = imported(server.http, other)
        assert counted["refused"] == 1
        assert "is signed" in reasons[0]

    def test_validation_says_before_what_a_write_would_be_told(
        self, server: Served, signed: dict[str, Resource]
    ) -> None:
        other = changed(signed["QuestionnaireResponse"])
        entry = {"resource": other, "request": {"method": "PUT", "url": place(other)}}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        answer = server.http.post("/Bundle/$validate", content=encode(bundle), headers=notes.JSON)
        assert any("is signed" in each["diagnostics"] for each in answer.json()["issue"])


def test_a_note_on_a_version_of_its_form_that_is_gone_is_kept_all_the_same(server: Served) -> None:
    form = f"https://csor.example/fhir/Questionnaire/{notes.FORM}|0.0.1"
    old = notes.stored(server, notes.draft(server, status="completed", questionnaire=form))
    assert is_refused(put(server, changed(old)))
    url, _, version = form.partition("|")
    other = {"resourceType": "Questionnaire", "url": url, "version": version, "status": "active"}
    answer = server.http.post("/Questionnaire", json=other)
    assert answer.status_code == 201
    assert is_refused(put(server, changed(old)))
    assert server.http.delete(f"/Questionnaire/{answer.json()['id']}").is_success


class TestWhatIsNotSigned:
    def test_a_draft_and_a_preliminary_composition_change(self, server: Served) -> None:
        note = notes.stored(server, notes.draft(server))
        assert put(server, {**note, "language": "cy"}).status_code == 200
        assert server.http.delete(f"/{place(note)}").status_code in (200, 204)
        child = notes.place(server, "Patient", notes.NHS, notes.CHILD)
        letter: dict[str, Any] = {
            "resourceType": "Composition", "id": "letter", "status": "preliminary",
            "type": {"text": "Letter"}, "date": "2026-01-01", "title": "Letter",
            "subject": {"reference": child}, "author": [{"display": "Somebody"}],
        }  # fmt: skip
        assert put(server, letter).status_code == 201
        assert put(server, {**letter, "title": "Other"}).status_code == 200

    def test_what_was_extracted_is_a_record_like_any_other(
        self, server: Served, signed: dict[str, Resource]
    ) -> None:
        procedure = signed["Procedure"]
        assert put(server, {**procedure, "language": "en"}).status_code == 200


class TestMoves:
    def test_a_visit_that_was_another_childs_takes_what_is_attested_along(
        self, server: Served
    ) -> None:
        wrong, right = "9990000077", "9990000085"
        send(server, admission("K-1", wrong), event("A28", "K-2", pid(right, "70085")))
        [visit] = server.http.get(f"/Encounter?identifier={VISIT}|70077-1").json()["entry"]
        before, surgeon = visit["resource"]["subject"], notes.place(
            server, "Practitioner", notes.GMC, notes.SURGEON
        )  # fmt: skip
        letter: dict[str, Any] = {
            "resourceType": "Composition", "id": "attested", "status": "final",
            "type": {"text": "Letter"}, "date": "2026-01-01", "title": "Letter",
            "subject": {**before, "display": "Fictitious Testchild-Wren"},
            "encounter": {"reference": f"Encounter/{visit['resource']['id']}"},
            "author": [{"reference": surgeon}],
            "attester": [{"mode": "legal", "party": {"reference": surgeon}}],
        }  # fmt: skip
        assert put(server, letter).status_code == 201
        move = event("A44", "K-3", pid(right, account="70077-1"), mrg(wrong, account="70077-1"))
        assert said(send(server, move)) == ["AA"]
        moved = notes.read(server, "Composition/attested")
        now = notes.place(server, "Patient", notes.NHS, right)
        assert moved["subject"]["reference"] == now != before["reference"]
        assert is_refused(put(server, {**moved, "subject": before}))

    def test_records_that_are_merged_leave_the_signed_note_as_it_is(self, server: Served) -> None:
        stands, goes = "9990000093", "9990000107"
        send(server, admission("M-1", stands), admission("M-2", goes))
        child = {"reference": notes.place(server, "Patient", notes.NHS, goes)}
        encoded = encode(notes.draft(server)).replace(notes.CHILD.encode(), goes.encode())
        note = notes.stored(server, {**decode(encoded), "subject": child})
        [document] = notes.of(server, notes.sign(server, note), "Bundle")
        assert said(send(server, event("A40", "M-3", pid(stands), mrg(goes)))) == ["AA"]
        verify(notes.read(server, place(document)), server.context.jwks())

    def test_a_purge_takes_the_signed_note_with_the_child(self, server: Served) -> None:
        number = "9990000123"
        send(server, admission("P-1", number))
        patient = notes.place(server, "Patient", notes.NHS, number)
        encoded = encode(notes.draft(server)).replace(notes.CHILD.encode(), number.encode())
        note = notes.stored(server, {**decode(encoded), "subject": {"reference": patient}})
        answer = notes.sign(server, note)
        body = {"resourceType": "Parameters", "parameter": [
            {"name": "reason", "valueString": "request 17"}]}  # fmt: skip
        assert server.http.post(f"/{patient}/$purge", json=body).status_code == 200
        for entry in answer.json()["entry"]:
            gone = entry["response"]["location"].partition("/_history")[0]
            assert server.http.get(f"/{gone}").status_code in (404, 410)

"""Whoever has a session of one child sees and changes nothing of another, and signs as nobody else."""

import contextlib
from typing import Any

import pytest

from fhir_server.access import SURGEON, admit
from fhir_server.context import Context, Principal
from fhir_server.rest import confined
from fhir_server.rest.answers import Asked
from fhir_server.rest.request import Request
from fhir_server.rest.routes import TABLE
from r4 import definitions
from r4.issue import FhirError
from r4.json import decode, encode
from tests.support.theatre import HERE, Theatre

NOTE = "https://csor.example/fhir/sid/note"


class TestConfinement:
    """Whoever has a session of Ann's can neither see nor change anything of Bob's."""

    async def test_her_note_is_written_and_read(self, room: Theatre) -> None:
        with room.open():
            note = await room.stored(room.draft())
            draft = {**room.draft(), "id": note.partition("/")[2]}
            saved = await room.http.put(
                f"/fhir/{note}", json=draft | {"language": "en"}, headers={"If-Match": 'W/"1"'}
            )
            assert (saved.status_code, saved.headers["etag"]) == (200, 'W/"2"')
            stale = await room.http.put(f"/fhir/{note}", json=draft, headers={"If-Match": '"1"'})
            assert stale.status_code == 412
            answer = await room.http.get(f"/fhir/{note}")
            assert answer.json()["language"] == "en"
            assert answer.headers["cache-control"] == "no-store"

    async def test_another_childs_note_is_not_there(self, room: Theatre) -> None:
        note = await room.stored(room.draft("bob"))
        key = note.partition("/")[2]
        with room.open():
            assert (await room.http.get(f"/fhir/{note}")).status_code == 404
            for draft in (room.draft("bob", id=key), room.draft(id=key)):
                assert (await room.http.put(f"/fhir/{note}", json=draft)).status_code == 404
            assert (await room.http.get(f"/fhir/{note}/$validate")).status_code == 404
            url = f"/fhir/{note}/$validate"
            assert (await room.http.post(url, json=room.draft())).status_code == 404
        assert (await room.http.get(f"/fhir/{note}")).headers["etag"] == 'W/"1"'

    @pytest.mark.parametrize(
        "wrong",
        [
            {"subject": {"reference": "bob"}},
            {"subject": {"reference": f"{HERE}/fhir/bob"}},
            {"subject": {"reference": "Patient?name=Bob"}},
            {"subject": None},
            {"author": {"reference": "other surgeon"}},
            {"source": {"reference": "bob"}},
            {"encounter": {"reference": "visit of bob"}},
            {"item": [{"linkId": "a", "answer": [{"valueReference": {"reference": "bob"}}]}]},
            {"status": "completed"},
        ],
        ids=str,
    )
    async def test_a_draft_names_no_other_child_and_no_other_author(
        self, room: Theatre, wrong: dict[str, Any]
    ) -> None:
        room.places["visit of bob"] = await room.stored(
            {
                "resourceType": "Encounter",
                "status": "in-progress",
                "class": {"code": "IMP"},
                "subject": {"reference": room.places["bob"]},
            }
        )
        draft = _placed({**room.draft(), **wrong}, room.places)
        with room.open():
            answer = await room.http.post("/fhir/QuestionnaireResponse", json=draft)
        assert answer.status_code == 403, answer.text

    async def test_criteria_cannot_ask_about_other_children(self, room: Theatre) -> None:
        bobs = {"system": NOTE, "value": "bob's"}
        await room.stored(room.draft("bob", identifier=bobs))
        with room.open():
            for criteria in ("subject.name=Bob", "status=in-progress", f"identifier={NOTE}|bob's"):
                answer = await room.http.post(
                    "/fhir/QuestionnaireResponse",
                    json=room.draft(),
                    headers={"If-None-Exist": criteria},
                )
                assert answer.status_code == 403, criteria
            for query in (
                "Questionnaire?_revinclude=QuestionnaireResponse:questionnaire",
                "Questionnaire?_has:QuestionnaireResponse:questionnaire:subject=x",
                "QuestionnaireResponse",
                "QuestionnaireResponse?subject=x",
                "Observation",
                room.places["ann"],
                f"{room.places['ann']}/$everything",
            ):
                assert (await room.http.get(f"/fhir/{query}")).status_code == 403, query
            put = room.http.put("/fhir/QuestionnaireResponse?status=x", json=room.draft())
            assert (await put).status_code == 403

    async def test_what_was_refused_waits_in_no_inbox(self, room: Theatre) -> None:
        """A replay would be the registry's, and not confined."""
        with room.open():
            wrong = room.draft(subject={"reference": room.places["bob"]})
            await room.http.post("/fhir/QuestionnaireResponse", json=wrong)
        waiting = (await room.http.get("/health")).json()["inbox"]
        assert sum(waiting.values()) == 0


def _placed(node: Any, places: dict[str, str]) -> Any:
    """Put the places of the test's resources in the stead of their names; leave out what is None."""
    if isinstance(node, dict):
        return {k: _placed(v, places) for k, v in node.items() if v is not None}
    if isinstance(node, list):
        return [_placed(each, places) for each in node]
    if isinstance(node, str) and node.startswith(f"{HERE}/fhir/"):
        return f"{HERE}/fhir/{places[node.removeprefix(f'{HERE}/fhir/')]}"
    return places.get(node, node) if isinstance(node, str) else node


async def test_whoever_signs_is_the_sessions_surgeon(room: Theatre) -> None:
    """The signer that the body names is not looked at: the refusal is the note's own, and no 403."""
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "response", "resource": room.draft()},
            {"name": "signer", "valueReference": {"reference": room.places["other surgeon"]}},
            {"name": "hospital", "valueReference": {"reference": room.places["hospital"]}},
        ],
    }
    with room.open():
        answer = await room.http.post("/fhir/QuestionnaireResponse/$sign", json=body)
        assert answer.status_code == 422
        body["parameter"][2]["valueReference"] = {"reference": "Organization/other"}
        answer = await room.http.post("/fhir/QuestionnaireResponse/$sign", json=body)
        assert answer.status_code == 403


async def test_nobody_elses_technique_is_carried_over(room: Theatre, made: Context) -> None:
    with room.open() as session:
        draft = room.draft()
        other = {"reference": room.places["other surgeon"]}
        body = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "response", "resource": draft},
                {"name": "signer", "valueReference": other},
            ],
        }
        for sent in (draft, body):
            headers = {b"content-type": b"application/fhir+json"}
            request = Request("POST", "/fhir/QuestionnaireResponse/$carry-over", b"", headers)
            asked = Asked(request, {"type": "QuestionnaireResponse"}, encode(sent))
            context = made.asked_by(session.principal)
            given = decode(confined.sent(context, "$carry-over", asked).raw)["parameter"]
            assert [each["name"] for each in given] == ["response", "signer"]
            assert given[1]["valueReference"]["reference"] == room.places["surgeon"]


def test_a_surgeon_may_do_what_is_listed_and_nothing_else() -> None:
    surgeon = Principal("Practitioner/1", frozenset({SURGEON}), "Patient/1")
    allowed = set()
    for code in {row.code for row in TABLE}:
        for kind in (None, *definitions.resource_types()):
            with contextlib.suppress(FhirError):
                admit(surgeon, code, kind)
                allowed.add((code, kind))
    note = "QuestionnaireResponse"
    assert allowed - {("$validate-code", "ValueSet"), ("$validate-code", "CodeSystem")} == {
        ("capabilities", None),
        ("smart-configuration", None),
        ("search-type", "Questionnaire"),
        ("search-type", "ValueSet"),
        ("read", "Questionnaire"),
        ("read", "ValueSet"),
        ("read", note),
        ("read", "Composition"),
        ("$expand", "ValueSet"),
        ("$lookup", "CodeSystem"),
        *((code, note) for code in ("create", "update", "$validate", "$extract", "$sign")),
    } | {
        (code, kind)
        for code, kind in allowed
        if (code, kind)
        in {
            ("$populate", "Questionnaire"),
            ("$carry-over", note),
            ("$addend", note),
            ("$correct", note),
            ("$document", "Composition"),
            ("$pdf", "Composition"),
        }
    }

"""What leads from one child's note, or from one survey, to other children is refused, not followed."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from fhir_server.context import Context
from tests.support.surveys import FORM as SURVEY
from tests.support.surveys import answers, home, made
from tests.support.theatre import Theatre, registry, theatre

_SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition"
NOTE = "https://csor.example/fhir/sid/note"
CARRIED = "https://csor.example/fhir/StructureDefinition/carried-over"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    with registry(tmp_path_factory.mktemp("theatre")) as found:
        yield found


@pytest.fixture
async def room(context: Context) -> AsyncIterator[Theatre]:
    async with theatre(context) as found:
        yield found


def asking(query: str) -> dict[str, Any]:
    """Return a form of the session's own that counts what a query finds."""
    expression = {"name": "found", "language": "application/x-fhir-query", "expression": query}
    count = {"language": "text/fhirpath", "expression": "%found.entry.count().toString()"}
    return {
        "resourceType": "Questionnaire",
        "status": "active",
        "url": "https://elsewhere.example/form",
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/variable",
                "valueExpression": expression,
            }
        ],
        "item": [
            {
                "linkId": "count",
                "type": "string",
                "extension": [
                    {
                        "url": f"{_SDC}/sdc-questionnaire-initialExpression",
                        "valueExpression": count,
                    }
                ],
            }
        ],
    }


async def counted(room: Theatre, query: str) -> tuple[str, str]:
    """Return how many resources a form's query finds in a session of Ann's, and what is told of it."""
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "questionnaire", "resource": asking(query)},
            {"name": "subject", "valueReference": {"reference": room.places["ann"]}},
        ],
    }
    with room.open():
        answer = await room.http.post("/fhir/Questionnaire/$populate", json=body)
    made = {each["name"]: each["resource"] for each in answer.json()["parameter"]}
    listed = made["response"]["item"][0]["answer"]
    told = made.get("issues", {"issue": []})["issue"]
    return listed[0]["valueString"], " ".join(each["diagnostics"] for each in told)


async def operated(room: Theatre, child: str) -> str:
    return await room.stored(
        {
            "resourceType": "Procedure",
            "status": "completed",
            "subject": {"reference": room.places[child]},
            "performer": [{"actor": {"reference": room.places["surgeon"]}}],
        }
    )


class TestAForm:
    """A session may send a form of its own to $populate: what it asks is answered of one child."""

    async def test_the_childs_own_records_are_found(self, room: Theatre) -> None:
        mine, other = await operated(room, "ann"), await operated(room, "bob")
        assert await counted(room, "Procedure?status=completed&_sort=-date") == ("1", "")
        assert (await counted(room, f"Procedure?_id={mine[10:]}"))[0] == "1"
        assert (await counted(room, f"Procedure?_id={other[10:]}"))[0] == "0"

    @pytest.mark.parametrize(
        "query",
        [
            "Procedure?performer:Practitioner._has:Procedure:performer:patient.name=Bob",
            "Procedure?performer:Practitioner.name=Surgeon",
            "Patient?_has:Procedure:patient:status=completed",
            "Procedure?_filter=status eq completed",
            "Procedure?_list=any",
        ],
    )
    async def test_what_leads_from_the_child_to_others_is_not_asked(
        self, room: Theatre, query: str
    ) -> None:
        """Whether the child's record is found would tell whether the other child is as was asked."""
        await operated(room, "ann")
        await operated(room, "bob")
        count, told = await counted(room, query)
        assert (count, "does not search by" in told) == ("0", True)

    async def test_what_is_of_several_children_is_not_shown(self, room: Theatre) -> None:
        members = [{"entity": {"reference": room.places[name]}} for name in ("ann", "bob")]
        group = {"resourceType": "Group", "type": "person", "actual": True, "member": members}
        place = await room.stored(group)
        sibling = {"other": {"reference": room.places["ann"]}, "type": "seealso"}
        await room.stored({"resourceType": "Patient", "link": [sibling]})
        ann = room.places["ann"]
        for query in (f"Group?_id={place[6:]}", f"Group?member={ann}", f"Patient?link={ann}"):
            assert (await counted(room, query))[0] == "0", query
        assert (await counted(room, f"Patient?_id={ann[8:]}"))[0] == "1"


async def test_what_a_parent_has_answered_is_not_the_surgeons_to_see_or_change(
    room: Theatre,
) -> None:
    note = await room.stored(room.draft())
    survey = await room.stored(room.draft(questionnaire=SURVEY))
    key = survey.partition("/")[2]
    assert await counted(room, "QuestionnaireResponse?status=in-progress") == ("1", "")
    with room.open():
        assert (await room.http.get(f"/fhir/{note}")).status_code == 200
        assert (await room.http.get(f"/fhir/{survey}")).status_code == 404
        put = await room.http.put(f"/fhir/{survey}", json=room.draft(id=key))
        assert put.status_code == 404
    assert (await room.http.get(f"/fhir/{survey}")).headers["etag"] == 'W/"1"'


class TestADraft:
    """What a session stores is looked through before the server looks anything up for it."""

    async def test_a_mark_of_what_was_carried_over_names_a_note_and_looks_nobody_up(
        self, room: Theatre
    ) -> None:
        """A conditional reference would be resolved, and tell the id of the child whom it fits."""
        note = await room.stored(room.draft("bob"))
        cases = [
            (CARRIED, note, 201),
            (CARRIED, "Patient?name=Bob", 403),
            (CARRIED, room.places["bob"], 403),
            ("https://elsewhere.example/carried-over", note, 403),
        ]
        with room.open():
            for url, reference, status in cases:
                parts = [
                    {"url": "linkId", "valueString": "a"},
                    {"url": "source", "valueReference": {"reference": reference}},
                ]
                draft = room.draft(extension=[{"url": url, "extension": parts}])
                answer = await room.http.post("/fhir/QuestionnaireResponse", json=draft)
                assert answer.status_code == status, (url, reference, answer.text)

    @pytest.mark.parametrize("wanted", ["minimal", "OperationOutcome", "representation"])
    async def test_the_place_of_another_childs_note_is_not_told(
        self, room: Theatre, wanted: str
    ) -> None:
        await room.stored(room.draft("bob", identifier={"system": NOTE, "value": wanted}))
        headers = {"If-None-Exist": f"identifier={NOTE}|{wanted}", "Prefer": f"return={wanted}"}
        with room.open():
            answer = await room.http.post(
                "/fhir/QuestionnaireResponse", json=room.draft(), headers=headers
            )
        assert (answer.status_code, "location" in answer.headers) == (403, False)


async def test_the_answers_of_a_parent_look_nobody_up(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A conditional reference would be resolved, and tell which children the registry knows."""
    with made(tmp_path_factory.mktemp("home")) as found:
        async with home(found) as parent:
            shown = await parent.sit()
            await parent.decide()
            [first, *rest] = answers()
            for reference in ("Patient?family=Testchild", parent.places["other child"]):
                held = {"url": "https://x.example", "valueReference": {"reference": reference}}
                sent = {**shown["response"], "item": [{**first, "extension": [held]}, *rest]}
                refused = await parent.keep(sent, shown["etag"])
                assert refused.status_code == 400
                assert "without references" in refused.text
            sent = {**shown["response"], "item": answers()}
            assert (await parent.keep(sent, shown["etag"])).status_code == 200

"""A parent decides, answers in two sittings and hands in; death and objection end it at once."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from fhir_server.access.sessions import IDLE
from fhir_server.context import Context
from tests.support.surveys import (
    API,
    FORM,
    STREAMS,
    Home,
    answers,
    expected,
    home,
    made,
    said,
    task,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def registry_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    with made(tmp_path_factory.mktemp("journey")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def parent(registry_at_home: Context) -> AsyncIterator[Home]:
    async with home(registry_at_home) as found:
        yield found


async def resource(parent: Home, url: str) -> dict[str, Any]:
    return dict((await parent.fhir("GET", url)).json())


async def found(parent: Home, query: str) -> list[dict[str, Any]]:
    answer = await parent.fhir("GET", query)
    return [each["resource"] for each in answer.json().get("entry", ())]


async def test_a_survey_is_answered_in_two_sittings_and_handed_in(parent: Home) -> None:
    shown = await parent.sit()
    assert shown["questionnaire"]["url"] == FORM.partition("|")[0]
    assert shown["until"] == "2026-12-31"
    assert [each["code"] for each in shown["streams"]] == list(STREAMS)
    assert {each["decision"] for each in shown["streams"]} == {None}
    assert (await parent.decide()).status_code == 204
    half = {**shown["response"], "item": answers()[:2]}
    kept = await parent.keep(half, shown["etag"])
    assert (kept.status_code, kept.headers["etag"]) == (200, 'W/"2"')
    assert kept.json()["item"] == answers()[:2]

    parent.clock.now += IDLE  # the sitting has ended; another link, the next day
    away = await parent.http.get(f"{API}/form")
    assert (away.status_code, "kept" in said(away)) == (401, True)
    parent.clock.now += timedelta(days=1)
    again = await parent.sit()
    assert again["response"]["item"] == answers()[:2]
    assert {each["decision"] for each in again["streams"]} == {"permit"}
    whole = await parent.keep({**again["response"], "item": answers()}, again["etag"])
    handed = await parent.http.post(f"{API}/submit", headers={"If-Match": whole.headers["etag"]})
    assert (handed.status_code, "Max-Age=0" in handed.headers["set-cookie"]) == (204, True)

    done = await parent.read("task")
    response = await resource(parent, f"QuestionnaireResponse/{again['response']['id']}")
    assert done["status"] == "completed"
    assert done["output"][0]["valueReference"] == {
        "reference": f"QuestionnaireResponse/{response['id']}"
    }
    assert (response["status"], response["item"]) == ("completed", answers())
    assert response["author"] == {"reference": parent.places["parent"]}
    extracted = await found(parent, f"Observation?subject={parent.places['child']}")
    assert len(extracted) == len(expected("Observation"))
    assert {each["derivedFrom"][0]["reference"] for each in extracted} == {
        f"QuestionnaireResponse/{response['id']}"
    }
    assert (await parent.enter(await parent.link())).status_code == 410


async def test_before_the_parent_agrees_no_answer_is_kept(parent: Home) -> None:
    shown = await parent.sit()
    refused = await parent.keep({**shown["response"], "item": answers()}, shown["etag"])
    assert (refused.status_code, "may use" in said(refused)) == (403, True)
    await parent.decide("permit", "national-data")
    refused = await parent.keep({**shown["response"], "item": answers()}, shown["etag"])
    assert refused.status_code == 403
    assert "item" not in (await parent.shown())["response"]


async def test_each_stream_is_decided_alone_and_a_parent_may_change_their_mind(
    parent: Home,
) -> None:
    await parent.sit()
    await parent.decide("permit")
    await parent.decide("deny", "national-data")
    theirs = {each["code"]: each["decision"] for each in (await parent.shown())["streams"]}
    assert theirs == {
        "health-record": "permit", "national-data": "deny", "parent-reported": "permit",
    }  # fmt: skip
    listed = await found(parent, f"Consent?patient={parent.places['child']}")
    assert len(listed) == len(STREAMS)
    assert {each["performer"][0]["reference"] for each in listed} == {parent.places["parent"]}


async def test_what_is_no_decision_is_refused(parent: Home) -> None:
    await parent.sit()
    for sent in (
        {},
        [],
        {"streams": []},
        {"streams": [{"code": "all", "decision": "permit"}]},
        {"streams": [{"code": "national-data", "decision": "perhaps"}]},
    ):
        answer = await parent.http.post(f"{API}/consent", json=sent)
        assert answer.status_code == 400, sent


async def test_an_objection_ends_every_survey_about_the_child_at_once(parent: Home) -> None:
    child, owner = ({"reference": parent.places[each]} for each in ("child", "parent"))
    await parent.stored("later task", task("later", child, owner))
    shown = await parent.sit()
    await parent.decide("permit")
    await parent.keep({**shown["response"], "item": answers()}, shown["etag"])
    over = await parent.decide("deny", "parent-reported")
    assert (over.status_code, "Max-Age=0" in over.headers["set-cookie"]) == (204, True)
    for name in ("task", "later task"):
        stopped = await parent.read(name)
        assert stopped["status"] == "cancelled"
        assert stopped["statusReason"]["coding"][0]["code"] == "objection"
    assert (await parent.read("other task"))["status"] == "ready"
    assert (await parent.http.get(f"{API}/form")).status_code == 401
    assert (await parent.enter(await parent.link("later task"))).status_code == 410


DEATH = {"deceasedBoolean": True}


@pytest.mark.parametrize("why", ["death", "objection"])
async def test_death_or_objection_stops_the_next_step_whoever_tells_it(
    parent: Home, why: str
) -> None:
    shown = await parent.sit()
    await parent.decide("permit")
    kept = await parent.keep({**shown["response"], "item": answers()}, shown["etag"])
    token = await parent.link()
    await told(parent, why)
    match = {"If-Match": kept.headers["etag"]}
    for refused in (
        await parent.http.get(f"{API}/form"),
        await parent.keep(kept.json(), kept.headers["etag"]),
        await parent.decide("permit"),
        await parent.http.post(f"{API}/submit", headers=match),
        await parent.enter(token),
    ):
        assert refused.status_code == 410
        assert "closed" in said(refused)
        assert "died" not in said(refused)
    url = f"QuestionnaireResponse/{kept.json()['id']}"
    if why == "objection":  # until it is withdrawn nobody reads what was answered
        assert (await parent.fhir("GET", url)).status_code == 404
        ended = {**await parent.read("objection"), "status": "inactive"}
        await parent.fhir("PUT", parent.places["objection"], json=ended)
    response = await resource(parent, url)
    assert (response["status"], response["item"]) == ("in-progress", answers())


async def told(parent: Home, why: str) -> None:
    """Let a hospital tell the registry what stops a survey."""
    if why == "death":
        child = await parent.read("child")
        changed = await parent.fhir("PUT", parent.places["child"], json={**child, **DEATH})
        assert changed.status_code == 200
        return
    await parent.sit()
    await parent.decide("deny", "national-data")
    [consent] = [
        each
        for each in await found(parent, f"Consent?patient={parent.places['child']}")
        if each["provision"]["type"] == "deny"
    ]
    stream = consent["provision"]["code"][0]["coding"][0]
    code = [{"coding": [{**stream, "code": "parent-reported"}]}]
    theirs = {
        **{key: value for key, value in consent.items() if key not in ("id", "identifier", "meta")},
        "provision": {"type": "deny", "code": code},
        "performer": [{"display": "The other parent"}],
    }
    await parent.stored("objection", theirs)


@pytest.mark.parametrize("linked", ["replaced-by", "replaces"])
@pytest.mark.parametrize("why", ["death", "objection"])
async def test_what_was_said_of_a_record_that_was_merged_counts_as_well(
    parent: Home, why: str, linked: str
) -> None:
    await parent.sit()
    if why == "objection":
        await told(parent, why)
        consent = await parent.read("objection")
        await parent.fhir("DELETE", parent.places["objection"])
    else:
        consent = None
    await parent.stored("retired", {"resourceType": "Patient", **(DEATH if why == "death" else {})})
    retired, child = await parent.read("retired"), await parent.read("child")
    holder, other = (retired, child) if linked == "replaced-by" else (child, retired)
    link = [{"other": {"reference": f"Patient/{other['id']}"}, "type": linked}]
    if consent is not None:
        theirs = {name: value for name, value in consent.items() if name not in ("id", "meta")}
        about = {"reference": f"Patient/{retired['id']}"}
        await parent.stored("objection", {**theirs, "patient": about})
    token = await parent.link()
    assert (await parent.enter(token)).status_code == 204
    url = f"Patient/{holder['id']}"
    assert (await parent.fhir("PUT", url, json={**holder, "link": link})).status_code == 200
    assert (await parent.http.get(f"{API}/form")).status_code == 410


async def test_an_objection_that_has_run_out_stops_nothing(parent: Home) -> None:
    await told(parent, "objection")
    consent = await parent.read("objection")
    ended = {**consent, "provision": {**consent["provision"], "period": {"end": "2026-11-22"}}}
    await parent.fhir("PUT", parent.places["objection"], json=ended)
    await parent.sit()


async def test_after_its_last_day_a_survey_is_closed(parent: Home) -> None:
    token = await parent.link(days=60)
    parent.clock.now = parent.clock.now.replace(month=12, day=31)
    await parent.sit()
    parent.clock.now += timedelta(days=1)
    assert (await parent.enter(token)).status_code == 410


async def test_a_survey_without_a_last_day_stays_open(parent: Home) -> None:
    stored = await parent.read("task")
    open_ended = {**stored, "restriction": {"period": {"start": "2026-11-01"}}}
    answer = await parent.fhir("PUT", parent.places["task"], json=open_ended)
    assert answer.status_code == 200
    assert (await parent.sit())["until"] is None


async def test_answers_that_changed_meanwhile_are_shown_beside_ones_own(parent: Home) -> None:
    shown = await parent.sit()
    await parent.decide()
    theirs = await parent.keep({**shown["response"], "item": answers("stoma")}, shown["etag"])
    mine = {**shown["response"], "item": answers()}
    refused = await parent.keep(mine, shown["etag"])
    assert refused.status_code == 412
    assert refused.headers["etag"] == theirs.headers["etag"]
    assert refused.json() == {"mine": mine, "theirs": theirs.json()}
    handed = await parent.http.post(f"{API}/submit", headers={"If-Match": shown["etag"]})
    assert handed.status_code == 412
    assert (await parent.read("task"))["status"] == "in-progress"


async def test_what_is_missing_is_said_and_nothing_is_lost(parent: Home) -> None:
    shown = await parent.sit()
    await parent.decide()
    kept = await parent.keep({**shown["response"], "item": answers()[:1]}, shown["etag"])
    etag = kept.headers["etag"]
    refused = await parent.http.post(f"{API}/submit", headers={"If-Match": etag})
    assert refused.status_code == 422
    assert all(each["details"]["text"] for each in refused.json()["issue"])
    assert (await parent.shown())["response"]["item"] == answers()[:1]


async def test_a_parent_changes_answers_and_nothing_else(parent: Home) -> None:
    shown = await parent.sit()
    await parent.decide()
    other = {"reference": parent.places["other child"]}
    sent = {
        **shown["response"], "subject": other, "author": other, "status": "completed",
        "questionnaire": "https://csor.example/fhir/Questionnaire/operative-note-generic|0.1.0",
        "item": answers(),
    }  # fmt: skip
    kept = (await parent.keep(sent, shown["etag"])).json()
    same = ("subject", "author", "status", "questionnaire", "identifier")
    assert {name: kept[name] for name in same} == {name: shown["response"][name] for name in same}


async def test_what_is_no_answer_of_the_form_is_refused(parent: Home) -> None:
    shown = await parent.sit()
    await parent.decide()
    for item in ("none", [{"linkId": "no-such"}], [7]):
        answer = await parent.keep({**shown["response"], "item": item}, shown["etag"])
        assert answer.status_code in (400, 422), item
    wrong = await parent.http.put(f"{API}/response", content=b"{", headers={"If-Match": 'W/"1"'})
    assert wrong.status_code == 400
    unseen = await parent.http.put(f"{API}/response", json={"item": []})
    assert unseen.status_code == 400


async def test_a_page_of_another_site_changes_nothing(parent: Home) -> None:
    shown = await parent.sit()
    parent.http.headers["Origin"] = "https://elsewhere.example"
    assert (await parent.decide()).status_code == 403
    refused = await parent.keep({**shown["response"], "item": []}, shown["etag"])
    assert refused.status_code == 403


async def test_a_parents_word_of_a_death_ends_the_surveys_and_is_for_a_steward_to_record(
    parent: Home,
) -> None:
    child, owner = ({"reference": parent.places[each]} for each in ("child", "parent"))
    general = "https://csor.example/fhir/Questionnaire/parent-survey-hirschsprung|0.1.0"
    asked = {
        **task("general", child, owner),
        "input": [{"type": {"text": "Form"}, "valueCanonical": general}],
    }
    await parent.stored("general task", asked)
    await parent.enter(await parent.link("general task"))
    shown = await parent.shown()
    await parent.decide()
    coding = {"system": "https://csor.example/fhir/CodeSystem/parent-survey", "code": "child-died"}
    status = {"linkId": "child-status", "answer": [{"valueCoding": coding}]}
    kept = await parent.keep(
        {**shown["response"], "item": [{"linkId": "child", "item": [status]}]}, shown["etag"]
    )
    match = {"If-Match": kept.headers["etag"]}
    assert (await parent.http.post(f"{API}/submit", headers=match)).status_code == 204

    assert not {"deceasedBoolean", "deceasedDateTime"} & (await parent.read("child")).keys()
    assert (await parent.read("general task"))["status"] == "completed"
    stopped = await parent.read("task")
    assert (stopped["status"], stopped["statusReason"]["coding"][0]["code"]) == (
        "cancelled",
        "death",
    )
    code = "https://csor.example/fhir/CodeSystem/task|told-of-death"
    [steward] = await found(parent, f"Task?code={code}&patient={parent.places['child']}")
    assert steward["focus"] == {"reference": f"QuestionnaireResponse/{kept.json()['id']}"}
    await parent.stored("next task", task("next", child, owner))
    token = await parent.link("next task")
    assert (await parent.enter(token)).status_code == 410
    refuted = {**steward, "status": "rejected"}
    assert (await parent.fhir("PUT", f"Task/{steward['id']}", json=refuted)).status_code == 200
    assert (await parent.enter(await parent.link("next task"))).status_code == 204


async def test_a_survey_can_be_answered_in_welsh_which_says_that_it_is_a_draft(
    parent: Home,
) -> None:
    shown = await parent.sit()
    assert (shown["language"], shown["languages"]) == ("en", ["en", "cy"])
    welsh = (await parent.http.get(f"{API}/form?language=cy-GB")).json()
    assert welsh["language"] == welsh["questionnaire"]["language"] == "cy"
    page, *_ = welsh["questionnaire"]["item"]
    assert "not reviewed" in page["text"]
    assert "eich plentyn" in page["text"]
    await parent.decide()
    texts = {each["linkId"]: each.get("text") for each in parts(welsh["questionnaire"]["item"])}
    displays = {
        (each["linkId"], option["valueCoding"]["code"]): option["valueCoding"]["display"]
        for each in parts(welsh["questionnaire"]["item"])
        for option in each.get("answerOption", ())
    }
    given = answers()
    for item in parts(given):
        item["text"] = texts[item["linkId"]]
        for each in item.get("answer", ()):
            each["valueCoding"]["display"] = displays[item["linkId"], each["valueCoding"]["code"]]
    sent = {**shown["response"], "language": "cy", "item": given}
    kept = await parent.keep(sent, shown["etag"])
    assert kept.status_code == 200, kept.text
    assert (await parent.shown())["language"] == "cy"  # the next sitting's too
    match = {"If-Match": kept.headers["etag"]}
    handed = await parent.http.post(f"{API}/submit", headers=match)
    assert handed.status_code == 204, handed.text
    extracted = await found(parent, f"Observation?subject={parent.places['child']}")
    assert len(extracted) == len(expected("Observation"))


async def test_a_parent_who_prefers_welsh_is_asked_in_welsh(parent: Home) -> None:
    person = await parent.read("parent")
    coding = {"system": "urn:ietf:bcp:47", "code": "cy"}
    prefers = {**person, "communication": [{"language": {"coding": [coding]}, "preferred": True}]}
    await parent.fhir("PUT", parent.places["parent"], json=prefers)
    assert (await parent.sit())["language"] == "cy"
    in_none = await parent.http.get(f"{API}/form?language=../en")
    assert in_none.json()["language"] == "en"


def parts(listed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in listed:
        yield each
        yield from parts(each.get("item", []))

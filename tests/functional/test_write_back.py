"""A signed note is given back to the EPR that launched it; what the EPR says of it changes nothing."""

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.context import Context
from fhir_server.operations import write_back
from r4.json import encode
from tests.support.databases import KINDS
from tests.support.epr import Epr
from tests.support.epr_chart import GMC, NHS
from tests.support.launching import HERE, Browser, browsing, registry
from tests.support.server import ROOT

pytestmark = pytest.mark.postgresql_slow
slow = pytest.mark.slow
"""Each signature prints a PDF."""

EXAMPLE = ROOT / "questionnaires/examples/operative-note-hirschsprung"


@pytest.fixture(params=KINDS)
async def made(request: pytest.FixtureRequest, tmp_path: Path, epr: Epr) -> AsyncIterator[Context]:
    with registry(epr, tmp_path, request.param) as found:
        yield found


@pytest.fixture
async def browser(
    made: Context, epr: Epr, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Browser]:
    monkeypatch.setattr(write_back.WriteBacks.__init__, "__kwdefaults__", {"delay": 0.001})
    epr.written.clear()
    async with browsing(made, epr) as found:
        yield found


def note(told: dict[str, Any], number: str) -> dict[str, Any]:
    """Return the answers of the example of a note, about the child of a session."""
    text = (EXAMPLE / "soave-laparoscopic.response.json").read_text()
    found: dict[str, Any] = json.loads(text.replace("9990000018", NHS).replace("0000000", GMC))
    identifier = {"system": "https://csor.example/fhir/sid/note", "value": number}
    subject, author = ({"reference": told[name]["reference"]} for name in ("patient", "user"))
    return {**found, "identifier": identifier, "subject": subject, "author": author}


async def signed(browser: Browser, told: dict[str, Any], number: str) -> dict[str, Any]:
    """Sign a note as the page does; returns the transaction-response."""
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "response", "resource": note(told, number)},
            {"name": "hospital", "valueReference": {"reference": told["hospital"]["reference"]}},
        ],
    }
    secret = {"X-CSRF-Token": told["csrf"], "Origin": HERE}
    url = "/fhir/QuestionnaireResponse/$sign"
    answer = await browser.http.post(url, json=body, headers=secret)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def places(answer: dict[str, Any]) -> list[str]:
    """List the places of what a transaction-response says was stored."""
    return [each["response"]["location"].partition("/_history")[0] for each in answer["entry"]]


async def settled(browser: Browser) -> list[dict[str, Any]]:
    """Wait until nothing is on its way; returns what the session is told of each document."""
    async with asyncio.timeout(20):
        while True:
            found: list[dict[str, Any]] = (await browser.http.get("/session")).json()["written"]
            if found and all(each["status"] != "waiting" for each in found):
                return found
            await asyncio.sleep(0.01)


async def test_the_epr_is_given_the_document_as_it_is_stored(browser: Browser) -> None:
    told = await browser.launched()
    answer = await signed(browser, told, "given-back")
    (written,) = await settled(browser)
    assert (written["status"], written["place"]) == ("written", "DocumentReference/1")
    (given,) = browser.epr.written
    assert given["subject"] == {"reference": "Patient/child"}
    assert given["context"]["encounter"] == [{"reference": "Encounter/stay"}]
    assert given["author"] == [{"reference": "Practitioner/surgeon"}]
    assert (given["status"], given["docStatus"]) == ("current", "final")
    assert given["type"]["coding"][0]["code"] == "11504-8"
    attachment, printed = (each["attachment"] for each in given["content"])
    assert attachment["contentType"] == "application/fhir+json"
    (bundle,) = [p for p in places(answer) if p.startswith("Bundle/")]
    stored = await browser.read(bundle)
    assert json.loads(b64decode(attachment["data"])) == stored
    assert printed["contentType"] == "application/pdf"
    assert b64decode(printed["data"]).startswith(b"%PDF-")
    assert given["masterIdentifier"] == stored["identifier"]
    people = {r["resourceType"]: r for r in (entry["resource"] for entry in stored["entry"])}
    assert people["Practitioner"]["name"] == [{"text": "Ms Sana Demo-Surgeon"}]
    assert people["Organization"]["name"] == "Demo Children's Hospital"
    assert written["composition"] in places(answer)


@slow
async def test_a_note_that_is_signed_again_is_given_back_once(browser: Browser) -> None:
    told = await browser.launched()
    for _ in range(2):
        await signed(browser, told, "once")
    await settled(browser)
    assert len(browser.epr.written) == 1


async def test_what_fails_for_a_moment_is_tried_again(browser: Browser) -> None:
    told = await browser.launched()
    browser.epr.faults["write"] = [503, 429, 500]
    await signed(browser, told, "again")
    (written,) = await settled(browser)
    assert written["status"] == "written"
    assert browser.epr.faults["write"] == []


@pytest.mark.parametrize("life", [0, pytest.param(300, marks=slow)])
async def test_a_token_that_has_run_out_is_renewed(browser: Browser, life: int) -> None:
    """When its life in seconds is over, or because the EPR says so before."""
    browser.epr.faults["life"] = life
    told = await browser.launched()
    browser.epr.tokens.clear()
    await signed(browser, told, "renewed")
    (written,) = await settled(browser)
    assert written["status"] == "written"


@slow
async def test_an_epr_that_renews_no_token_is_told_of(browser: Browser) -> None:
    told = await browser.launched()
    browser.epr.tokens.clear()
    browser.epr.refreshing.clear()
    await signed(browser, told, "not-renewed")
    (written,) = await settled(browser)
    assert (written["status"], "invalid_grant" in written["text"]) == ("refused", True)


@pytest.mark.parametrize("status", [403, *(pytest.param(s, marks=slow) for s in (400, 422))])
async def test_an_epr_that_refuses_is_not_asked_again_and_the_note_stays_signed(
    browser: Browser, status: int
) -> None:
    told = await browser.launched()
    browser.epr.faults["write"] = [status, 201]
    answer = await signed(browser, told, f"refused-{status}")
    (written,) = await settled(browser)
    assert (written["status"], f"status {status}" in written["text"]) == ("refused", True)
    assert browser.epr.faults["write"] == [201]
    assert (await browser.read(places(answer)[0]))["status"] == "completed"


@slow
async def test_an_epr_that_stays_silent_is_given_up(browser: Browser) -> None:
    told = await browser.launched()
    browser.epr.faults["write"] = [503] * write_back.ATTEMPTS
    await signed(browser, told, "given-up")
    (written,) = await settled(browser)
    assert written["status"] == "refused"
    assert browser.epr.faults["write"] == []


async def test_without_the_scope_nothing_is_sent(browser: Browser) -> None:
    browser.epr.faults["withheld"] = "patient/DocumentReference.c"
    told = await browser.launched()
    assert told["writeBack"] is False
    await signed(browser, told, "not-sent")
    assert (await browser.http.get("/session")).json()["written"] == []
    assert browser.epr.written == []


def test_a_correction_names_what_the_epr_was_given(epr: Epr) -> None:
    """By its place, where this session gave it; always by the document that it was."""

    class Grant:
        patient, encounter = "child", None
        user = type("User", (), {"type": "Practitioner", "id": "surgeon"})

    composition = {
        "resourceType": "Composition",
        "status": "amended",
        "type": {"text": "note"},
        "title": "Operative note",
    }
    document = {
        "resourceType": "Bundle",
        "identifier": {"value": "urn:uuid:3"},
        "timestamp": "2026-11-23T09:00:00Z",
        "entry": [{"resource": composition}],
    }
    related = [
        write_back.Related("replaces", "Composition/1", {"value": "urn:uuid:1"}),
        write_back.Related("appends", "Composition/2", {"value": "urn:uuid:2"}),
    ]
    note = write_back.Note("Composition/3", encode(document), related)
    before = [{"composition": "Composition/1", "place": "DocumentReference/7"}]
    now = "2026-11-23T09:00:00Z"
    made = write_back.reference(note, None, Grant(), before, now)  # type: ignore[arg-type]
    assert (made["docStatus"], len(made["content"])) == ("amended", 1)
    kind = {"type": "DocumentReference"}
    assert made["relatesTo"] == [
        {
            "code": "replaces",
            "target": {
                "reference": "DocumentReference/7",
                **kind,
                "identifier": {"value": "urn:uuid:1"},
            },
        },
        {"code": "appends", "target": {**kind, "identifier": {"value": "urn:uuid:2"}}},
    ]

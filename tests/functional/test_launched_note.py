"""A note from the launch to its copy in the EPR, as the page writes it: with a session and nothing else."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from fhir_server.context import Context
from tests.functional.test_write_back import settled
from tests.support.epr import Epr
from tests.support.epr_chart import GMC, NHS
from tests.support.launching import HERE, Browser, browsing, registry
from tests.support.server import ROOT

FORM = "https://csor.example/fhir/Questionnaire/operative-note-hirschsprung"
EXAMPLE = "questionnaires/examples/operative-note-hirschsprung/soave-laparoscopic.response.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, epr: Epr) -> Iterator[Context]:
    with registry(epr, tmp_path_factory.mktemp("note")) as found:
        yield found


@dataclass
class Page:
    """The note's page: what it was told, and the browser."""

    browser: Browser
    told: dict[str, Any]

    async def ask(
        self, path: str, body: dict[str, Any], version: int | None = None, method: str = "POST"
    ) -> httpx.Response:
        headers = {"X-CSRF-Token": self.told["csrf"], "Origin": HERE}
        if version is not None:
            headers["If-Match"] = f'W/"{version}"'
        return await self.browser.http.request(method, f"/fhir/{path}", json=body, headers=headers)

    async def populate(self, *more: dict[str, Any], subject: str | None = None) -> httpx.Response:
        told = self.told
        contexts = [
            _context(name, {"valueReference": {"reference": told[element]["reference"]}})
            for name, element in (
                ("patient", "patient"),
                ("user", "user"),
                ("encounter", "encounter"),
            )
        ]
        subject = subject or told["patient"]["reference"]
        return await self.ask(
            "Questionnaire/$populate",
            _parameters(
                {"name": "questionnaire", "valueUri": FORM},
                {"name": "subject", "valueReference": {"reference": subject}},
                *(more or contexts),
                {"name": "data", "resource": told["data"]},
            ),
        )

    async def draft(self, number: str, **more: Any) -> str:
        """Store the example's answers about the child as a draft; returns its place."""
        text = (ROOT / EXAMPLE).read_text().replace("9990000018", NHS).replace("0000000", GMC)
        draft = {
            **json.loads(text),
            "status": "in-progress",
            "identifier": {"system": "https://csor.example/fhir/sid/note", "value": number},
            "subject": {"reference": self.told["patient"]["reference"]},
            "author": {"reference": self.told["user"]["reference"]},
            "encounter": self.told["encounter"],
            **more,
        }
        answer = await self.ask("QuestionnaireResponse", draft)
        assert answer.status_code == 201, answer.text
        return f"QuestionnaireResponse/{answer.json()['id']}"


def _parameters(*listed: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(listed)}


def _context(name: str, content: dict[str, Any]) -> dict[str, Any]:
    parts = [{"name": "name", "valueString": name}, {"name": "content", **content}]
    return {"name": "context", "part": parts}


def answered(node: Any) -> dict[str, Any]:
    """Map the linkIds of a response to their first answers."""
    found: dict[str, Any] = {}
    for item in node.get("item", ()):
        if answers := item.get("answer"):
            found[item["linkId"]] = next(v for k, v in answers[0].items() if k.startswith("value"))
        found |= answered(item)
    return found


@pytest.fixture
async def page(made: Context, epr: Epr) -> AsyncIterator[Page]:
    epr.written.clear()
    async with browsing(made, epr) as browser:
        yield Page(browser, await browser.launched())


async def test_the_draft_begins_with_what_the_epr_knows(page: Page) -> None:
    answer = await page.populate()
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found = answered(answer.json()["parameter"][0]["resource"])
    said = {name: found[name] for name in found if isinstance(found[name], str)}
    assert (
        said
        | {
            "nhs-number": NHS,
            "hospital-number": "A700701",
            "hospital-ods-code": "RTH",
            "surgeon": "Ms Sana Demo-Surgeon",
            "surgeon-gmc-number": GMC,
            "assistant": "Mr Aled Demo-Assistant",
            "anaesthetist": "Dr Ines Demo-Anaesthetist",
        }
        == said
    )
    assert said["operation-start"]
    assert found["asa"]["code"] == "413496000"
    assert found["preop-diagnosis"]["code"] == "hirschsprung-proven"
    assert found["urgency"]["code"] == "elective"


async def test_a_note_is_drafted_signed_corrected_and_given_back(page: Page) -> None:
    note = await page.draft("journey")
    hospital = {"name": "hospital", "valueReference": page.told["hospital"]}
    stale = await page.ask(f"{note}/$sign", _parameters(hospital), version=9)
    assert stale.status_code == 412
    signed = await page.ask(f"{note}/$sign", _parameters(hospital), version=1)
    assert signed.status_code == 200, signed.text
    (copy,) = await settled(page.browser)
    assert copy["status"] == "written"
    for operation in ("$document", "$pdf"):
        url = f"/fhir/{copy['composition']}/{operation}"
        assert (await page.browser.http.get(url)).status_code == 200
    changed = (await page.browser.http.get(f"/fhir/{note}")).json() | {"status": "in-progress"}
    assert (await page.ask(note, changed, version=2, method="PUT")).status_code == 409
    corrected = {**changed, "status": "completed"}
    answer = await page.ask(
        f"{note}/$correct",
        _parameters(
            {"name": "response", "resource": corrected},
            {"name": "reason", "valueString": "A figure was mistyped."},
            hospital,
        ),
        version=2,
    )
    assert answer.status_code == 200, answer.text
    second = (await settled(page.browser))[1]
    given = page.browser.epr.written[1]["relatesTo"]
    assert second["status"] == "written"
    assert [each["code"] for each in given] == ["replaces"]
    assert given[0]["target"]["reference"] == copy["place"]


async def test_a_form_cannot_read_another_childs_record(page: Page) -> None:
    """Neither by its subject and contexts, nor by the queries of a form that the page makes up."""
    transport = page.browser.http._transport
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as registry_itself:
        bob = {"resourceType": "Patient", "name": [{"family": "Bob"}]}
        child = (await registry_itself.post("/fhir/Patient", json=bob)).json()["id"]
        secret = {
            "resourceType": "Condition",
            "subject": {"reference": f"Patient/{child}"},
            "code": {"text": "of another child"},
        }
        condition = (await registry_itself.post("/fhir/Condition", json=secret)).json()["id"]
    place = {"valueReference": {"reference": f"Condition/{condition}"}}
    assert (await page.populate(subject=f"Patient/{child}")).status_code == 403
    assert (await page.populate(_context("encounter", place))).status_code == 403
    form = _prying(child, condition)
    subject = {
        "name": "subject",
        "valueReference": {"reference": page.told["patient"]["reference"]},
    }
    asked = _parameters({"name": "questionnaire", "resource": form}, subject)
    answer = await page.ask("Questionnaire/$populate", asked)
    assert answer.status_code == 200
    assert "of another child" not in answer.text
    assert answered(answer.json()["parameter"][0]["resource"]) == {"own": "Testchild"}


def _prying(child: str, condition: str) -> dict[str, Any]:
    """Return a form that asks for another child's condition in three ways, and for its own child."""
    variable = "http://hl7.org/fhir/StructureDefinition/variable"
    initial = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-initialExpression"
    queries = {
        "searched": f"Condition?patient={child}",
        "read": f"Condition/{condition}",
        "mine": "Patient/{{%resource.subject.reference.substring(8)}}",
    }
    asked = {
        "searched": "%searched.entry.resource.code.text.first()",
        "read": "%read.code.text.first()",
        "resolved": f"'Condition/{condition}'.resolve().code.text",
        "own": "%mine.name.family.first()",
    }
    return {
        "resourceType": "Questionnaire",
        "status": "active",
        "url": "https://prying.example/Questionnaire/form",
        "extension": [
            {
                "url": variable,
                "valueExpression": {
                    "name": name,
                    "language": "application/x-fhir-query",
                    "expression": query,
                },
            }
            for name, query in queries.items()
        ],
        "item": [
            {
                "linkId": name,
                "type": "string",
                "extension": [
                    {
                        "url": initial,
                        "valueExpression": {"language": "text/fhirpath", "expression": expression},
                    }
                ],
            }
            for name, expression in asked.items()
        ],
    }


async def test_technique_is_carried_over_from_ones_own_last_note(page: Page) -> None:
    note = await page.draft("before")
    hospital = {"name": "hospital", "valueReference": page.told["hospital"]}
    signed = await page.ask(f"{note}/$sign", _parameters(hospital), version=1)
    assert signed.status_code == 200, signed.text
    begun = {
        "resourceType": "QuestionnaireResponse",
        "status": "in-progress",
        "questionnaire": f"{FORM}|0.1.0",
        "subject": {"reference": page.told["patient"]["reference"]},
        "author": {"reference": page.told["user"]["reference"]},
    }
    answer = await page.ask("QuestionnaireResponse/$carry-over", begun)
    assert answer.status_code == 200, answer.text
    draft = answer.json()
    assert any(each["url"].endswith("/carried-over") for each in draft["extension"])
    stored = await page.ask("QuestionnaireResponse", draft)
    assert stored.status_code == 201, stored.text

"""Children of whom something is to be seen to: linked records, what is held back, and the audit."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.app import application, context
from fhir_server.context import Context
from fhir_server.store.audit import accesses
from tests.support.analysts import REGISTRY, Callers, Registry, filled, settings
from tests.support.databases import new_database
from tests.support.hospitals import Asking


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Two children, free to change."""
    made = context(settings(tmp_path, new_database("sqlite", tmp_path)))
    with asyncio.Runner() as runner:
        asking = door(made, runner)
        try:
            yield filled(asking, 2, 7)
        finally:
            runner.run(asking.http.aclose())
            made.database.close()


def door(made: Context, runner: asyncio.Runner) -> Asking:
    opened = application(made)
    opened.callers = Callers()  # type: ignore[assignment]
    transport = httpx.ASGITransport(opened, client=("127.0.0.1", 1))
    http = httpx.AsyncClient(transport=transport, base_url="http://localhost")
    return Asking(made, runner, http)


def put(registry: Registry, resource: dict[str, Any]) -> None:
    url = f"/{resource['resourceType']}/{resource['id']}"
    answer = registry.ask(REGISTRY, "PUT", url, json=resource)
    assert answer.status_code in (200, 201), answer.text


def recorded(registry: Registry) -> list[date]:
    found = registry.found("/Condition")
    return [date.fromisoformat(each["recordedDate"]) for each in found]


def test_linked_records_are_one_child_and_shifted_as_one(registry: Registry) -> None:
    """They differ by the days between the two, and not by those between two shifts."""
    one, two = registry.children
    told = [next(e for e in c.resources if e["resourceType"] == "Condition") for c in (one, two)]
    for each in told:
        put(registry, {**each, "recordedDate": "2020-02-03"})
    first, second = recorded(registry)
    assert first != second  # of these two children
    other = {"reference": f"Patient/{two.patient['id']}"}
    put(registry, {**one.patient, "link": [{"other": other, "type": "seealso"}]})
    assert len(set(recorded(registry))) == 1
    (link,) = [each["link"] for each in registry.found("/Patient") if "link" in each]
    assert registry.get(f"/{link[0]['other']['reference']}").status_code == 200


def test_what_is_about_nobody_or_deleted_is_not_shown(registry: Registry) -> None:
    nobodys = {
        "resourceType": "Observation",
        "id": "nobodys",
        "status": "final",
        "code": {"text": "a"},
    }
    before = registry.found("/Observation")
    put(registry, nobodys)
    assert registry.found("/Observation") == before
    condition = registry.found("/Condition")[0]
    for each in registry.children:
        key = next(e["id"] for e in each.resources if e["resourceType"] == "Condition")
        assert registry.ask(REGISTRY, "DELETE", f"/Condition/{key}").status_code == 200
    answer = registry.get(f"/Condition/{condition['id']}")
    assert answer.status_code == 404
    assert answer.text == registry.get("/Condition/never-was").text


def test_the_audit_names_the_child_that_was_read(registry: Registry) -> None:
    for each in registry.found("/Patient"):
        registry.get(f"/Patient/{each['id']}")
    made, children = registry.ask.made, {each.patient["id"] for each in registry.children}
    for _ in range(200):  # they are written off the path of whoever is answered
        registry.ask.runner.run(made.audit.flush())
        registry.ask.runner.run(asyncio.sleep(0.05))
        if children <= {row.key for row in accesses(made.database) if row.interaction == "read"}:
            return
    raise AssertionError("the audit does not name the children")


@pytest.mark.parametrize("missing", ["pseudonym_key", "pseudonym_policy"])
def test_without_a_key_or_a_policy_an_analyst_is_refused_and_others_are_not(
    registry: Registry, missing: str
) -> None:
    made = registry.ask.made
    without = replace(made, settings=made.settings.model_copy(update={missing: None}))
    asking = door(without, registry.ask.runner)
    for url in ("/Patient", "/Patient/x", "/$export", "/CodeSystem/$lookup?code=a"):
        answer = asking.get("analyst", url, headers={"Prefer": "respond-async"})
        assert answer.status_code == 403
        assert "CSOR_PSEUDONYM_KEY" in answer.text
    assert asking.get("analyst", "/metadata").status_code == 200
    assert asking.get(REGISTRY, "/Patient").status_code == 200
    registry.ask.runner.run(asking.http.aclose())

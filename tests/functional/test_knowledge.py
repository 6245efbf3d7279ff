"""The server goes by what an operator loads, beside it and while it serves; everything is fictitious."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import snomed_shaped
from fhir_server import app
from fhir_server.__main__ import main
from fhir_server.app import context
from fhir_server.context import Context
from fhir_server.settings import Settings
from fhir_server.store.concepts import image, loading, releases
from profiles import validate
from tests.support.databases import KINDS, new_database
from tests.support.server import Served

OURS = "https://example.org/fictitious/"
CORE = "http://hl7.org/fhir/StructureDefinition/"
SNOMED = "http://snomed.info/sct"


def profile(name: str, least: int, **element: Any) -> dict[str, Any]:
    """A fictitious profile of Patient whose `birthDate` is asked for so often."""
    return {
        "resourceType": "StructureDefinition", "id": name, "url": OURS + name, "version": "1.0.0",
        "name": "Fictitious", "status": "draft", "fhirVersion": "4.0.1", "kind": "resource",
        "abstract": False, "type": "Patient", "baseDefinition": f"{CORE}Patient",
        "derivation": "constraint",
        "differential": {
            "element": [
                {"id": "Patient", "path": "Patient"},
                {"id": "Patient.birthDate", "path": "Patient.birthDate", "min": least, **element},
            ]
        },
    }  # fmt: skip


def load(where: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *resources: Any) -> None:
    folder.mkdir(exist_ok=True)
    for resource in resources:
        (folder / f"{resource['id']}.json").write_text(json.dumps(resource))
    monkeypatch.setenv("CSOR_DATABASE", where)
    assert main(["load", str(folder)]) == 0


def soon(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_profile_that_is_loaded_beside_the_server_is_kept_by_what_claims_it(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_TENDED", 0.1)
    claims = {"resourceType": "Patient", "meta": {"profile": [OURS + "born"]}}
    assert server.http.post("/Patient", json=claims).status_code == 201  # a warning, no refusal
    load(server.context.settings.database, tmp_path / "a", monkeypatch, profile("born", 1))
    soon(lambda: server.http.post("/Patient", json=claims).status_code == 422)
    (issue,) = server.http.post("/Patient", json=claims).json()["issue"]
    assert issue["expression"] == ["Patient.birthDate"]
    born = {**claims, "birthDate": "2020-02-02"}
    assert server.http.post("/Patient", json=born).status_code == 201

    asked = {"profile": OURS + "born"}
    plain = {"resourceType": "Patient"}
    outcome = server.http.post("/Patient/$validate", params=asked, json=plain).json()
    assert [each["severity"] for each in outcome["issue"]] == ["error"]


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_database(request.param, tmp_path)


def issues(made: Context, resource: dict[str, Any], *named: str) -> list[tuple[str, str | None]]:
    options = made.checked(resource["resourceType"], *named)
    found = validate(resource, made.terminology, options=options)
    return [(each.severity, each.rule) for each in found]


def test_a_code_system_that_is_loaded_decides_what_nobody_could_tell_before(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "SEEN_AFTER", 60.0)  # whoever renews waits for no second
    shape = snomed_shaped.write(tmp_path / "release", 200)
    codes = [str(code) for code in shape.codes]
    value_set = {
        "resourceType": "ValueSet", "id": "below", "url": OURS + "below", "status": "draft",
        "compose": {"include": [{"system": SNOMED, "filter": [
            {"property": "concept", "op": "is-a", "value": codes[1]}]}]},
    }  # fmt: skip
    load(where, tmp_path / "sets", monkeypatch, value_set)
    made = context(Settings(database=where))
    try:
        inside, outside = (
            {"system": SNOMED, "code": codes[1]},
            {"system": SNOMED, "code": codes[0]},
        )
        before = made.terminology.check(OURS + "below", inside)
        assert (before.result, before.reason) == (None, "not-loaded")
        assert not made.knowledge.renew()
        command = ["load-terminology", "snomed", "--version", snomed_shaped.MODULE]
        assert main([*command, str(tmp_path / "release")]) == 0
        assert made.knowledge.renew()
        assert made.terminology.check(OURS + "below", inside).result is True
        assert made.terminology.check(OURS + "below", outside).result is False
    finally:
        made.database.close()


def test_a_release_is_read_beside_whoever_is_answered_and_then_asked(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_TENDED", 0.05)
    monkeypatch.setattr(loading, "GRACE", 0.2)
    reading_image, held_back = image.image, threading.Event()

    def read(*arguments: Any) -> image.Image:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        assert held_back.wait(20)
        return reading_image(*arguments)

    monkeypatch.setattr(image, "image", read)
    monkeypatch.setenv("CSOR_DATABASE", server.context.settings.database)

    def asked(code: str) -> Any:
        asks = {"url": SNOMED, "code": code}
        return server.http.get("/CodeSystem/$validate-code", params=asks).json()

    def loaded(many: int) -> list[str]:
        shape = snomed_shaped.write(tmp_path / str(many), many)
        command = ["load-terminology", "snomed", "--version", snomed_shaped.MODULE]
        assert main([*command, str(tmp_path / str(many))]) == 0
        return [str(code) for code in shape.codes]

    codes = loaded(60)
    assert asked(codes[7])["issue"][0]["code"] == "not-supported"  # while it is being read
    held_back.set()
    soon(lambda: asked(codes[7])["resourceType"] == "Parameters")
    assert asked(codes[7])["parameter"][0]["valueBoolean"] is True

    held_back.clear()
    more = loaded(90)
    assert asked(more[7])["parameter"][0]["valueBoolean"] is True
    assert asked(more[77])["parameter"][0]["valueBoolean"] is False  # by the former release
    held_back.set()
    soon(lambda: asked(more[77])["parameter"][0]["valueBoolean"] is True)


def test_what_is_validated_at_the_same_time_right_after_a_load_is_judged_alike(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(where, tmp_path / "c", monkeypatch, profile("anything", 0))
    child = {"resourceType": "Patient", "gender": "female", "name": [{"use": "official"}]}

    async def judged(made: Context) -> list[tuple[str, str | None]]:
        return issues(made, child)

    async def together() -> list[list[tuple[str, str | None]]]:
        made = context(Settings(database=where))
        try:
            return await asyncio.gather(*(made.database.driven(judged(made)) for _ in range(8)))
        finally:
            made.database.close()

    assert asyncio.run(together()) == [[]] * 8


def test_a_default_profile_is_asked_of_every_resource_of_its_type(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(where, tmp_path / "b", monkeypatch, profile("defaulted", 1))
    made = context(Settings(database=where, default_profiles={"Patient": (OURS + "defaulted",)}))
    try:
        assert [severity for severity, _ in issues(made, {"resourceType": "Patient"})] == ["error"]
        assert issues(made, {"resourceType": "Patient", "birthDate": "2020"}) == []
        assert issues(made, {"resourceType": "Basic", "code": {"text": "any"}}) == []
    finally:
        made.database.close()


@pytest.mark.parametrize(
    ("severity", "found"), [("error", ["error"]), ("warning", ["warning"]), ("off", [])]
)
def test_a_wrong_check_digit_is_as_severe_as_the_registry_says(
    tmp_path: Path, severity: Any, found: list[str]
) -> None:
    made = context(Settings(database=str(tmp_path / "csor.db"), nhs_number_severity=severity))
    wrong = {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9999999480"}
    try:
        child = {"resourceType": "Patient", "identifier": [wrong]}
        assert [each for each, rule in issues(made, child) if rule == "csor-nhs-number"] == found
    finally:
        made.database.close()

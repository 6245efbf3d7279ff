"""Bindings to value sets over a code system that an operator loads while the server serves.

Before, nothing is refused and what cannot be told is said; after, codes are held to the rules. Every
concept is fictitious.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import snomed_shaped
from fhir_server import app
from fhir_server.__main__ import main
from tests.support.databases import KINDS
from tests.support.server import Served, served

SNOMED = "http://snomed.info/sct"
OURS = "https://example.org/fictitious"
SHAPE = snomed_shaped.shape(200)
INSIDE, OUTSIDE, OLD = SHAPE.codes[1], SHAPE.codes[0], SHAPE.codes[50]
Resource = dict[str, Any]


def value_set(name: str, **filter: str) -> Resource:
    include = {"system": SNOMED} | ({"filter": [filter]} if filter else {})
    return {
        "resourceType": "ValueSet", "id": name, "url": f"{OURS}/{name}", "status": "draft",
        "compose": {"include": [include]},
    }  # fmt: skip


def profile(name: str, strength: str, bound: str) -> Resource:
    binding = {"strength": strength, "valueSet": f"{OURS}/{bound}"}
    return {
        "resourceType": "StructureDefinition", "id": name, "url": f"{OURS}/{name}",
        "name": "Fictitious", "status": "draft", "fhirVersion": "4.0.1", "kind": "resource",
        "abstract": False, "type": "Basic", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Basic",
        "differential": {"element": [
            {"id": "Basic", "path": "Basic"},
            {"id": "Basic.code", "path": "Basic.code", "binding": binding},
        ]},
    }  # fmt: skip


DEFINITIONS = (
    value_set("below", property="concept", op="is-a", value=INSIDE),
    value_set("constrained", property="constraint", op="=", value=f"<< {INSIDE}"),
    value_set("every"),
    profile("required-is-a", "required", "below"),
    profile("required-ecl", "required", "constrained"),
    profile("extensible-is-a", "extensible", "below"),
    profile("required-any", "required", "every"),
)


def soon(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    assert snomed_shaped.write(folder, 200) == SHAPE
    return folder


@pytest.fixture(scope="module", params=KINDS)
def unloaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server that has the definitions, and not the code system."""
    folder = tmp_path_factory.mktemp("definitions")
    for each in DEFINITIONS:
        (folder / f"{each['id']}.json").write_text(json.dumps(each))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "_TENDED", 0.1)
        with served(tmp_path_factory.mktemp("server"), request.param) as running:
            patch.setenv("CSOR_DATABASE", running.context.settings.database)
            assert main(["load", str(folder)]) == 0
            soon(lambda: running.context.terminology.members(f"{OURS}/every") is not None)
            yield running


@pytest.fixture(scope="module")
def loaded(unloaded: Served, release: Path) -> Served:
    command = ["load-terminology", "snomed", "--version", snomed_shaped.MODULE, str(release)]
    assert main(command) == 0
    asked = {"system": SNOMED, "code": INSIDE}
    soon(lambda: unloaded.context.terminology.check(None, asked).result is True)
    return unloaded


def coded(name: str, code: str, **more: str) -> Resource:
    coding = {"system": SNOMED, "code": code, **more}
    meta = {"profile": [f"{OURS}/{name}"]}
    return {"resourceType": "Basic", "meta": meta, "code": {"coding": [coding]}}


def said(server: Served, resource: Resource) -> list[tuple[str, str]]:
    """Validate; returns severity and rule of each issue."""
    outcome = server.http.post("/Basic/$validate", json=resource).json()
    return [
        (issue["severity"], issue["extension"][0]["valueString"])
        for issue in outcome["issue"]
        if "extension" in issue
    ]


UNTOLD = ("warning", "terminology-not-loaded")
PROFILES = ("required-is-a", "required-ecl", "extensible-is-a", "required-any")


@pytest.mark.parametrize("name", PROFILES)
def test_what_cannot_be_told_is_said_and_refuses_nothing(unloaded: Served, name: str) -> None:
    for code in (INSIDE, OUTSIDE, "no-such-code"):
        resource = coded(name, code)
        assert said(unloaded, resource) == [UNTOLD]
        assert unloaded.http.post("/Basic", json=resource).status_code == 201
    outcome = unloaded.http.post("/Basic/$validate", json=coded(name, INSIDE)).json()
    assert "load-terminology snomed" in outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize("name", PROFILES)
def test_a_code_of_the_value_set_is_right(loaded: Served, name: str) -> None:
    assert said(loaded, coded(name, INSIDE)) == []
    assert loaded.http.post("/Basic", json=coded(name, INSIDE)).status_code == 201


@pytest.mark.parametrize("name", ["required-is-a", "required-ecl"])
def test_a_code_outside_the_value_set_refuses_the_write(loaded: Served, name: str) -> None:
    assert said(loaded, coded(name, OUTSIDE)) == [("error", "binding-required")]
    answer = loaded.http.post("/Basic", json=coded(name, OUTSIDE))
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Basic.code"]


def test_an_extensible_binding_advises(loaded: Served) -> None:
    resource = coded("extensible-is-a", OUTSIDE)
    assert said(loaded, resource) == [("warning", "binding-extensible")]
    assert loaded.http.post("/Basic", json=resource).status_code == 201


def test_codes_that_are_old_misnamed_or_not_there(loaded: Served) -> None:
    any_code = "required-any"
    assert said(loaded, coded(any_code, OLD)) == [("warning", "code-inactive")]
    assert said(loaded, coded(any_code, INSIDE, display=snomed_shaped.term(1))) == []
    assert said(loaded, coded(any_code, INSIDE, display="Else")) == [("warning", "display")]
    unknown = [("warning", "code-unknown"), ("error", "binding-required")]
    assert said(loaded, coded(any_code, "1")) == unknown
    assert loaded.http.post("/Basic", json=coded(any_code, "1")).status_code == 422

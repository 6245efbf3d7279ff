"""Searches by the hierarchy of a loaded code system; every concept is fictitious."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import snomed_shaped
from fhir_server.store.search import criteria
from tests.support.databases import KINDS
from tests.support.releases import load, release
from tests.support.server import Served, served

SNOMED = "http://snomed.info/sct"
MANY = 120
STORED = (1, 2, 5, 9, 17, 33, 48, 77, 119)


@pytest.fixture(scope="module", params=KINDS)
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, snomed_shaped.Shape]]:
    """A server with a release loaded, and a Condition for some of its codes."""
    folder = tmp_path_factory.mktemp("hierarchy")
    shape = snomed_shaped.write(folder / "release", MANY)
    with served(folder, request.param) as server:
        load(server.context.settings.database, release(folder / "release"))
        asked = {"url": SNOMED, "code": shape.codes[1]}
        until = time.monotonic() + 20
        while server.http.get("/CodeSystem/$validate-code", params=asked).status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.05)
        patient = server.http.post("/Patient", json={"resourceType": "Patient"}).json()["id"]
        for place in STORED:
            coding = {"system": SNOMED, "code": shape.codes[place]}
            condition = {
                "resourceType": "Condition", "subject": {"reference": f"Patient/{patient}"},
                "code": {"coding": [coding]},
            }  # fmt: skip
            assert server.http.post("/Condition", json=condition).status_code == 201
        yield server, shape


def above(shape: snomed_shaped.Shape, place: int) -> set[int]:
    return {place}.union(*(above(shape, parent) for parent in shape.parents[place]))


def found(registry: tuple[Served, snomed_shaped.Shape], **asked: str) -> set[int]:
    server, shape = registry
    query = {name.replace("_", ":", 1).replace("_", "-"): value for name, value in asked.items()}
    answer = server.http.get("/Condition", params={**query, "_count": "100"})
    assert answer.status_code == 200, answer.text
    codes = [
        each["resource"]["code"]["coding"][0]["code"] for each in answer.json().get("entry", [])
    ]
    return {shape.codes.index(code) for code in codes}


@pytest.mark.parametrize("place", [0, 1, 3, 5, 33, 119])
def test_below_and_above_follow_the_hierarchy_of_a_loaded_system(
    registry: tuple[Served, snomed_shaped.Shape], place: int
) -> None:
    shape = registry[1]
    value = f"{SNOMED}|{shape.codes[place]}"
    below = {each for each in STORED if place in above(shape, each)}
    assert found(registry, code_below=value) == below
    assert found(registry, code_above=value) == set(STORED) & above(shape, place)


def test_value_sets_by_hierarchy_and_by_expression_are_searched_in(
    registry: tuple[Served, snomed_shaped.Shape],
) -> None:
    shape = registry[1]
    is_a = f"{SNOMED}?fhir_vs=isa/{shape.codes[1]}"
    below = {each for each in STORED if 1 in above(shape, each)}
    assert below
    assert below < set(STORED)
    assert found(registry, code_in=is_a) == below
    assert found(registry, code_not_in=is_a) == set(STORED) - below
    expression = f"{SNOMED}?fhir_vs=ecl/<<{shape.codes[1]} MINUS {shape.codes[5]}"
    assert found(registry, code_in=expression) == below - {5}


def refused(registry: tuple[Served, snomed_shaped.Shape], value: str, status: int = 422) -> Any:
    answer = registry[0].http.get("/Condition", params={"code:below": value})
    assert answer.status_code == status
    return answer.json()["issue"][0]


def test_what_cannot_be_searched_by_is_refused(
    registry: tuple[Served, snomed_shaped.Shape], monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = registry[1]
    assert "known here" in refused(registry, f"{SNOMED}|{shape.codes[0]}0", 400)["diagnostics"]
    monkeypatch.setattr(criteria, "MOST_WORDS", 20)
    issue = refused(registry, f"{SNOMED}|{shape.codes[0]}")
    assert (issue["code"], "more than 20 codes" in issue["diagnostics"]) == ("too-costly", True)
    several = ",".join(f"{SNOMED}|{code}" for code in shape.codes[60:82])
    assert refused(registry, several)["code"] == "too-costly"
    few = f"{SNOMED}|{shape.codes[119]}"
    assert found(registry, code_below=few) == {119}

"""What the capability statements say of what an operator has loaded; every concept is fictitious."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import snomed_shaped
from fhir_server.__main__ import main
from fhir_server.app import context
from fhir_server.context import Context
from fhir_server.interactions.capabilities import capabilities, terminology_capabilities
from fhir_server.settings import Settings
from profiles import own, validate
from terminology.systems import OPCS_4, SNOMED_CT
from tests.support.databases import KINDS, new_database
from tests.support.releases import load, release

FIRST, SECOND = (f"{SNOMED_CT}/{snomed_shaped.MODULE}/version/20260{month}01" for month in (1, 2))


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_database(request.param, tmp_path)


@pytest.fixture
def made(where: str, tmp_path: Path) -> Iterator[Context]:
    for number, version in enumerate((FIRST, SECOND)):
        folder = tmp_path / str(number)
        snomed_shaped.write(folder, 40 + number, seed=number)
        load(where, release(folder, version))
    found = context(Settings(database=where))
    try:
        yield found
    finally:
        found.database.close()


def test_a_loaded_code_system_is_listed_with_its_versions_and_which_is_in_use(
    made: Context,
) -> None:
    stated = terminology_capabilities(made)
    listed = {each["uri"]: each for each in stated["codeSystem"]}
    assert listed[SNOMED_CT]["version"] == [
        {"code": FIRST, "isDefault": False},
        {"code": SECOND, "isDefault": True},
    ]
    assert OPCS_4 not in listed
    assert list(listed) == sorted(set(listed))
    assert set(made.terminology.catalogue.urls("CodeSystem")) <= set(listed)
    assert validate(stated, made.terminology, now="2026-11-23T09:00:00Z") == []


def test_a_profile_that_ours_imposes_is_supported_where_it_is_loaded(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = next(each for each in own.claimed() if each["id"] == "csor-patient")
    (imposed,) = own.imposed(patient)
    fictitious = {
        "resourceType": "StructureDefinition", "id": "imposed", "url": imposed,
        "version": "9.9.9", "name": "Fictitious", "status": "draft", "fhirVersion": "4.0.1",
        "kind": "resource", "abstract": False, "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": [{"id": "Patient", "path": "Patient"}]},
    }  # fmt: skip
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "imposed.json").write_text(json.dumps(fictitious))
    assert supported(where) == [patient["url"]]
    monkeypatch.setenv("CSOR_DATABASE", where)
    assert main(["load", str(tmp_path / "package")]) == 0
    assert supported(where) == [patient["url"], imposed]


def supported(where: str) -> list[Any]:
    made = context(Settings(database=where))
    try:
        listed = capabilities(made)["rest"][0]["resource"]
        return list(next(each for each in listed if each["type"] == "Patient")["supportedProfile"])
    finally:
        made.database.close()

"""Every profile that R4 and UK Core publish is applied, and no resource makes one fail."""

from pathlib import Path

import pytest

from profiles.shelf import Shelf
from profiles.validate import Options, validate
from r4 import definitions
from r4.definitions.catalogue import Catalogue
from r4.issue import FhirError
from r4.json import Resource
from r4.xml import decode
from terminology import systems
from tests.profiles.corpus import examples
from tests.profiles.mutants import mutants
from tests.profiles.small import TERMINOLOGY, brief, patient

UK_CORE_PATIENT = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient"
WEIGHT = "http://hl7.org/fhir/StructureDefinition/bodyweight"


@pytest.fixture(scope="module")
def uk_core(library: Path) -> Catalogue:
    folder = library / "ukcore" / "structuredefinitions"
    return Catalogue.of(decode(file.read_bytes()) for file in sorted(folder.glob("*.xml")))


def problems(shelf: Shelf, urls: tuple[str, ...]) -> dict[str, str]:
    found = {url: shelf.find(url) for url in urls}
    return {url: str(p and p.problem) for url, p in found.items() if p is None or p.problem}


def test_every_definition_of_r4_is_compiled():
    urls = definitions.urls("StructureDefinition")
    assert len(urls) > 650
    assert problems(Shelf(TERMINOLOGY, Catalogue.of([]), warnings=True), urls) == {}


def test_every_profile_of_uk_core_is_compiled(uk_core):
    urls = tuple(url for kind, url in uk_core.own if kind == "StructureDefinition")
    assert len(urls) == 153
    assert problems(Shelf(TERMINOLOGY, uk_core, warnings=True), urls) == {}


def test_uk_cores_patient_has_one_nhs_number(uk_core):
    number: Resource = {"system": systems.NHS_NUMBER, "value": "9990000018"}
    options = Options(profiles=(UK_CORE_PATIENT,), structures=uk_core)
    assert validate(patient(identifier=[number]), TERMINOLOGY, options=options) == []
    twice = validate(patient(identifier=[number, number]), TERMINOLOGY, options=options)
    assert brief(twice) == [("slice-cardinality", "Patient.identifier[1]")]


def test_no_mutant_of_a_profiled_resource_is_a_crash():
    profiled = dict(examples())["Observation-example"]
    options = Options(profiles=(WEIGHT,))
    assert [i for i in validate(profiled, TERMINOLOGY, options=options) if i.is_error] == []
    rules: set[str | None] = set()
    for _, mutant in mutants(profiled):
        try:
            issues = validate(mutant, TERMINOLOGY, options=options)
        except FhirError as refused:  # no other error may leave the validator, and this neither
            pytest.fail(str(refused))
        rules |= {issue.rule for issue in issues if issue.profile is not None}
    assert {"cardinality", "slice-cardinality", "reference-target", "vs-2"} <= rules

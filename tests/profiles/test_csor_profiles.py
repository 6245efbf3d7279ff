"""The registry's profiles, by their examples: what is right passes, what is wrong is named exactly."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from itertools import islice
from pathlib import Path

import pytest

import outcome_engine
from fhir_server.simulate import bundles, cohort, people, tables
from fhir_server.simulate.story import tell
from profiles.page import pages
from profiles.shelf import IMPOSE
from profiles.validate import Options, validate
from r4 import artefacts, definitions
from r4.definitions.catalogue import Catalogue
from r4.json import Resource, decode
from r4.xml import decode as decode_xml
from terminology import Terminology

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "profiles" / "examples"
PROFILES = {
    structure["id"]: structure
    for structure in artefacts.load("profiles")
    if structure["id"].startswith("csor-")
}
VALID = sorted(EXAMPLES.glob("csor-*/valid/*.json"))
INVALID = sorted(
    path
    for path in EXAMPLES.glob("csor-*/invalid/*.json")
    if not path.name.endswith(".issues.json")
)
TERMINOLOGY = Terminology.load()
REQUEST_KIND = "https://csor.example/fhir/StructureDefinition/request-kind"
DIAGNOSES = "https://csor.example/fhir/ValueSet/registry-diagnosis"
PAGES = dict(pages())
NOW = "2026-11-23T12:00:00Z"
DEPENDS_ON_WHAT_IS_LOADED = {"profile-not-loaded", "extension-unknown", "terminology-not-loaded"}
OF_TYPE = {
    "Patient": "csor-patient",
    "Organization": "csor-organization",
    "Practitioner": "csor-practitioner",
    "Encounter": "csor-encounter",
    "Condition": "csor-condition",
    "Procedure": "csor-procedure",
    "EpisodeOfCare": "csor-case",
    "Composition": "csor-operative-note",
    "Bundle": "csor-operative-note-document",
    "Measure": "csor-measure",
}
"""The profile of each type whose resources at the registry all follow one."""

OF_CODE = {"412726003": "csor-gestation", "364589006": "csor-birth-weight"}
OF_FORM = {
    "operative-note-hirschsprung": "csor-operative-note-response",
    "parent-survey-hirschsprung-5-years": "csor-parent-survey-response",
}
OF_REPORT = {"individual": "csor-individual-report", "summary": "csor-summary-report"}
SENT = {
    *(
        OF_TYPE[type_]
        for type_ in ("Patient", "Practitioner", "Encounter", "Condition", "Procedure")
    ),
    OF_TYPE["EpisodeOfCare"],
    *OF_CODE.values(),
}
FROM_FORMS = {*OF_FORM.values(), OF_TYPE["Composition"], OF_TYPE["Bundle"]}

each_profile = pytest.mark.parametrize("name", PROFILES)
each_valid = pytest.mark.parametrize(
    "path", VALID, ids=lambda path: f"{path.parts[-3]}-{path.stem}"
)
each_invalid = pytest.mark.parametrize(
    "path", INVALID, ids=lambda path: f"{path.parts[-3]}-{path.stem}"
)


def issues(resource: Resource, *profiles: str) -> list[Resource]:
    """List the issues that do not depend on what an operator has loaded."""
    found = validate(resource, TERMINOLOGY, now=NOW, options=Options(profiles=profiles))
    return [
        {name: value for name, value in asdict(issue).items() if value is not None}
        for issue in found
        if issue.rule not in DEPENDS_ON_WHAT_IS_LOADED
    ]


@each_profile
def test_it_has_examples_and_counterexamples(name):
    assert len([path for path in VALID if path.parts[-3] == name]) >= 1
    assert len([path for path in INVALID if path.parts[-3] == name]) >= 2


@pytest.mark.parametrize("path", [*VALID, *INVALID], ids=lambda path: path.stem)
def test_an_example_claims_the_profile_of_its_folder(path):
    assert decode(path.read_bytes())["meta"]["profile"] == [PROFILES[path.parts[-3]]["url"]]


@each_valid
def test_a_valid_example_has_no_issue(path):
    assert issues(decode(path.read_bytes())) == []


@each_invalid
def test_an_invalid_example_has_exactly_the_issues_beside_it(path):
    found = issues(decode(path.read_bytes()))
    assert found == decode(path.with_suffix(".issues.json").read_bytes())
    assert [issue for issue in found if issue["severity"] == "error"] != []


def test_every_file_of_issues_has_its_example():
    assert len(list(EXAMPLES.glob("csor-*/invalid/*.issues.json"))) == len(INVALID)


@each_profile
def test_each_of_its_own_rules_is_broken_by_an_example(name):
    root = PROFILES[name]["differential"]["element"]
    rules = {rule["key"] for element in root for rule in element.get("constraint", ())}
    broken = {
        issue["rule"]
        for path in INVALID
        if path.parts[-3] == name
        for issue in decode(path.with_suffix(".issues.json").read_bytes())
    }
    assert rules - broken == set()


def golden() -> Iterator[Resource]:
    """Yield what the mapping of HL7 v2 and the extraction from forms are held to.

    What moves or renames a resource that is known names it, and is no more than a part of it.
    """
    for folder in ("mappings/hl7v2/examples", "questionnaires/examples"):
        for path in sorted((ROOT / folder).rglob("*.bundle.json")):
            for entry in decode(path.read_bytes())["entry"]:
                kinds = {each["url"] for each in entry.get("request", {}).get("extension", ())}
                if REQUEST_KIND not in kinds:
                    yield from entries({"entry": [entry]})


def simulated() -> Iterator[Resource]:
    """Yield what hospitals of the simulator send that speak FHIR."""
    hospitals = {each.ods: each for each in tables.hospitals() if each.sends_fhir}
    children = cohort.plan(1, date(2024, 1, 1), 1, 1.0)
    for child in islice((each for each in children if each.ods in hospitals), 20):
        for event in tell(child):
            yield from entries(bundles.bundle(hospitals[child.ods], event))
    for hospital in hospitals.values():
        yield bundles.registration(hospital)
        yield from entries(bundles.surgeons(people.surgeons(hospital.ods)))


def reported() -> Iterator[Resource]:
    """Yield the registry's measures, and reports by them: of one child, a hospital and the nation."""
    measures = artefacts.by_url("outcome_engine", "Measure")
    yield from measures.values()
    for path in sorted((ROOT / "outcome_engine" / "examples").rglob("*.report.json")):
        yield decode(path.read_bytes())
    computable = next(url for url, measure in measures.items() if "group" in measure)
    for hospital in (None, {"reference": "Organization/hospital"}):
        yield outcome_engine.summary_report(
            computable,
            [],
            hospital=hospital,
            period=outcome_engine.Period("2018-01-01", "2018-12-31"),
            reporter={"reference": "Organization/registry"},
            now=NOW,
        )


def entries(bundle: Resource) -> Iterator[Resource]:
    for entry in bundle.get("entry", ()):
        if "resource" in entry:
            yield entry["resource"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (golden, SENT | FROM_FORMS),
        (simulated, {*SENT, OF_TYPE["Organization"]}),
        (reported, {OF_TYPE["Measure"], *OF_REPORT.values()}),
    ],
)
def test_what_the_registry_takes_in_or_makes_follows_the_profiles(source, expected):
    seen = set()
    for resource in source():
        for name in profiles_of(resource):
            found = issues(resource, PROFILES[name]["url"])
            assert [issue for issue in found if issue["severity"] == "error"] == []
            seen.add(name)
    assert seen == expected


def profiles_of(resource: Resource) -> list[str]:
    if resource["resourceType"] == "Observation":
        codes = [coding.get("code") for coding in resource["code"]["coding"]]
        return [OF_CODE[code] for code in codes if code in OF_CODE]
    if resource["resourceType"] == "MeasureReport":
        return [OF_REPORT[resource["type"]]]
    if resource["resourceType"] == "QuestionnaireResponse":
        return [OF_FORM[resource["questionnaire"].partition("|")[0].rpartition("/")[2]]]
    one = OF_TYPE.get(resource["resourceType"])
    if one is None or (
        resource["resourceType"] == "Condition" and not is_of_the_registry(resource)
    ):
        return []
    return [one]


def is_of_the_registry(condition: Resource) -> bool:
    """Tell whether a diagnosis is one that opens a case: hospitals send others beside it."""
    return any(
        TERMINOLOGY.validate_code(DIAGNOSES, coding.get("system"), coding["code"])
        for coding in condition["code"]["coding"]
    )


@each_profile
def test_what_it_imposes_is_of_its_type_and_satisfied_by_its_examples(name, library):
    """UK Core is read from the library; the project does not carry it."""
    folder = library / "ukcore" / "structuredefinitions"
    core = [decode_xml(path.read_bytes()) for path in sorted(folder.glob("*.xml"))]
    structures = Catalogue.of([*artefacts.load("profiles"), *core])
    imposed = [
        each["valueCanonical"]
        for each in PROFILES[name].get("extension", ())
        if each["url"] == IMPOSE
    ]
    for canonical in imposed:
        found = structures.find("StructureDefinition", canonical)
        assert found is not None
        assert found["type"] == PROFILES[name]["type"]
    for path in (path for path in VALID if path.parts[-3] == name):
        resource = decode(path.read_bytes())
        said = validate(resource, TERMINOLOGY, now=NOW, options=Options(structures=structures))
        assert [issue for issue in said if issue.is_error] == []
        assert [issue for issue in said if issue.rule == "profile-not-loaded"] == []


@each_profile
def test_it_starts_from_the_standard(name):
    structure = PROFILES[name]
    assert structure["baseDefinition"] == definitions.CORE + structure["type"]
    assert "snapshot" not in structure


@each_profile
def test_its_page_shows_its_rules_codes_and_examples(name):
    text = PAGES[f"{name}.md"]
    structure = PROFILES[name]
    assert structure["url"] in text
    for element in structure["differential"]["element"]:
        for rule in element.get("constraint", ()):
            assert f"| `{rule['key']}` |" in text
        if element.get("binding"):
            bound = TERMINOLOGY.expand(element["binding"]["valueSet"])
            assert bound
            for coding in bound:
                assert f"| `{coding['system']}` | `{coding['code']}` |" in text
    for path in (path for path in (*VALID, *INVALID) if path.parts[-3] == name):
        assert path.read_text(encoding="utf-8").rstrip() in text


def test_a_page_says_what_an_extension_of_the_registry_carries():
    row = next(
        line for line in PAGES["csor-procedure.md"].splitlines() if "`extension:urgency`" in line
    )
    assert "StructureDefinition/procedure-urgency`" in row
    assert "Codes (required): `procedure-urgency`" in row

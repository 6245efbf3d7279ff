"""The engine's artefacts: valid, consistent with one another, and their codes verified."""

import csv
import re
from pathlib import Path

import pytest

import outcome_engine
from outcome_engine import Period
from outcome_engine.definitions.definition import definition, outline
from profiles.validate import validate
from r4 import artefacts
from r4.json import decode
from tests.profiles.unloaded import beyond

ROOT = Path(__file__).parents[2]
CODES = ROOT.parent / "shared" / "data" / "codes"
OURS = "https://csor.example/fhir/StructureDefinition/"
NOW = "2026-11-22T10:00:00Z"
ENGINE = {
    each["id"] + "." + each["resourceType"]: each
    for each in artefacts.load("outcome_engine")
    if each["resourceType"] != "ViewDefinition"  # of SQL on FHIR, read by test_view_definitions
}
EXTENSIONS = {
    url: each
    for url, each in artefacts.by_url("profiles", "StructureDefinition").items()
    if url.startswith(OURS + "outcome-")
}
EXTENSION_EXAMPLES = ROOT / "profiles" / "examples"
EXAMPLES = sorted((ROOT / "outcome_engine" / "examples").rglob("*.json"))
CORE_EXAMPLES = ROOT / "outcome_engine" / "examples" / "hirschsprung-core-outcome"
VALUE_SETS = {
    name: artefacts.by_url("terminology", "ValueSet")[f"https://csor.example/fhir/ValueSet/{name}"]
    for name in ("hirschsprung-pull-through", "unplanned-reoperation")
}


@pytest.fixture(scope="session")
def hospital_report(terminology, core):
    """Build a hospital's summary in which some counts are masked and some are shown."""
    bundle = decode((CORE_EXAMPLES / "good.bundle.json").read_bytes())
    child = [entry["resource"] for entry in bundle["entry"]]
    outcome = outcome_engine.assess(core, child, "2024-06-30", terminology)
    return outcome_engine.summary_report(
        core,
        [outcome] * 9,
        hospital={"reference": "Organization/hospital"},
        period=Period("2018-01-01", "2018-12-31"),
        reporter={"display": "CSOR registry"},
        now=NOW,
    )


@pytest.mark.parametrize("name", ENGINE)
def test_a_measure_or_library_is_valid_and_keeps_to_our_extensions(name, terminology):
    assert beyond(validate(ENGINE[name], terminology, now=NOW)) == []
    check_extensions(ENGINE[name])


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_valid_and_keeps_to_our_extensions(file, terminology):
    resource = decode(file.read_bytes())
    assert beyond(validate(resource, terminology, now=NOW)) == []
    check_extensions(resource)


def test_a_hospital_report_is_valid_and_keeps_to_our_extensions(hospital_report, terminology):
    assert beyond(validate(hospital_report, terminology, now=NOW)) == []
    check_extensions(hospital_report)


@pytest.mark.parametrize("url", EXTENSIONS)
def test_an_extension_is_valid_and_is_used(url, terminology, hospital_report):
    assert beyond(validate(EXTENSIONS[url], terminology, now=NOW)) == []
    form = EXTENSION_EXAMPLES / EXTENSIONS[url]["id"] / "valid" / "as-it-is-sent.json"
    files = [*EXAMPLES, form] if form.is_file() else EXAMPLES
    used = [*ENGINE.values(), hospital_report, *(decode(file.read_bytes()) for file in files)]
    assert url in {each["url"] for resource in used for each in extensions(resource)}


def test_the_ten_core_outcomes_are_each_a_rule_or_left_out_with_a_reason(core):
    number = re.compile(r"outcome (\d+)$")
    rules = [rule.citation for rule in definition(core).adverse]
    left_out = [
        part["valueString"]
        for extension in definition(core).measure["extension"]
        for part in extension["extension"]
        if part["url"] == "citation"
    ]
    numbers = [int(number.search(citation)[1]) for citation in rules + left_out]
    assert sorted(numbers) == list(range(1, 11))
    assert (len(rules), len(left_out)) == (7, 3)


def test_the_combination_says_that_it_is_a_proposal(core):
    found = definition(core)
    assert found.measure["status"] == "draft"
    assert all("not a published composite" in step.citation for step in found.class_rules)


def test_every_definition_is_read_with_its_codes_and_value_sets():
    read = [outline(url) for url, found in outcome_engine.measures().items() if "library" in found]
    assert "hirschsprung-core-outcome" in {found.measure["id"] for found in read}


@pytest.mark.parametrize("name", VALUE_SETS)
def test_every_code_of_a_value_set_was_verified(name):
    if not CODES.is_dir():
        pytest.skip(f"the reference lists of codes are not at {CODES}")
    opcs = {row["dotted"]: row["description"] for row in rows("opcs4_codes_hes.csv")}
    snomed = {row["code"]: row["display"] for row in rows("sct_verified.csv")}
    for include in VALUE_SETS[name]["compose"]["include"]:
        for concept in include["concept"]:
            if "snomed" in include["system"]:
                assert snomed[concept["code"]] == f"{concept['display']} (procedure)"
            else:
                assert opcs[concept["code"]] == concept["display"]


def rows(name):
    with (CODES / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def extensions(node):
    """Yield every extension of ours below a node."""
    if isinstance(node, dict):
        for each in node.get("extension", []):
            if each["url"].startswith(OURS + "outcome-"):
                yield each
        for child in node.values():
            yield from extensions(child)
    elif isinstance(node, list):
        for child in node:
            yield from extensions(child)


def check_extensions(resource):
    """Hold a resource's extensions against their definitions: parts, cardinalities, types."""
    for extension in extensions(resource):
        elements = {
            each["id"]: each for each in EXTENSIONS[extension["url"]]["differential"]["element"]
        }
        parts = extension.get("extension", [])
        slices = {
            each["sliceName"]: each
            for each in elements.values()
            if "sliceName" in each and each["path"] == "Extension.extension"
        }
        assert {part["url"] for part in parts} <= set(slices)
        for name, element in slices.items():
            given = [part for part in parts if part["url"] == name]
            assert len(given) >= element["min"], name
            assert element["max"] == "*" or len(given) <= int(element["max"]), name
            allowed = elements[f"Extension.extension:{name}.value[x]"]["type"]
            assert {value_type(part) for part in given if "extension" not in part} <= {
                each["code"].lower() for each in allowed
            }
        if not slices:
            allowed = elements["Extension.value[x]"]["type"]
            assert value_type(extension) in {each["code"].lower() for each in allowed}


def value_type(element):
    (key,) = [key for key in element if key.startswith("value")]
    return key.removeprefix("value").lower()

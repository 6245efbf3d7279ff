"""The search parameters that R4 has not and the registry defines: each finds what its profile holds."""

from pathlib import Path

import pytest

from fhir_server.store.indexing import definition
from fhir_server.store.search import expressions
from fhir_server.store.search.parameters import parameters
from r4 import artefacts, definitions
from r4.json import decode
from terminology.systems import CSOR, OPCS_4
from tests.search.conftest import Registry, entries

ROOT = Path(__file__).parents[2]
OWN = artefacts.by_url("profiles", "SearchParameter")
UK = "https://fhir.hl7.org.uk/CodeSystem/UKCore"
FOUND = [
    ("Procedure", "urgency=elective", {"left-orchidopexy", "pull-through"}),
    ("Procedure", "urgency=emergency", set()),
    ("Procedure", f"stage={CSOR}/CodeSystem/operative-note|primary", {"pull-through"}),
    ("Procedure", f"laterality={OPCS_4}|Z94.3", {"left-orchidopexy"}),
    ("Procedure", "laterality:missing=true", {"pull-through"}),
    ("Procedure", "surgeon-grade:text=consultant", {"left-orchidopexy", "pull-through"}),
    ("Procedure", "surgeon-grade:text=registrar", set()),
    ("Patient", f"ethnic-category={UK}-EthnicCategoryEngland|A", {"verified-number"}),
    ("Patient", "nhs-number-status=01", {"verified-number"}),
    ("Patient", "nhs-number-status:not=01", {"chi-number", "merged-into-another"}),
    ("Patient", "birth-sex=F", {"verified-number"}),
    ("Encounter", "admission-method=2B", {"finished-spell"}),
    ("Encounter", "discharge-method=1", {"finished-spell"}),
    ("Encounter", "discharge-method=4", set()),
    ("Consent", "data-stream=national-data", {"objection-to-national-data"}),
    ("Consent", "data-stream=national-data&decision=permit", set()),
    ("Consent", "decision=permit", {"parents-take-part"}),
    ("MeasureReport", "report-type=summary", {"of-a-hospital", "of-the-nation"}),
    ("MeasureReport", "outcome-class=bad", {"of-a-child"}),
    ("MeasureReport", "outcome-class=good", set()),
    ("MeasureReport", "hospital=Organization/RTH", {"of-a-hospital"}),
    ("MeasureReport", "report-type=summary&hospital:missing=true", {"of-the-nation"}),
]
KINDS = {"Procedure", "Patient", "Encounter", "Consent"}


@pytest.fixture(scope="module")
def examples(registry: Registry) -> Registry:
    """The valid examples of the profiles, and reports as the outcome engine makes them."""
    for path in sorted((ROOT / "profiles" / "examples").glob("csor-*/valid/*.json")):
        example = decode(path.read_bytes())
        if example["resourceType"] in KINDS:
            registry.put({**example, "id": path.stem})
    child = next((ROOT / "outcome_engine" / "examples").rglob("bad-death.report.json"))
    registry.put({**decode(child.read_bytes()), "id": "of-a-child"})
    summary = {"resourceType": "MeasureReport", "type": "summary", "status": "complete"}
    hospital = {
        "url": f"{CSOR}/StructureDefinition/outcome-hospital",
        "valueReference": {"reference": "Organization/RTH"},
    }
    registry.put(
        {**summary, "id": "of-a-hospital", "extension": [hospital]},
        {**summary, "id": "of-the-nation"},
    )
    return registry


@pytest.mark.parametrize(("kind", "query", "expected"), FOUND)
def test_it_finds_the_examples_that_have_the_value(
    examples: Registry, kind: str, query: str, expected: set[str]
) -> None:
    assert examples.ids(kind, query) == expected


def test_each_is_asked_above_and_finds_something() -> None:
    asked = {
        (kind, each.partition("=")[0].partition(":")[0])
        for kind, query, expected in FOUND
        if expected
        for each in query.split("&")
    }
    assert {(base, each["code"]) for each in OWN.values() for base in each["base"]} == asked


def test_the_hospital_of_a_report_can_be_included(examples: Registry) -> None:
    examples.put({"resourceType": "Organization", "id": "RTH"})
    query = "report-type=summary&_include=MeasureReport:hospital"
    bundle = examples.bundle("MeasureReport", query)
    assert [each["resource"]["id"] for each in entries(bundle, "include")] == ["RTH"]


@pytest.mark.parametrize("url", OWN)
def test_its_code_is_none_of_r4_and_its_base_is_of_the_registry(url: str) -> None:
    parameter = OWN[url]
    standard = {
        each["code"]
        for each in definitions.every("SearchParameter")
        if set(parameter["base"]) & {*each.get("base", ()), "Resource", "DomainResource"}
        and set(each.get("base", ())) & {*parameter["base"], "Resource", "DomainResource"}
    }
    assert parameter["code"] not in standard
    for base in parameter["base"]:
        assert parameters(base)[parameter["code"]].url == url


def test_what_stands_below_another_extension_is_no_value(examples: Registry) -> None:
    """A condition in an expression is held against the element that it follows, and no other."""
    url = f"{CSOR}/StructureDefinition/procedure-urgency"
    coded = {"coding": [{"code": "emergency"}]}
    examples.put(
        {
            "resourceType": "Procedure",
            "id": "another-extension",
            "extension": [{"url": "urn:another", "valueCodeableConcept": coded}],
            "performer": [{"extension": [{"url": url, "valueCodeableConcept": coded}]}],
        }
    )
    assert examples.ids("Procedure", "urgency=emergency") == set()
    assert examples.ids("Procedure", "surgeon-grade=emergency") == set()


def test_all_but_one_are_read_without_an_engine() -> None:
    """What is walked costs a write least; only the class stands below two extensions."""
    evaluated = [
        each["code"] for each in OWN.values() if expressions.plain(each["expression"]) is None
    ]
    assert evaluated == ["outcome-class"]


def test_a_change_of_them_makes_the_index_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = definition()
    fewer = dict(list(OWN.items())[1:])
    monkeypatch.setattr(artefacts, "by_url", lambda *_: fewer)
    assert definition() != before

"""What a measure says that it needs is what its definition reads, and all that was collected fits it."""

from typing import Any

import pytest

from outcome_engine.definitions.definition import definition
from outcome_engine.expressions.syntax import members_of
from profiles.validate import validate
from r4 import artefacts
from tests.functional.test_evaluate import HOSPITAL, MEASURE, PERIOD, case, keep, patient, stoma
from tests.profiles.unloaded import beyond
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

COMPUTED = [
    url
    for url, each in artefacts.by_url("outcome_engine", "Measure").items()
    if not any(e["url"].endswith("/outcome-parameters") for e in each.get("extension", ()))
]


def asked(server: Served, url: str = MEASURE, **given: str) -> dict[str, Any]:
    answer = server.http.get("/Measure/$data-requirements", params={"measureUrl": url, **given})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def codes(requirement: dict[str, Any], path: str) -> set[str]:
    filters = [each for each in requirement.get("codeFilter", ()) if each["path"] == path]
    return {code["code"] for each in filters for code in each.get("code", ())}


@pytest.mark.parametrize("url", COMPUTED)
def test_it_is_a_valid_library_that_names_every_value_set_and_view(
    server: Served, url: str
) -> None:
    library = asked(server, url)
    issues = validate(library, server.context.terminology, now="2026-11-23T12:00:00Z")
    assert [each for each in beyond(issues) if each.severity == "error"] == []
    rules = definition(url)
    wanted = {
        m.value_set for each in rules.selections if each.where for m in members_of(each.where)
    }
    named = {each["resource"].partition("|")[0] for each in library["relatedArtifact"]}
    assert wanted <= named
    asked_for = {
        each["valueSet"] for r in library["dataRequirement"] for each in r.get("codeFilter", ())
        if "valueSet" in each
    }  # fmt: skip
    assert asked_for <= wanted
    assert {f"https://csor.example/fhir/ViewDefinition/{each}" for each in rules.views} <= named


def test_it_says_which_codes_and_elements_a_rule_reads(server: Served) -> None:
    needed = asked(server)["dataRequirement"]
    assert {each["type"] for each in needed} == {
        "EpisodeOfCare", "Patient", "Procedure", "Observation"
    }  # fmt: skip
    (cases,) = [each for each in needed if each["type"] == "EpisodeOfCare"]
    assert codes(cases, "type") == {"hirschsprung"}
    stomas = [each for each in needed if codes(each, "code") == {"permanent-stoma"}]
    assert stomas
    assert {"code", "effective", "status", "subject", "value"} == set(stomas[0]["mustSupport"])
    sets = [
        [each["valueSet"].rpartition("/")[2] for each in r["codeFilter"] if "valueSet" in each]
        for r in needed
        if r["type"] == "Procedure" and "codeFilter" in r
    ]
    assert ["hirschsprung-pull-through"] in sets
    assert all(len(each) <= 1 for each in sets), "two filters would have to hold of one coding"


def test_a_period_is_when_the_cases_begin(server: Served) -> None:
    cases = asked(server, periodStart="2018", periodEnd="2019-06")["dataRequirement"][0]
    period = {"start": "2018-01-01", "end": "2019-06-30"}
    assert cases["dateFilter"] == [{"path": "period", "valuePeriod": period}]
    assert "dateFilter" not in asked(server)["dataRequirement"][0]


def test_what_is_collected_has_the_elements_that_are_required(server: Served) -> None:
    keep(server.context.database, HOSPITAL, patient("a"), case("c-a", "a"), stoma("o-a", "a"))
    needed = asked(server)["dataRequirement"]
    answer = server.http.get("/Measure/$collect-data", params={"measureUrl": MEASURE, **PERIOD})
    (bundle,) = [each["resource"] for each in answer.json()["parameter"]]
    collected = {each["resource"]["resourceType"] for each in bundle["entry"]}
    assert collected - {"MeasureReport", "Organization"} <= {each["type"] for each in needed}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("Measure/hirschsprung-core-outcome/$data-requirements", 200),
        ("Measure/none/$data-requirements", 404),
        ("Measure/$data-requirements", 400),
        (f"Measure/$data-requirements?measureUrl={MEASURE}&periodStart=2018", 400),
        (f"Measure/$data-requirements?measureUrl={MEASURE}&periodStart=2018&periodEnd=2017", 400),
        (f"Measure/$data-requirements?measureUrl={MEASURE}&subject=x", 400),
    ],
)
def test_a_measure_is_named_and_a_period_is_whole(server: Served, path: str, status: int) -> None:
    assert server.http.get(f"/{path}").status_code == status

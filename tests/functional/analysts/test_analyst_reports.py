"""The MeasureReports that an analyst reads: summaries that left by the rule of disclosure, and no other."""

import json
from datetime import date
from importlib.resources import files
from typing import Any

import pytest

import outcome_engine
from outcome_engine import Period
from r4.json import Resource, decode, encode
from terminology import Terminology
from tests.support.analysts import REGISTRY, Registry

NAME = "appendicectomy-readmission"
MEASURE = f"https://csor.example/fhir/Measure/{NAME}"
HOSPITAL = "Organization/hospital-of-all"
GROUP = {"resourceType": "Group", "type": "person", "actual": True}


def summaries() -> list[Resource]:
    """Return the reports of a nation of one hospital: the nation's, and the hospital's, disclosed."""
    folder = files("outcome_engine") / "examples" / NAME
    terms, outcomes = Terminology.load(), []
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".bundle.json"):
            record = [each["resource"] for each in decode(file.read_bytes())["entry"]]
            for each in record:
                if "managingOrganization" in each:
                    each["managingOrganization"] = {"reference": HOSPITAL}
            outcomes.append(outcome_engine.assess(MEASURE, record, "2026-01-01", terms))
    made = outcome_engine.summary_reports(
        MEASURE,
        outcomes,
        [{"reference": HOSPITAL}],
        period=Period("2025-01-01", "2025-12-31"),
        reporter={"display": "CSOR registry"},
        now="2026-02-03T04:05:06Z",
    )
    return [json.loads(encode(each)) for each in made]


def put(registry: Registry, key: str, resource: Resource) -> None:
    kind = resource.get("resourceType", "MeasureReport")
    told = {"resourceType": kind, **resource, "id": key}
    answer = registry.ask(REGISTRY, "PUT", f"/{kind}/{key}", json=told)
    assert answer.status_code in (200, 201), answer.text


@pytest.fixture(scope="module")
def reports(registry: Registry) -> list[Resource]:
    """Store the two summaries, and others that are not for an analyst."""
    nation, hospital = summaries()
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Secret</div>'}
    put(registry, "nation", {**nation, "text": text})
    put(registry, "hospital", hospital)
    child = {"reference": f"Patient/{registry.children[0].patient['id']}"}
    put(registry, "child", {**nation, "type": "individual", "subject": child})
    put(registry, "list", {**nation, "type": "subject-list"})
    put(registry, "group", GROUP)
    put(registry, "group", {**nation, "subject": {"reference": "Group/group"}})
    held = {"resourceType": "List", "id": "l", "status": "current", "mode": "working"}
    listed = {"contained": [held], "evaluatedResource": [{"reference": "#l"}]}
    put(registry, "contained", {**nation, **listed})
    about = [each for each in hospital["extension"] if not each["url"].endswith("-disclosure")]
    put(registry, "undisclosed", {**hospital, "extension": about})
    put(registry, "undisclosed-too", {**nation, "reporter": {"reference": HOSPITAL}})
    return [nation, hospital]


def shown(registry: Registry) -> list[dict[str, Any]]:
    return registry.found("/MeasureReport")


def test_the_two_summaries_are_shown_with_their_numbers_and_no_other_report(
    registry: Registry, reports: list[Resource]
) -> None:
    found = shown(registry)
    assert len(found) == 2
    for each in found:
        (same,) = [r for r in reports if len(r["extension"]) == len(each["extension"])]
        assert each["period"] == same["period"]
        assert each["date"] == same["date"]
        counts = [p.get("count") for g in each["group"] for p in g["population"]]
        assert counts == [p.get("count") for g in same["group"] for p in g["population"]]
        assert registry.get(f"/MeasureReport/{each['id']}").json() == each


def test_a_hospital_is_named_by_its_token_and_limitations_go_along(
    registry: Registry, reports: list[Resource]
) -> None:
    token = registry.found("/Organization")[0]["id"]
    (own,) = registry.found(f"/MeasureReport?hospital=Organization/{token}")
    said = json.dumps([own, *shown(registry)])
    assert f"Organization/{token}" in json.dumps(own)
    assert "hospital-of-all" not in said
    assert "Secret" not in said
    assert "cqm-limitations" in said
    years = {str(date.fromisoformat(each["period"]["start"]).year) for each in reports}
    assert all(f'"text": "{year}"' in said for year in years)


def test_an_export_has_the_same_reports(registry: Registry, reports: list[Resource]) -> None:
    _, found = registry.exported("/$export?_type=MeasureReport")
    assert found["MeasureReport"] == shown(registry)

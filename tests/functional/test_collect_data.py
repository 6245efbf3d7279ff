"""The data that a measure is computed from, collected here and submitted to another registry."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r4.json import encode
from tests.functional.test_evaluate import HOSPITAL, MEASURE, PERIOD, Resource, case, patient, stoma
from tests.support.databases import KINDS
from tests.support.returned import reports
from tests.support.server import Served, put, served

pytestmark = pytest.mark.postgresql_slow

JSON = {"Content-Type": "application/fhir+json"}
GIVEN = {"measureUrl": MEASURE, **PERIOD}
UPDATE = "http://hl7.org/fhir/uv/deqm/StructureDefinition/deqm-submitDataUpdateType"


@pytest.fixture(scope="module", params=KINDS)
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A registry of two fictitious children, and one whose case is of another year."""
    with served(tmp_path_factory.mktemp("registry"), request.param) as running:
        put(running, HOSPITAL, patient("a"), case("c-a", "a"), stoma("o-a", "a"))
        put(running, patient("b"), case("c-b", "b"), patient("z"), case("c-z", "z", "2010-01-01"))
        yield running


def collected(server: Served, **given: Any) -> list[list[Resource]]:
    """Return the entries of each child's Bundle."""
    answer = server.http.get("/Measure/$collect-data", params={**GIVEN, **given})
    assert answer.status_code == 200, answer.text
    return [each["resource"]["entry"] for each in answer.json().get("parameter", [])]


def test_each_child_has_a_report_and_the_data_that_it_names(registry: Served) -> None:
    bundles = collected(registry)
    about = [bundle[0]["resource"]["subject"]["reference"] for bundle in bundles]
    assert about == ["Patient/a", "Patient/b"]
    report, *data = (entry["resource"] for entry in bundles[0])
    assert (report["type"], report["measure"]) == ("data-collection", f"{MEASURE}|0.2.0")
    assert report["extension"] == [{"url": UPDATE, "valueCode": "snapshot"}]
    assert report["period"] == {"start": "2012-01-01", "end": "2012-12-31"}
    assert report["reporter"] == {"reference": "Organization/hospital"}
    assert "group" not in report
    named = {each["reference"] for each in report["evaluatedResource"]}
    assert named == {f"{each['resourceType']}/{each['id']}" for each in data}
    assert named == {"Organization/hospital", "Patient/a", "EpisodeOfCare/c-a", "Observation/o-a"}


def test_it_can_be_of_one_child_and_of_a_hospital(registry: Served) -> None:
    assert len(collected(registry, subject="Patient/b")) == 1
    assert collected(registry, subject="Patient/z") == []
    assert len(collected(registry, provider="Organization/hospital")) == 2


def test_what_was_collected_is_submitted_and_gives_the_same_outcomes(
    registry: Served, tmp_path: Path
) -> None:
    """A submission is a transaction: the data in their places, the report of what was sent beside them."""
    with served(tmp_path) as other:
        for bundle in collected(registry):
            for entry in bundle:
                resource = entry["resource"]
                kind = resource["resourceType"]
                method = "POST" if kind == "MeasureReport" else "PUT"
                url = kind if method == "POST" else f"{kind}/{resource['id']}"
                entry["request"] = {"method": method, "url": url}
            body = {"resourceType": "Bundle", "type": "transaction", "entry": bundle}
            answer = other.http.post("/", content=encode(body), headers=JSON)
            assert answer.status_code == 200, answer.text
        sent = other.http.get("/MeasureReport?report-type=data-collection").json()
        assert sent["total"] == 2
        for kind in ("individual", "summary"):
            asked = {**GIVEN, "reportType": kind}
            here, there = (
                reports(each.http.get("/Measure/$evaluate", params=asked))
                for each in (registry, other)
            )
            assert [each["group"] for each in here] == [each["group"] for each in there]


def test_what_it_cannot_do_is_refused_by_name(registry: Served) -> None:
    for name in ("reportType", "lastReceivedOn", "validateResources", "location"):
        answer = registry.http.get("/Measure/$collect-data", params={**GIVEN, name: "true"})
        assert answer.status_code == 400
        assert name in answer.json()["issue"][0]["diagnostics"]

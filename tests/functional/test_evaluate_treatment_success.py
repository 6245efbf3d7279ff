"""The Treatment Success Score over the wire: refused without parameters, illustrative with made-up ones."""

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.app import clock
from fhir_server.commands.parameters import illustrate
from r4.json import decode, encode
from tests.outcome_engine.signing import TSS
from tests.outcome_engine.test_treatment_success_children import child
from tests.support.returned import reports
from tests.support.server import Served, served

PERIOD = {"measureUrl": TSS, "periodStart": "2018-01-01", "periodEnd": "2018-12-31"}
OURS = "https://csor.example/fhir/StructureDefinition/"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("signed")
    parameters, signatories = illustrate(folder, clock().date())
    settings = {"parameters": parameters, "signatories": signatories}
    with served(folder, **settings) as server:  # type: ignore[arg-type]
        hospital = {"resourceType": "Organization", "id": "hospital", "name": "Fictitious hospital"}
        server.http.put("/Organization/hospital", json=hospital)
        store(server, child("amber"))
        yield server


def store(server: Served, record: list[dict[str, Any]]) -> None:
    for resource in record:
        place = f"/{resource['resourceType']}/{resource['id']}"
        assert server.http.put(place, json=resource).status_code == 201


def another(record: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """Return the record of another child, of whom all the same is known."""
    text = encode(record).decode()
    for each in record:
        name = f"{each['resourceType']}/{each['id']}"
        text = text.replace(f'"{name}"', f'"{name}-{number}"')
    return [{**each, "id": f"{each['id']}-{number}"} for each in decode(text.encode())]


def extensions(report: dict[str, Any]) -> dict[str, Any]:
    return {each["url"].removeprefix(OURS): each for each in report["extension"]}


def test_a_child_is_scored_and_the_report_says_that_it_is_made_up(signed: Served) -> None:
    given = {**PERIOD, "reportType": "individual"}
    answer = signed.http.get("/Measure/$evaluate", params=given)
    [report] = reports(answer)
    found = extensions(report)
    assert report["group"][0]["measureScore"]["value"] == 0.64
    assert "Illustrative only" in found["report-illustrative"]["valueMarkdown"]
    said = {part["url"]: part for part in found["outcome-result"]["extension"]}
    assert said["class"]["valueCoding"]["code"] == "good"
    assert said["reason"]["valueCoding"]["code"] == "score-reaches-cut"
    assert "Illustrative only" in said["statement"]["valueString"]
    assert {each["reference"] for each in report["evaluatedResource"]} >= {
        "Procedure/reopening",
        "Observation/episode-1",
    }


def test_the_nation_has_no_mean_of_one_child(signed: Served) -> None:
    answer = signed.http.get("/Measure/$evaluate", params={**PERIOD, "reportType": "summary"})
    assert "measureScore" not in reports(answer)[0]["group"][0]


def test_the_nation_has_the_mean_of_eight_and_the_digest_of_the_parameters(signed: Served) -> None:
    for number in range(7):
        store(signed, another(child("amber"), number))
    answer = signed.http.get("/Measure/$evaluate", params={**PERIOD, "reportType": "summary"})
    nation = reports(answer)[0]
    assert nation["group"][0]["measureScore"]["value"] == 0.64
    found = extensions(nation)
    digests = [
        part["valueString"]
        for part in found["report-provenance"]["extension"]
        if part["url"] == "parametersDigest"
    ]
    assert [len(each) for each in digests] == [64]
    assert "report-illustrative" in found

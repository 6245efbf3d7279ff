"""What a hospital's own system reads: its own children; of others it learns nothing."""

import asyncio
from typing import Any

import pytest

from fhir_server.operations.working import work_off
from fhir_server.rest.reading import resource
from tests.support.hospitals import (
    NORTH,
    ODS,
    REGISTRY,
    SEALED,
    SOUTH,
    Asking,
    Ward,
    place,
    post,
    weight,
)


def test_a_hospital_brings_its_child_and_reads_it(ask: Asking, ward: Ward) -> None:
    assert ask.get(NORTH, f"/{ward.mia}").status_code == 200
    assert ask.get(NORTH, f"/{ward.mia_weight}/_history/1").status_code == 200
    assert ask.ids(NORTH, "/Observation") == {ward.mia_weight.partition("/")[2]}
    assert ask.ids(REGISTRY, "/Observation") >= {
        each.partition("/")[2] for each in (ward.mia_weight, ward.tom_weight)
    }
    assert len(ask.ids(NORTH, f"/{ward.mia}/$everything")) >= 3


READS = ("", "/_history", "/_history/1", "?_summary=true")


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("kind", ["Patient", "Encounter", "Observation"])
def test_anothers_child_is_answered_as_what_never_was(
    ask: Asking, ward: Ward, kind: str, read: str
) -> None:
    theirs = next(e for e in (ward.tom, ward.tom_visit, ward.tom_weight) if e.startswith(kind))
    nobody = f"{kind}/00000000-0000-4000-8000-000000000000"
    found, unknown = (ask.get(NORTH, f"/{each}{read}") for each in (theirs, nobody))
    assert found.status_code == unknown.status_code == 404
    assert found.text.replace(theirs, "x") == unknown.text.replace(nobody, "x")
    assert set(found.headers) == set(unknown.headers)
    assert ask.get(REGISTRY, f"/{theirs}{read}").status_code == 200


@pytest.mark.parametrize(
    "url", ["/{tom}/$everything", "/{tom}/Observation", "/{tom_visit}/$everything",
            "/{tom_weight}/$grade", "/Group/x/$export"],
)  # fmt: skip
def test_nor_is_anything_asked_of_it(ask: Asking, ward: Ward, url: str) -> None:
    asked = ask.get(NORTH, url.format(**vars(ward)), headers={"Prefer": "respond-async"})
    assert asked.status_code in (403, 404)
    assert SEALED not in asked.text


@pytest.mark.parametrize(
    "query",
    [
        "/Patient?family=nobody", "/Observation?patient.family=nobody", "/_history?_count=1000",
        "/Observation/_history", "/?_type=Patient,Observation,Encounter", "/Observation?_include=*",
        "/Organization?_revinclude=Encounter:service-provider", "/Observation?_content=weight",
        "/Encounter?_revinclude=*", "/Patient?_has:Observation:patient:status=final",
    ],
)  # fmt: skip
def test_no_search_and_no_history_holds_it(ask: Asking, ward: Ward, query: str) -> None:
    answer = ask.get(NORTH, query)
    assert answer.status_code == 200
    for theirs in (ward.tom, ward.tom_visit, ward.tom_weight):
        assert theirs.partition("/")[2] not in answer.text


def test_nor_do_counts_and_statistics_tell_of_it(ask: Asking, ward: Ward) -> None:
    assert ask.get(NORTH, "/Observation?_summary=count").json()["total"] == 1
    last = ask.get(NORTH, f"/Observation/$lastn?subject={ward.tom}&code=weight")
    assert (last.status_code, last.json()["total"]) == (200, 0)
    counted = ask.get(NORTH, "/Observation/_history").json()
    assert counted["total"] == 1


def test_a_page_of_anothers_search_shows_no_more_than_ones_own(ask: Asking, ward: Ward) -> None:
    page = ask.get(REGISTRY, "/Observation?_count=1").json()
    url = next(each["url"] for each in page["link"] if each["relation"] == "next")
    query = url.partition("/fhir")[2]
    assert ward.tom_weight.partition("/")[2] not in ask.get(NORTH, query).text
    first = query.replace("next", "first")
    assert ask.ids(NORTH, first) <= {ward.mia_weight.partition("/")[2]}


def test_what_was_deleted_of_anothers_child_is_unknown_and_of_ones_own_gone(
    ask: Asking, ward: Ward
) -> None:
    sent = ask.send(SOUTH, post(weight(ward.tom)))
    gone = place(sent, 0)
    assert ask(REGISTRY, "DELETE", f"/{gone}").status_code == 200
    assert ask.get(SOUTH, f"/{gone}").status_code == 410
    assert ask.get(NORTH, f"/{gone}").status_code == 404
    assert ask.get(NORTH, f"/{gone}/_history").status_code == 404


def test_what_families_answered_is_the_registrys(ask: Asking, ward: Ward) -> None:
    told = {
        "resourceType": "QuestionnaireResponse", "status": "in-progress",
        "subject": {"reference": ward.mia}, "source": {"reference": ward.mia},
    }  # fmt: skip
    answers = ask(REGISTRY, "POST", "/QuestionnaireResponse", json=told).json()
    where = f"QuestionnaireResponse/{answers['id']}"
    taken = weight(ward.mia, derivedFrom=[{"reference": where}])
    value = ask(REGISTRY, "POST", "/Observation", json=taken).json()
    assert ask.get(NORTH, f"/{where}").status_code == 404
    assert ask.get(NORTH, f"/Observation/{value['id']}").status_code == 404
    assert value["id"] not in ask.get(NORTH, f"/{ward.mia}/$everything").text


def test_an_export_holds_ones_own_and_is_nobody_elses_to_fetch(ask: Asking, ward: Ward) -> None:
    asked = {"Prefer": "respond-async"}
    for url in ("/$export?_type=Patient,Observation", "/Patient/$export?_type=Patient,Observation"):
        begun = ask.get(NORTH, url, headers=asked)
        assert begun.status_code == 202, begun.text
        job = begun.headers["Content-Location"].partition("/fhir")[2]
        manifest = ask.runner.run(_worked(ask, job))
        files = [each["url"].partition("/fhir")[2] for each in manifest["output"]]
        said = "".join(ask.get(NORTH, each).text for each in files)
        assert ward.mia_weight.partition("/")[2] in said
        assert ward.tom.partition("/")[2] not in said
        assert ward.tom_weight.partition("/")[2] not in said
        for each in (job, *files):
            assert ask.get(SOUTH, each).status_code == 404
        assert ask(SOUTH, "DELETE", job).status_code == 404


async def _worked(ask: Asking, job: str) -> Any:
    working = asyncio.create_task(work_off(ask.made, resource))
    try:
        while True:
            found = await ask.http.get(f"/fhir{job}", headers={"X-Client": NORTH})
            if found.status_code != 202:
                return found.json()
            await asyncio.sleep(0.02)
    finally:
        working.cancel()


def test_a_hospitals_summary_of_the_nations_evaluation_is_that_hospitals(
    ask: Asking, ward: Ward
) -> None:
    found = ask.get(REGISTRY, f"/Organization?identifier={ODS}|{SOUTH}").json()
    south = f"Organization/{found['entry'][0]['resource']['id']}"
    report = {
        "resourceType": "MeasureReport", "status": "complete", "type": "summary",
        "measure": "https://csor.example/fhir/Measure/hirschsprung-core-outcome",
        "period": {"start": "2024-01-01", "end": "2024-12-31"},
        "reporter": {"display": "The registry"},
    }  # fmt: skip
    about = "https://csor.example/fhir/StructureDefinition/outcome-hospital"
    for of, seen in (({"reference": south}, {SOUTH}), ({"display": "unknown"}, set())):
        told = {**report, "extension": [{"url": about, "valueReference": of}]}
        made = ask(REGISTRY, "POST", "/MeasureReport", json=told)
        assert made.status_code == 201, made.text
        url = f"/MeasureReport/{made.json()['id']}"
        assert {each for each in (NORTH, SOUTH) if ask.get(each, url).status_code == 200} == seen

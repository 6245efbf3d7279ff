"""`$evaluate` with `Prefer: respond-async`: the same reports in a file, as of when they were asked for."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fhir_server.app import context
from fhir_server.context import Context
from fhir_server.interactions.update import update
from fhir_server.operations import asynchronous, evaluation_job
from fhir_server.operations.evaluation_asked import given
from fhir_server.operations.evaluation_job import accept_evaluation
from fhir_server.operations.working import work_off
from fhir_server.rest.reading import resource
from fhir_server.settings import Settings
from fhir_server.store.commit import commit
from fhir_server.store.write import Commit
from r4.issue import FhirError
from tests.functional.test_evaluate import (
    HOSPITAL,
    MEASURE,
    PERIOD,
    Resource,
    case,
    keep,
    patient,
    stoma,
    written,
)
from tests.support.bulk import ASYNC, kick_off, lines, manifest
from tests.support.databases import KINDS, new_database
from tests.support.returned import reports
from tests.support.server import Served, served

pytestmark = pytest.mark.postgresql_slow

EVALUATE = "/Measure/$evaluate"
GIVEN = {"measureUrl": MEASURE, **PERIOD}


def children(number: int) -> Iterator[Resource]:
    yield HOSPITAL
    for n in range(number):
        yield from (patient(f"p{n}"), case(f"c{n}", f"p{n}"), stoma(f"o{n}", f"p{n}"))


@pytest.fixture(scope="module", params=KINDS)
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A registry of nine fictitious children and one whose case has no date."""
    with served(tmp_path_factory.mktemp("registry"), request.param) as running:
        undated = [patient("undated"), case("case-undated", "undated", None)]
        keep(running.context.database, *children(9), *undated)
        yield running


def of(bundles: list[Resource]) -> list[Resource]:
    found = [entry["resource"] for bundle in bundles for entry in bundle["entry"]]
    return [each for each in found if each["resourceType"] == "MeasureReport"]


def same(found: list[Resource]) -> list[Resource]:
    """Leave out when each was made: the date, and the snapshot of what it was made from."""
    return [
        {
            **{key: value for key, value in each.items() if key != "date"},
            "extension": [e for e in each["extension"] if not e["url"].endswith("-provenance")],
        }
        for each in found
    ]


@pytest.mark.parametrize("kind", ["individual", "summary"])
def test_the_reports_are_those_that_are_given_at_once(registry: Served, kind: str) -> None:
    asked = {**GIVEN, "reportType": kind}
    told = manifest(registry.http, kick_off(registry.http, EVALUATE, params=asked))
    found = lines(registry.http, [*told["output"], *told["error"]])
    at_once = registry.http.get(EVALUATE, params=asked)
    assert same(of(found["Bundle"])) == same(reports(at_once))
    (outcome,) = found["OperationOutcome"]
    assert outcome["issue"][0]["diagnostics"].startswith("EpisodeOfCare/case-undated ")
    assert "MeasureReport?" not in told["request"]
    assert told["request"].startswith(f"{registry.base_url}{EVALUATE}?measureUrl=")


def test_a_post_stores_them_and_a_get_does_not(registry: Served) -> None:
    before = registry.http.get("/MeasureReport?_summary=count").json()["total"]
    manifest(registry.http, kick_off(registry.http, EVALUATE, params=GIVEN))
    assert registry.http.get("/MeasureReport?_summary=count").json()["total"] == before
    answer = registry.http.post(EVALUATE, params=GIVEN, headers=ASYNC)
    told = manifest(registry.http, answer.headers["Content-Location"])
    national = of(lines(registry.http, told["output"])["Bundle"])[0]
    assert registry.http.get(f"/MeasureReport/{national['id']}").json()["type"] == "summary"


def test_what_is_asked_wrongly_is_refused_at_once(registry: Served) -> None:
    for change, status in (
        ({"periodStart": "2012-13"}, 400),
        ({"measureUrl": f"{MEASURE}-of-nothing"}, 404),
        ({"subject": "Patient/nobody"}, 404),
        ({"location": "x"}, 400),
    ):
        answer = registry.http.get(EVALUATE, params={**GIVEN, **change}, headers=ASYNC)
        assert answer.status_code == status


def test_what_fails_later_is_told_by_the_status(registry: Served) -> None:
    status = kick_off(registry.http, EVALUATE, params={**GIVEN, "subject": "Patient/undated"})
    for _ in range(500):
        answer = registry.http.get(status)
        if answer.status_code != 202:
            break
    assert answer.status_code == 422
    assert "period.start" in answer.json()["issue"][0]["diagnostics"]


def test_a_job_that_is_over_can_be_removed(registry: Served) -> None:
    status = kick_off(registry.http, EVALUATE, params=GIVEN)
    (file,) = manifest(registry.http, status)["output"]
    assert registry.http.delete(status).status_code == 202
    assert registry.http.get(status).status_code == 404
    assert registry.http.get(file["url"]).status_code == 404


class TestLongOnes:
    CHILDREN = 60

    @pytest.fixture
    async def many(self, tmp_path: Path) -> AsyncIterator[Context]:
        database = new_database("sqlite", tmp_path)
        made = context(Settings(database=database, bulk_folder=tmp_path / "bulk"))
        await commit(made.database, Commit([written(each) for each in children(self.CHILDREN)]))
        yield made
        made.database.close()

    @staticmethod
    async def accepted(made: Context, **more: str) -> str:
        asked = given({**GIVEN, "reportType": "individual", **more}.items(), None)
        return await accept_evaluation(made, asked, "u", keep=False)

    @staticmethod
    async def until(made: Context, job_id: str, words: str) -> None:
        async with asyncio.timeout(20):
            while words not in asynchronous.standing(made, job_id).progress:
                await asyncio.sleep(0)

    async def test_progress_is_told_and_others_are_served_meanwhile(
        self, many: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(evaluation_job, "NOTICED", 5)
        job_id = await self.accepted(many)
        assert asynchronous.standing(many, job_id).progress == "waiting for its turn"
        working = asyncio.create_task(work_off(many, resource))
        said, turns = set(), 0
        async with asyncio.timeout(20):
            while (found := asynchronous.standing(many, job_id)).manifest is None:
                said.add(found.progress)
                turns += 1
                await asyncio.sleep(0)
        working.cancel()
        assert turns >= self.CHILDREN
        assert {f"{n} children assessed" for n in (5, 55)} & said
        assert found.manifest["output"][0]["count"] == self.CHILDREN
        assert found.expires is not None

    async def test_one_that_is_cancelled_stops_and_leaves_nothing(
        self, many: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(evaluation_job, "NOTICED", 5)
        job_id, following = [await self.accepted(many) for _ in range(2)]
        working = asyncio.create_task(work_off(many, resource))
        await self.until(many, job_id, "children assessed")
        await asynchronous.cancel(many, job_id)
        await self.until(many, following, "children assessed")
        with pytest.raises(FhirError) as refusal:
            asynchronous.standing(many, job_id)
        assert refusal.value.status == 404
        assert not asynchronous.folder(many, job_id).exists()
        working.cancel()

    async def test_it_is_of_when_it_was_asked_for(self, many: Context) -> None:
        job_id = await self.accepted(many)
        for each in (patient("late"), case("c-late", "late")):
            await update(many, each, each["id"])
        working = asyncio.create_task(work_off(many, resource))
        async with asyncio.timeout(20):
            while (found := asynchronous.standing(many, job_id)).manifest is None:
                await asyncio.sleep(0.01)
        working.cancel()
        assert found.manifest["output"][0]["count"] == self.CHILDREN

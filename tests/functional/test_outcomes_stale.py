"""Stored summaries say when they are no longer current: those affected, once, until they are made again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fhir_server.context import Context
from fhir_server.operations import outcomes_follow
from fhir_server.operations.evaluate import evaluate
from fhir_server.operations.outcomes_process import InThread
from fhir_server.operations.outcomes_rescored import Affected
from fhir_server.operations.outcomes_stale import STALE, due, mark
from fhir_server.operations.purge import purge
from fhir_server.settings import Settings
from fhir_server.store import outcomes as store
from fhir_server.store import read
from r4.issue import FhirError
from r4.json import decode
from tests.functional.test_evaluate import HOSPITAL, MEASURE, case, patient, stoma
from tests.functional.test_outcomes_as_of import OTHER, deleted, stored
from tests.functional.test_outcomes_kept import caught_up, changes, empty, kept, run

__all__ = ["empty"]

Resource = dict[str, Any]
PEOPLE = (
    stored(HOSPITAL, OTHER),
    stored(patient("a"), case("ca", "a")),
    stored(
        patient("b"),
        case("cb", "b", "2012-06-01", managingOrganization={"reference": "Organization/other"}),
    ),
)
NATION, HERE, THERE = "nation", "Organization/hospital", "Organization/other"


async def summarised(made: Context, year: int = 2012) -> None:
    """Compute and store the summaries of a year: of the nation, and of each hospital."""
    period = {"periodStart": f"{year}-01-01", "periodEnd": f"{year}-12-31"}
    await evaluate(made, {"measureUrl": [MEASURE], "reportType": "summary", **period}, keep=True)


@asynccontextmanager
async def summaries(made: Context) -> AsyncIterator[None]:
    """Store the people and their summaries, and keep the outcomes until left."""
    await changes(made, *PEOPLE)
    async with kept(made):
        await summarised(made)
        yield


def reports(made: Context) -> dict[tuple[str, str], Resource]:
    """Return the stored summaries by the year and whom they are about."""
    found = {}
    for each in read.every(made.database, "MeasureReport"):
        report = decode(each.body)
        about = [e["valueReference"] for e in report["extension"] if "hospital" in e["url"]]
        key = (report["period"]["start"][:4], about[0]["reference"] if about else NATION)
        found[key] = report
    return found


def stale(made: Context) -> set[tuple[str, str]]:
    return {key for key, report in reports(made).items() if marks(report)}


def marks(report: Resource) -> list[str]:
    return [e["valueInstant"] for e in report["extension"] if e["url"] == STALE]


def versions(made: Context) -> dict[tuple[str, str], str]:
    return {key: report["meta"]["versionId"] for key, report in reports(made).items()}


def test_what_a_change_affects_is_marked_and_nothing_else(empty: Settings) -> None:
    async def work(made: Context) -> None:
        async with summaries(made):
            await summarised(made, 2013)
            assert len(reports(made)) >= 4  # the nation in both years, two hospitals in the first
            assert stale(made) == set()
            await changes(made, stored(stoma("s", "a")))  # a is bad now
            await caught_up(made)
            assert stale(made) == {("2012", NATION), ("2012", HERE)}

    run(empty, work)


@pytest.mark.postgresql_slow
def test_a_change_that_no_summary_tells_marks_none(empty: Settings) -> None:
    async def work(made: Context) -> None:
        await changes(made, *PEOPLE, stored(stoma("s", "a")))
        async with kept(made) as follower:
            await summarised(made)
            before = follower.rescored
            later = {**stoma("s2", "a"), "effectiveDateTime": "2019-05-01"}
            await changes(made, stored(later))  # a is bad as before
            await caught_up(made)
            assert follower.rescored == before + 1
            assert stale(made) == set()

    run(empty, work)


@pytest.mark.postgresql_slow
def test_a_report_is_marked_once_however_much_follows_and_made_anew_it_is_current(
    empty: Settings,
) -> None:
    async def work(made: Context) -> None:
        async with summaries(made):
            await changes(made, stored(stoma("s", "a")))
            await caught_up(made)
            once = versions(made)
            for value in (False, True, False):
                await changes(made, stored({**stoma("s", "a"), "valueBoolean": value}))
                await caught_up(made)
            assert versions(made) == once
            await summarised(made)
            assert stale(made) == set()
            await changes(made, deleted("Observation/s"), stored(stoma("s3", "b")))
            await caught_up(made)
            assert ("2012", THERE) in stale(made)

    run(empty, work)


@pytest.mark.postgresql_slow
def test_who_moves_to_another_hospital_affects_both(empty: Settings) -> None:
    async def work(made: Context) -> None:
        async with summaries(made):
            elsewhere = {"managingOrganization": {"reference": THERE}}
            await changes(made, stored(case("ca", "a", "2012-03-04", **elsewhere)))
            await caught_up(made)
            assert stale(made) == {("2012", each) for each in (NATION, HERE, THERE)}

    run(empty, work)


@pytest.mark.postgresql_slow
def test_what_changed_while_nobody_followed_is_marked_afterwards(empty: Settings) -> None:
    async def work(made: Context) -> None:
        async with summaries(made):
            pass
        await changes(made, stored(stoma("s", "b")))
        assert stale(made) == set()
        async with kept(made):
            assert stale(made) == {("2012", NATION), ("2012", THERE)}

    run(empty, work)


def test_marks_are_made_before_outcomes_are_stored_so_that_a_kill_between_loses_none(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is killed after the one and before the other finds the same changes again."""

    async def work(made: Context) -> None:
        async with summaries(made):
            pass
        await changes(made, stored(stoma("s", "a")))
        before = store.of_children(made.database, "a"), store.cursors(made.database)

        class Killed(BaseException):
            """As if the process had ended."""

        async def killed(*_: Any) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(store, "refresh", killed)
            follower = outcomes_follow.Following(made, InThread(made), None)  # type: ignore[arg-type]
            with pytest.raises(Killed):
                await forever(follower)
        assert (store.of_children(made.database, "a"), store.cursors(made.database)) == before
        marked = stale(made)
        assert marked == {("2012", NATION), ("2012", HERE)}
        once = versions(made)
        async with kept(made):
            assert [each.outcome_class for each in store.of_children(made.database, "a")] == ["bad"]
        assert versions(made) == once

    run(empty, work)


async def forever(follower: outcomes_follow.Following) -> None:
    while True:
        await follower._step()


@pytest.mark.postgresql_slow
def test_another_definition_makes_every_summary_of_the_measure_stale(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(made: Context) -> None:
        async with summaries(made):
            digest = outcomes_follow._digest
            monkeypatch.setattr(
                outcomes_follow, "_digest", lambda *g: (found := digest(*g)) and f"{found}-2"
            )
            await caught_up(made)
            assert stale(made) == set(reports(made))

    run(empty, work)


def test_a_summary_of_data_that_hold_the_change_is_not_marked() -> None:
    report = {"type": "summary", "period": {"start": "2012-01-01", "end": "2012-12-31"},
              "date": "2026-01-01T00:00:10.000Z"}  # fmt: skip
    changed = Affected(MEASURE, HERE, "2012-03-04", 1767225610_000_000)  # at that very instant
    assert due(report, [changed]) == []
    later = Affected(MEASURE, HERE, "2012-03-04", 1767225610_000_001)
    assert due(report, [later]) == [STALE]
    snapshot = {"url": "snapshot", "valueInstant": "2026-01-01T00:00:09.999Z"}
    provenance = {"url": f"{STALE.rpartition('/')[0]}/report-provenance", "extension": [snapshot]}
    assert due({**report, "extension": [provenance]}, [changed]) == [STALE]
    assert due({**report, "type": "individual"}, [later]) == []


@pytest.mark.parametrize(
    ("case_date", "expected"),
    [("2012-01-01", True), ("2012-12-31", True), ("2013-01-01", False), ("2011-12-31", False),
     ("2012", True), ("2012-07", True), ("2011", False), ("", True)],
)  # fmt: skip
def test_a_case_may_be_of_a_period_as_far_as_its_date_is_known(
    case_date: str, expected: bool
) -> None:
    report = {"type": "summary", "period": {"start": "2012-01-01", "end": "2012-12-31"}}
    assert (STALE in due(report, [Affected(MEASURE, HERE, case_date, 1)])) is expected


@pytest.mark.postgresql_slow
def test_a_report_that_somebody_deletes_meanwhile_is_left_alone(empty: Settings) -> None:
    async def work(made: Context) -> None:
        await changes(made, *PEOPLE)
        await summarised(made)
        await changes(made, deleted(*(f"MeasureReport/{r['id']}" for r in reports(made).values())))
        assert await mark(made, [Affected(MEASURE, HERE, "2012-03-04", 1 << 62)]) == 0

    run(empty, work)


def test_a_purge_marks_the_summaries_that_counted_the_child_and_no_other(empty: Settings) -> None:
    async def work(made: Context) -> None:
        async with summaries(made):
            await summarised(made, 2013)
            await purge(made, "a", "§ 17")
            assert stale(made) == {("2012", NATION), ("2012", HERE)}
            await summarised(made)
            assert stale(made) == {("2012", HERE)}  # nobody is left there of whom to make another

    run(empty, work)


@pytest.mark.postgresql_slow
def test_a_purge_marks_where_nobody_keeps_outcomes_and_a_refused_one_marks_nothing(
    empty: Settings,
) -> None:
    async def work(made: Context) -> None:
        await changes(made, *PEOPLE)
        await summarised(made)
        for who, reason in (("a", ""), ("nobody", "§ 17"), ("b", "b asked for it")):
            with pytest.raises(FhirError):
                await purge(made, who, reason)
        assert stale(made) == set()
        await purge(made, "b", "§ 17")
        assert stale(made) == {("2012", NATION), ("2012", THERE)}

    run(empty, work)


def test_a_purge_takes_the_kept_outcome_with_it(empty: Settings) -> None:
    async def work(made: Context) -> None:
        await changes(made, *PEOPLE, stored(stoma("s", "a")))
        async with kept(made):
            assert store.of_children(made.database, "a")
            await purge(made, "a", "§ 17")
            assert store.of_children(made.database, "a") == []
            await caught_up(made)
            assert store.of_children(made.database, "a") == []

    run(empty, work)

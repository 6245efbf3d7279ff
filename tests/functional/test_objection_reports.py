"""A child about whom somebody objects is in no report, however the two meet in time."""

import asyncio
import csv
from pathlib import Path
from typing import Any

import pytest

from fhir_server.__main__ import main
from fhir_server.app import alone, context
from fhir_server.context import Context, Principal
from fhir_server.operations import (
    evaluation_kept,
    evaluation_reports,
    outcomes_follow,
    outcomes_run,
    outcomes_staged,
)
from fhir_server.operations.collect_data import collect_data
from fhir_server.operations.evaluate import evaluate
from fhir_server.operations.objections_recorded import record, withdraw
from fhir_server.operations.outcomes_process import InThread
from fhir_server.operations.outcomes_remade import remake
from fhir_server.operations.outcomes_stale import OBJECTED, STALE
from fhir_server.operations.past import settled
from fhir_server.settings import Settings
from fhir_server.store import outcomes as store
from fhir_server.store import read, subscriptions
from fhir_server.store.search.parse import parse
from fhir_server.store.seen import used
from fhir_server.store.uses import MEASURING, READING
from r4.json import decode
from tests.functional.test_evaluate import MEASURE, patient, result, retired, stoma
from tests.functional.test_outcomes_as_of import stored
from tests.functional.test_outcomes_kept import SOON, caught_up, changes, empty, kept, run
from tests.functional.test_outcomes_run import threads
from tests.functional.test_outcomes_stale import (
    HERE,
    NATION,
    PEOPLE,
    THERE,
    reports,
    summarised,
)
from tests.support.objections import consent, permit

__all__ = ["empty"]

Resource = dict[str, Any]
ASKED = {"measureUrl": [MEASURE], "periodStart": "2012-01-01", "periodEnd": "2012-12-31"}
WHERE = {
    "where its numbers are made": (evaluation_reports, "summaries"),
    "where it is published": (evaluation_kept, "transaction"),
}
"""What of a run is paused: between reading the records, and the transaction that publishes."""


def counted(report: Resource) -> int:
    found: int = report["group"][0]["population"][0]["count"]
    return found


async def nation(made: Context, **more: Any) -> int:
    """Return how many children the nation's summary counts, computed now."""
    found = await evaluate(made, {**ASKED, "reportType": "summary", **more}, keep=False)
    return counted(found["parameter"][0]["resource"]["entry"][0]["resource"])


async def children(made: Context) -> set[str]:
    """Return the children of whom data would be collected."""
    found = await collect_data(made, dict(ASKED))
    bundles = [each["resource"] for each in found.get("parameter", ())]
    return {bundle["entry"][0]["resource"]["subject"]["reference"] for bundle in bundles}


class Paused:
    """A function of a module that waits, when it is first called, until it is let go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self.reached, self.go, self.calls = asyncio.Event(), asyncio.Event(), 0
        self._function = getattr(module, name)
        monkeypatch.setattr(module, name, self._call)

    async def _call(self, *given: Any, **named: Any) -> Any:
        self.calls += 1
        is_first = self.calls == 1
        before = await self._function(*given, **named) if not named else None
        if is_first:
            self.reached.set()
            await self.go.wait()
        return before if not named else await self._function(*given, **named)


@pytest.mark.parametrize("where", WHERE)
def test_an_objection_while_a_report_is_computed_keeps_the_child_out_of_what_is_published(
    where: str, empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(made: Context) -> None:
        await changes(made, *PEOPLE)
        paused = Paused(monkeypatch, *WHERE[where])
        running = asyncio.ensure_future(made.database.driven(summarised(made)))
        await paused.reached.wait()  # both children have been read and counted
        await record(made, "a", "health-record", "A parent")
        assert reports(made) == {}
        paused.go.set()
        await running
        assert paused.calls > 1
        found = reports(made)
        assert counted(found["2012", NATION]) == 1
        assert ("2012", HERE) not in found
        assert {each["meta"]["versionId"] for each in found.values()} == {"1"}

    run(empty, work)


def test_who_objects_is_counted_nowhere_not_of_the_past_either_until_that_is_withdrawn(
    empty: Settings,
) -> None:
    async def work(made: Context) -> None:
        await changes(made, *PEOPLE)
        before = await settled(made)
        assert await nation(made) == 2
        told = await record(made, "a", "health-record", "A parent")
        assert await nation(made) == 1
        assert await nation(made, _at=before.isoformat()) == 1
        assert await children(made) == {"Patient/b"}
        await withdraw(made, told)
        assert await nation(made) == 2
        assert await children(made) == {"Patient/a", "Patient/b"}

    run(empty, work)


@pytest.mark.postgresql_slow
def test_extracts_can_be_objected_to_alone(empty: Settings) -> None:
    async def work(made: Context) -> None:
        await changes(made, *PEOPLE)
        await record(made, "a", "research-extract", "A parent")
        assert await nation(made) == 2
        assert await children(made) == {"Patient/b"}

    run(empty, work)


def test_kept_outcomes_of_who_objects_go_and_come_back(empty: Settings) -> None:
    async def work(made: Context) -> None:
        await changes(made, *PEOPLE)
        async with kept(made):
            assert {each.child for each in store.of_children(made.database, ["a", "b"])} == {
                "a",
                "b",
            }
            told = consent("c", "a")
            await changes(made, stored(told))
            await caught_up(made)
            assert {each.child for each in store.of_children(made.database, ["a", "b"])} == {"b"}
            assert await nation(made) == 1
            await changes(made, stored(permit(told)))
            await caught_up(made)
            assert {each.child for each in store.of_children(made.database, ["a", "b"])} == {
                "a",
                "b",
            }

    run(empty, work)


def test_an_objection_about_a_record_that_was_merged_is_about_the_child(empty: Settings) -> None:
    async def work(made: Context) -> None:
        merged = (patient("a", ("replaces", "old")), retired("old", ("replaced-by", "a")))
        await changes(made, *PEOPLE, stored(*merged))
        async with kept(made):
            await changes(made, stored(consent("c", "old")))
            await caught_up(made)
            assert await nation(made) == 1
            await changes(made, stored(patient("a"), patient("old")))  # they were two children
            await caught_up(made)
            assert await nation(made) == 2
            await changes(made, stored(*merged))
            await caught_up(made)
            assert await nation(made) == 1

    run(empty, work)


def test_what_parents_reported_counts_no_more_where_one_objects_to_that(empty: Settings) -> None:
    async def work(made: Context) -> None:
        parent = {"resourceType": "RelatedPerson", "id": "m", "patient": {"reference": "Patient/a"}}
        answers = {
            "resourceType": "QuestionnaireResponse", "id": "q", "status": "completed",
            "subject": {"reference": "Patient/a"}, "source": {"reference": "RelatedPerson/m"},
        }  # fmt: skip
        told = {**stoma("s", "a"), "derivedFrom": [{"reference": "QuestionnaireResponse/q"}]}
        await changes(made, *PEOPLE, stored(parent, answers), stored(told))
        assert await classes(made) == {"Patient/a": "bad", "Patient/b": "not-yet-known"}
        await record(made, "a", "parent-reported", "The parent")
        assert await classes(made) == {"Patient/a": "not-yet-known", "Patient/b": "not-yet-known"}

    run(empty, work)


@pytest.mark.postgresql_slow
def test_what_was_linked_counts_no_more_where_somebody_objects_to_that(empty: Settings) -> None:
    async def work(made: Context) -> None:
        linked = [{"system": "https://csor.example/fhir/sid/hes-statement", "value": "1"}]
        await changes(made, *PEOPLE, stored({**stoma("s", "a"), "identifier": linked}))
        assert (await classes(made))["Patient/a"] == "bad"
        await record(made, "a", "national-data", "A parent")
        assert (await classes(made))["Patient/a"] == "not-yet-known"

    run(empty, work)


async def classes(made: Context) -> dict[str, str]:
    """Return the class of each child's outcome, computed now."""
    found = await evaluate(made, {**ASKED, "reportType": "individual"}, keep=False)
    told = {}
    for each in found["parameter"]:
        report = each["resource"]["entry"][0]["resource"]
        told[report["subject"]["reference"]] = result(report)["class"]["code"]
    return told


def test_published_summaries_are_made_anew_and_those_before_are_their_history(
    empty: Settings,
) -> None:
    async def work(made: Context) -> None:
        await changes(made, *PEOPLE)
        await summarised(made)
        before = reports(made)
        assert counted(before["2012", NATION]) == 2
        async with outcomes_follow.following(made, InThread(made), remake):
            await caught_up(made)
            await changes(made, stored(consent("c", "a")))
            async with asyncio.timeout(SOON):
                while counted(reports(made)["2012", NATION]) == 2:
                    await asyncio.sleep(0.02)
                while any(marked(each) for each in reports(made).values()):
                    await asyncio.sleep(0.02)
        after = reports(made)
        assert counted(after["2012", NATION]) == 1
        assert counted(after["2012", HERE]) == 0  # it had no other child
        assert after["2012", NATION]["id"] == before["2012", NATION]["id"]
        assert after["2012", THERE]["meta"]["versionId"] == "2"  # they leave together
        marks = read.version(made.database, "MeasureReport", after["2012", NATION]["id"], 2)
        assert marks is not None
        assert set(marked(decode(marks.body))) == {STALE, OBJECTED}

    run(empty, work)


def marked(report: Resource) -> list[str]:
    return [e["url"] for e in report["extension"] if e["url"] in (STALE, OBJECTED)]


def test_once_it_is_recorded_every_process_goes_by_it(empty: Settings) -> None:
    async def work(made: Context) -> None:
        await changes(made, *PEOPLE)
        other = context(empty)
        try:
            assert not other.database.objections.is_any(other.database.read)
            await changes(made, stored(consent("c", "a")))
            assert other.database.objections.is_any(other.database.read)
        finally:
            other.database.close()

    run(empty, work)


@pytest.mark.postgresql_slow
def test_an_objection_that_has_run_out_is_gone_by_no_longer_from_the_next_day(
    empty: Settings,
) -> None:
    async def work(made: Context) -> None:
        day = made.now().date().isoformat()
        told = consent("c", "a")
        told["provision"] = {**told["provision"], "period": {"end": day}}
        await changes(made, *PEOPLE, stored(told))
        assert await nation(made) == 1
        ended = {**told["provision"], "period": {"end": "2026-01-02"}}
        await changes(made, stored({**told, "provision": ended}))
        assert await nation(made) == 2

    run(empty, work)


@pytest.mark.parametrize("status", ["draft", "inactive", "entered-in-error", "rejected"])
@pytest.mark.postgresql_slow
def test_what_is_not_in_force_changes_nothing(empty: Settings, status: str) -> None:
    async def work(made: Context) -> None:
        await changes(made, *PEOPLE, stored(consent("c", "a", status=status)))
        assert await nation(made) == 2

    run(empty, work)


def test_of_two_who_decide_the_one_who_objects_is_gone_by(empty: Settings) -> None:
    async def work(made: Context) -> None:
        await changes(made, *PEOPLE, stored(consent("one", "a")))
        await changes(made, stored(permit(consent("other", "a", dateTime="2026-02-01"))))
        assert await nation(made) == 1

    run(empty, work)


def test_a_run_over_the_store_leaves_out_who_objects_also_while_it_runs(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(empty, lambda made: changes(made, *PEOPLE, stored(consent("c", "a"))))
    found, staged = tmp_path / "outcomes.csv", outcomes_run.stage

    def disturbed(*given: Any, **named: Any) -> Any:
        flattened = staged(*given, **named)
        monkeypatch.setattr(outcomes_run, "stage", staged)
        extract = stored(consent("d", "b", "research-extract"))
        asyncio.run(alone(empty, lambda made: changes(made, extract)))
        return flattened

    def outcomes() -> list[str]:
        arguments = [MEASURE.rpartition("/")[2], "--out", str(found), "--processes", "1"]
        assert main(["outcomes", "run", *arguments]) == 0
        with found.open(newline="") as file:
            return [row["child"] for row in csv.DictReader(file)]

    monkeypatch.setenv("CSOR_DATABASE", str(empty.database))
    monkeypatch.setattr(outcomes_staged, "processes", threads)
    assert outcomes() == ["b"]
    monkeypatch.setattr(outcomes_run, "stage", disturbed)
    assert outcomes() == []


@pytest.mark.postgresql_slow
def test_subscribers_are_told_no_more_and_a_surgeon_of_the_child_reads_on(empty: Settings) -> None:
    async def work(made: Context) -> None:
        await changes(made, *PEOPLE)
        cases, surgeon = parse("EpisodeOfCare", ""), Principal("x", frozenset(), "Patient/a")

        def told() -> set[str]:
            database = used(made.database, MEASURING)
            rids, _ = subscriptions.matches(database, cases, 0, read.snapshot(made.database))
            return {each.id for each in read.by_rid(database, rids)}

        assert told() == {"ca", "cb"}
        await record(made, "a", "health-record", "A parent")
        assert told() == {"cb"}
        shown = made.asked_by(surgeon).used_for(READING).database
        assert read.current(shown, "EpisodeOfCare", "ca") is not None
        assert read.current(made.used_for(READING).database, "EpisodeOfCare", "ca") is None

    run(empty, work)

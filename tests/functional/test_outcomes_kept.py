"""Kept outcomes: what is stored changes them within a second, whatever happens in between."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import outcome_engine
from fhir_server.app import alone
from fhir_server.context import Context, instant
from fhir_server.interactions.transaction import transaction
from fhir_server.operations import children, outcomes_follow, outcomes_kept
from fhir_server.operations.outcomes_follow import Following, following
from fhir_server.operations.outcomes_process import InThread
from fhir_server.operations.past import settled
from fhir_server.settings import Settings
from fhir_server.store import outcomes as store
from outcome_engine import ChildOutcome, Period
from r4.issue import FhirError
from tests.functional.test_evaluate import HOSPITAL, MEASURE, case, patient, stoma
from tests.functional.test_outcomes_as_of import LIFE, TYPES, stored
from tests.support.databases import KINDS, new_database

Resource = dict[str, Any]
PERIOD = Period("2012-01-01", "2012-12-31")
SOON = 20.0
"""Seconds within which it has happened on a busy machine; how fast it is, the benchmark tells."""


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return Settings(database=new_database(request.param, tmp_path))


def run(settings: Settings, work: Callable[[Context], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(alone(settings, work))


@asynccontextmanager
async def kept(made: Context) -> AsyncIterator[Following]:
    async with following(made, InThread(made)) as follower:
        await caught_up(made)
        yield follower


async def caught_up(made: Context, measure: str = MEASURE) -> None:
    """Wait until what is kept is what is stored."""
    deadline = time.monotonic() + SOON
    while (await of_period(made, measure)) is None:
        assert time.monotonic() < deadline, "what is kept does not follow"
        await asyncio.sleep(0.02)


async def of_period(made: Context, measure: str = MEASURE) -> list[Any] | None:
    return await outcomes_kept.outcomes(made, measure, PERIOD, await settled(made))


async def computed(made: Context) -> list[Any]:
    """Compute what is kept, from the records."""
    as_of = instant(made.now())[:10]
    found = []
    async for record in children.every(made, None, TYPES):
        cases = outcome_engine.cases(MEASURE, record, made.terminology)
        if outcome_engine.may_begin_in(cases, PERIOD):
            try:
                found.append(outcome_engine.assess(MEASURE, record, as_of, made.terminology))
            except FhirError as refusal:
                found.append(outcome_engine.not_assessable(cases[0], refusal))
    return sorted(found, key=lambda each: each.case)


async def changes(made: Context, *bundles: Resource) -> None:
    for each in bundles:
        await transaction(made, each)


def classes(found: list[Any] | None) -> list[str]:
    return [each.outcome_class if isinstance(each, ChildOutcome) else "" for each in found or ()]


def test_after_every_step_of_a_life_what_is_kept_is_what_is_computed(empty: Settings) -> None:
    async def work(made: Context) -> None:
        seen = set()
        async with kept(made):
            for step in LIFE:
                await changes(made, step)
                await caught_up(made)
                found = await of_period(made)
                assert sorted(found or (), key=lambda each: each.case) == await computed(made)
                seen.add(tuple(classes(found)))
        assert len(seen) > 3  # two children, one, none; good, bad and not yet known

    run(empty, work)


@pytest.mark.postgresql_slow
def test_what_is_kept_is_what_is_computed_too_where_all_happened_while_nobody_followed(
    empty: Settings,
) -> None:
    async def work(made: Context) -> None:
        await changes(made, *LIFE[:4])
        async with kept(made):
            pass
        await changes(made, *LIFE[4:7])
        async with kept(made):
            assert await of_period(made) == await computed(made)

    run(empty, work)


@pytest.mark.postgresql_slow
def test_only_the_children_concerned_are_assessed_again(empty: Settings) -> None:
    async def work(made: Context) -> None:
        many = [stored(patient(f"p{n}"), case(f"c{n}", f"p{n}")) for n in range(10)]
        await changes(made, stored(HOSPITAL), *many)
        async with kept(made) as follower:
            before = follower.rescored
            assert before == 10
            await changes(made, stored(stoma("s", "p3")))
            await caught_up(made)
            assert follower.rescored == before + 1
            await changes(made, stored({**HOSPITAL, "name": "Renamed"}))
            await caught_up(made)
            assert follower.rescored == before + 1

    run(empty, work)


@pytest.mark.postgresql_slow
def test_another_day_has_every_child_assessed_again(empty: Settings) -> None:
    today = [datetime(2016, 3, 1, 12, tzinfo=UTC)]  # the child is four

    async def work(made: Context) -> None:
        started = time.monotonic()
        moving = replace(made, now=lambda: today[0] + timedelta(seconds=time.monotonic() - started))
        await changes(moving, *LIFE[:1])
        async with kept(moving):
            (young,) = await of_period(moving) or ()
            assert young.reason == "not-yet-due"
            today[0] += timedelta(days=366 * 2)
            moving_on = await of_period(moving)
            assert moving_on is None  # what is kept is of another day: whoever asks computes
            await caught_up(moving)
            (older,) = await of_period(moving) or ()
            assert older.reason == "information-missing"

    run(empty, work)


@pytest.mark.postgresql_slow
def test_another_definition_has_every_child_assessed_again_and_leaves_no_old_outcome(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(made: Context) -> None:
        await changes(made, *LIFE[:3])
        async with kept(made) as follower:
            before = store.of_children(made.database, "ab")
            digest = outcomes_follow._digest
            monkeypatch.setattr(
                outcomes_follow,
                "_digest",
                lambda *given: (found := digest(*given)) and f"{found}-2",
            )
            assert await of_period(made) is None
            assert follower.rescored == 2
            await caught_up(made)
            after = store.of_children(made.database, "ab")
            assert follower.rescored == 4
            assert [each.body for each in after] == [each.body for each in before]
            assert all(each.generation.endswith("-2") for each in after)

    run(empty, work)


@pytest.mark.postgresql_slow
def test_a_case_whose_patient_is_not_here_is_told_as_not_assessable(empty: Settings) -> None:
    from fhir_server.store.commit import commit  # noqa: PLC0415
    from fhir_server.store.write import Commit  # noqa: PLC0415
    from tests.functional.test_evaluate import written  # noqa: PLC0415

    async def work(made: Context) -> None:
        await changes(made, stored(HOSPITAL))
        async with kept(made):
            await commit(made.database, Commit([written(case("lone", "nobody"))]))
            await caught_up(made)
            assert classes(await of_period(made)) == [""]
            unnamed = case("unnamed", "?", patient={"display": "A child"})
            await commit(made.database, Commit([written(unnamed)]))
            await caught_up(made)
            found = await of_period(made) or []
            assert sorted(found, key=lambda each: each.case) == await computed(made)
            assert len(found) == 2

    run(empty, work)


@pytest.mark.postgresql_slow
def test_another_request_is_answered_while_many_outcomes_are_read(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = ["2011-12-31", "2012-01-01", "2012-05-05", "2012-05-05", "2012-12-31", "2013-01-01"]
    events: list[str] = []

    async def work(made: Context) -> None:
        people = [stored(patient(f"p{n}"), case(f"c{n}", f"p{n}", day))
                  for n, day in enumerate(days * 3)]  # fmt: skip
        await changes(made, stored(HOSPITAL), *people)
        async with kept(made):
            at = await settled(made)
            whole = await outcomes_kept.outcomes(made, MEASURE, PERIOD, at)
            assert len(whole or ()) == 4 * 3

            def reads(*given: Any) -> list[store.Kept]:
                events.append("page")
                return of_days(*given)

            async def another() -> None:
                while made.database.read("SELECT 1") and events[-1] != "end":
                    events.append("answered")
                    await asyncio.sleep(0)

            of_days = store.of_days
            monkeypatch.setattr(outcomes_kept, "READ_AT_ONCE", 2)
            monkeypatch.setattr(store, "of_days", reads)
            events.append("begin")
            asking = asyncio.create_task(another())
            assert await outcomes_kept.outcomes(made, MEASURE, PERIOD, at) == whole
            pages = [number for number, each in enumerate(events) if each == "page"]
            events.append("end")
            await asking
            assert len(pages) > 12 // 2
            assert all("answered" in events[a:b] for a, b in itertools.pairwise(pages[1:]))

    run(empty, work)


@pytest.mark.postgresql_slow
def test_what_is_not_followed_is_computed(empty: Settings) -> None:
    async def work(made: Context) -> None:
        await changes(made, *LIFE[:2])
        assert await of_period(made) is None
        async with kept(made):
            pass
        assert await of_period(made) is not None
        await changes(made, LIFE[2])
        assert await of_period(made) is None  # an event that is not in it
        early = made.now() - timedelta(hours=1)
        assert await outcomes_kept.outcomes(made, MEASURE, PERIOD, early) is None

    run(empty, work)


def test_two_who_keep_the_same_outcomes_do_not_disturb_each_other_s_numbers(
    empty: Settings,
) -> None:
    async def work(made: Context) -> None:
        async with kept(made), following(made, InThread(made)):
            await changes(made, *LIFE[:6])
            await caught_up(made)
            assert await of_period(made) == await computed(made)

    run(empty, work)

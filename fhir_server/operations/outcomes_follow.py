"""Keep the outcomes of all children true: follow the history, and begin anew when what they go by changes.

After each commit, and once a second, the children whom it concerns are looked at again (ADR 0045). A
day, a definition, a parameter file or a terminology that is another one has every child looked at again,
between commits.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import msgspec

import outcome_engine
from fhir_server.context import Context, instant, microseconds
from fhir_server.operations import outcomes_stale
from fhir_server.operations.outcomes_process import Finder
from fhir_server.operations.outcomes_rescored import TYPES, Affected, Asked, Rescored, is_any
from fhir_server.store import objections
from fhir_server.store import outcomes as store
from fhir_server.store.failure import place
from fhir_server.store.outcomes import Cursor, OvertakenError, Refresh
from fhir_server.store.read import snapshot
from outcome_engine.definitions.definition import outline
from outcome_engine.parameter_files.parameter_file import Parameters
from r4 import artefacts
from r4.issue import FhirError
from r4.json import Resource

logger = logging.getLogger("csor.outcomes")

IDLE = 1.0
"""Most seconds that nothing is looked at."""
ROUND = 0.05
"""Fewest seconds between two looks: commits that follow one another share one."""
SLICE = 1000
"""Rows of the history that are dealt with together."""
UNSAVED = 10_000
"""Rows that concern no child after which a position is saved all the same."""
_SECOND = 1_000_000
Remake = Callable[[Context], Awaitable[object]]


@contextlib.asynccontextmanager
async def following(
    context: Context, finder: Finder, remake: Remake | None = None
) -> AsyncIterator["Following"]:
    """Keep the outcomes true until left; what is under way then is found again by the next run.

    remake: makes the summaries anew that count children about whom somebody objects.
    """
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def committed() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(news.set)

    follower = Following(context, finder, news, remake)
    follower.watch()
    context.database.listeners.append(committed)
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        context.database.listeners.remove(committed)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await finder.close()


@dataclass(slots=True)
class Following:
    """How far the outcomes follow; rescored counts the children that were assessed anew."""

    context: Context
    finder: Finder
    news: asyncio.Event
    remake: Remake | None = None
    is_remade: bool = False
    cursors: tuple[Cursor, ...] = ()
    is_read: bool = False
    looked: int = 0
    behind_since: int | None = None
    began: int = 0
    rescored: int = 0
    marked: int = 0

    def watch(self) -> None:
        """Let the metrics tell how far the outcomes follow."""
        watch = self.context.metrics.watch
        watch("csor_outcomes_lag_seconds", "gauge", "Age of the oldest change that kept outcomes "
              "do not show yet.", self._lag)  # fmt: skip
        watch("csor_outcomes_rescored_total", "counter", "Children assessed anew.",
              lambda: self.rescored)  # fmt: skip
        watch("csor_outcomes_stale_total", "counter", "Stored summaries marked as stale.",
              lambda: self.marked)  # fmt: skip

    def _lag(self) -> float:
        since = self.behind_since
        now = microseconds(self.context.now())
        return 0.0 if since is None else max(0.0, (now - since) / _SECOND)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self.news.clear()
            try:
                busy = await self.context.database.driven(self._step())
            except OvertakenError:
                logger.warning(
                    "another server keeps the outcomes too; set CSOR_OUTCOMES=false on one"
                )
                busy, self.is_read = False, False
                await asyncio.sleep(IDLE)
            except Exception as failure:
                logger.error("outcomes are not kept: %s", place(failure))  # noqa: TRY400 - no content
                busy, self.is_read, self.is_remade = False, False, False
                await asyncio.sleep(IDLE)
            if busy:
                await asyncio.sleep(0)
                continue
            await asyncio.sleep(ROUND)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE):
                    await self.news.wait()

    async def _step(self) -> bool:
        """Do the next thing that is due; returns whether there may be more to do."""
        if not self.is_read:
            self.cursors = store.cursors(self.context.database)
            self.looked = min((each.position for each in self.cursors), default=0)
            self.is_read = True
        newest = snapshot(self.context.database)
        as_of = instant(self.context.now())[:10]
        generations = current(self.context, as_of)
        if {each.measure: each.generation for each in self.cursors} != generations:
            await self._begin(generations, newest)
            return True
        if self.looked < newest:
            await self._follow(generations, as_of, newest)
            return True
        self.behind_since = None
        unswept = [each for each in self.cursors if not each.is_swept]
        if unswept:
            await self._sweep(unswept, as_of)
            return True
        if self.remake is not None and not self.is_remade:
            self.is_remade = True  # another objection meanwhile has it done again
            await self.remake(self.context)
            return True
        return False

    async def _begin(self, generations: Mapping[str, str], newest: int) -> None:
        """Begin to look at every child anew, by the measures that are new or other than before."""
        position = self.looked if self.cursors else newest
        before = {each.measure: each for each in self.cursors}
        self.began = microseconds(self.context.now())
        await objections.lapse(self.context.database, self.began)
        after = tuple(
            before[measure]
            if measure in before and before[measure].generation == generation
            else Cursor(measure, generation, position, 0, newest)
            for measure, generation in generations.items()
        )
        other = [
            Affected(each.measure, None, "", self.began, True)
            for each in self.cursors
            if _definition(each.generation) != _definition(generations.get(each.measure, ""))
        ]
        self.marked += await outcomes_stale.mark(self.context, other)
        await self._keep(after, Rescored(position))
        self.looked = position

    async def _follow(self, generations: Mapping[str, str], as_of: str, newest: int) -> None:
        """Deal with the next rows of the history."""
        until = min(newest, self.looked + SLICE)
        if self.behind_since is None:
            self.behind_since = microseconds(self.context.now())
        rows = (self.looked, until)
        if store.changed(self.context.database, TYPES, rows):
            done = await self._found(Asked(self.looked, until, generations, as_of))
            await self._done(tuple(_moved(each, until) for each in self.cursors), done)
        elif self.cursors and until - self.cursors[0].position > UNSAVED:
            await self._keep(tuple(_moved(each, until) for each in self.cursors), Rescored(until))
        self.looked = until

    async def _sweep(self, unswept: Sequence[Cursor], as_of: str) -> None:
        """Look at the next children anew, by the measures that have come equally far; then what is left."""
        first = unswept[0]
        together = [e for e in unswept if (e.swept, e.sweep_to) == (first.swept, first.sweep_to)]
        generations = {each.measure: each.generation for each in together}
        moment = self.began or microseconds(self.context.now())
        asked = Asked(first.swept, first.sweep_to, generations, as_of, True, moment)
        done = await self._found(asked)
        is_over = first.swept == first.sweep_to and not done.gone
        swept = done.until + 1 if is_over else done.until
        moved = tuple(
            msgspec.structs.replace(each, swept=swept) if each in together else each
            for each in self.cursors
        )
        await self._done(moved, done)

    async def _found(self, asked: Asked) -> Rescored:
        """Have outcomes found anew; where there can be none, the process need not be there."""
        if not is_any(self.context.database, asked):
            return Rescored(asked.until)
        return await self.finder.ask(asked)

    async def _done(self, cursors: tuple[Cursor, ...], done: Rescored) -> None:
        """Mark the summaries that are stale, then store: after a kill between both, marks are found."""
        self.marked += await outcomes_stale.mark(self.context, done.affected)
        self.is_remade = self.is_remade and not any(each.objected for each in done.affected)
        await self._keep(cursors, done)
        self.rescored += done.children

    async def _keep(self, cursors: tuple[Cursor, ...], done: Rescored) -> None:
        refresh = Refresh(self.cursors, cursors, done.gone, done.found)
        await store.refresh(self.context.database, refresh)
        self.cursors = cursors


def _moved(cursor: Cursor, position: int) -> Cursor:
    return msgspec.structs.replace(cursor, position=position)


def _definition(generation: str) -> str:
    return generation.partition("/")[2]


def current(context: Context, as_of: str) -> dict[str, str]:
    """Return, for each measure that can be computed, what its outcomes go by: the day and a digest."""
    told, parameters = context.knowledge.told, context.parameters.now()
    found = {}
    for url, measure in outcome_engine.measures().items():
        file = _file(parameters, measure, as_of)
        if (digest := _digest(url, told, file)) is not None:
            found[url] = f"{as_of}/{digest}"
    return found


def _file(parameters: Parameters, measure: Resource, as_of: str) -> str | None:
    """Return the digest of a measure's parameters, empty where it needs none, None where they are refused."""
    try:
        file = parameters.of(measure, as_of)
    except FhirError:
        return None
    return "" if file is None else file.digest


@cache
def _digest(measure: str, told: str, file: str | None) -> str | None:
    """Return a digest of a measure, its libraries, parameters and what is loaded; None: not computed."""
    try:
        outline(measure)
    except FhirError:
        return None
    if file is None:
        return None
    listed = [
        msgspec.json.encode(each, order="deterministic")
        for each in artefacts.load("outcome_engine")
        if each["resourceType"] != "Measure" or each["url"] == measure
    ]
    content = b"\n".join([told.encode(), file.encode(), *sorted(listed)])
    return hashlib.sha256(content).hexdigest()[:16]

"""Notify subscribers: a follower for each subscription, told of each commit (ADR 0016).

https://hl7.org/fhir/R4/subscription.html
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx

from fhir_server.context import Context
from fhir_server.operations import rest_hook
from fhir_server.operations.follower import IDLE, Follower
from fhir_server.store import read as store
from fhir_server.store import subscriptions as cursors
from fhir_server.store.connection import reading
from fhir_server.store.failure import place

logger = logging.getLogger("csor.subscriptions")

ROUND = 0.02
"""Fewest seconds between two looks at the history: commits that follow one another share one."""
SHARE = 0.005
"""Seconds that each subscription adds to that, so that many of them leave time for the writes."""


@contextlib.asynccontextmanager
async def notifying(context: Context) -> AsyncIterator[None]:
    """Notify subscribers until left; what is under way then is sent again by the next run."""
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def committed() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(news.set)

    context.database.listeners.append(committed)
    async with rest_hook.client() as http:
        following = asyncio.create_task(_Following(context, http, news).run())
        try:
            yield
        finally:
            context.database.listeners.remove(committed)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


@dataclass(slots=True)
class _Following:
    """The followers of all subscriptions, and the news that there is something to follow."""

    context: Context
    http: httpx.AsyncClient
    news: asyncio.Event
    seen: int = 0
    newest: int = 0
    followers: dict[str, Follower] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> None:
        """Look at the history after each commit and at least every second, until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(min(ROUND + SHARE * len(self.tasks), IDLE))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE):
                        await self.news.wait()
        finally:
            for task in self.tasks.values():
                task.cancel()
            await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def _look(self) -> None:
        """Tell every follower how far the history goes; begin to follow what is new or changed."""
        self.news.clear()
        try:
            newest, types, changed = await reading(self.context.database, self._news)
        except Exception as failure:
            logger.error("the history cannot be read: %s", place(failure))  # noqa: TRY400 - no content
            return
        for rid, key in changed:
            self.seen = max(self.seen, rid)
            self._follow(key)
        for key, follower in list(self.followers.items()):
            follower.tell(self.newest, newest, types)
            if self.tasks[key].done():
                del self.followers[key], self.tasks[key]
        self.newest = newest

    def _news(self) -> tuple[int, frozenset[str], list[tuple[int, str]]]:
        database = self.context.database
        newest = store.snapshot(database)
        if newest == self.newest:
            return newest, frozenset(), []
        types = cursors.types(database, self.newest, newest) if self.tasks else frozenset()
        changed = cursors.changed(database, self.seen, newest)
        return newest, types, changed

    def _follow(self, key: str) -> None:
        if key in self.tasks and not self.tasks[key].done():
            self.followers[key].stale = True
            return
        self.followers[key] = Follower(self.context, self.http, key)
        self.tasks[key] = asyncio.create_task(self.followers[key].run())

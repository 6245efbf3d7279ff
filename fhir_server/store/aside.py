"""An event loop in a thread of its own: for whoever reads outside of driven work, or tidies."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

T = TypeVar("T")

PLANNED = {"jit": "off", "plan_cache_mode": "force_custom_plan"}
"""Of whoever reads: how many rows have a word differs by word, a plan for any word at all is a bad one."""


class Aside:
    """A running event loop and, where asked for, a connection that belongs to it."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have work done; whoever has it done does not wait."""
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, awaited: Awaitable[T]) -> T:
        """Return what is awaited, the caller's thread waiting."""

        async def work() -> T:
            return await awaited

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result()

    @asynccontextmanager
    async def connection(self, url: str) -> AsyncIterator[asyncpg.Connection]:
        """Lend the connection of this loop to one at a time: several threads may ask for it."""
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(url, server_settings=PLANNED)
            yield self._connection

    def close(self) -> None:
        """Finish what is being done, end the connection and the thread."""
        self.wait(_ended())
        if self._connection is not None:
            self.wait(self._connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _ended() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*tasks, return_exceptions=True)

"""One statement for all who ask the same of other keys at the same time.

Whoever asks while a statement is out is asked for with the next one: messages that are planned side by
side ask the same questions, and a round trip costs more than what it asks.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from fhir_server.store.connection import Row

Read = Callable[[Sequence[int]], Awaitable[Sequence[Row]]]
_Waiting = tuple[Sequence[int], "asyncio.Future[list[Row]]"]


class Gathering:
    """Who waits for the rows of which keys; belongs to one event loop."""

    def __init__(self, read: Read, column: int) -> None:
        """Ask by `read`, of any number of keys; each row has its key in a column."""
        self._read, self._column = read, column
        self._waiting: list[_Waiting] = []
        self._asking: asyncio.Task[None] | None = None

    async def of(self, keys: Sequence[int]) -> list[Row]:
        """Return the rows of keys, read after this was called; raises what the statement raises."""
        future: asyncio.Future[list[Row]] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, future))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await future

    async def _ask(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            found: dict[int, list[Row]] = {key: [] for keys, _ in waiting for key in keys}
            try:
                for row in await self._read(list(found)):
                    found[row[self._column]].append(row)
            except Exception as failure:
                for _, future in waiting:
                    if not future.done():
                        future.set_exception(failure)
            else:
                for keys, future in waiting:
                    if not future.done():  # whoever asked may have gone
                        future.set_result([row for key in keys for row in found[key]])

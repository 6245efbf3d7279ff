"""How much may be under way at a time: so many messages, of so many bytes together."""

import asyncio
import contextlib
from collections import deque


class Room:
    """Room for messages; whoever finds none waits for it, first come first served.

    A message that is larger than all the room has it to itself.
    """

    def __init__(self, messages: int, size: int) -> None:
        self._messages, self._size = messages, size
        self._count = self._bytes = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    async def enter(self, size: int) -> None:
        """Wait until there is room for a message of so many bytes, and take it."""
        if not self._waiting and self._has_room(size):
            self._take(size)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, size))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(size)
            else:
                with contextlib.suppress(ValueError):
                    self._waiting.remove((turn, size))
                self._admit()
            raise

    def leave(self, size: int) -> None:
        """Give the room of a message back."""
        self._count -= 1
        self._bytes -= size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._has_room(self._waiting[0][1]):
            turn, size = self._waiting.popleft()
            if not turn.cancelled():
                self._take(size)
                turn.set_result(None)

    def _take(self, size: int) -> None:
        self._count += 1
        self._bytes += size

    def _has_room(self, size: int) -> bool:
        if not self._count:
            return True
        return self._count < self._messages and self._bytes + size <= self._size

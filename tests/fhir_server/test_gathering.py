"""Who asks the same of other keys at the same time is answered from one statement, each with its own rows."""

import asyncio
from collections.abc import Sequence

import pytest

from fhir_server.store.connection import Row
from fhir_server.store.gathering import Gathering


class Asked:
    """Answers with a row of each key, and remembers what it was asked; 0 is refused."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.free = asyncio.Event()

    async def read(self, keys: Sequence[int]) -> list[Row]:
        self.asked.append(list(keys))
        await self.free.wait()
        if 0 in keys:
            raise LookupError
        return [(f"row of {key}", key) for key in keys if key < 100]


async def test_who_asks_while_a_statement_is_out_is_asked_for_with_the_next() -> None:
    rows = Asked()
    gathering = Gathering(rows.read, 1)
    first = asyncio.create_task(gathering.of([1]))
    while not rows.asked:
        await asyncio.sleep(0)
    later = [asyncio.create_task(gathering.of(keys)) for keys in ([3, 2], [2, 100], [1])]
    await asyncio.sleep(0)
    rows.free.set()
    assert await first == [("row of 1", 1)]
    assert await asyncio.gather(*later) == [
        [("row of 3", 3), ("row of 2", 2)],
        [("row of 2", 2)],
        [("row of 1", 1)],
    ]
    assert rows.asked == [[1], [3, 2, 100, 1]]


async def test_a_failure_is_of_all_who_were_asked_for_together_and_of_nobody_after() -> None:
    rows = Asked()
    rows.free.set()
    gathering = Gathering(rows.read, 1)
    failed = await asyncio.gather(gathering.of([0]), gathering.of([1]), return_exceptions=True)
    assert [type(each) for each in failed] == [LookupError, LookupError]
    assert await gathering.of([2]) == [("row of 2", 2)]


async def test_whoever_goes_leaves_the_others_their_answers() -> None:
    rows = Asked()
    gathering = Gathering(rows.read, 1)
    gone, stays = (asyncio.create_task(gathering.of([key])) for key in (1, 2))
    while not rows.asked:
        await asyncio.sleep(0)
    gone.cancel()
    rows.free.set()
    assert await stays == [("row of 2", 2)]
    with pytest.raises(asyncio.CancelledError):
        await gone

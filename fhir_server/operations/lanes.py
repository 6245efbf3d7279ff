"""Lanes: messages about one child are worked in the order in which they came, others beside them.

A message names a child by the numbers in PID-2, PID-3 and PID-4, a merge another one in MRG-1 and
MRG-4. Numbers that a message names together are one child's from then on, so that a merge, and what
comes after it, waits for both. A message takes its place at once and waits only for what came before:
no two can wait for one another. Lanes are this process's own, and know what it has read: beyond that,
a commit whose plan others have overtaken is planned anew, so that nothing is lost but the order.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import Any, TypeVar

from mappings.hl7v2 import Message
from terminology import nhs_number

T = TypeVar("T")

_NUMBERS = {"PID": (2, 3, 4), "MRG": (1, 4)}
_BLANKS = str.maketrans("", "", " -")
_REMEMBERED = 50_000
"""How many numbers are known to belong together; one more, and that is learned anew."""


def keys(message: Message) -> frozenset[str]:
    """Return the lanes of a message: each number of a child, or its sender's where it names none.

    An NHS or CHI number stands for itself, others for one of the hospital's (MSH-4): a hospital writes
    the authority of one number in several ways.
    """
    header = message.header
    numbers = {
        each.component(1).translate(_BLANKS).upper()
        for segment in message.all_segments
        for number in _NUMBERS.get(segment.name, ())
        for each in segment.field(number).repetitions
    } - {""}
    facility = header.sending_facility
    if not numbers:
        return frozenset({f"{header.sending_application}|{facility}"})
    return frozenset(
        each if nhs_number.is_valid(each) else f"{each} {facility}" for each in numbers
    )


class Lanes:
    """What is under way: the last work of each child, and which numbers are one child's."""

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._child: dict[str, str] = {}
        self._last: dict[str, asyncio.Task[Any]] = {}
        self._forgotten: set[asyncio.Task[Any]] = set()

    def run(
        self, lanes: Collection[str], work: Callable[[], Coroutine[Any, Any, T]]
    ) -> "asyncio.Task[T]":
        """Begin work once all that was given to any of its lanes before has ended, well or not."""
        if len(self._child) > self._remembered:
            self._forget()
        children = sorted({self._of(lane) for lane in lanes})
        before = {self._last.pop(child) for child in children if child in self._last}
        task = asyncio.create_task(_after(before | self._forgotten, work))
        if children:
            self._child.update(dict.fromkeys((*children, *lanes), children[0]))
            self._last[children[0]] = task
            task.add_done_callback(partial(self._leave, children[0]))
        return task

    @property
    def busy(self) -> int:
        """How many children have work that has not ended."""
        return len(self._last)

    def _of(self, lane: str) -> str:
        """Return the number that stands for all of a child's."""
        while (child := self._child.get(lane, lane)) != lane:
            lane = child
        return lane

    def _leave(self, child: str, task: "asyncio.Task[Any]") -> None:
        self._forgotten.discard(task)
        if self._last.get(child) is task:
            del self._last[child]

    def _forget(self) -> None:
        """Know nothing of what belongs together; until it has ended, all wait for what is under way."""
        self._forgotten.update(self._last.values())
        self._child.clear()
        self._last.clear()


async def _after(before: "set[asyncio.Task[Any]]", work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    if before:
        await asyncio.wait(before)
    return await work()

"""Plain functions that read from an asynchronous driver: work runs in a greenlet, and a read leaves it.

Planning, searching and everything below are plain functions (ADR 0015). On PostgreSQL each of their reads
takes a round trip; the greenlet in which they run is left for as long, so that others are answered.
https://greenlet.readthedocs.io/
"""

import contextvars
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

T = TypeVar("T")


class Driven(Awaitable[T]):
    """Work that, awaited, is stepped inside a greenlet of its own; `wait_for` may be called in it."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, T]:
        """Hand what the work waits for to the event loop, and its answer back."""
        inside = greenlet(self._step)
        inside.gr_context = contextvars.copy_context()
        waiting_for = inside.switch()
        while not inside.dead:
            try:
                answer = yield waiting_for
            except BaseException as failure:  # a cancellation too is the work's to know of
                waiting_for = inside.throw(failure)
            else:
                waiting_for = inside.switch(answer)
        return cast("T", waiting_for)

    def _step(self) -> T:
        return cast("T", _stepped(self._work))


def is_driven() -> bool:
    """Tell whether `wait_for` may be called here."""
    return getcurrent().parent is not None


def wait_for(awaited: Awaitable[T]) -> T:
    """Return what is awaited, the greenlet left until it is there."""
    return cast("T", _stepped(awaited.__await__()))


def _stepped(steps: Any) -> Any:
    """Step a coroutine to its end; what it waits for goes out of the greenlet."""
    outside: Any = getcurrent().parent
    answer: Any = None
    failure: BaseException | None = None
    while True:
        try:
            waiting_for = steps.send(answer) if failure is None else steps.throw(failure)
        except StopIteration as end:
            return end.value
        answer, failure = None, None
        try:
            answer = outside.switch(waiting_for)
        except BaseException as raised:
            failure = raised

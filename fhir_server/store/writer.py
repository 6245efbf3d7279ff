"""Who commits: jobs in groups, one group after another, in a thread or a process of their own.

Whatever is asked for while a commit is under way is committed together with the next one. A job is a
function of a module, or a `partial` of one: it can be pickled, and what it returns or raises too.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from fhir_server.store.connection import Connection
from fhir_server.store.group import Done, Job, Pending, deliver

T = TypeVar("T")
Listeners = Sequence[Callable[[], None]]

GROUP = 512
"""Most jobs in one commit, so that no job waits for an endless group."""


class Committer(Protocol):
    """A database's connection for writing; it belongs to one thread."""

    def commit(self, jobs: Sequence[Job]) -> list[Done]:
        """Run jobs and commit durably; returns the result or the failure of each, in order."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class Writer(Protocol):
    """Has jobs committed."""

    async def write(self, job: Callable[[Connection], T]) -> T:
        """Run a job in the next commit; returns its result, or raises its failure, once it is durable."""
        ...

    def close(self) -> None:
        """Finish what was asked for, and end."""
        ...


class ThreadWriter:
    """Commits in a thread: for commands, and whoever writes little. Listeners are called in it."""

    def __init__(self, committer: Committer, listeners: Listeners) -> None:
        self._committer, self._listeners = committer, listeners
        self._pending: SimpleQueue[Pending | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="csor-writer", daemon=True)
        self._thread.start()

    async def write(self, job: Callable[[Connection], T]) -> T:
        """Run a job in the next commit."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pending.put(Pending(job, future))
        return await future

    def close(self) -> None:
        """Finish what was asked for, and end the thread."""
        self._pending.put(None)
        self._thread.join()

    def _run(self) -> None:
        last = False
        while not last and (first := self._pending.get()) is not None:
            group = [first]
            while len(group) < GROUP and not self._pending.empty():
                following = self._pending.get()
                if following is None:
                    last = True
                    break
                group.append(following)
            deliver(group, self._committed([pending.job for pending in group]))
            for listener in self._listeners:
                listener()
        self._committer.close()

    def _committed(self, jobs: list[Any]) -> list[Done]:
        try:
            return self._committer.commit(jobs)
        except Exception as failure:
            return [(None, failure)] * len(jobs)

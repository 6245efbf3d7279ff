"""Jobs that are committed together: in one transaction or, if one of them fails, each in its own."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Protocol

import msgspec

from fhir_server.store import chain, renewal
from fhir_server.store.batch import Refusal, carry_out
from fhir_server.store.connection import Connection
from fhir_server.store.write import Commit

Job = Callable[[Connection], Any]


@dataclass(frozen=True, slots=True)
class Pending:
    """A job that waits for its commit, and whom its result is for."""

    job: Job
    future: asyncio.Future[Any]

    def settle(self, result: Any, failure: Exception | None) -> None:
        """Hand over the result; whoever waited may have gone."""
        if self.future.done():
            return
        if failure is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(failure)


class CarriedOut(msgspec.Struct, frozen=True):
    """The job that stores a commit; several of them in a row are stored in one go."""

    commit: Commit

    def __call__(self, connection: Connection) -> Refusal | None:
        """Store the commit alone."""
        return carry_out(connection, [self.commit])[0]


class Transacting(Connection, Protocol):
    """A connection whose transactions the group decides on."""

    def begin(self) -> None:
        """Begin a transaction, alone in writing."""
        ...

    def commit(self) -> None:
        """Commit durably."""
        ...

    def rollback(self) -> None:
        """Undo the transaction, if there is one."""
        ...


Done = tuple[Any, Exception | None]


def carried_out(commit: Commit) -> CarriedOut:
    """Return the job that stores a commit; its result is a refusal or None."""
    return CarriedOut(commit)


def run(connection: Transacting, jobs: Sequence[Job]) -> list[Done]:
    """Run jobs and commit; returns the result or the failure of each, in order."""
    try:
        connection.begin()
        results = list(_results(connection, jobs))
        chain.link(connection)
        connection.commit()
    except Exception as failure:
        connection.rollback()
        if len(jobs) == 1:
            return [(None, failure)]
        return [done for job in jobs for done in run(connection, [job])]
    return [(result, None) for result in results]


def deliver(group: Sequence[Pending], done: Sequence[Done]) -> None:
    """Hand each job's result to the event loop that waits for it; from the writer's thread."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = {}
    for pending, (result, failure) in zip(group, done, strict=True):
        answers = by_loop.setdefault(pending.future.get_loop(), [])
        answers.append(partial(pending.settle, result, failure))
    for loop, answers in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_each, answers)


def _each(answers: Sequence[Callable[[], None]]) -> None:
    for answer in answers:
        answer()


def prepare(connection: Transacting) -> None:
    """Do what a database needs when it is opened; raises what hinders it."""
    for _, failure in run(connection, [renewal.opened]):
        if failure is not None:
            raise failure


def _results(connection: Connection, jobs: Sequence[Job]) -> Iterator[Any]:
    for stores, some in groupby(jobs, lambda job: isinstance(job, CarriedOut)):
        if stores:
            yield from carry_out(connection, [job.commit for job in some])  # type: ignore[attr-defined]
        else:
            yield from (job(connection) for job in some)

"""Loads that a command carries out, each with a staging file of its own: begun, gone on with, ended.

A load that was interrupted is found again by what was asked for: the same files, unchanged (ADR 0021).
"""

import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from fhir_server.context import Context
from fhir_server.operations import asynchronous
from fhir_server.store import jobs
from fhir_server.store.jobs import GoneError, Job, Progress
from fhir_server.store.staging import Staging
from r4.issue import FhirError, error
from r4.json import Resource, decode, encode

STAGED = "episodes.sqlite"
UNAVAILABLE = 500
"""The least status of a refusal that is not the file's fault: the load can be gone on with."""


def version(file: Path) -> Resource:
    """Return by what a file is known again: its place, length and time; raises OSError for none."""
    found = file.resolve().stat()
    return {"file": str(file.resolve()), "size": found.st_size, "modified": found.st_mtime_ns}


async def accept(context: Context, asked: Resource) -> Job:
    """Return the load that an earlier run was asked for and left unfinished, or a new one."""
    await asynchronous.sweep(context)
    for job in jobs.unfinished(context.database, "hes"):
        if decode(job.request) == asked:
            return job
    job_id = await asynchronous.accept(context, "hes", asked)
    accepted = jobs.read(context.database, job_id)
    if accepted is None:
        raise GoneError
    return accepted


async def say(context: Context, job: Job, said: str) -> None:
    """Record how far reading is; what a run before had stored stays counted."""
    state = encode({**decode(job.state), "progress": said})
    await jobs.record(context.database, Progress(job.id, state))


@asynccontextmanager
async def staging(context: Context, job: Job) -> AsyncIterator[Staging]:
    """Open a load's staging file; delete it where the load is refused or cancelled.

    Raises FhirError 409 where another process carries the load out.
    """
    folder = asynchronous.make_folder(context, job.id)
    with _locked(folder):
        opened = Staging(folder / STAGED)
        try:
            yield opened
        except GoneError:
            opened.delete()
            raise
        except FhirError as refusal:
            if refusal.status < UNAVAILABLE:
                opened.delete()
                await asynchronous.fail(context, job.id, refusal)
            raise
        finally:
            opened.close()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process carry out a load."""
    with asynchronous.open_file(folder / "lock") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            text = "Another process carries out this load: wait until it has ended."
            raise FhirError(409, [error("conflict", text)]) from None
        yield

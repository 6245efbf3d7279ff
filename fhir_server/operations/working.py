"""Asynchronous jobs, worked off one after the other, beside the answering of requests.

A job that an earlier run of the server began goes on where it was.
"""

import asyncio
import contextlib
import logging

from fhir_server.context import Context
from fhir_server.operations import asynchronous
from fhir_server.operations.evaluation_job import write_evaluation
from fhir_server.operations.export_files import write_export
from fhir_server.operations.import_lines import Read
from fhir_server.operations.import_work import store_import
from fhir_server.store import jobs
from fhir_server.store.failure import place
from fhir_server.store.jobs import GoneError, Job
from r4.issue import FhirError, error

logger = logging.getLogger("csor.jobs")

_SWEEP = 60
"""Seconds after which it is looked for what has expired, and for jobs that nobody spoke of."""


async def work_off(context: Context, read: Read) -> None:
    """Work off the jobs, and remove what is over, until cancelled; `read` reads one resource's bytes."""
    while True:
        context.waiting.clear()
        try:
            job = await context.database.driven(_following(context))
            if job is not None:
                await context.database.driven(_work(context, job, read))
                continue
        except Exception as failure:
            logger.error("the jobs cannot be worked off: %s", place(failure))  # noqa: TRY400 - no content
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SWEEP):
                await context.waiting.wait()


async def _following(context: Context) -> Job | None:
    await asynchronous.sweep(context)
    return jobs.following(context.database)


async def _work(context: Context, job: Job, read: Read) -> None:
    """Carry out one job; one that is cancelled leaves nothing."""
    asked_by = context.asked_by(asynchronous.who_asked(job))
    with contextlib.suppress(GoneError):
        try:
            if job.kind == "export":
                await write_export(asked_by, job)
            elif job.kind == "evaluate":
                await write_evaluation(asked_by, job)
            else:
                await store_import(asked_by, job, read)
        except GoneError:
            raise
        except FhirError as refusal:
            await asynchronous.fail(context, job.id, refusal)
        except Exception as failure:
            await _failed(context, job, failure)


async def _failed(context: Context, job: Job, failure: Exception) -> None:
    """Record a failure that nobody foresaw, unless its cause is that the job was cancelled."""
    text = "The server failed on this job. The failure has been logged."
    await asynchronous.fail(context, job.id, FhirError(500, [error("exception", text)]))
    logger.error("job %s: %s", job.id, place(failure))

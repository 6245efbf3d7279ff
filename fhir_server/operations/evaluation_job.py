"""An evaluation that is asked for with `Prefer: respond-async`: accepted, worked off, its Bundles in a file.

What is evaluated is what was stored as of the moment at which it was asked for, however long it waits.
https://hl7.org/fhir/R4/async.html
"""

from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

from fhir_server.context import Context, instant
from fhir_server.operations import asynchronous
from fhir_server.operations.evaluation_asked import Asked, asked
from fhir_server.operations.evaluation_outcomes import Evaluated, evaluated
from fhir_server.operations.evaluation_reports import bundles, outcome
from fhir_server.operations.objections import undisturbed
from fhir_server.operations.parameters import Input
from fhir_server.operations.past import settled
from fhir_server.store import jobs
from fhir_server.store.jobs import Job, Progress
from outcome_engine import Period
from r4.json import Resource, decode, encode

BUNDLES = "Bundle.ndjson"
LEFT_OUT = "OperationOutcome.ndjson"
NOTICED = 100
"""Children, or Bundles, after which progress is recorded, and a cancellation noticed."""


async def accept_evaluation(context: Context, given: Input, url: str, *, keep: bool) -> str:
    """Accept an evaluation, and return its job's id; raises FhirError as `$evaluate` does at once."""
    wanted = asked(context, given)
    moment = wanted.at or await settled(context)
    request = {
        **asdict(wanted), "period": list(wanted.period), "at": moment.isoformat(),
        "keep": keep and wanted.at is None, "url": url,
    }  # fmt: skip
    return await asynchronous.accept(context, "evaluate", request)


async def write_evaluation(context: Context, job: Job) -> None:
    """Carry out an evaluation and complete its job; one that was interrupted begins anew.

    Raises GoneError where the job is cancelled meanwhile, and FhirError as `$evaluate` does.
    """
    context = context.steady()
    manifest = await undisturbed(context, partial(_written, context, job))
    await asynchronous.complete(context, job.id, manifest)


async def _written(context: Context, job: Job) -> Resource:
    """Write the files of an evaluation, and return the manifest that names them."""
    request = decode(job.request)
    wanted = _asked(request)

    async def told(done: int) -> None:
        if done % NOTICED == 0:
            await _record(context, job.id, f"{done} children assessed")

    found = await evaluated(context, wanted, told)
    await _record(context, job.id, f"{_assessed(found)} children assessed, reports are written")
    folder = asynchronous.make_folder(context, job.id)
    output, error = [], []
    with asynchronous.open_file(folder / BUNDLES) as file:
        written = 0
        async for bundle in bundles(context, found, keep=request["keep"]):
            file.write(encode(bundle) + b"\n")
            written += 1
            if written % NOTICED == 0:
                await _record(context, job.id, f"{written} Bundles written")
        await asynchronous.make_durable(file)
    if written:
        output.append(_file(context, job, "Bundle", BUNDLES, written))
    if (left_out := outcome(found)) is not None:
        with asynchronous.open_file(folder / LEFT_OUT) as file:
            file.write(encode(left_out) + b"\n")
            await asynchronous.make_durable(file)
        error.append(_file(context, job, "OperationOutcome", LEFT_OUT, 1))
    return {
        "transactionTime": instant(found.moment),
        "request": request["url"],
        "requiresAccessToken": context.settings.clients is not None,
        "output": output,
        "deleted": [],
        "error": error,
    }


def _assessed(found: Evaluated) -> int:
    return sum(map(len, found.outcomes.values()))


async def _record(context: Context, job_id: str, said: str) -> None:
    await jobs.record(context.database, Progress(job_id, encode({"progress": said})))


def _file(context: Context, job: Job, kind: str, name: str, count: int) -> Resource:
    return {"type": kind, "url": asynchronous.url(context, job.id, name), "count": count}


def _asked(request: dict[str, Any]) -> Asked:
    subjects = request["subjects"]
    return Asked(
        measures=tuple(request["measures"]),
        period=Period(*request["period"]),
        type=request["type"],
        subjects=None if subjects is None else tuple(subjects),
        group=request["group"],
        hospital=request["hospital"],
        at=datetime.fromisoformat(request["at"]),
    )

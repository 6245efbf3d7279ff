"""The asynchronous pattern: a request is accepted, worked off later, and asked about meanwhile.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-status-request
"""

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from fhir_server.access import REGISTRY
from fhir_server.access.pseudonyms import in_use
from fhir_server.context import ANALYST, HOSPITAL, Context, Principal, microseconds
from fhir_server.settings import Settings
from fhir_server.store import jobs
from fhir_server.store.jobs import Job, Kind, Progress
from r4.issue import FhirError, Issue, error
from r4.json import Resource, decode, encode

PATH = "$bulk"
HOSPITALS = "hospitals"
"""Where a job's request says for which hospitals alone it is worked off."""
PURPOSE = "purposeOfUse"
"""Where it says why it was asked for."""
PSEUDONYMS = "pseudonyms"
"""Where a job's request says by which pseudonyms an analyst has asked for it."""
FHIR_NDJSON = "application/fhir+ndjson"
NDJSON = (FHIR_NDJSON, "application/ndjson", "ndjson")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job stands: its manifest once it is completed, what it is at until then."""

    manifest: Resource | None
    progress: str
    expires: datetime | None = None


async def accept(context: Context, kind: Kind, request: Resource, job_id: str = "") -> str:
    """Accept a job durably, wake whoever works jobs off, and return the job's id."""
    job_id = job_id or context.new_id()
    name, moment = context.principal.name, microseconds(context.now())
    if context.principal.is_narrowed:
        request = {**request, HOSPITALS: sorted(context.principal.hospitals)}
    if context.principal.purpose is not None:
        request = {**request, PURPOSE: context.principal.purpose}
    if context.principal.is_analyst:
        request = {**request, PSEUDONYMS: in_use(context.settings).version}
    job = Job(job_id, kind, "accepted", name, moment, None, encode(request), b"{}")
    await jobs.add(context.database, job, context.agent)
    context.waiting.set()
    return job_id


def standing(context: Context, job_id: str) -> Standing:
    """Return how a job stands; raises FhirError 404 where there is none, or that which it failed with."""
    job = _known(context, job_id)
    state = decode(job.state)
    if job.status == "failed":
        raise FhirError(state["status"], [Issue(**issue) for issue in state["issues"]])
    if job.finished is None:
        return Standing(None, state.get("progress", "waiting for its turn"))
    expires = datetime.fromtimestamp(job.finished / 1_000_000, UTC) + _kept(context.settings)
    return Standing(state["manifest"], "completed", expires)


async def cancel(context: Context, job_id: str) -> None:
    """Cancel a job, or remove one that is over; raises FhirError 404 where there is none.

    What a job that runs has written is removed by itself, as soon as it notices.
    """
    _known(context, job_id)
    await jobs.cancel(context.database, job_id)
    await asyncio.to_thread(shutil.rmtree, folder(context, job_id), ignore_errors=True)
    context.waiting.set()


async def sweep(context: Context) -> None:
    """Remove the jobs that were cancelled or have expired, their files first."""
    before = microseconds(context.now() - _kept(context.settings))
    for job_id in jobs.over(context.database, before):
        await asyncio.to_thread(shutil.rmtree, folder(context, job_id), ignore_errors=True)
        await jobs.remove(context.database, job_id)


async def complete(context: Context, job_id: str, manifest: Resource) -> None:
    """Record that a job is completed; raises GoneError where it has been cancelled."""
    state = encode({"manifest": manifest})
    moment = microseconds(context.now())
    await jobs.record(context.database, Progress(job_id, state, "completed", moment))


async def fail(context: Context, job_id: str, refusal: FhirError) -> None:
    """Record what a job failed with; raises GoneError where it has been cancelled."""
    issues = [
        {
            name: getattr(issue, name)
            for name in ("severity", "code", "diagnostics", "expression", "rule")
        }
        for issue in refusal.issues
    ]
    state = encode({"status": refusal.status, "issues": issues})
    moment = microseconds(context.now())
    await jobs.record(context.database, Progress(job_id, state, "failed", moment))


def output(context: Context, job_id: str, name: str) -> Path:
    """Return a file that a completed job's manifest names; raises FhirError 404 for any other one."""
    job = _known(context, job_id)
    manifest = decode(job.state).get("manifest", {}) if job.status == "completed" else {}
    named = [*manifest.get("output", ()), *manifest.get("deleted", ()), *manifest.get("error", ())]
    file = folder(context, job_id) / name
    if not any(_name(each) == name for each in named) or not file.is_file():
        raise FhirError(404, [error("not-found", "This job has no such file.", "http.url")])
    return file


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry.get("url", "")).rpartition("/")[2]


def url(context: Context, job_id: str, name: str = "") -> str:
    """Return the URL of a job's status, or of one of its files."""
    return "/".join(part for part in (context.base_url, PATH, job_id, name) if part)


def folder(context: Context, job_id: str) -> Path:
    """Return the folder of a job's files."""
    settings = context.settings
    if settings.bulk_folder is not None:
        return settings.bulk_folder / job_id
    beside = "csor" if "://" in settings.database else settings.database
    return Path(f"{beside}.bulk") / job_id


def make_folder(context: Context, job_id: str) -> Path:
    """Make the folder of a job's files, for the owner of the process alone."""
    made = folder(context, job_id)
    made.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def open_file(file: Path, length: int = 0) -> BinaryIO:
    """Open a file, readable for its owner alone, to be written from a length on."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(descriptor, length)
    os.lseek(descriptor, 0, os.SEEK_END)
    return os.fdopen(descriptor, "r+b")


async def make_durable(file: BinaryIO) -> None:
    """Have what was written to a file on disk before anything relies on it; others go on meanwhile."""
    file.flush()
    await asyncio.to_thread(os.fsync, file.fileno())


def _known(context: Context, job_id: str) -> Job:
    job = jobs.read(context.database, job_id)
    if job is None or job.status == "cancelled" or not _is_open(context.principal, job):
        raise FhirError(404, [error("not-found", "This job is not known here.", "http.url")])
    return job


def who_asked(job: Job) -> Principal:
    """Return for whom a job is worked off: an analyst, the hospitals of whoever asked, or the registry."""
    request = decode(job.request)
    hospitals, purpose = request.get(HOSPITALS), request.get(PURPOSE)
    if PSEUDONYMS in request:
        return Principal(job.principal, frozenset({ANALYST}), purpose=purpose)
    if hospitals is None:
        return Principal(job.principal, frozenset({REGISTRY}), purpose=purpose)
    of = frozenset(hospitals)
    return Principal(job.principal, frozenset({HOSPITAL}), hospitals=of, purpose=purpose)


def _is_open(principal: Principal, job: Job) -> bool:
    """Tell whether somebody may be told of a job: a hospital's client of its own, while they are its own.

    An analyst is told of its own, and of none that it asked for as somebody else.
    """
    if not principal.is_narrowed and not principal.is_analyst:
        return True
    asked = who_asked(job)
    if principal.is_analyst:
        return asked.is_analyst and asked.name == principal.name
    return (
        asked.is_narrowed
        and asked.name == principal.name
        and asked.hospitals <= principal.hospitals
    )


def _kept(settings: Settings) -> timedelta:
    return timedelta(hours=settings.bulk_hours)

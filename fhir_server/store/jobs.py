"""Asynchronous jobs: what was asked for, and how far it has come, durably.

A job is `accepted` (it waits), `running`, `completed`, `failed`, or `cancelled` (about to be removed).
What was asked and how far it is are JSON, which the operation of the job's kind writes and reads.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from fhir_server.store import told
from fhir_server.store.audit_row import Agent, row
from fhir_server.store.connection import Connection, Database

Kind = Literal["export", "import", "hes", "evaluate"]
Status = Literal["accepted", "running", "completed", "failed", "cancelled"]


class GoneError(Exception):
    """The job has been cancelled or removed: nothing may be done for it any more."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands; times in microseconds."""

    id: str
    kind: Kind
    status: Status
    principal: str
    accepted: int
    finished: int | None
    request: bytes
    state: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come; `finished` where it is completed or failed."""

    id: str
    state: bytes
    status: Status = "running"
    finished: int | None = None


_COLUMNS = "id, kind, status, principal, accepted, finished, request, state"


async def add(database: Database, job: Job, agent: Agent) -> None:
    """Store a job durably, and in the audit who asked for it."""
    await database.write(partial(_insert, job=job, agent=agent))
    told.recorded()


def _insert(connection: Connection, job: Job, agent: Agent) -> None:
    connection.execute(
        f"INSERT INTO job ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (job.id, job.kind, job.status, job.principal, job.accepted, job.finished, job.request,
         job.state),
    )  # fmt: skip
    made = row(job.accepted, agent, (f"${job.kind}", None, job.id), (None, None))
    connection.insert({"audit": [made]})


def read(database: Database, job_id: str) -> Job | None:
    """Return one job, or None."""
    rows = database.read(f"SELECT {_COLUMNS} FROM job WHERE id = ?", (job_id,))
    return Job(*rows[0]) if rows else None


def following(database: Database) -> Job | None:
    """Return the job whose turn it is: one that an earlier run began, then by their arrival.

    A load of HES is none of them: the command that was given its file carries it out.
    """
    rows = database.read(
        f"SELECT {_COLUMNS} FROM job WHERE status IN ('running', 'accepted')"
        " AND kind <> 'hes'"
        " ORDER BY CASE status WHEN 'running' THEN 0 ELSE 1 END, accepted, id LIMIT 1"
    )
    return Job(*rows[0]) if rows else None


def unfinished(database: Database, kind: Kind) -> list[Job]:
    """Return the jobs of a kind that are not over, by their arrival."""
    rows = database.read(
        f"SELECT {_COLUMNS} FROM job WHERE status IN ('running', 'accepted') AND kind = ?"
        " ORDER BY accepted, id",
        (kind,),
    )
    return [Job(*row) for row in rows]


def advance(connection: Connection, progress: Progress) -> None:
    """Record how far a job has come, in the caller's transaction; raises GoneError for none that runs."""
    changed = connection.execute(
        "UPDATE job SET state = ?, status = ?, finished = ?"
        " WHERE id = ? AND status IN ('accepted', 'running')",
        (progress.state, progress.status, progress.finished, progress.id),
    )
    if not changed:
        raise GoneError


async def record(database: Database, progress: Progress) -> None:
    """Record how far a job has come, durably; raises GoneError for one that is cancelled."""
    await database.write(partial(advance, progress=progress))


async def cancel(database: Database, job_id: str) -> None:
    """Cancel a job: it is not known from now on."""
    await database.write(partial(_cancel, job_id=job_id))


def _cancel(connection: Connection, job_id: str) -> None:
    connection.execute("UPDATE job SET status = 'cancelled' WHERE id = ?", (job_id,))


def cancel_all(connection: Connection) -> None:
    """Cancel every job and forget what was asked, in the caller's transaction."""
    connection.execute(
        "UPDATE job SET status = 'cancelled', request = ?, state = ?", (b"{}", b"{}")
    )


def cancel_reading(connection: Connection) -> None:
    """Cancel, in the caller's transaction, the jobs that write what is stored into files, or have."""
    connection.execute("UPDATE job SET status = 'cancelled' WHERE kind IN ('export', 'evaluate')")


async def remove(database: Database, job_id: str) -> None:
    """Remove a job whose files are removed."""
    await database.write(partial(_remove, job_id=job_id))


def _remove(connection: Connection, job_id: str) -> None:
    connection.execute("DELETE FROM job WHERE id = ?", (job_id,))


def over(database: Database, before: int) -> list[str]:
    """Return the ids of jobs to remove: those cancelled, and those that finished before a moment."""
    rows = database.read(
        "SELECT id FROM job WHERE status = 'cancelled' OR finished < ? ORDER BY id", (before,)
    )
    return [row[0] for row in rows]

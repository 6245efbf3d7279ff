"""A family's request that a child be erased: asked for, decided, carried out, each told in the audit.

The request is a Task about the child, which goes with the record; the tombstone of the purge stays.
https://hl7.org/fhir/R4/task.html
"""

from collections.abc import Iterator
from functools import partial

from fhir_server.context import Context, instant, microseconds
from fhir_server.interactions.create import create
from fhir_server.interactions.erased import key
from fhir_server.interactions.update import update
from fhir_server.operations.purge import purge
from fhir_server.store import read as store
from fhir_server.store import suppression
from fhir_server.store.audit_row import Agent, row
from fhir_server.store.connection import Connection
from fhir_server.store.purge import Purged
from r4.issue import FhirError, error
from r4.json import Resource, decode
from terminology.systems import CSOR

TASK, ERASURE = f"{CSOR}/CodeSystem/task", "erasure"


async def request(context: Context, patient: str, told_by: str) -> str:
    """Record that a family asks that a child be erased; returns the id of the Task.

    Raises FhirError 404 where no such Patient is here.
    """
    if not store.existing(context.database, [("Patient", patient)]):
        raise FhirError(404, [error("not-found", f"Patient/{patient} is not known here.")])
    now = instant(context.now())
    task = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": TASK, "code": ERASURE}]},
        "for": {"reference": f"Patient/{patient}"},
        "authoredOn": now,
        "lastModified": now,
        "requester": {"display": told_by},
    }
    return (await create(context, task)).id


async def decide(context: Context, task: str, *, accept: bool, why: str) -> None:
    """Record the decision about a request; raises FhirError 404 for none, 409 for one decided before."""
    resource = _request(context, task, "requested")
    status = "accepted" if accept else "rejected"
    decided = {
        **resource,
        "status": status,
        "statusReason": {"text": why},
        "lastModified": instant(context.now()),
    }
    await update(context, decided, task, f'W/"{resource["meta"]["versionId"]}"')


async def carry_out(context: Context, task: str) -> Purged:
    """Erase the child of a request that was accepted, and let nothing bring it back.

    Raises FhirError 404 for no request, 409 for one that is not accepted, 503 where the key of the
    suppression list is missing, and otherwise as `purge` does.
    """
    resource = _request(context, task, "accepted")
    patient = resource["for"]["reference"].partition("/")[2]
    reason = f"Erasure that the family asked for, by Task/{task}"
    return await purge(context, patient, reason, suppression=key(context))


async def lift(context: Context, tombstone: int) -> int:
    """Let a child who was erased come back, as the family has asked; returns how many identifiers may."""
    return await context.database.write(
        partial(_lift, tombstone=tombstone, moment=microseconds(context.now()),
                agent=context.agent)
    )  # fmt: skip


def _lift(connection: Connection, tombstone: int, moment: int, agent: Agent) -> int:
    many = suppression.lift(connection, tombstone)
    made = row(moment, agent, ("erasure-lift", None, str(tombstone)), (None, None))
    connection.insert({"audit": [made]})
    return many


def requests(context: Context) -> Iterator[Resource]:
    """Yield the requests that are not carried out; each is in the audit."""
    for stored in store.every(context.database, "Task", f"code={TASK}|{ERASURE}"):
        context.audit.record(context.agent, "erasure-list", "Task", stored.id, 200)
        yield decode(stored.body)


def _request(context: Context, task: str, status: str) -> Resource:
    found = store.current(context.database, "Task", task)
    resource: Resource = {} if found is None or found.deleted else decode(found.body)
    codings = resource.get("code", {}).get("coding", ())
    if (TASK, ERASURE) not in {(each.get("system"), each.get("code")) for each in codings}:
        text = f"Task/{task} is no request for an erasure that is known here."
        raise FhirError(404, [error("not-found", text)])
    if resource["status"] != status:
        text = f"Task/{task} is {resource['status']}, and not {status}."
        raise FhirError(409, [error("conflict", text)])
    return resource

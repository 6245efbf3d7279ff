"""The transaction interaction, the one door through which anything is written; and batch.

https://hl7.org/fhir/R4/http.html#transaction
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import parse_qsl

from fhir_server.context import Context, instant
from fhir_server.interactions.entries import Entry, entries
from fhir_server.interactions.plan import Outcome, Plan, plan
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search
from fhir_server.store.commit import ConflictError, commit
from fhir_server.store.inbox import Settlement
from r4.issue import FhirError, error, operation_outcome
from r4.json import Resource, decode

ATTEMPTS = 20


async def transaction(
    context: Context,
    bundle: Resource,
    *,
    trusted: bool = False,
    once: bool = False,
    settlement: Settlement | None = None,
) -> Resource:
    """Store every entry of a Bundle or none, and return the transaction-response.

    A settlement is recorded in the same commit: the message it settles is then done, durably.
    With `once`, a first entry that finds what it would create stores nothing, and is answered alone.
    Raises FhirError 400, 409, 412, 413 or 422 with the issues of all entries.
    """
    listed = entries(bundle, context.settings.max_entries, trusted=trusted)
    writing = [entry for entry in listed if entry.method != "GET"]
    stored = await execute(context, writing, settlement, once=once)
    if len(stored) < len(writing):
        listed = listed[: len(stored)]
    outcomes = iter(stored)
    responses = [
        _got(context, entry) if entry.method == "GET" else _entry(next(outcomes))
        for entry in listed
    ]
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": responses}


async def batch(context: Context, bundle: Resource) -> Resource:
    """Carry out each entry on its own, and return the batch-response with each one's answer."""
    responses = []
    for entry in entries(bundle, context.settings.max_entries):
        try:
            if entry.method == "GET":
                responses.append(_got(context, entry))
            else:
                responses.append(_entry((await execute(context, [entry]))[0]))
        except FhirError as refusal:
            responses.append(_refused(refusal))
    return {"resourceType": "Bundle", "type": "batch-response", "entry": responses}


async def execute(
    context: Context,
    listed: Sequence[Entry],
    settlement: Settlement | None = None,
    *,
    once: bool = False,
) -> list[Outcome]:
    """Plan and commit the entries, anew for as long as others change what the plan relied on."""
    for _ in range(ATTEMPTS):
        made: Plan = plan(context, listed, once=once)
        if not made.writes and settlement is None:
            return made.outcomes
        try:
            await commit(context.database, made.writes, made.guards, settlement)
        except ConflictError:
            continue
        return made.outcomes
    text = "Others keep changing the same resources: try again."
    raise FhirError(409, [error("conflict", text)])


def _entry(outcome: Outcome) -> Resource:
    return {
        "response": {
            "status": f"{outcome.status} {HTTPStatus(outcome.status).phrase}",
            "location": f"{outcome.type}/{outcome.id}/_history/{outcome.version}",
            "etag": f'W/"{outcome.version}"',
            "lastModified": instant(datetime.fromtimestamp(outcome.updated / 1_000_000, UTC)),
        }
    }


def _got(context: Context, entry: Entry) -> Resource:
    if entry.id is not None:
        body = read(context, entry.type, entry.id).body
    else:
        body = search(context, entry.type, parse_qsl(entry.query or "", keep_blank_values=True))
    return {"resource": decode(body), "response": {"status": "200 OK"}}


def _refused(refusal: FhirError) -> Resource:
    phrase = HTTPStatus(refusal.status).phrase
    outcome = operation_outcome(refusal.issues)
    return {"response": {"status": f"{refusal.status} {phrase}", "outcome": outcome}}

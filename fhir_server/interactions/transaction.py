"""The transaction interaction, the one door through which anything is written; and batch.

https://hl7.org/fhir/R4/http.html#transaction
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from urllib.parse import parse_qsl

from fhir_server.access import admit
from fhir_server.context import Context, instant
from fhir_server.interactions import audit_search, conformance, permitted
from fhir_server.interactions.entries import Entry, entries, is_plain, refuse_blank
from fhir_server.interactions.plan import How, Outcome, Plan, missing, plan, refused
from fhir_server.interactions.read import read
from fhir_server.interactions.referred import Referred
from fhir_server.interactions.search import search
from fhir_server.interactions.source import Source
from fhir_server.store.commit import commit
from fhir_server.store.failure import place
from fhir_server.store.inbox import Settlement
from fhir_server.store.index import Named
from fhir_server.store.jobs import Progress
from fhir_server.store.told import Telling
from fhir_server.store.told import recorded as recorded_with_it
from fhir_server.store.uses import READING
from fhir_server.store.write import Commit, ConflictError, MissingError, ReferredError, RefusedError
from r4.issue import FhirError, Issue, error, operation_outcome
from r4.json import Resource, decode

logger = logging.getLogger("csor.transaction")

ATTEMPTS = 20
PATIENCE = 3
"""Attempts in turn after which others that come are kept waiting until this one is done."""
_CODES = {"GET": "read", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
Answered = Callable[[Entry, Resource, FhirError | None], Awaitable[None]]
"""Is told what became of one entry of a batch."""
Recorded = Callable[[Sequence[Outcome]], Progress]
"""Says how far a job has come once the outcomes are stored."""


async def transaction(  # noqa: PLR0913 - each says something else of how it is stored
    context: Context,
    bundle: Resource,
    *,
    trusted: bool = False,
    signing: bool = False,
    once: bool = False,
    settlement: Settlement | None = None,
    source: Source | None = None,
    asked: bool = False,
    objections: int | None = None,
) -> Resource:
    """Store every entry of a Bundle or none, and return the transaction-response.

    A settlement is recorded in the same commit: the message it settles is then done, durably. What is
    older than what its source told before overwrites nothing, and the settlement says so.
    With `once`, a first entry that finds what it would create stores nothing, and is answered alone.
    With `signing`, which is for the server's own signatures and corrections alone, what is signed may
    change, and what is created has the id that its resource says. GET entries are answered after the
    writes, and one that fails has its refusal as its answer.
    With `asked`, by a caller, each entry must be admitted as a request of its own. objections: how things
    stood with them (`store.objections.changes`) when what is stored was computed; raises ObjectedError,
    and stores nothing, where that has changed.
    Raises FhirError 400, 403, 409, 412, 413 or 422 with the issues of all entries, and
    SettledError where the message has been processed already.
    """
    listed = readable(context, bundle, trusted=trusted)
    if asked:
        permitted.refuse(context, listed)
    if issues := unreadable(context, listed):
        raise FhirError(400, issues)
    if signing:
        listed = [_under_its_id(entry) for entry in listed]
    writing = [entry for entry in listed if entry.method != "GET"]
    stored = await execute(context, writing, settlement, how=How(once, signing, source, objections))
    if len(stored) < len(writing):
        listed = listed[: len(stored)]
    outcomes = iter(stored)
    responses = [
        (await _got(context, entry))[0] if entry.method == "GET" else response_entry(next(outcomes))
        for entry in listed
    ]
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": responses}


def _under_its_id(entry: Entry) -> Entry:
    """Return an entry that creates its resource under the id that it says, if it says one."""
    if entry.method != "POST" or entry.resource is None:
        return entry
    return replace(entry, id=entry.resource.get("id"))


async def batch(context: Context, bundle: Resource, answered: Answered | None = None) -> Resource:
    """Carry out each entry on its own, and return the batch-response with each one's answer.

    What becomes of each entry that writes is told to `answered`, with its refusal if it was refused.
    """
    responses = []
    for entry in readable(context, bundle):
        attempt = _got if entry.method == "GET" else _done
        response, refusal = await attempt(context, entry)
        responses.append(response)
        if answered is not None and entry.method != "GET":
            await answered(entry, response, refusal)
        await asyncio.sleep(0)
    return {"resourceType": "Bundle", "type": "batch-response", "entry": responses}


def readable(context: Context, bundle: Resource, *, trusted: bool = False) -> list[Entry]:
    """Return the entries of a Bundle; raises FhirError 400 for what is wrong around their resources.

    A condition that is misspelt would be none. Raises FhirError 413 as `entries` does.
    """
    listed = entries(bundle, context.settings.max_entries, trusted=trusted)
    _admit(context, listed)
    if not trusted and not is_plain(bundle):
        around = {**bundle}
        if "entry" in bundle:
            around["entry"] = [
                {key: value for key, value in each.items() if key != "resource"}
                for each in bundle["entry"]
            ]
        now, referred = instant(context.now()), Referred(context)
        found = conformance.issues(context, around, referred, now, warnings=False)
        if errors := [issue for issue in found if issue.is_error]:
            raise FhirError(400, errors)
    return listed


def _admit(context: Context, listed: Sequence[Entry]) -> None:
    """Raise FhirError 403 where an entry is what a hospital may not do; others may what a Bundle may."""
    if not context.principal.is_narrowed:
        return
    issues: list[Issue] = []
    for entry in listed:
        code = "search-type" if entry.method == "GET" and entry.id is None else _CODES[entry.method]
        try:
            admit(context.principal, code, entry.type)
        except FhirError as refusal:
            issues.extend(replace(each, expression=entry.place) for each in refusal.issues)
    if issues:
        raise FhirError(403, issues)


async def execute(
    context: Context,
    listed: Sequence[Entry],
    settlement: Settlement | None = None,
    *,
    how: How | None = None,
    recorded: Recorded | None = None,
) -> list[Outcome]:
    """Plan and commit the entries; anew, one caller at a time, if others changed what a plan relied on.

    How far a job has come is recorded in the same commit. Raises SettledError, and stores nothing,
    where the settlement's message has been processed already, GoneError where the job was cancelled.
    """
    for entry in listed:
        audit_search.refuse_write(entry.type)
        refuse_blank(entry)
        permitted.conditions(context, entry)
    if context.alone.locked():
        async with context.alone:
            pass
    work = partial(_execute, context, listed, settlement, how or How(), recorded)
    try:
        return await work()
    except ConflictError:
        pass
    async with (
        context.turn
    ):  # a burst about one child is worked off in turn, and none of it refused
        for attempt in range(ATTEMPTS):
            with suppress(ConflictError):
                async with context.alone if attempt >= PATIENCE else nullcontext():
                    return await work()
    text = "Others keep changing the same resources: try again."
    raise FhirError(409, [error("conflict", text)])


async def _execute(
    context: Context,
    listed: Sequence[Entry],
    settlement: Settlement | None,
    how: How,
    recorded: Recorded | None,
) -> list[Outcome]:
    with context.underway():
        made: Plan = plan(context, listed, how)
        told = made.recency.told(made.targets) if made.recency else ()
        settlement = _noted(settlement, made)
        progress = recorded(made.outcomes) if recorded else None
        claims = any(guard.whole for guard in made.guards)
        if made.writes or claims or settlement is not None or progress is not None:
            asked = Commit(
                made.writes, made.guards, settlement, progress, context.agent, told,
                objections=how.objections,
            )  # fmt: skip
            try:
                await commit(context.database, asked)
            except MissingError as refusal:
                raise FhirError(422, missing(context, made, refusal.args[0])) from None
            except RefusedError as refusal:
                raise FhirError(403, refused(made, refusal)) from None
            except ReferredError as refusal:
                raise FhirError(409, [still_referred(made, *refusal.args)]) from None
            if made.writes:
                recorded_with_it()
    return made.outcomes


def _noted(settlement: Settlement | None, made: Plan) -> Settlement | None:
    """Say with a message that it was stale, and for what."""
    if settlement is None or made.recency is None or not made.recency.stale:
        return settlement
    kinds = ", ".join(sorted({place.partition("/")[0] for place in made.recency.stale}))
    return replace(settlement, reason=f"stale: its sender had told newer of {kinds} before")


def still_referred(made: Plan, named: Named, others: Sequence[Named]) -> Issue:
    """Say of a deletion that it would leave references to nothing."""
    entries = {(target.entry.type, target.id): target.entry for target in made.targets}
    listed = ", ".join(f"{kind}/{key}" for kind, key in others) or "another resource"
    text = f"{named[0]}/{named[1]} is referred to by {listed}: delete or change that first."
    return error("conflict", text, entries[named].at(None), "referred-to")


def response_entry(outcome: Outcome) -> Resource:
    """Return the entry of a response Bundle that says what an entry came to."""
    if outcome.deleted and not outcome.version:
        return {"response": {"status": "204 No Content"}}
    return {
        "response": {
            "status": f"{outcome.status} {HTTPStatus(outcome.status).phrase}",
            "location": f"{outcome.type}/{outcome.id}/_history/{outcome.version}",
            "etag": f'W/"{outcome.version}"',
            "lastModified": instant(datetime.fromtimestamp(outcome.updated / 1_000_000, UTC)),
        }
    }


async def _got(context: Context, entry: Entry) -> tuple[Resource, FhirError | None]:
    """Answer a GET entry, a failure included: what the Bundle wrote is stored by now."""
    await asyncio.sleep(0)

    async def answer() -> Resource:
        permitted.admitted(context, entry)
        looking = context.used_for(READING)
        if entry.id is not None:
            body = read(looking.by_letters("r"), entry.type, entry.id).body
        else:
            body = search(looking, entry.type, _pairs(entry))
        return {"resource": decode(body), "response": {"status": "200 OK"}}

    return await _alone(context, entry, answer)


async def _done(context: Context, entry: Entry) -> tuple[Resource, FhirError | None]:
    async def answer() -> Resource:
        permitted.admitted(context, entry)
        return response_entry((await execute(context, [entry]))[0])

    return await _alone(context, entry, answer)


async def _alone(
    context: Context, entry: Entry, answer: Callable[[], Awaitable[Resource]]
) -> tuple[Resource, FhirError | None]:
    """Answer an entry as the request that it is, and record it unless what it stored is recorded."""
    with Telling() as told:
        answered, refusal = await _or_refusal(entry, answer)
        if not told.is_recorded:
            code, status = permitted.code(entry), refusal.status if refusal else HTTPStatus.OK
            try:
                children = told.children
                what = (code, entry.type, entry.id, status)
                context.audit.record(context.agent, *what, children=children)
            except FhirError as unrecorded:
                answered, refusal = _refused(unrecorded), unrecorded
    recorded_with_it()
    return answered, refusal


async def _or_refusal(
    entry: Entry, answer: Callable[[], Awaitable[Resource]]
) -> tuple[Resource, FhirError | None]:
    """Return an entry's answer, or its refusal and that as an answer; no failure leaves its entry."""
    try:
        return await answer(), None
    except FhirError as found:
        refusal = found
    except Exception as unforeseen:
        logger.error("%s %s: %s", entry.method, entry.place, place(unforeseen))  # noqa: TRY400 - no content
        text = "The server failed on this entry. The failure has been logged."
        refusal = FhirError(500, [error("exception", text, entry.place)])
    return _refused(refusal), refusal


def _refused(refusal: FhirError) -> Resource:
    phrase = HTTPStatus(refusal.status).phrase
    outcome = operation_outcome(refusal.issues)
    return {"response": {"status": f"{refusal.status} {phrase}", "outcome": outcome}}


def unreadable(context: Context, listed: Sequence[Entry]) -> list[Issue]:
    """Say of each entry that searches what is not served, before anything is stored."""
    issues: list[Issue] = []
    for entry in listed:
        if entry.method == "GET" and entry.id is None:
            try:
                search(context, entry.type, [*_pairs(entry), ("_summary", "count")])
            except FhirError as refusal:
                at = f"{entry.place}.request.url"
                issues.extend(replace(issue, expression=at) for issue in refusal.issues)
    return issues


def _pairs(entry: Entry) -> list[tuple[str, str]]:
    return parse_qsl(entry.query or "", keep_blank_values=True)

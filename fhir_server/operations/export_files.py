"""`$export`, carried out: a file of each type, of the stored bytes of what stood in the snapshot.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-output-file-request
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from fhir_server.context import Context
from fhir_server.interactions import subset
from fhir_server.interactions.compartment import parameters_of
from fhir_server.operations import asynchronous
from fhir_server.operations.export import filters
from fhir_server.operations.export_pseudonymised import write_type
from fhir_server.store import bulk, jobs
from fhir_server.store import read as store
from fhir_server.store.jobs import Job, Progress
from fhir_server.store.read import Stored
from fhir_server.store.search.keys import bounds, place
from fhir_server.store.search.query import All, Condition, Either, Ids, Query, Updated
from fhir_server.store.seen import used
from fhir_server.store.told import Telling, Told, tells
from fhir_server.store.uses import EXTRACTING
from r4.json import Resource, decode, encode

PAGE = 200
"""Rows that are read and written at a time: a few milliseconds of the event loop."""
_NOTICED = 25
"""Steps after which progress is recorded, and a cancellation noticed."""
_STRIDE = 5000
"""Rows that are looked through at a time, however few of them match."""
_TOGETHER = 1000
"""Most children whom one row of the audit names."""
DELETED = "deleted.Bundle.ndjson"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an export's request says."""

    job_id: str
    level: str
    members: frozenset[int] | None
    snapshot: int
    request: Resource

    def is_about(self, context: Context, kind: str, rows: Sequence[bulk.Place]) -> set[int]:
        """Return which rows of a type belong to the export's patients."""
        if not self.level:
            return {rid for rid, _ in rows}
        codes = parameters_of("Patient").get(kind, ())
        patients = self.snapshot if self.members is None else self.members
        return bulk.of_patients(context.database, (kind, codes), rows, patients)


async def write_export(context: Context, job: Job) -> None:
    """Write the files of an export and complete its job; one that was interrupted goes on.

    Raises GoneError where the job is cancelled meanwhile, as it is where somebody comes to object.
    """
    context = replace(context, database=used(context.database, EXTRACTING))
    asked = _asked(job)
    folder = asynchronous.make_folder(context, job.id)
    state = {"output": [], "deleted": None, **decode(job.state)}
    done = {each["type"] for each in state["output"]}
    for kind in asked.request["types"]:
        if kind in done:
            continue
        name = f"{kind}.ndjson"
        with Telling() as told, asynchronous.open_file(folder / name) as file:
            written = await _write_type(context, asked, kind, (file, state))
            await asynchronous.make_durable(file)
            _tell_audit(context, job.id, kind, told)
        if not written:
            (folder / name).unlink(missing_ok=True)
            continue
        url = asynchronous.url(context, job.id, name)
        state["output"].append({"type": kind, "url": url, "count": written})
        await _record(context, job.id, state)
    if asked.request["since"] and state["deleted"] is None:
        with asynchronous.open_file(folder / DELETED) as file:
            state["deleted"] = await _write_deleted(context, asked, file)
            await asynchronous.make_durable(file)
    await asynchronous.complete(context, job.id, _manifest(context, asked, state))


def _tell_audit(context: Context, job_id: str, kind: str, told: Told) -> None:
    """Record, before a file can be had, of which children it tells."""
    children = sorted(told.children)
    for start in range(0, len(children), _TOGETHER):
        some = children[start : start + _TOGETHER]
        what, query = ("$export", None, job_id, 200), f"_type={kind}"
        context.audit.record(context.agent, *what, children=some, query=query)


def _asked(job: Job) -> _Asked:
    request = decode(job.request)
    listed = request["members"]
    members = None if listed is None else frozenset(place("Patient", each) for each in listed)
    return _Asked(job.id, request["level"], members, request["snapshot"], request)


async def _record(context: Context, job_id: str, state: dict[str, Any], more: str = "") -> None:
    written = sum(each["count"] for each in state["output"])
    said = f"{written} resources of {len(state['output'])} types written{more}"
    progress = Progress(job_id, encode({**state, "progress": said}))
    await jobs.record(context.database, progress)


async def _write_type(
    context: Context, asked: _Asked, kind: str, into: tuple[BinaryIO, dict[str, Any]]
) -> int:
    """Write the resources of one type, in the order of storing; returns how many."""
    file, state = into
    if context.principal.is_analyst:
        return await write_type(context, kind, asked.request, file)
    query = _query(context, asked, kind)
    first, last = bulk.extent(context.database, kind, asked.snapshot)
    written = steps = 0
    for after in range(first - 1, last, _STRIDE):
        rows = bulk.stretch(context.database, query, after, _STRIDE)
        for at in range(0, max(1, len(rows)), PAGE):
            written += _write_page(context, asked, file, (kind, rows[at : at + PAGE]))
            steps += 1
            if steps % _NOTICED == 0:
                await _record(context, asked.job_id, state, f", {written} of {kind}")
            await asyncio.sleep(0)
    return written


def _write_page(
    context: Context, asked: _Asked, file: BinaryIO, page: tuple[str, Sequence[bulk.Place]]
) -> int:
    """Write those of a page of a type that are the export's; returns how many."""
    kind, rows = page
    about = asked.is_about(context, kind, rows)
    found = store.by_rid(context.database, [rid for rid, _ in rows if rid in about])
    tells(found)
    body = _body(asked)
    file.write(b"".join(body(stored) + b"\n" for stored in found))
    return len(found)


def _query(context: Context, asked: _Asked, kind: str) -> Query:
    """Return the search of one type: filters of which one has to match, in the snapshot."""
    request = asked.request
    listed = filters(context, kind, request["filters"], request["now"])
    criteria = tuple(_conditions(each) for each in listed)
    since = request["since"]
    return Query(
        kind,
        types=(kind,),
        criteria=(Either(criteria),) if len(criteria) > 1 else criteria,
        updated=(f"ge{since}",) if since else (),
        snapshot=asked.snapshot,
        now=request["now"],
    )


def _conditions(query: Query) -> Condition:
    parts: list[Condition] = [*query.criteria, *(Updated(value) for value in query.updated)]
    if query.ids is not None:
        parts.append(Ids(query.ids))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _body(asked: _Asked) -> Callable[[Stored], bytes]:
    """Return what makes a line: the stored bytes, or those of the elements that are wanted."""
    wanted = asked.request["elements"]
    if not wanted:
        return lambda stored: stored.body
    return lambda stored: encode(subset.elements(decode(stored.body), wanted))


async def _write_deleted(context: Context, asked: _Asked, file: BinaryIO) -> int:
    """Write what was deleted since the moment asked for, in Bundles; returns how many."""
    low, _ = bounds(asked.request["since"])
    written = 0
    for after in range(0, asked.snapshot, _STRIDE):
        rows = bulk.deletions(context.database, asked.snapshot, low, (after, after + _STRIDE))
        entries = [
            {"request": {"method": "DELETE", "url": f"{row.type}/{row.id}"}}
            for row in _wanted(context, asked, rows)
        ]
        if entries:
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            file.write(encode(bundle) + b"\n")
            written += 1
        await asyncio.sleep(0)
    return written


def _wanted(
    context: Context, asked: _Asked, rows: Sequence[bulk.Deleted]
) -> Iterator[bulk.Deleted]:
    """Yield the deletions that are the export's: whose last version belonged to its patients."""
    types = set(asked.request["types"])
    for row in rows:
        if row.type in types:
            before = bulk.before(context.database, row) if asked.level else []
            if not asked.level or _belonged(context, asked, row, before):
                yield row


def _belonged(
    context: Context, asked: _Asked, row: bulk.Deleted, before: Sequence[bulk.Place]
) -> bool:
    """Tell whether what was deleted was of the patients; a Patient that is deleted is one of all."""
    if row.type == "Patient" and asked.members is None:
        return True
    return bool(asked.is_about(context, row.type, before))


def _manifest(context: Context, asked: _Asked, state: dict[str, Any]) -> Resource:
    """Return the complete manifest."""
    deleted = []
    if state["deleted"]:
        url = asynchronous.url(context, asked.job_id, DELETED)
        deleted.append({"type": "Bundle", "url": url, "count": state["deleted"]})
    return {
        "transactionTime": asked.request["transactionTime"],
        "request": asked.request["url"],
        "requiresAccessToken": context.settings.clients is not None,
        "output": state["output"],
        "deleted": deleted,
        "error": [],
    }

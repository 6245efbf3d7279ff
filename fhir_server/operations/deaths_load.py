"""A load of deaths that were linked to the registry's children: staged, linked, stored, reconciled.

No Patient is created, and no day of death is replaced by another one: where they differ, the report
says so. Storing and reporting are two passes: the second only reads, and is made anew if interrupted.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from fhir_server.context import Context, instant
from fhir_server.interactions.entries import entries
from fhir_server.interactions.merge import TOLD_BY_DISCHARGE
from fhir_server.interactions.plan import Outcome
from fhir_server.interactions.targets import survivor
from fhir_server.interactions.transaction import execute
from fhir_server.operations import asynchronous, export, staged
from fhir_server.operations.deaths_link import Link, link
from fhir_server.operations.deaths_reading import Reading, every, refused, stage
from fhir_server.store import bulk, jobs
from fhir_server.store import read as store
from fhir_server.store.jobs import Job, Progress
from fhir_server.store.read import Stored
from fhir_server.store.staging import Staging
from mappings.hes import death as dying
from mappings.hes.deaths import Death
from mappings.hes.layout import layout
from r4.issue import FhirError, Issue, error, operation_outcome
from r4.json import Resource, decode, encode

ERRORS = "error.OperationOutcome.ndjson"
_OFTEN = 20
"""Commits of the staging file, and deaths that changed nothing, after which it is said how far it is."""
_ATTEMPTS = 5
"""How often a child's record is read anew where others change it at the same time."""
_CHANGED = 412
_TOLD = 100
"""Most refusals of children's resources that the report quotes."""
_STRIDE, _PAGE = 10_000, 100
"""Rows of Patients among which those who have died are looked for at once, and how many are then read."""


async def accept(context: Context, file: Path, bridge: Path | None, given: str) -> Job:
    """Return the load of these files that an earlier run left unfinished, or a new one.

    given: the layout, TOML. Raises OSError where there is no such file, ValueError for a layout that
    does not say how the files are to be read.
    """
    if bridge is not None and not layout(given).bridge:
        raise ValueError(
            "The layout has no [bridge]: it does not say how the bridge is to be read."
        )
    if bridge is None and not {"nhs_number", "person"} & set(layout(given).death):
        raise ValueError(
            "By the layout, only a bridge tells whose death a record is: give the bridge (--bridge)."
        )
    asked = {
        **staged.version(file), "layout": given,
        "bridge": None if bridge is None else staged.version(bridge),
    }  # fmt: skip
    return await staged.accept(context, {"deaths": asked})


async def load(context: Context, job: Job) -> AsyncIterator[str]:
    """Carry out a load and yield how far it is; one that was interrupted goes on.

    Raises FhirError 409 where another process carries it out, 422 where a file cannot be gone by,
    GoneError where it is cancelled: then, and at its end, nothing staged is left.
    """
    asked = decode(job.request)["deaths"]
    file = Path(asked["file"])
    files = file, asked["bridge"] and Path(asked["bridge"]["file"])
    async with staged.staging(context, job) as staging:
        reading = Reading()
        listed = stage(files, layout(asked["layout"]), staging, context.now().date())
        for number, reading in enumerate(listed):
            if number % _OFTEN == 0:
                said = f"{reading.deaths.read} deaths and {reading.bridge.read} rows of the bridge read"
                await staged.say(context, job, said)
                yield said
        work = _Load(context, job, file.name)
        async for said in work.store(staging):
            yield said
        report = await _reconciled(context, job, staging, work.state)
        staging.delete()  # before it is completed: killed in between, it is read again
        await asynchronous.complete(context, job.id, _manifest(context, job, reading, report))


@dataclass(slots=True)
class _State:
    """The last record that is done, how many Patients were given a day, and what was refused."""

    after: str = ""
    given: int = 0
    failures: list[str] = field(default_factory=list)


class _Load:
    """A load that is under way."""

    def __init__(self, context: Context, job: Job, source: str) -> None:
        state = decode(job.state)
        self.context, self.job_id, self.source = context, job.id, source
        known = (state.get("after", ""), state.get("given", 0), state.get("failures", []))
        self.state = _State(*known)

    async def store(self, staging: Staging) -> AsyncIterator[str]:
        """Keep each linked child's day as registered, and give it where none is known; yields how far."""
        for number, (death, persons) in enumerate(every(staging, self.state.after), start=1):
            await self._store(death, persons)
            self.state.after = death.record
            if number % _OFTEN == 0:
                await jobs.record(self.context.database, self._progress(self.state))
                yield _said(self.state)
        await jobs.record(self.context.database, self._progress(self.state))
        yield _said(self.state)

    async def _store(self, death: Death, persons: Sequence[str]) -> None:
        """Store a child's day of death with how far the load then is; a refusal is told."""
        for attempt in range(1, _ATTEMPTS + 1):
            linked = link(self.context, death, persons)
            if linked.patient is None or linked.kind != "linked":
                return
            patient = decode(linked.patient.body)
            try:
                await self._write(linked.patient, patient, death)
            except FhirError as refusal:
                if refusal.status >= staged.UNAVAILABLE:
                    raise
                if refusal.status != _CHANGED or attempt == _ATTEMPTS:
                    told = f"Patient/{linked.patient.id}: {refusal.issues[0].diagnostics}"
                    self.state.failures = [*self.state.failures, told][:_TOLD]
                    return
            else:
                return

    async def _write(self, stored: Stored, patient: Resource, death: Death) -> None:
        now = instant(self.context.now())
        if is_news := _is_news(patient, death.died):
            made = dying.entries(patient, stored.version, death.died, self.source, now)
        else:
            made = dying.registered(patient, death.died, self.source, now)
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": made}
        given = self.state.given + (is_news and dying.day_of_death(patient) is None)
        done = _State(death.record, given, self.state.failures)

        def recorded(_: Sequence[Outcome]) -> Progress:
            return self._progress(done)

        await execute(self.context, entries(bundle, len(made), trusted=True), recorded=recorded)
        self.state = done

    def _progress(self, state: _State) -> Progress:
        values = {"after": state.after, "given": state.given, "failures": state.failures}
        return Progress(self.job_id, encode({**values, "progress": _said(state)}))


def _said(state: _State) -> str:
    return f"{state.given} children were given their day of death, {len(state.failures)} refused"


def _is_news(patient: Resource, died: date) -> bool:
    """Tell whether a day says more than is known, and contradicts nothing."""
    if dying.is_other(patient, died):
        return False
    marks = {each.get("url") for each in patient.get("extension", ())}
    return dying.day_of_death(patient) is None or TOLD_BY_DISCHARGE in marks


async def _reconciled(context: Context, job: Job, staging: Staging, state: _State) -> Resource:
    """Write what is refused or differs to the file of OperationOutcomes, and return the counts."""
    asked = decode(job.request)["deaths"]
    links: Counter[str] = Counter()
    days: Counter[str] = Counter()
    linked: set[str] = set()
    lines = 0
    with asynchronous.open_file(asynchronous.folder(context, job.id) / ERRORS) as file:
        for issue in _issues(context, asked, staging, (links, days, linked)):
            file.write(encode(operation_outcome([issue])) + b"\n")
            lines += 1
        await asynchronous.make_durable(file)
    return {
        "persons": {
            name: links[name]
            for name in ("linked", "unlinked", "ambiguous", "contradicting", "objected")
        },
        "deaths": {
            "inBoth": days["same"] - state.given, "onsOnly": state.given,
            "registryOnly": days["registryOnly"], "different": days["different"],
            "failed": days["failed"],
        },
        "failures": state.failures,
        "lines": lines,
    }  # fmt: skip


_Counts = tuple[Counter[str], Counter[str], set[str]]
"""Deaths by how they link, by what is known of their days, and the ids of the Patients who are linked."""


def _issues(
    context: Context, asked: Resource, staging: Staging, counts: _Counts
) -> Iterator[Issue]:
    """Yield an issue of each row that is refused or contradicts, and of each death of the registry alone."""
    links, days, linked = counts
    name = Path(asked["file"]).name
    for is_bridge, number, reason in refused(staging):
        of = Path(asked["bridge"]["file"]).name if is_bridge else name
        yield error("structure", f"{of}, line {number}: it {reason}.")
    for death, persons in every(staging):
        found = link(context, death, persons)
        links[found.kind] += 1
        if found.patient is not None and found.kind in ("linked", "objected"):
            linked.add(found.patient.id)
        for kind, issue in _compared(found, death, f"{name}, line {death.number}"):
            days[kind] += 1
            if issue is not None:
                yield issue
    for patient in _dead(context):
        if patient.id not in linked:
            days["registryOnly"] += 1
            text = f"Patient/{patient.id} has died; no record of {name} links to it."
            yield Issue("information", "informational", text, "Patient.deceased")


def _compared(found: Link, death: Death, line: str) -> Iterator[tuple[str, Issue | None]]:
    """Yield what a death is to the registry: its day is the same, different, or was refused."""
    if found.kind == "ambiguous":
        text = f"{line}: several records have its number or key. Are they one child's? Merge them (A40)."
        yield "ambiguous", error("multiple-matches", text, "Patient.identifier")
    if found.patient is None or found.kind == "objected":
        return
    place = f"Patient/{found.patient.id}"
    if found.kind == "contradicting":
        text = f"{line}: {place} is found by its key, but {found.element} is another one."
        yield "contradicting", error("conflict", text, found.element)
        return
    patient = decode(found.patient.body)
    if dying.is_other(patient, death.died):
        text = (
            f"{line}: the day of death is {death.died}, that of {place} is "
            f"{patient['deceasedDateTime']}. Nothing was changed: correct the one that is wrong."
        )
        yield "different", error("conflict", text, "Patient.deceased")
    else:
        yield ("same" if dying.day_of_death(patient) else "failed"), None


def _dead(context: Context) -> Iterator[Stored]:
    """Yield the Patients who have died, those that were merged into another aside."""
    (query,) = export.filters(context, "Patient", ["Patient?deceased=true"], 0)
    first, last = bulk.extent(context.database, "Patient", store.snapshot(context.database))
    for after in range(first - 1, last, _STRIDE):
        rows = bulk.stretch(context.database, query, after, _STRIDE)
        for at in range(0, len(rows), _PAGE):
            for each in store.by_rid(context.database, [rid for rid, _ in rows[at : at + _PAGE]]):
                if survivor(context, each).id == each.id:
                    yield each


def _manifest(context: Context, job: Job, reading: Reading, report: Resource) -> Resource:
    """Return the manifest, with the reconciliation report as its extension."""
    asked = decode(job.request)["deaths"]
    entry = {
        "type": "OperationOutcome",
        "url": asynchronous.url(context, job.id, ERRORS),
        "count": report.pop("lines"),
    }
    parts = {"deaths": reading.deaths} | ({"bridge": reading.bridge} if asked["bridge"] else {})
    rows = {
        name: {
            "read": part.read, "refused": part.refused, "duplicates": part.duplicates,
            "kept": part.kept,
        }
        for name, part in parts.items()
    }  # fmt: skip
    return {
        "transactionTime": instant(context.now()),
        "request": Path(asked["file"]).name,
        "requiresAccessToken": context.settings.clients is not None,
        "output": [],
        "error": [entry] if entry["count"] else [],
        "extension": {"rows": rows, **report},
    }

"""A load of admitted patient care: staged, linked to children of the registry, stored, reconciled.

No Patient is ever created: what links to none is counted and left in the staging file, which is deleted
at the end. How far the load is, is recorded in the commit of each child's resources.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from urllib.parse import quote

from fhir_server.context import Context, instant
from fhir_server.interactions.entries import entries
from fhir_server.interactions.plan import Outcome
from fhir_server.interactions.targets import find, standing
from fhir_server.interactions.transaction import execute
from fhir_server.operations import asynchronous, staged
from fhir_server.operations.hes_reading import Reading, stage, stays
from fhir_server.store import jobs, objections
from fhir_server.store.jobs import Job, Progress
from fhir_server.store.objections import HEALTH_RECORD, NATIONAL_DATA
from fhir_server.store.read import Stored
from fhir_server.store.search.texts import escape
from fhir_server.store.staging import Staging
from mappings.hes.bundle import PROCEDURE, bundle
from mappings.hes.codes import of_measures
from mappings.hes.death import day_of_death
from mappings.hes.outcomes import died, index_days, readmissions, reoperations
from mappings.hes.spells import ContinuousSpell
from r4.issue import FhirError, error, operation_outcome
from r4.json import Resource, decode, encode

ERRORS = "error.OperationOutcome.ndjson"
_OFTEN = 20
"""Commits of the staging file, and persons who are not linked, after which it is said how far it is."""
_MOST = 10_000
"""Most procedures of one child that are held against HES."""
_PERSONS = ("linked", "unlinked", "ambiguous", "objected", "failed")
_TOLD = 100
"""Most refusals of children's resources that the report quotes."""
_CODES = of_measures()
_DEATHS = "deathsWithin"
_WITHIN = (30, 90)
"""Days after an operation within which a death is counted, the last one included."""


async def accept(context: Context, file: Path, person: str | None, system: str) -> Job:
    """Return the load of a file that an earlier run left unfinished, or a new one.

    person: the heading of the column of persons, if not one of those that are known. system: that of the
    identifiers by which Patients are found. Raises OSError where there is no such file.
    """
    asked = {**staged.version(file), "person": person, "system": system}
    return await staged.accept(context, asked)


async def load(context: Context, job: Job) -> AsyncIterator[str]:
    """Carry out a load and yield how far it is; one that was interrupted goes on.

    Raises FhirError 409 where another process carries it out, 422 where the file cannot be gone by,
    GoneError where it is cancelled: then, and at its end, nothing staged is left.
    """
    asked = decode(job.request)
    async with staged.staging(context, job) as staging:
        reading = Reading()
        listed = stage(Path(asked["file"]), staging, asked["person"])
        for number, reading in enumerate(listed):
            if number % _OFTEN == 0:
                said = f"{reading.rows} rows read, {reading.refused} of them refused"
                await staged.say(context, job, said)
                yield said
        work = _Load(context, job.id, asked["system"], _counted(job))
        async for said in work.store(staging):
            yield said
        await _write_refused(context, job, staging)
        staging.delete()  # before it is completed: killed in between, it is read again
        await asynchronous.complete(context, job.id, _report(context, job, reading, work))


@dataclass(slots=True)
class _Counted:
    """The last person who is done, what was counted up to there, and what was refused."""

    after: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def copy(self) -> "_Counted":
        """Return a copy that can be counted on."""
        return _Counted(self.after, Counter(self.counts), list(self.failures))


def _counted(job: Job) -> _Counted:
    state = decode(job.state)
    counts = Counter(state.get("counts", {}))
    return _Counted(state.get("after", ""), counts, state.get("failures", []))


@dataclass(slots=True)
class _Load:
    """A load that is under way."""

    context: Context
    job_id: str
    system: str
    state: _Counted

    async def store(self, staging: Staging) -> AsyncIterator[str]:
        """Link and store person by person; yields how far it is."""
        unsaid = 0
        for person, bodies in staging.every(self.state.after):
            found = stays(bodies)
            state = self.state.copy()
            state.after = person
            patients = self._patients(person)
            is_objected = len(patients) == 1 and self._is_objected(patients[0])
            state.counts += _what_followed(found, None if is_objected else _death(patients))
            became = ("unlinked", "linked", "ambiguous")[min(len(patients), 2)]
            state.counts["objected" if is_objected else became] += 1
            unsaid += 1
            if len(patients) == 1 and not is_objected:
                await self._store(patients[0], found, state)
                unsaid = 0
                yield _said(state)
            self.state = state
            if unsaid == _OFTEN:
                unsaid = 0
                await jobs.record(self.context.database, self._progress(state))
                yield _said(state)

    def _is_objected(self, patient: Stored) -> bool:
        """Tell whether somebody objects to linking a child, or to any use of its record."""
        read = self.context.database.read
        return objections.objects(read, patient.id, (NATIONAL_DATA, HEALTH_RECORD))

    def _patients(self, person: str) -> list[Stored]:
        """Return the standing records that have a person's identifier."""
        criteria = f"identifier={quote(self.system, safe=':/')}|{quote(escape(person))}"
        _, found = find(self.context, "Patient", criteria)
        return standing(self.context, found)

    async def _store(
        self, patient: Stored, found: Sequence[ContinuousSpell], state: _Counted
    ) -> None:
        """Store a child's resources with how far the load then is; a refusal is counted."""
        state.counts += _reconciled(self.context, patient, found)
        state.counts["linkedSpells"] += sum(len(stay.spells) for stay in found)
        state.counts += _deaths_after(found, _death([patient]))
        made = bundle(f"Patient/{patient.id}", found, instant(self.context.now()))
        listed = entries(made, len(made["entry"]), trusted=True)
        done = state.copy()

        def recorded(outcomes: Sequence[Outcome]) -> Progress:
            done.counts = state.counts + Counter(map(_kind, outcomes))
            return self._progress(done)

        try:
            await execute(self.context, listed, recorded=recorded)
        except FhirError as refusal:
            if refusal.status >= staged.UNAVAILABLE:
                raise
            state.counts["failed"] += 1
            told = f"Patient/{patient.id}: {refusal.issues[0].diagnostics}"
            state.failures = [*state.failures, told][:_TOLD]
            await jobs.record(self.context.database, self._progress(state))
        else:
            state.counts = done.counts

    def _progress(self, state: _Counted) -> Progress:
        values = {"after": state.after, "counts": state.counts, "failures": state.failures}
        return Progress(self.job_id, encode({**values, "progress": _said(state)}))


def _said(state: _Counted) -> str:
    names = ("linked", "unlinked", "ambiguous", "created", "updated", "unchanged")
    return ", ".join(f"{state.counts[name]} {name}" for name in names)


def _kind(outcome: Outcome) -> str:
    if outcome.unchanged or outcome.status not in (200, 201):
        return "unchanged"
    return "created" if outcome.status == 201 else "updated"  # noqa: PLR2004


def _death(patients: Sequence[Stored]) -> date | None:
    """Return the day on which the one Patient who is linked has died, as the registry knows it."""
    return day_of_death(decode(patients[0].body)) if len(patients) == 1 else None


def _what_followed(found: Sequence[ContinuousSpell], death: date | None) -> Counter[str]:
    return Counter(
        spells=sum(len(stay.spells) for stay in found),
        continuousSpells=len(found),
        deathsInHospital=sum(died(stay, death) for stay in found),
        emergencyReadmissions=sum(1 for _ in readmissions(found)),
        reoperations=sum(1 for _ in reoperations(found, _CODES)),
    )


def _deaths_after(found: Sequence[ContinuousSpell], death: date | None) -> Counter[str]:
    """Count a child's days of index operations, and those that a death followed within a time."""
    days = list(index_days(found, _CODES))
    after = [(death - day).days for day in days if death is not None]
    counts = {
        f"{_DEATHS}{within}Days": sum(0 <= each <= within for each in after) for within in _WITHIN
    }
    return Counter({"indexOperations": len(days), **counts})


def _reconciled(
    context: Context, patient: Stored, found: Sequence[ContinuousSpell]
) -> Counter[str]:
    """Count the days on which a child was operated on, by who knows of them."""
    _, stored = find(context, "Procedure", f"subject=Patient/{patient.id}", _MOST)
    ours = {day for each in stored if (day := _day(decode(each.body)))}
    theirs = {
        str(operation.day)
        for stay in found
        for spell in stay.spells
        for episode in spell.episodes
        for operation in episode.operations
        if operation.day is not None
    }
    return Counter(
        operationDaysInBoth=len(ours & theirs),
        operationDaysOfRegistryOnly=len(ours - theirs),
        operationDaysOfHesOnly=len(theirs - ours),
    )


_DAY = len("2026-01-01")


def _day(procedure: Resource) -> str:
    """Return the day of an operation that was done and that a load did not bring; "" of another."""
    systems = {each.get("system") for each in procedure.get("identifier", ())}
    if PROCEDURE in systems or procedure.get("status") != "completed":
        return ""
    period = procedure.get("performedPeriod", {})
    moment = str(procedure.get("performedDateTime") or period.get("start") or "")[:_DAY]
    return moment if len(moment) == _DAY else ""


async def _write_refused(context: Context, job: Job, staging: Staging) -> None:
    name = Path(decode(job.request)["file"]).name
    with asynchronous.open_file(asynchronous.folder(context, job.id) / ERRORS) as file:
        for number, reason in staging.refused():
            issue = error("structure", f"{name}, line {number}: it {reason}.")
            file.write(encode(operation_outcome([issue])) + b"\n")
        await asynchronous.make_durable(file)


def _report(context: Context, job: Job, reading: Reading, work: _Load) -> Resource:
    """Return the manifest, with the reconciliation report as its extension."""
    counts = work.state.counts
    persons = {name: counts[name] for name in _PERSONS}
    followed = ("spells", "linkedSpells", "continuousSpells", "deathsInHospital",
                "emergencyReadmissions", "reoperations")  # fmt: skip
    after = ("indexOperations", *(f"{_DEATHS}{within}Days" for within in _WITHIN))
    days = ("operationDaysInBoth", "operationDaysOfRegistryOnly", "operationDaysOfHesOnly")
    url = asynchronous.url(context, job.id, ERRORS)
    entry = {"type": "OperationOutcome", "url": url, "count": reading.refused}
    report = {
        "rows": {
            "read": reading.rows, "refused": reading.refused, "duplicates": reading.duplicates,
            "lacking": reading.lacking, "episodes": reading.episodes,
        },
        "columnsNotKnown": list(reading.unknown),
        "persons": persons,
        "spells": {name: counts[name] for name in followed},
        "deathsAfterOperations": {name: counts[name] for name in after},
        "operations": {name: counts[name] for name in days},
        "resources": {name: counts[name] for name in ("created", "updated", "unchanged")},
        "failures": work.state.failures,
    }  # fmt: skip
    return {
        "transactionTime": instant(context.now()),
        "request": Path(decode(job.request)["file"]).name,
        "requiresAccessToken": context.settings.clients is not None,
        "output": [],
        "error": [entry] if reading.refused else [],
        "extension": report,
    }

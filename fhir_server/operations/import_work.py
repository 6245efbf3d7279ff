"""`$import`, carried out: every line stored, or refused with its reason; interrupted, it goes on.

How far it is, is recorded in the commit of the resources themselves, so that a line is counted once
whatever happens. First all lines are read in order; one that refers to what is not here yet waits. Then
those that wait are stored in the order of their references, a circle of them in one transaction.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from fhir_server.context import Context
from fhir_server.interactions.entries import Entry
from fhir_server.interactions.plan import Outcome
from fhir_server.interactions.transaction import execute
from fhir_server.operations import asynchronous
from fhir_server.operations.import_lines import Line, Place, Read, Reader, opened
from fhir_server.operations.import_order import circles
from fhir_server.store import jobs
from fhir_server.store import read as store
from fhir_server.store.failure import place
from fhir_server.store.index import Named
from fhir_server.store.jobs import GoneError, Job, Progress
from r4.issue import FhirError, Issue, error, operation_outcome
from r4.json import Resource, decode, encode

logger = logging.getLogger("csor.import")

SLICE = 50
"""Lines in one transaction: planning them is what the event loop is kept busy with at a time."""
ERRORS = "error.OperationOutcome.ndjson"
_WAITING = "waiting.ndjson"
_COUNTED = ("lines", "created", "updated", "unchanged", "refused")
_AT = re.compile(r"line\[(\d+)\](?:\.resource)?")

_START = Place(0, 0, 0, 0)

Refused = dict[int, tuple[Issue, ...]]
"""What is wrong with lines, by their number in a slice."""


@dataclass(slots=True)
class _State:
    """How far an import is: the last line read, how many waiting ones are done, lengths of files."""

    files: list[dict[str, int]]
    after: Place = _START
    is_read: bool = False
    done: int = 0
    waiting: int = 0
    errors: int = 0
    refused: int = 0


async def store_import(context: Context, job: Job, read: Read) -> None:
    """Store the lines of an import and complete its job; one that was interrupted goes on.

    Raises GoneError where the job is cancelled meanwhile, FhirError 422 where an input has gone.
    """
    request = decode(job.request)
    folder = asynchronous.make_folder(context, job.id)
    state = _state(request, job.state)
    with (
        asynchronous.open_file(folder / _WAITING, state.waiting) as waiting,
        asynchronous.open_file(folder / ERRORS, state.errors) as errors,
    ):
        reader = Reader(read, context.base_url, context.settings.max_body)
        work = _Import(context, job.id, request["inputs"], reader, state, (waiting, errors))
        if not state.is_read:
            await work.read_all()
        await work.store_waiting()
    (folder / _WAITING).unlink()
    await asynchronous.complete(context, job.id, _manifest(context, job.id, request, work.state))


def _state(request: Resource, raw: bytes) -> _State:
    found = decode(raw)
    if not found:
        return _State([dict.fromkeys(_COUNTED, 0) for _ in request["inputs"]])
    del found["progress"]
    return _State(**{**found, "after": Place(*found["after"])})


@dataclass(slots=True)
class _Import:
    """An import that is under way."""

    context: Context
    job_id: str
    inputs: Sequence[Mapping[str, Any]]
    reader: Reader
    state: _State
    written: tuple[BinaryIO, BinaryIO]
    later: set[Named] = field(default_factory=set)

    async def read_all(self) -> None:
        """Read every line; store it, refuse it, or have it wait."""
        self.later = await asyncio.to_thread(lambda: {named for _, named, _ in self._waiting()})
        for number in range(self.state.after.file, len(self.inputs)):
            start = self.state.after
            if start.file != number:
                start = Place(number, 0, 0, 0)
            with opened(self.inputs[number]["file"]) as file:
                lines = self.reader.lines(file, start, self.inputs[number]["type"])
                for some in _slices([line] for line in lines):
                    await self._store(some)
        self.state.is_read = True

    async def store_waiting(self) -> None:
        """Store the lines that wait, what they refer to first; refuse those that still lack something."""
        units = await asyncio.to_thread(self._ordered)
        files = [opened(each["file"]) for each in self.inputs]
        try:
            lines = ([self._at(files, where) for where in unit] for unit in units)
            for some in _slices(lines):
                await self._store(some)
        finally:
            for file in files:
                file.close()

    def _waiting(self) -> Iterator[tuple[Place, Named, list[Named]]]:
        """Yield the lines that wait: where they are, what they are of, and what that lacks."""
        file = self.written[0]
        file.seek(0)
        for raw in file:
            where, named, lacking = decode(raw)
            yield Place(*where), (named[0], named[1]), [(kind, key) for kind, key in lacking]

    def _ordered(self) -> list[list[Place]]:
        """Return what waits and is not done yet, in the order of storing; circles as one."""
        places: dict[Named, list[Place]] = {}
        refers: dict[Named, list[Named]] = {}
        for where, named, lacking in self._waiting():
            places.setdefault(named, []).append(where)
            refers.setdefault(named, []).extend(lacking)
        units: list[list[Place]] = []
        skipped = self.state.done
        for circle in circles(refers):
            first = [places[named][0] for named in circle]
            others = [[where] for named in circle for where in places[named][1:]]
            for unit in (first, *others):
                if left := unit[skipped:]:
                    units.append(left)
                skipped = max(0, skipped - len(unit))
        return units

    def _at(self, files: Sequence[BinaryIO], where: Place) -> Line:
        return self.reader.at(files[where.file], where, self.inputs[where.file]["type"])

    async def _store(self, lines: Sequence[Line]) -> None:
        """Store a slice in one transaction, without those of its lines that are refused or wait.

        Where it cannot be told which of them is at fault, its halves are stored.
        """
        await asyncio.sleep(0)
        refused = {n: line.issues for n, line in enumerate(lines) if line.issues}
        waiting = self._lacking(lines, refused)
        while True:
            try:
                await self._commit(lines, refused, waiting)
            except GoneError:
                raise
            except Exception as found:
                failure = found
            else:
                return
            if len(refused) + len(waiting) == len(lines):
                raise failure  # nothing was to be stored: it is not the lines' fault
            blamed = _blamed(failure, lines)
            if not blamed and len(lines) > 1:
                half = len(lines) // 2
                await self._store(lines[:half])
                await self._store(lines[half:])
                return
            for number, issues in (blamed or {0: _unforeseen(failure)}).items():
                if not self.state.is_read and all(issue.rule == "reference" for issue in issues):
                    waiting[number] = []
                else:
                    refused[number] = issues

    def _lacking(self, lines: Sequence[Line], refused: Refused) -> dict[int, list[Named]]:
        """Return what lines lack that therefore wait; once all is read, those are refused.

        A line about what an earlier one waits with waits too: the last one has to win.
        """
        good = {n: line for n, line in enumerate(lines) if n not in refused}
        named = {each for line in good.values() for each in line.refers}
        here = store.existing(self.context.database, named) if named else set()
        lacking: dict[int, list[Named]] = {}
        if not self.state.is_read:
            lacking = {n: [] for n, line in good.items() if line.named in self.later}
        while True:
            own = {line.named for n, line in good.items() if n not in lacking}
            more = {
                n: absent
                for n, line in good.items()
                if n not in lacking and (absent := [e for e in line.refers if e not in here | own])
            }
            if not more:
                break
            lacking |= more
        if self.state.is_read:
            refused |= {n: _absent(absent) for n, absent in lacking.items()}
            return {}
        return {n: [e for e in good[n].refers if e not in here] for n in lacking}

    async def _commit(
        self, lines: Sequence[Line], refused: Refused, waiting: Mapping[int, list[Named]]
    ) -> None:
        """Store what is neither refused nor waits, and how far that is; in one transaction."""
        good = [n for n in range(len(lines)) if n not in refused and n not in waiting]
        lengths = await self._write(lines, refused, waiting)
        entries = [
            Entry("PUT", *lines[n].named, resource=lines[n].resource, place=f"line[{n}]")
            for n in good
        ]
        state = replace(self.state, files=[dict(each) for each in self.state.files])
        state.waiting, state.errors = lengths
        state.refused += len(refused)
        for n, line in enumerate(lines):
            count = state.files[line.place.file]
            count["lines"] += not state.is_read
            count["refused"] += n in refused
        if state.is_read:
            state.done += len(lines)
        else:
            state.after = lines[-1].place

        recording: list[_State] = []

        def recorded(outcomes: Sequence[Outcome]) -> Progress:
            made = replace(state, files=[dict(each) for each in state.files])
            for n, outcome in zip(good, outcomes, strict=True):
                made.files[lines[n].place.file][_kind(outcome)] += 1
            recording.append(made)
            return Progress(self.job_id, _encoded(made))

        if entries:
            await execute(self.context, entries, recorded=recorded)
        else:
            await jobs.record(self.context.database, recorded(()))
        self.state = recording[-1]
        self.later |= {lines[n].named for n in waiting}

    async def _write(
        self, lines: Sequence[Line], refused: Refused, waiting: Mapping[int, list[Named]]
    ) -> tuple[int, int]:
        """Write durably what waits and what is refused, after what is recorded; returns the lengths."""
        texts = (
            [encode([lines[n].place, lines[n].named, lacking]) for n, lacking in waiting.items()],
            [self._outcome(lines[n].place, issues) for n, issues in sorted(refused.items())],
        )
        lengths = []
        for file, listed, length in zip(
            self.written, texts, (self.state.waiting, self.state.errors), strict=True
        ):
            file.truncate(length)
            file.seek(length)
            file.write(b"".join(text + b"\n" for text in listed))
            if listed:
                await asynchronous.make_durable(file)
            lengths.append(file.tell())
        return lengths[0], lengths[1]

    def _outcome(self, where: Place, issues: Sequence[Issue]) -> bytes:
        """Return the OperationOutcome of a line, which says where it is."""
        said = f"{self.inputs[where.file]['url'].rpartition('/')[2]}, line {where.number}: "
        placed = (replace(issue, diagnostics=said + issue.diagnostics) for issue in issues)
        return encode(operation_outcome(placed))


def _slices(units: Iterable[list[Line]]) -> Iterator[list[Line]]:
    """Join units to slices in which no resource comes twice; a unit is never divided."""
    some: list[Line] = []
    seen: set[Named] = set()
    for unit in units:
        named = {line.named for line in unit if line.resource is not None}
        if some and (len(some) + len(unit) > SLICE or not seen.isdisjoint(named)):
            yield some
            some, seen = [], set()
        some = [*some, *unit]
        seen |= named
    if some:
        yield some


def _kind(outcome: Outcome) -> str:
    if outcome.unchanged:
        return "unchanged"
    return "created" if outcome.status == 201 else "updated"  # noqa: PLR2004


def _blamed(failure: Exception, lines: Sequence[Line]) -> Refused:
    """Return what is wrong with which lines; nothing where a failure does not say."""
    found: Refused = {}
    for issue in failure.issues if isinstance(failure, FhirError) else ():
        match = _AT.match(issue.expression or "")
        if match is None:
            return {}
        number = int(match[1])
        kind = lines[number].named[0]
        at = kind + (issue.expression or "")[match.end() :]
        found[number] = (*found.get(number, ()), replace(issue, expression=at))
    return found


def _unforeseen(failure: Exception) -> tuple[Issue, ...]:
    if isinstance(failure, FhirError):
        return failure.issues
    logger.error("a line cannot be imported: %s", place(failure))
    text = "The server failed on this line. The failure has been logged."
    return (error("exception", text),)


def _absent(absent: Sequence[Named]) -> tuple[Issue, ...]:
    texts = (f"{kind}/{key} is not known here." for kind, key in absent)
    return tuple(error("not-found", text, rule="reference") for text in texts)


def _encoded(state: _State) -> bytes:
    lines = sum(each["lines"] for each in state.files)
    said = f"{lines} lines read, {state.refused} of them refused"
    values = {name: getattr(state, name) for name in _State.__slots__}
    return encode({**values, "progress": said})


def _manifest(context: Context, job_id: str, request: Resource, state: _State) -> Resource:
    """Return what became of each file, and where the refusals are."""
    output, counted = [], []
    for each, count in zip(request["inputs"], state.files, strict=True):
        stored = count["created"] + count["updated"] + count["unchanged"]
        kind = {"type": each["type"]} if each["type"] else {}
        output.append({**kind, "inputUrl": each["url"], "count": stored})
        counted.append({"inputUrl": each["url"], **count})
    url = asynchronous.url(context, job_id, ERRORS)
    entry = {"type": "OperationOutcome", "url": url, "count": state.refused}
    return {
        "transactionTime": request["transactionTime"],
        "request": request["url"],
        "requiresAccessToken": context.settings.clients is not None,
        "output": output,
        "error": [entry] if state.refused else [],
        "extension": {"files": counted},
    }

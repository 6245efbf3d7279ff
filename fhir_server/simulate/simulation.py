"""A simulation: ten hospitals at once, each with one message on its way at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, time
from functools import partial
from time import monotonic
from typing import TypeVar

import httpx

from fhir_server.simulate import cohort, responses, tables
from fhir_server.simulate.events import LONDON, Child
from fhir_server.simulate.feed import feed, registrations, timeline
from fhir_server.simulate.fhir_sender import FhirSender
from fhir_server.simulate.forms import Form
from fhir_server.simulate.ledger import Ledger
from fhir_server.simulate.mllp import MllpSender
from fhir_server.simulate.options import Options
from fhir_server.simulate.sending import Answer, Sending
from fhir_server.simulate.tables import Hospital
from fhir_server.simulate.tally import Summary, Tally
from r4.issue import FhirError, error

Answered = TypeVar("Answered")

_LOST = (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, httpx.TransportError)
_ANSWER_WITHIN = 30.0
_REPORT_EVERY = 0.1
_SAMPLE = 300
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


@dataclass(slots=True)
class _Run:
    """What the hospitals of one simulation share."""

    options: Options
    fhir: FhirSender
    ledger: Ledger
    tally: Tally
    report: Callable[[Summary], None]
    started: float
    reported: float = 0.0
    turn: float = 0.0


async def simulate(options: Options, progress: Callable[[Summary], None] | None = None) -> Summary:
    """Send a synthetic registry through the server's public doors and return what came of it.

    progress is called with the counts so far, at most ten times a second. Raises FhirError when
    the server stays away longer than the patience, or when a form cannot be read.
    """
    chosen = [each for each in tables.hospitals() if each.ods in _asked(options)]
    children = [
        child
        for child in cohort.plan(options.seed, options.start, options.years, options.size)
        if child.ods in _asked(options)
    ]
    tally = Tally(len(children), _expected(children, options))
    with Ledger(options.ledger, resume=options.resume) as ledger:
        async with httpx.AsyncClient(timeout=_ANSWER_WITHIN, trust_env=False) as client:
            fhir = FhirSender(options.fhir, client)
            run = _Run(options, fhir, ledger, tally, progress or _ignore, monotonic())
            await _everything(run, chosen, children)
            tally.expected = tally.answered + tally.skipped
            summary = tally.summary(monotonic() - run.started)
            run.report(summary)
            return summary


def _ignore(_: Summary) -> None:
    """Report to nobody."""


def _asked(options: Options) -> tuple[str, ...]:
    return options.hospitals or tuple(each.ods for each in tables.hospitals())


def _until(options: Options) -> datetime:
    return datetime.combine(options.until, time(23, 59), LONDON)


def _expected(children: list[Child], options: Options) -> int:
    """Estimate how many sendings there will be, from the first children's stories."""
    sample = children[:: max(1, len(children) // _SAMPLE)]
    events = sum(1 for _ in timeline(sample, _until(options)))
    return round(events * len(children) / max(1, len(sample)))


async def _everything(run: _Run, chosen: list[Hospital], children: list[Child]) -> None:
    for hospital in chosen:
        await _send(run, registrations(hospital), run.fhir.send)
    forms: dict[str, Form] = {}
    for name in responses.FORMS.values():
        form = await _patiently(run, partial(run.fhir.form, name))
        if form is None:
            run.tally.missing_forms += (name,)
        else:
            forms[name] = form
    try:
        async with asyncio.TaskGroup() as group:
            for hospital in chosen:
                own = [child for child in children if child.ods == hospital.ods]
                group.create_task(_hospital(run, hospital, own, forms))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _hospital(
    run: _Run, hospital: Hospital, children: list[Child], forms: dict[str, Form]
) -> None:
    mllp = MllpSender(*run.options.mllp_address, timeout=_ANSWER_WITHIN)
    sendings = feed(
        hospital, children, _until(run.options), forms, run.options.seed, kinds=run.options.kinds
    )

    async def send(sending: Sending) -> Answer:
        return await (mllp.send if sending.door == "mllp" else run.fhir.send)(sending)

    try:
        await _send(run, sendings, send)
    finally:
        await mllp.close()


async def _send(
    run: _Run, sendings: Iterable[Sending], send: Callable[[Sending], Awaitable[Answer]]
) -> None:
    """Send in order, each when the one before is answered; write and count every answer."""
    for sending in sendings:
        if run.ledger.holds(sending):
            run.tally.skipped += 1
            continue
        await _pace(run)
        answer = await _patiently(run, partial(send, sending))
        run.ledger.write(sending, answer)
        run.tally.count(sending, answer)
        now = monotonic()
        if now - run.reported >= _REPORT_EVERY:
            run.reported = now
            run.report(run.tally.summary(now - run.started))


async def _pace(run: _Run) -> None:
    """Wait for the next turn where a rate is asked for."""
    if run.options.rate:
        now = monotonic()
        run.turn = max(run.turn + 1 / run.options.rate, now)
        await asyncio.sleep(run.turn - now)


async def _patiently(run: _Run, attempt: Callable[[], Awaitable[Answered]]) -> Answered:
    """Try until it is answered, waiting longer each time; give up when the patience is over."""
    lost_at, pause = 0.0, _SHORTEST_PAUSE
    while True:
        try:
            return await attempt()
        except _LOST as lost:
            lost_at = lost_at or monotonic()
            if monotonic() - lost_at > run.options.patience:
                text = f"The server stayed away for {run.options.patience:g} s: {lost!r}"
                raise FhirError(503, [error("transient", text)]) from lost
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)

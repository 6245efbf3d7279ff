"""The outcomes that an evaluation is made of: of each child that is asked about, by each measure."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

import outcome_engine
from fhir_server.context import Context, instant
from fhir_server.operations import children, outcomes_kept
from fhir_server.operations.evaluation_asked import Asked
from fhir_server.operations.past import settled
from fhir_server.store import objections
from fhir_server.store.seen import whole
from outcome_engine import ChildOutcome, NotAssessable
from outcome_engine.case_mix.model import CaseMixModel
from outcome_engine.parameter_files.parameter_file import ParameterFile
from outcome_engine.reports.comparison import NO_MODEL
from outcome_engine.reports.text import report_text
from r4.issue import FhirError
from r4.json import Resource

Told = Callable[[int], Awaitable[None]]


@dataclass(slots=True)
class Evaluated:
    """What an evaluation found: outcomes by measure; and, of children asked for, what they came from.

    moment: the data that were read are those that were stored as of it; everyone: the outcomes of all
    hospitals' children, where a Group is summarised; texts: the Narrative of each
    child's own report, by measure and Patient, where such reports are made; objections: how things
    stood with them before anything was read (`store.objections.changes`).
    """

    asked: Asked
    moment: datetime
    outcomes: dict[str, list[ChildOutcome | NotAssessable]] = field(default_factory=dict)
    everyone: dict[str, list[ChildOutcome | NotAssessable]] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    texts: dict[tuple[str, str], Resource] = field(default_factory=dict)
    objections: int = 0

    @property
    def snapshot(self) -> str:
        """The moment as an instant."""
        return instant(self.moment)

    @property
    def as_of(self) -> str:
        """The date on which the outcomes were known so."""
        return self.snapshot[: len("2018-01-31")]

    def assessed(self, measure: str) -> list[ChildOutcome]:
        """List the children that could be assessed by a measure."""
        return [each for each in self.outcomes[measure] if isinstance(each, ChildOutcome)]

    def left_out(self) -> list[NotAssessable]:
        """List the children that could not be assessed, by any of the measures.

        Of a hospital that is asked about its own alone: a summary of it is made beside the others'.
        """
        return [
            each
            for outcomes in self.outcomes.values()
            for each in outcomes
            if isinstance(each, NotAssessable) and self.asked.hospital in (None, each.hospital)
        ]


async def evaluated(context: Context, asked: Asked, told: Told | None = None) -> Evaluated:
    """Assess each child whose case began in the period, or may have; of one asked for, refuse doubt.

    told is given the number of children done, after each. Raises FhirError like `assess`.
    """
    standing = objections.changes(whole(context.database).read)
    found = Evaluated(asked, asked.at or await settled(context), objections=standing)
    if asked.type == "summary" and asked.group is not None:
        everyone = replace(asked, subjects=None, group=None, hospital=None)
        beside = Evaluated(everyone, found.moment, found.everyone)
        await _assess(context, beside, told)
    await _assess(context, found, told)
    return found


async def _assess(context: Context, found: Evaluated, told: Told | None) -> None:
    done = 0
    for measure in found.asked.measures:
        if (kept := await _kept(context, found, measure)) is not None:
            found.outcomes[measure] = kept
            done += len(kept)
            continue
        seen: dict[str, ChildOutcome | NotAssessable] = {}
        async for record, outcome in _outcomes(context, found, measure):
            seen[_key(outcome)] = outcome
            if isinstance(outcome, ChildOutcome):
                _keep(context, found, measure, record, outcome)
            done += 1
            if told is not None:
                await told(done)
        found.outcomes[measure] = list(seen.values())


def _keep(
    context: Context, found: Evaluated, measure: str, record: list[Resource], outcome: ChildOutcome
) -> None:
    """Keep of a child's record what its own report says of it; a summary, or a list, says less."""
    asked = found.asked
    if asked.type == "care-gaps" or (asked.type == "individual" and asked.subjects is not None):
        found.resources |= _used(record, outcome)
    if asked.type != "summary":
        text = report_text(outcome, record, context.terminology)
        found.texts[measure, outcome.patient] = text


async def _kept(
    context: Context, evaluated: Evaluated, measure: str
) -> list[ChildOutcome | NotAssessable] | None:
    """Return the outcomes that a summary counts where they are kept and current, else None."""
    asked = evaluated.asked
    if asked.type != "summary" or asked.subjects is not None or asked.at is not None:
        return None
    url = measure.partition("|")[0]
    return await outcomes_kept.outcomes(context, url, asked.period, evaluated.moment)


async def _outcomes(
    context: Context, evaluated: Evaluated, measure: str
) -> AsyncIterator[tuple[list[Resource], ChildOutcome | NotAssessable]]:
    asked, as_of = evaluated.asked, evaluated.as_of
    if asked.type == "summary" and asked.subjects is None:
        asked = replace(asked, hospital=None)  # a hospital's leaves as it does beside all others'
    async for record in _records(context, asked, _types(measure), evaluated.moment):
        if asked.is_of_one:
            found = _assessed(context, measure, record, as_of)
            if outcome_engine.in_period(found, asked.period):
                yield record, found
            continue
        cases = outcome_engine.cases(measure, record, context.terminology)
        if outcome_engine.may_begin_in(cases, asked.period):
            found_one = _outcome(context, measure, record, cases[0], as_of)
            if asked.hospital is None or found_one.hospital == asked.hospital:
                yield record, found_one


async def concerned(
    context: Context, asked: Asked, measure: str, moment: datetime
) -> AsyncIterator[list[Resource]]:
    """Yield the record, as stored at a moment, of each child whose case began in the period, or may have.

    Raises FhirError 404 for an unknown measure.
    """
    async for record in _records(context, asked, _types(measure), moment):
        cases = outcome_engine.cases(measure, record, context.terminology)
        if outcome_engine.may_begin_in(cases, asked.period):
            yield record


async def _records(
    context: Context, asked: Asked, types: str, moment: datetime
) -> AsyncIterator[list[Resource]]:
    if asked.subjects is None:
        async for record in children.every(context, asked.hospital, types, at=moment):
            yield record
        return
    for subject in asked.subjects:
        async for record in children.one(context, subject, types, at=moment):
            yield record


def _types(measure: str) -> str:
    """Return the search tokens of the cases that a measure is about."""
    return ",".join(f"{c['system']}|{c['code']}" for c in outcome_engine.focus(measure))


def _outcome(
    context: Context, measure: str, record: list[Resource], case: Resource, as_of: str
) -> ChildOutcome | NotAssessable:
    """Assess a child among many: a record that cannot be assessed does not keep the others waiting."""
    try:
        return _assessed(context, measure, record, as_of)
    except FhirError as refusal:
        return outcome_engine.not_assessable(case, refusal)


def case_mix_model(
    context: Context, measure: str, as_of: str
) -> tuple[ParameterFile[CaseMixModel] | None, str]:
    """Return the signed case-mix model of a measure on a date, or None and why there is none."""
    known = outcome_engine.measures()[measure.partition("|")[0]]
    try:
        return context.parameters.of_kind(CaseMixModel, known, as_of), NO_MODEL
    except FhirError as refusal:
        return None, f"Not compared: {refusal}"


def _assessed(context: Context, measure: str, record: list[Resource], as_of: str) -> ChildOutcome:
    terminology, parameters = context.terminology, context.parameters
    return outcome_engine.assess(measure, record, as_of, terminology, parameters)


def _key(outcome: ChildOutcome | NotAssessable) -> str:
    return outcome.patient if isinstance(outcome, ChildOutcome) else outcome.case


def _used(record: Iterable[Resource], outcome: ChildOutcome) -> dict[str, Resource]:
    stored = {f"{each['resourceType']}/{each['id']}": each for each in record}
    return {reference: stored[reference] for reference in outcome.used if reference in stored}

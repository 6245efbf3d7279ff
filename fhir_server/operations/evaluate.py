"""Measure/$evaluate and R4's Measure/$evaluate-measure: children's and hospitals' MeasureReports.

A period means the date of the case. A POST stores the reports, a GET does not. Not supported:
reportType subject-list, practitioner, subjectGroup, lastReceivedOn.
https://hl7.org/fhir/R4/operation-measure-evaluate-measure.html
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import outcome_engine
from fhir_server.context import Context, instant
from fhir_server.interactions.targets import find
from fhir_server.interactions.transaction import transaction
from fhir_server.operations import children
from fhir_server.operations.parameters import Input, required
from fhir_server.store import read as store
from outcome_engine import ChildOutcome, NotAssessable, Period
from r4.issue import FhirError, Issue, error, operation_outcome
from r4.json import Resource
from r4.reference import literal
from terminology.systems import CSOR

REPORT = f"{CSOR}/sid/measure-report"
REGISTRY: Resource = {"display": "CSOR registry"}
KEPT_AT_ONCE = 20
"""Reports stored by one transaction; others are served between two."""
TYPES = {
    "individual": "individual",
    "subject": "individual",
    "summary": "summary",
    "population": "summary",
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """An evaluation: measure, period, report type, and the one child or hospital it is about."""

    measure: str
    period: Period
    type: str
    subject: str | None
    hospital: str | None


async def evaluate(context: Context, given: Input, *, keep: bool) -> Resource:
    """Return a Bundle of reports: one a child, or one for the nation and one for each hospital.

    Children who cannot be assessed are named by an OperationOutcome at its end; a subject who cannot
    be is refused. Raises FhirError 400, 404 for what is unknown, and 422 naming what is lacking.
    """
    asked = _asked(context, given)
    outcomes = [outcome async for outcome in _outcomes(context, asked)]
    reports = await _reports(asked, outcomes, instant(context.now()))
    if keep:
        reports = await _kept(context, reports)
    left_out = [outcome for outcome in outcomes if isinstance(outcome, NotAssessable)]
    resources = [*reports, operation_outcome(map(_left_out, left_out))] if left_out else reports
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


async def evaluate_measure(context: Context, given: Input, *, keep: bool) -> Resource:
    """Return the one report of R4's operation: a child's, a hospital's (reporter) or the nation's."""
    asked = _asked(context, given)
    if asked.type == "individual" and asked.subject is None:
        text = "An individual report needs a subject; $evaluate gives one for every child."
        raise _refused("required", text, "subject")
    outcomes = [outcome async for outcome in _outcomes(context, asked)]
    reports = (await _reports(asked, outcomes, instant(context.now())))[:1]
    if not reports:
        text = f"{asked.subject or asked.hospital} has no case of this measure in the period."
        raise FhirError(404, [error("not-found", text)])
    return (await _kept(context, reports))[0] if keep else reports[0]


def _asked(context: Context, given: Input) -> _Asked:
    kind = given.get("reportType") or ("individual" if given.get("subject") else "summary")
    if kind not in TYPES:
        text = f"reportType {kind!r} is not supported; supported: {', '.join(TYPES)}."
        raise _refused("not-supported", text, "reportType")
    asked = _Asked(
        _measure(given),
        Period(required(given, "periodStart"), required(given, "periodEnd")),
        TYPES[kind],
        _one(context, given, "subject", "Patient"),
        _one(context, given, "reporter", "Organization"),
    )
    if asked.type == "summary" and asked.subject:
        text = "A summary is of many: it has no subject. An individual report has one."
        raise _refused("not-supported", text, "subject")
    outcome_engine.check(asked.measure, asked.period)
    return asked


def _refused(code: str, text: str, name: str) -> FhirError:
    return FhirError(400, [error(code, text, f"Parameters.parameter('{name}')")])


def _measure(given: Input) -> str:
    if identifier := given.get("measureId"):
        return next(
            (url for url, found in outcome_engine.measures().items() if found["id"] == identifier),
            f"Measure/{identifier}",
        )
    url: str = given.get("measureUrl") or required(given, "measure")
    return url


def _one(context: Context, given: Input, name: str, resource_type: str) -> str | None:
    """Return the literal reference that a parameter means, None where it is not given.

    Raises FhirError 400 where it is no reference, and 404 where nobody is.
    """
    if name not in given:
        return None
    value = given[name]
    text = value.get("reference") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise _refused("value", f"The parameter {name} is a reference or its text.", name)
    kind, _, criteria = text.partition("?")
    if criteria and kind == resource_type:
        _, found = find(context, resource_type, criteria)
        ids = [stored.id for stored in found]
    else:
        named = _ids(text.removeprefix(f"{context.base_url}/"), resource_type)
        known = store.existing(context.database, [(resource_type, each) for each in named])
        ids = [each for _, each in known]
    if len(ids) != 1:
        raise FhirError(404, [error("not-found", f"{text} is not known here.")])
    return f"{resource_type}/{ids[0]}"


def _ids(text: str, resource_type: str) -> list[str]:
    """Return the id of a reference to a resource of the type here, or a bare id; else nothing."""
    place = literal(text)
    if place is None:
        return [text]
    return [place.id] if place.type == resource_type and place.base is None else []


async def _reports(
    asked: _Asked, outcomes: Sequence[ChildOutcome | NotAssessable], now: str
) -> list[Resource]:
    if asked.type == "individual":
        reports = []
        for outcome in outcomes:
            if isinstance(outcome, ChildOutcome):
                reports.append(_individual(asked, outcome, now))
                await asyncio.sleep(0)
        return reports
    hospitals: list[str | None] = [asked.hospital]
    if asked.hospital is None:
        hospitals += sorted({outcome.hospital for outcome in outcomes if outcome.hospital})
    return [
        outcome_engine.summary_report(
            asked.measure,
            outcomes,
            hospital={"reference": hospital} if hospital else None,
            period=asked.period,
            reporter=REGISTRY,
            now=now,
        )
        for hospital in hospitals
    ]


async def _outcomes(context: Context, asked: _Asked) -> AsyncIterator[ChildOutcome | NotAssessable]:
    """Assess each child whose case began in the period, or may have; of a subject, refuse doubt."""
    as_of = instant(context.now())[:10]
    types = ",".join(f"{c['system']}|{c['code']}" for c in outcome_engine.focus(asked.measure))
    if asked.subject:
        async for record in children.one(context, asked.subject, types):
            found = outcome_engine.assess(asked.measure, record, as_of, context.terminology)
            if outcome_engine.in_period(found, asked.period):
                yield found
        return
    async for record in children.every(context, asked.hospital, types):
        cases = outcome_engine.cases(asked.measure, record, context.terminology)
        if outcome_engine.may_begin_in(cases, asked.period):
            yield _outcome(context, asked, record, cases[0], as_of)


def _outcome(
    context: Context, asked: _Asked, record: list[Resource], case: Resource, as_of: str
) -> ChildOutcome | NotAssessable:
    """Assess a child among many: a record that cannot be assessed does not keep the others waiting."""
    try:
        return outcome_engine.assess(asked.measure, record, as_of, context.terminology)
    except FhirError as refusal:
        return outcome_engine.not_assessable(case, refusal)


def _left_out(child: NotAssessable) -> Issue:
    return Issue("warning", "incomplete", f"{child.case} is left out: {child.reason}")


def _individual(asked: _Asked, outcome: ChildOutcome, now: str) -> Resource:
    return outcome_engine.individual_report(
        asked.measure,
        outcome,
        subject={"reference": outcome.patient},
        period=asked.period,
        reporter={"reference": outcome.hospital} if outcome.hospital else REGISTRY,
        now=now,
    )


async def _kept(context: Context, reports: Sequence[Resource]) -> list[Resource]:
    """Store the reports, each in place of the one before it for the same measure, period and subject."""
    kept = []
    size = min(KEPT_AT_ONCE, context.settings.max_entries)
    for start in range(0, len(reports), size):
        numbered = [_numbered(report) for report in reports[start : start + size]]
        entries = [{"resource": report, "request": _in_place(report)} for report in numbered]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        response = await transaction(context, bundle)
        places = (entry["response"]["location"].split("/")[1] for entry in response["entry"])
        kept += [
            {"resourceType": "MeasureReport", "id": place, **report}
            for place, report in zip(places, numbered, strict=True)
        ]
    return kept


def _in_place(report: Resource) -> Resource:
    criteria = urlencode({"identifier": _token(report)})
    return {"method": "PUT", "url": f"MeasureReport?{criteria}"}


def _numbered(report: Resource) -> Resource:
    about = report.get("subject") or next(
        (
            e["valueReference"]
            for e in report["extension"]
            if e["url"].endswith("/outcome-hospital")
        ),
        {"reference": "national"},
    )
    period = report["period"]
    value = "/".join(
        (report["measure"].rpartition("/")[2], period["start"], period["end"], about["reference"])
    )
    return {**report, "identifier": [{"system": REPORT, "value": value}]}


def _token(report: Resource) -> str:
    identifier = report["identifier"][0]
    value = identifier["value"].replace("|", r"\|")
    return f"{identifier['system']}|{value}"
